//! Storage accounts: named SMB endpoints with two Kerberos keys.

use crate::audit::events::Actor;
use crate::audit::events::audit;
use crate::clock::now_s;
use crate::db::{Touch, col, col_uuid, is_taken, sql, tenant_blob, touch, uuid_blob};
use crate::directory::Directory;
use crate::error::{DirectoryError, Kind, Refusal, Result};
use crate::hosts::reports;
use crate::hosts::reports::HostReport;
use crate::hosts::tokens;
use crate::names;
use crate::names::invalid;
use crate::page::{Page, Paged};
use crate::random::random_uuid;
use crate::sealing::seal::Sealer;
use crate::service_keys;
use crate::service_keys::{KeyInfo, KeySlot, KeytabMaterial, Owner, OwnerKind};
use crate::storage::shares::ShareRole;
use crate::tenants::{TenantInfo, load_tenant};
use crossrealm_kdc::TenantId;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The service classes a storage account answers to.
const CLASSES: [&str; 2] = ["cifs", "host"];
/// The most aliases of one account.
const MAX_ALIASES: usize = 50;

/// A storage account to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStorageAccount {
    /// The name: 3 to 24 lower-case letters and digits.
    pub name: String,
    /// Other DNS names it answers at.
    pub aliases: Vec<String>,
}

/// A storage account without its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageAccount {
    /// Its name.
    pub name: String,
    /// The DNS name it answers at: `<name>.file.<tenant domain>`.
    pub host: String,
    /// Other DNS names it answers at, sorted.
    pub aliases: Vec<String>,
    /// The role every synced user of the tenant has on its shares.
    pub default_role: Option<ShareRole>,
    /// When it was made, Unix seconds.
    pub created_at: i64,
    /// Its keys, the sealing one first.
    pub keys: Vec<KeyInfo>,
}

