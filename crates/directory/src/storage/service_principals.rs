//! Service principals: Kerberos services other than storage accounts.

use crate::audit::events::Actor;
use crate::claimed_names::NameScope;
use crate::db::change::ChangeScope;
use crate::db::columns::{col, col_time, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::{is_taken, sql};
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::page::{Page, Paged};
use crate::random::random_uuid;
use crate::service_keys::{KeytabMaterial, Owner, OwnerKind};
use crate::storage::service_names::{delete_names, insert_names};
use crate::tenants::model::load_tenant;
use crate::{names, service_keys};
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{KeySlot, ServicePrincipal};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// The service class of SMB, which storage accounts answer to.
const SMB_CLASS: &str = "cifs";

impl Directory {
    /// Creates a service principal `class/host` with both keys. The name is compared without case, and kept as it is given: an
    /// acceptor looks for exactly its own spelling in a keytab. Refused with `spn_of_storage_accounts` for the class of
    /// SMB, and if the tenant may not claim the host.
    pub async fn create_service_principal(
        &self,
        by: &Actor,
        tenant: TenantId,
        spn: &str,
        scope: NameScope,
    ) -> Result<ServicePrincipal> {
        let spelling = spn;
        let (class, host) = names::spn(spelling)?;
        let spn = format!("{class}/{host}");
        if class == SMB_CLASS {
            return Err(Refusal::SpnOfStorageAccounts { spn }.into());
        }
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let owner = Owner {
            tenant,
            kind: OwnerKind::Principal,
            id: random_uuid()?,
        };
        let installation = self.installation();
        insert_names(&mut tx, installation, &owner, &[&class], &host, scope).await?;
        sql("INSERT INTO service_principals (id, tenant_id, spn, created_at, spelling) VALUES ($1, $2, $3, $4, $5)")
            .bind(uuid_blob(owner.id))
            .bind(tenant_blob(tenant))
            .bind(spn.as_str())
            .bind(now_s())
            .bind(spelling)
            .execute(&mut *tx)
            .await
            .map_err(|error| match is_taken(&error) {
                true => DirectoryError::exists(RecordKind::ServicePrincipal, &spn),
                false => error.into(),
            })?;
        service_keys::insert_both(&mut tx, self.sealer(), &owner).await?;
        let (_, principal) = load(&mut tx, tenant, &spn).await?;
        tx.audit("service-principal.create", &principal.spn, "")
            .await?;
        tx.commit().await?;
        Ok(principal)
    }

    /// The service principals, by SPN.
    pub async fn service_principals(
        &self,
        tenant: TenantId,
        page: &Page,
    ) -> Result<Paged<ServicePrincipal>> {
        let mut conn = self.snapshot().await?;
        let rows = sql(
            "SELECT id, spn, spelling, created_at FROM service_principals
                        WHERE tenant_id = $1 AND spn > $2 ORDER BY spn LIMIT $3",
        )
        .bind(tenant_blob(tenant))
        .bind(page.after())
        .bind(page.limit())
        .fetch_all(&mut *conn)
        .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(principal_of(&mut conn, tenant, row).await?.1);
        }
        Ok(page.paged(items, |principal| principal.spn.to_ascii_lowercase()))
    }

    /// The service principal with this SPN, compared case-insensitively.
    pub async fn service_principal(&self, tenant: TenantId, spn: &str) -> Result<ServicePrincipal> {
        let mut conn = self.snapshot().await?;
        Ok(load(&mut conn, tenant, spn).await?.1)
    }

    /// Creates a new key in a slot; from then on the key of the other slot encrypts new tickets.
    pub async fn rotate_service_principal_key(
        &self,
        by: &Actor,
        tenant: TenantId,
        spn: &str,
        slot: KeySlot,
    ) -> Result<ServicePrincipal> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let life = load_tenant(&mut tx, tenant).await?.policy.max_ticket_life_s;
        let (owner, principal) = load(&mut tx, tenant, spn).await?;
        let kvno = service_keys::rotate(&mut tx, self.sealer(), &owner, slot, life).await?;
        let detail = format!("{} kvno {kvno}", slot.as_str());
        tx.audit("service-principal.rotate-key", &principal.spn, &detail)
            .await?;
        let (_, principal) = load(&mut tx, tenant, spn).await?;
        tx.commit().await?;
        Ok(principal)
    }

    /// The content of the service principal's keytab. Audited: it is an export of keys.
    pub async fn service_principal_keytab(
        &self,
        by: &Actor,
        tenant: TenantId,
        spn: &str,
    ) -> Result<KeytabMaterial> {
        let mut tx = self.change(by, tenant, ChangeScope::Nothing).await?;
        let realm = load_tenant(&mut tx, tenant).await?.realm;
        let (owner, principal) = load(&mut tx, tenant, spn).await?;
        let material = KeytabMaterial {
            realm,
            principals: vec![principal.spn.clone()],
            keys: service_keys::service_keys(&mut tx, self.sealer(), &owner).await?,
        };
        tx.audit("service-principal.keytab", &principal.spn, "")
            .await?;
        tx.commit().await?;
        Ok(material)
    }

    /// Deletes a service principal and its keys.
    pub async fn delete_service_principal(
        &self,
        by: &Actor,
        tenant: TenantId,
        spn: &str,
    ) -> Result<()> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let (owner, principal) = load(&mut tx, tenant, spn).await?;
        delete_names(&mut tx, &owner).await?;
        service_keys::delete_keys(&mut tx, &owner).await?;
        sql("DELETE FROM service_principals WHERE id = $1")
            .bind(uuid_blob(owner.id))
            .execute(&mut *tx)
            .await?;
        tx.audit("service-principal.delete", &principal.spn, "")
            .await?;
        tx.commit().await
    }
}

async fn load(
    conn: &mut AnyConnection,
    tenant: TenantId,
    spn: &str,
) -> Result<(Owner, ServicePrincipal)> {
    let (class, host) = names::spn(spn)?;
    let spn = format!("{class}/{host}");
    let row =
        sql("SELECT id, spn, spelling, created_at FROM service_principals WHERE tenant_id = $1 AND spn = $2")
            .bind(tenant_blob(tenant))
            .bind(spn.as_str())
            .fetch_optional(&mut *conn)
            .await?
            .ok_or_else(|| DirectoryError::not_found(RecordKind::ServicePrincipal, &spn))?;
    principal_of(conn, tenant, &row).await
}

async fn principal_of(
    conn: &mut AnyConnection,
    tenant: TenantId,
    row: &AnyRow,
) -> Result<(Owner, ServicePrincipal)> {
    let owner = Owner {
        tenant,
        kind: OwnerKind::Principal,
        id: col_uuid(row, "id")?,
    };
    let spelling: String = col(row, "spelling")?;
    let principal = ServicePrincipal {
        spn: match spelling.is_empty() {
            true => col(row, "spn")?,
            false => spelling,
        },
        created_at: col_time(row, "created_at")?,
        keys: service_keys::key_infos(conn, &owner).await?,
    };
    Ok((owner, principal))
}
