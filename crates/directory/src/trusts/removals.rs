//! The removal of what AD holds for the tenant. It is removed from AD first and deleted here last: a removal is begun,
//! cancelled, or ended.

use crate::audit::events::Actor;
use crate::db::change::ChangeScope;
use crate::db::columns::tenant_blob;
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::names;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;

/// A step of a removal, with its statement: `$1` is the tenant, `$2` the AD domain's DNS name.
#[derive(Clone, Copy)]
pub(crate) enum RemovalStep {
    /// It is about to be removed from AD; `$3` is now.
    Begin(&'static str),
    /// AD refused. Nothing to cancel is not an error.
    Cancel(&'static str),
    /// It was removed from AD.
    End(&'static str),
}

impl Directory {
    /// Takes a step of the removal in `domain`, audited as `action`.
    pub(crate) async fn removal(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        (kind, action, step): (RecordKind, &'static str, RemovalStep),
    ) -> Result<()> {
        let domain = names::dns_name("domain", domain)?;
        let (statement, touched) = match step {
            RemovalStep::Begin(statement) | RemovalStep::Cancel(statement) => {
                (statement, ChangeScope::Nothing)
            }
            RemovalStep::End(statement) => (statement, ChangeScope::Configuration),
        };
        let mut tx = self.change(by, tenant, touched).await?;
        let mut statement = sql(statement)
            .bind(tenant_blob(tenant))
            .bind(domain.as_str());
        if let RemovalStep::Begin(_) = step {
            statement = statement.bind(now_s());
        }
        let done = statement.execute(&mut *tx).await?;
        if done.rows_affected() == 0 && !matches!(step, RemovalStep::Cancel(_)) {
            return Err(DirectoryError::not_found(kind, domain));
        }
        tx.audit(action, &domain, "").await?;
        tx.commit().await
    }
}