impl Directory {
    /// Makes a storage account with both keys: kerb1 (kvno 1) seals, kerb2 has kvno 2.
    pub async fn create_storage_account(
        &self,
        by: &Actor,
        tenant: TenantId,
        new: NewStorageAccount,
    ) -> Result<StorageAccount> {
        let name = names::account_name(&new.name)?;
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Parties).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let owner = Owner {
            tenant,
            kind: OwnerKind::Account,
            id: random_uuid()?,
        };
        sql("INSERT INTO storage_accounts (id, tenant_id, name, created_at) VALUES ($1, $2, $3, $4)")
            .bind(uuid_blob(owner.id))
            .bind(tenant_blob(tenant))
            .bind(name.as_str())
            .bind(now_s())
            .execute(&mut *tx)
            .await
            .map_err(|error| match is_taken(&error) {
                true => DirectoryError::exists(Kind::StorageAccount, &name),
                false => error.into(),
            })?;
        let host = host_of(&tenant_info, &name);
        write_hosts(&mut tx, &owner, &host, &new.aliases).await?;
        service_keys::insert_both(&mut tx, self.sealer(), &owner).await?;
        let detail = new.aliases.join(" ");
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.create",
            &name,
            &detail,
        )
        .await?;
        let (_, account) = load_account(&mut tx, &tenant_info, &name).await?;
        self.commit(tx).await?;
        Ok(account)
    }

    /// The storage accounts, by name.
    pub async fn storage_accounts(
        &self,
        tenant: TenantId,
        page: &Page,
    ) -> Result<Paged<StorageAccount>> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        let rows = sql(
            "SELECT id, name, default_role, created_at FROM storage_accounts
                        WHERE tenant_id = $1 AND name > $2 ORDER BY name LIMIT $3",
        )
        .bind(tenant_blob(tenant))
        .bind(page.after())
        .bind(page.limit())
        .fetch_all(&mut *conn)
        .await?;
        let mut items = Vec::with_capacity(rows.len());
        for row in &rows {
            items.push(account_of(&mut conn, &tenant_info, row).await?.1);
        }
        Ok(page.paged(items, |account| account.name.clone()))
    }

    /// The storage account with this name.
    pub async fn storage_account(&self, tenant: TenantId, name: &str) -> Result<StorageAccount> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        Ok(load_account(&mut conn, &tenant_info, name).await?.1)
    }

    /// Replaces the aliases of a storage account.
    pub async fn set_aliases(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        aliases: &[String],
    ) -> Result<StorageAccount> {
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Parties).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, account) = load_account(&mut tx, &tenant_info, name).await?;
        delete_names(&mut tx, &owner).await?;
        write_hosts(&mut tx, &owner, &account.host, aliases).await?;
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.aliases",
            name,
            &aliases.join(" "),
        )
        .await?;
        let (_, account) = load_account(&mut tx, &tenant_info, name).await?;
        self.commit(tx).await?;
        Ok(account)
    }

    /// Sets the role every synced user has on the account's shares; `None` takes it away.
    pub async fn set_default_role(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        role: Option<ShareRole>,
    ) -> Result<StorageAccount> {
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Parties).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, mut account) = load_account(&mut tx, &tenant_info, name).await?;
        sql("UPDATE storage_accounts SET default_role = $2 WHERE id = $1")
            .bind(uuid_blob(owner.id))
            .bind(role.map(ShareRole::as_str))
            .execute(&mut *tx)
            .await?;
        let word = role.map_or("none", ShareRole::as_str);
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.default-role",
            name,
            word,
        )
        .await?;
        self.commit(tx).await?;
        account.default_role = role;
        Ok(account)
    }

    /// Makes a new key in a slot; the other slot seals from now on.
    ///
    /// `judge` is given the version that would seal and what the hosts said last, in one transaction with the change. It
    /// refuses, or returns what the audit is to tell beside the versions.
    pub async fn rotate_storage_key(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        slot: KeySlot,
        judge: impl FnOnce(u32, &[HostReport]) -> Result<String> + Send,
    ) -> Result<StorageAccount> {
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Parties).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, before) = load_account(&mut tx, &tenant_info, name).await?;
        let seals = service_keys::sealing_after(&before.keys, slot)?;
        let judged = judge(seals, &reports::load(&mut tx, owner.id).await?)?;
        let life = tenant_info.policy.max_ticket_life_s;
        let kvno = service_keys::rotate(&mut tx, self.sealer(), &owner, slot, life).await?;
        let detail = format!("{} kvno {kvno}; kvno {seals} seals{judged}", slot.as_str());
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.rotate-key",
            name,
            &detail,
        )
        .await?;
        let (_, account) = load_account(&mut tx, &tenant_info, name).await?;
        self.commit(tx).await?;
        Ok(account)
    }

    /// What the account's keytab is made of. Audited: it is an export of keys.
    pub async fn storage_account_keytab(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
    ) -> Result<KeytabMaterial> {
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Nothing).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, account) = load_account(&mut tx, &tenant_info, name).await?;
        let material = keytab(&mut tx, self.sealer(), &tenant_info, &owner, &account).await?;
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.keytab",
            name,
            "",
        )
        .await?;
        self.commit(tx).await?;
        Ok(material)
    }

    /// Removes a storage account, its keys, the tokens of its hosts and what is left of removed shares. Refused with `account_has_shares` while
    /// it has shares.
    pub async fn delete_storage_account(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
    ) -> Result<()> {
        self.remove_storage_account(by, tenant, name, false).await
    }

    /// Does the same with the shares the account still has: they and the grants on them go too. Data on hosts stays.
    pub async fn delete_storage_account_with_shares(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
    ) -> Result<()> {
        self.remove_storage_account(by, tenant, name, true).await
    }

    async fn remove_storage_account(
        &self,
        by: &Actor,
        tenant: TenantId,
        name: &str,
        with_shares: bool,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Parties).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, _) = load_account(&mut tx, &tenant_info, name).await?;
        let shares = sql(
            "SELECT COUNT(*) AS count FROM shares WHERE account_id = $1 AND removed_at IS NULL",
        )
        .bind(uuid_blob(owner.id))
        .fetch_one(&mut *tx)
        .await?;
        let count: i64 = col(&shares, "count")?;
        if count > 0 && !with_shares {
            return Err(Refusal::AccountHasShares {
                account: name.to_owned(),
                shares: count,
            }
            .into());
        }
        delete_names(&mut tx, &owner).await?;
        service_keys::delete_keys(&mut tx, &owner).await?;
        tokens::revoke_all(&mut tx, tenant, name).await?;
        sql("DELETE FROM storage_accounts WHERE id = $1")
            .bind(uuid_blob(owner.id))
            .execute(&mut *tx)
            .await?;
        audit(
            &mut tx,
            by,
            Some(tenant),
            "storage-account.delete",
            name,
            &match count {
                0 => String::new(),
                count => format!("with {count} shares"),
            },
        )
        .await?;
        self.commit(tx).await
    }
}

/// What an account's keytab is made of, not audited.
pub(crate) async fn keytab(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    tenant: &TenantInfo,
    owner: &Owner,
    account: &StorageAccount,
) -> Result<KeytabMaterial> {
    let hosts: Vec<&String> = std::iter::once(&account.host)
        .chain(&account.aliases)
        .collect();
    let principals = CLASSES
        .iter()
        .flat_map(|class| hosts.iter().map(move |host| format!("{class}/{host}")))
        .collect();
    Ok(KeytabMaterial {
        realm: tenant.realm.clone(),
        principals,
        keys: service_keys::service_keys(conn, sealer, owner).await?,
    })
}

