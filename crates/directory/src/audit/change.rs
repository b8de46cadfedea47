//! Changes of a tenant: what is written and the events about it are committed together.

use crate::audit::events::{Actor, audit};
use crate::db::change::{ChangeScope, lock_and_bump};
use crate::db::pools::Tx;
use crate::directory::Directory;
use crate::error::Result;
use crossrealm_kdc::TenantId;
use sqlx::AnyConnection;
use std::ops::{Deref, DerefMut};

/// A writing transaction on one tenant, which it locks. Rolled back where it is dropped.
pub(crate) struct Change<'a> {
    directory: &'a Directory,
    tx: Tx,
    by: &'a Actor,
    tenant: TenantId,
}

impl Directory {
    /// Begins a change of the tenant, when the changes before it have ended. Fails if there is no such tenant.
    pub(crate) async fn change<'a>(
        &'a self,
        by: &'a Actor,
        tenant: TenantId,
        scope: ChangeScope,
    ) -> Result<Change<'a>> {
        let mut tx = self.begin().await?;
        lock_and_bump(&mut tx, tenant, scope).await?;
        Ok(Change {
            directory: self,
            tx,
            by,
            tenant,
        })
    }
}

impl Change<'_> {
    /// Records an event of the change.
    pub(crate) async fn audit(
        &mut self,
        action: &'static str,
        target: &str,
        detail: &str,
    ) -> Result<()> {
        audit(
            &mut self.tx,
            self.by,
            Some(self.tenant),
            action,
            target,
            detail,
        )
        .await
    }

    /// Commits the change with its events.
    pub(crate) async fn commit(self) -> Result<()> {
        self.directory.commit(self.tx).await
    }
}

impl Deref for Change<'_> {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.tx
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.tx
    }
}
