//! What must hold for every input: one function per fuzz target, which panics where something does not.
//!
//! The functions take bytes from a fuzzer and use only the public interface of the crates that they test. The fuzz targets
//! in `fuzz/fuzz_targets` are one line each; the ordinary tests here run the same functions over the committed seeds and
//! over every input that once broke something. [`seeds::all`] makes the seeds.

mod api;
mod connection;
mod exchange;
mod formats;
mod gss;
mod registry_pol;
mod sealed_state;
pub mod seeds;

pub use api::api;
pub use connection::connection;
pub use exchange::exchange;
pub use formats::{ccache, keytab, kkdcp, messages, pac, security_descriptor};
pub use gss::gss;
pub use registry_pol::registry_pol;
pub use sealed_state::sealed_state;

/// A fuzz target: its name, which is also the name of its folders, and its check.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 12] = [
    ("api", api),
    ("ccache", ccache),
    ("connection", connection),
    ("exchange", exchange),
    ("gss", gss),
    ("keytab", keytab),
    ("kkdcp", kkdcp),
    ("messages", messages),
    ("pac", pac),
    ("registry_pol", registry_pol),
    ("sealed_state", sealed_state),
    ("security_descriptor", security_descriptor),
];

/// Bytes that are the same in every run.
pub(crate) struct Fixed(pub u8);

impl crossrealm_krb::random::Random for Fixed {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.0;
            self.0 = self.0.wrapping_mul(5).wrapping_add(1);
        }
    }
}
