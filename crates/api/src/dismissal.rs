//! The proof by which a service dismisses an SMB host: that the installation which issued the host's token knows that token,
//! and has revoked it.
//!
//! A host that is dismissed ends every session and deletes its copy of the state, so it must not take anyone's word for it. A
//! service that was started on an empty, an older or another database answers the same "unknown token" to everybody. The
//! proof needs the hash of the token, which is only in the database that the token was recorded in.

use crate::SecretText;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What the proof says, before the installation and the token.
const LABEL: &[u8] = b"crossrealm: the token of this host was revoked, 1\0";

/// That an installation revoked a host's token. A revocation is final, so that nothing is gained by a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dismissal {
    /// The installation.
    pub installation: Uuid,
    /// The id of the token.
    pub token: Uuid,
    /// HMAC-SHA-256 under the hash of the token, in Base64.
    pub proof: String,
}

/// What a host proves a dismissal by: the hash of its token, as the database records it.
#[derive(Clone)]
pub struct DismissalKey([u8; 32]);

impl DismissalKey {
    /// Of a host's token.
    pub fn of_token(token: &SecretText) -> Self {
        Self(Sha256::digest(token.expose().trim()).into())
    }

    /// Of the hash of a token.
    pub fn of_hash(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    fn mac(&self, installation: Uuid, token: Uuid) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(LABEL);
        mac.update(installation.as_bytes());
        mac.update(token.as_bytes());
        Some(mac)
    }
}

impl Dismissal {
    /// The dismissal of the host with this token.
    pub fn new(key: &DismissalKey, installation: Uuid, token: Uuid) -> Option<Self> {
        let proof = key.mac(installation, token)?.finalize().into_bytes();
        Some(Self {
            installation,
            token,
            proof: STANDARD.encode(proof),
        })
    }

    /// Whether the installation that recorded the host's token says this; `known` is the installation that the host was
    /// served by before, if it was.
    pub fn is_proven(&self, key: &DismissalKey, known: Option<Uuid>) -> bool {
        if known.is_some_and(|known| known != self.installation) {
            return false;
        }
        let Ok(proof) = STANDARD.decode(&self.proof) else {
            return false;
        };
        // In constant time.
        key.mac(self.installation, self.token)
            .is_some_and(|mac| mac.verify_slice(&proof).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R3: a host believes only the installation that recorded its token.
    #[test]
    fn a_dismissal_is_proven_by_the_hash_of_the_token_and_the_installation() {
        let token = SecretText::new("xr_00");
        let (own, other) = (
            DismissalKey::of_token(&token),
            DismissalKey::of_token(&SecretText::new("xr_01")),
        );
        let (installation, id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let said = Dismissal::new(&own, installation, id).unwrap();
        assert!(said.is_proven(&own, Some(installation)));
        assert!(said.is_proven(&own, None));
        assert!(!said.is_proven(&own, Some(Uuid::from_u128(3))));
        assert!(!said.is_proven(&other, Some(installation)));
        let forged = Dismissal::new(&other, installation, id).unwrap();
        assert!(!forged.is_proven(&own, Some(installation)));
        for proof in ["", "0", "==", "é0", &"A".repeat(43), &"A".repeat(44)] {
            let forged = Dismissal {
                proof: proof.into(),
                ..said.clone()
            };
            assert!(!forged.is_proven(&own, None), "{proof}");
        }
    }
}