/// The account with this name, and whose keys are its.
pub(crate) async fn load_account(
    conn: &mut AnyConnection,
    tenant: &TenantInfo,
    name: &str,
) -> Result<(Owner, StorageAccount)> {
    let row = sql("SELECT id, name, default_role, created_at FROM storage_accounts WHERE tenant_id = $1 AND name = $2")
        .bind(tenant_blob(tenant.id))
        .bind(names::shown(name))
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else {
        return Err(DirectoryError::not_found(
            Kind::StorageAccount,
            names::shown(name),
        ));
    };
    account_of(conn, tenant, &row).await
}

async fn account_of(
    conn: &mut AnyConnection,
    tenant: &TenantInfo,
    row: &AnyRow,
) -> Result<(Owner, StorageAccount)> {
    let owner = Owner {
        tenant: tenant.id,
        kind: OwnerKind::Account,
        id: col_uuid(row, "id")?,
    };
    let name: String = col(row, "name")?;
    let host = host_of(tenant, &name);
    let names = sql("SELECT host FROM service_names
                     WHERE tenant_id = $1 AND owner_kind = 'account' AND owner_id = $2 AND class = 'cifs' ORDER BY host")
        .bind(tenant_blob(tenant.id))
        .bind(uuid_blob(owner.id))
        .fetch_all(&mut *conn)
        .await?;
    let mut aliases = names
        .iter()
        .map(|row| col::<String>(row, "host"))
        .collect::<Result<Vec<_>>>()?;
    aliases.retain(|alias| *alias != host);
    let role: Option<String> = col(row, "default_role")?;
    let default_role = role
        .map(|word| {
            ShareRole::from_word(&word)
                .ok_or_else(|| DirectoryError::damaged("default role", "an unknown word"))
        })
        .transpose()?;
    let account = StorageAccount {
        name,
        host,
        aliases,
        default_role,
        created_at: col(row, "created_at")?,
        keys: service_keys::key_infos(conn, &owner).await?,
    };
    Ok((owner, account))
}

fn host_of(tenant: &TenantInfo, account: &str) -> String {
    format!("{account}.file.{}", tenant.domain)
}

/// Writes the names an account answers to.
async fn write_hosts(
    conn: &mut AnyConnection,
    owner: &Owner,
    host: &str,
    aliases: &[String],
) -> Result<()> {
    if aliases.len() > MAX_ALIASES {
        return Err(invalid(
            "alias",
            &aliases.len().to_string(),
            "too many of them",
        ));
    }
    let mut hosts = BTreeSet::from([host.to_owned()]);
    for alias in aliases {
        hosts.insert(names::dns_name("alias", alias, 1)?);
    }
    for host in hosts {
        for class in CLASSES {
            insert_name(conn, owner, class, &host).await?;
        }
    }
    Ok(())
}

/// Gives a service the name `class/host`; refused where another service has it.
pub(crate) async fn insert_name(
    conn: &mut AnyConnection,
    owner: &Owner,
    class: &str,
    host: &str,
) -> Result<()> {
    let holder = sql("SELECT owner_id, COALESCE(
          (SELECT name FROM storage_accounts a WHERE a.id = n.owner_id),
          (SELECT spn FROM service_principals p WHERE p.id = n.owner_id)) AS holder
        FROM service_names n WHERE tenant_id = $1 AND class = $2 AND host = $3")
    .bind(tenant_blob(owner.tenant))
    .bind(class)
    .bind(host)
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(row) = holder {
        let holder: Option<String> = col(&row, "holder")?;
        let name = format!("{class}/{host}");
        return Err(DirectoryError::Exists {
            kind: Kind::ServicePrincipal,
            by: holder
                .filter(|holder| *holder != name)
                .map(|holder| format!("`{holder}`")),
            name,
        });
    }
    sql("INSERT INTO service_names (tenant_id, class, host, owner_kind, owner_id) VALUES ($1, $2, $3, $4, $5)")
        .bind(tenant_blob(owner.tenant))
        .bind(class)
        .bind(host)
        .bind(owner.kind.as_str())
        .bind(uuid_blob(owner.id))
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes every name of a service away.
pub(crate) async fn delete_names(conn: &mut AnyConnection, owner: &Owner) -> Result<()> {
    sql("DELETE FROM service_names WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3")
        .bind(tenant_blob(owner.tenant))
        .bind(owner.kind.as_str())
        .bind(uuid_blob(owner.id))
        .execute(conn)
        .await?;
    Ok(())
}

/// The name of the service with this id, for events.
pub(crate) async fn service_name(
    conn: &mut AnyConnection,
    kind: OwnerKind,
    id: Uuid,
) -> Result<String> {
    let text = match kind {
        OwnerKind::Account => "SELECT name FROM storage_accounts WHERE id = $1",
        _ => "SELECT spn AS name FROM service_principals WHERE id = $1",
    };
    let row = sql(text).bind(uuid_blob(id)).fetch_one(conn).await?;
    col(&row, "name")
}
