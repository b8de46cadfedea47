//! The test world: a real Active Directory domain (Samba), a cloud, a client and an administration host on one machine,
//! each in a network namespace of its own, and the end-to-end story that tests and demo share.
//!
//! The lab starts, asks and observes; it never reaches into the product: everything it knows about Crossrealm it learns
//! from the command line, from the wire, and from Samba's own tools, which serve as independent oracles. It needs root and
//! Debian's packages ([`crossrealm_programs::table`]), touches nothing of the machine outside names that start with `xr-<pid>-`, and
//! leaves nothing behind, not even when it is killed.
//!
//! ```text
//!   onprem 10.77.1.1  ──── client 10.77.1.2 / 10.77.2.2 ────  cloud 10.77.2.1
//!   Samba AD DC       ──── admin  10.77.1.3 / 10.77.2.3 ────  crossrealm serve, files serve
//! ```
//! A world that asks for it has a second domain controller, in the namespace `branch` (10.77.1.4).
//! Neither client nor admin forwards, and neither onprem nor cloud has a route to the other.

mod child;
mod clock;
mod dc;
mod disk;
mod halt;
mod host_samba;
pub mod need;
mod net;
mod product;
pub mod python;
pub mod readme;
mod run;
pub mod story;
mod wait;
mod world;

pub use child::Service;
pub use clock::Clock;
pub use dc::{ADMIN_PASSWORD, DOMAIN, FLAT_NAME, Population, REALM, USER_PASSWORD};
pub use disk::Disk;
pub use halt::kill_at_line;
pub use host_samba::{HOST_SAMBA, MARK, demand_host_samba};
pub use net::Place;
pub use product::{build_product, executables};
pub use run::{Failure, Output, Run};
pub use wait::{PATIENCE, until};
pub use world::World;
