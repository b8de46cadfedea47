//! The form in which a host keeps its state on disk.
//!
//! The state contains the account's keys, so it is sealed (AES-256-GCM) with a key that is derived from the host's token and
//! is not stored in the host's directories: the disk, a backup or a shared data directory discloses no keys, and only the
//! same token unseals the copy. The first line names the tenant, the account, the version and the time of the API's last
//! confirmation in clear text; it is the associated data, so that it cannot be changed. A copy that the API has not confirmed
//! for a week is refused: this bounds the replay of an old copy, and how long a host can serve whose token was revoked while
//! it could not reach the API.

use crate::check;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use crossrealm_api::{HostState, SecretText};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The longest first line.
const MAX_HEADER: usize = 1024;
/// The length of a nonce, in bytes.
pub const NONCE_LEN: usize = 12;
/// The version of the file format.
const FORMAT: u32 = 1;
/// How long a state is usable after its last confirmation, in seconds: a week.
pub(super) const MAX_AGE_S: i64 = 7 * 86_400;
/// How far ahead of this machine's clock a confirmation may be, in seconds.
const MAX_AHEAD_S: i64 = 3_600;

/// The key that a host's state is sealed with.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    tenant: String,
    account: String,
    version: String,
    confirmed_at: i64,
}

impl SealKey {
    /// Derives the key from a host's token. A token has 256 random bits, so one hash suffices; the server stores a different
    /// hash of it, which discloses nothing about this one.
    pub fn of_token(token: &SecretText) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"crossrealm: the kept state of a host, 1\0");
        hash.update(token.expose().as_bytes());
        Self(Zeroizing::new(hash.finalize().into()))
    }

    /// Seals a state that the API confirmed at `now`, in seconds since 1970. A nonce is random, and used once.
    ///
    /// # Errors
    ///
    /// The reason, for a state that cannot be written or sealed.
    pub fn seal(
        &self,
        state: &HostState,
        nonce: [u8; NONCE_LEN],
        now: i64,
    ) -> Result<Vec<u8>, String> {
        let header = Header {
            format: FORMAT,
            tenant: state.tenant.id.to_string(),
            account: state.account.name.clone(),
            version: state.version.clone(),
            confirmed_at: now,
        };
        let mut out = serde_json::to_vec(&header).map_err(|error| error.to_string())?;
        out.push(b'\n');
        let text = serde_json::to_vec(state).map_err(|error| error.to_string())?;
        let text = Zeroizing::new(text);
        let payload = Payload {
            msg: &text,
            aad: &out,
        };
        let sealed = self
            .cipher()
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| "the state is too long to be sealed")?;
        out.extend(nonce);
        out.extend(sealed);
        Ok(out)
    }

    /// Unseals the state of this account and tenant.
    ///
    /// # Errors
    ///
    /// The reason, where the bytes are not what this key sealed for them, or where it was too long ago.
    pub fn unseal(
        &self,
        bytes: &[u8],
        tenant: &str,
        account: &str,
        now: i64,
    ) -> Result<Box<HostState>, &'static str> {
        const DAMAGED: &str = "it is damaged";
        let end = bytes
            .iter()
            .take(MAX_HEADER)
            .position(|byte| *byte == b'\n')
            .ok_or(DAMAGED)?;
        let (line, sealed) = bytes.split_at(end + 1);
        let header: Header = serde_json::from_slice(line).map_err(|_| DAMAGED)?;
        if header.format != FORMAT {
            return Err("it was written by another version of this program");
        }
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(DAMAGED)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| DAMAGED)?;
        let payload = Payload {
            msg: sealed,
            aad: line,
        };
        let text = self
            .cipher()
            .decrypt(&Nonce::from(nonce), payload)
            .map_err(|_| "it cannot be unsealed: it is damaged, was changed, or was sealed with another token")?;
        let text = Zeroizing::new(text);
        let state: Box<HostState> = serde_json::from_slice(&text).map_err(|_| DAMAGED)?;
        let matches = header.tenant == state.tenant.id.to_string()
            && header.version == state.version
            && is_of_tenant(&state, tenant);
        if !matches || check::state_of(&state, account).is_err() {
            return Err("it belongs to another tenant or account");
        }
        // The line may be anything where the key is known.
        match now.checked_sub(header.confirmed_at) {
            Some(age) if age > MAX_AGE_S => {
                Err("the service has not confirmed it for more than 7 days")
            }
            Some(age) if age >= -MAX_AHEAD_S => Ok(state),
            _ => Err("it was confirmed in the future: check the clock"),
        }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.0).into())
    }
}

/// Whether the state is of this tenant, by id, name or domain.
fn is_of_tenant(state: &HostState, tenant: &str) -> bool {
    let domain = format!("{}.file.{tenant}", state.account.name);
    state.tenant.id.to_string().eq_ignore_ascii_case(tenant)
        || state.tenant.name.eq_ignore_ascii_case(tenant)
        || state.account.host.eq_ignore_ascii_case(&domain)
}
