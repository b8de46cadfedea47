//! The rotation of the master key: everything that is sealed or authenticated under it is so under a new one.
//!
//! It is one transaction, so that the database always has one master key. What the rows hold stays the same: somebody who has
//! the old master key and a copy of the database from before knows these keys still.

use crate::administrators::sign_in::reseal_authenticators;
use crate::audit::events::{Actor, audit};
use crate::db::change::renew_all;
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::Result;
use crate::open::{prove_from_now_on, tag_rows};
use crate::readiness::held_heartbeats;
use crate::sealing::master_key::MasterKey;
use crate::sealing::row_tags::NewTags;
use crate::sealing::seal::Sealer;
use crate::service_keys::reseal_keys;
use crate::trusts::secrets::reseal_secrets;
use std::time::Duration;
use tokio::time::sleep;

/// How long a node that runs may be silent: several of its heartbeats.
const NODES_ARE_HEARD_WITHIN: Duration = Duration::from_secs(12);

/// What a rotation has sealed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resealed {
    /// Kerberos keys of realms, storage accounts and service principals.
    pub kerberos_keys: usize,
    /// Trust passwords, of every version that is kept.
    pub trust_passwords: usize,
    /// Secrets of administrators' authenticators.
    pub authenticators: usize,
}

impl Directory {
    /// Whether a node of the service uses the database: its heartbeats are heard. Takes twelve seconds where none does.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub async fn is_served(&self) -> Result<bool> {
        let before = held_heartbeats(&mut *self.snapshot().await?).await?;
        for _ in 0..NODES_ARE_HEARD_WITHIN.as_secs() {
            sleep(Duration::from_secs(1)).await;
            if held_heartbeats(&mut *self.snapshot().await?).await? != before {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Seals and authenticates everything under `new` in place of the master key that this directory was opened with, which is of
    /// no use for the database from then on, nor is this value. No node may use the database meanwhile.
    ///
    /// # Errors
    ///
    /// A key that cannot be unsealed, or the database; then nothing has changed.
    pub async fn rotate_master_key(self, new: &MasterKey) -> Result<Resealed> {
        let (from, to) = (self.sealer(), Sealer::new(new));
        let mut tx = self.begin().await?;
        let resealed = Resealed {
            kerberos_keys: reseal_keys(&mut tx, from, &to).await?,
            trust_passwords: reseal_secrets(&mut tx, from, &to).await?,
            authenticators: reseal_authenticators(&mut tx, from, &to).await?,
        };
        let tags = NewTags {
            earlier: Some(from.rows()),
            tags: to.rows(),
        };
        tag_rows(&mut tx, tags).await?;
        // They are good for one run; an administrator gives another.
        sql("DELETE FROM deletion_permits")
            .execute(&mut *tx)
            .await?;
        prove_from_now_on(&mut tx, &to, new).await?;
        renew_all(&mut tx).await?;
        let by = Actor::local("master-key rotate");
        let detail = format!("the key is `{}`", new.id());
        audit(&mut tx, &by, None, "master-key.rotate", "", &detail).await?;
        self.commit(tx).await?;
        self.close().await;
        Ok(resealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_node_is_heard_in_time() {
        // `crossrealm serve` writes one every five seconds.
        assert!(NODES_ARE_HEARD_WITHIN > Duration::from_secs(2 * 5));
    }
}
