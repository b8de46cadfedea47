//! `crossrealm share`: shares of storage accounts, their quotas, grants and permissions.

mod access;
mod acl;
mod folder;
pub(crate) mod quota;

use crate::consent::ConsentArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, Done, Section, column, shown, time_column};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Subcommand, ValueEnum as _};
use crossrealm_api::{
    Client, DefaultPermission, GrantCreate, Share, ShareAccessQuery, ShareCreate, ShareQuota,
};
use crossrealm_types::ShareRole;
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// What can be done with shares.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Create a share; no one has access before a grant or a default permission
    Create {
        /// The share
        #[arg(value_name = "ACCOUNT/SHARE")]
        share: ShareName,
        /// Quota, e.g. `100GiB`: 1GiB to 102400GiB [default: none]
        #[arg(long, value_name = "SIZE")]
        quota: Option<quota::Quota>,
        /// Grant a role on it to this user or group: a UPN, an account or group name, or a SID
        #[arg(long, value_name = "PRINCIPAL", requires = "role")]
        to: Option<String>,
        /// The role to grant
        #[arg(long, requires = "to")]
        role: Option<ShareRole>,
    },
    /// Set the quota of a share
    SetQuota {
        /// The share
        #[arg(value_name = "ACCOUNT/SHARE")]
        share: ShareName,
        /// Quota, e.g. `200GiB`: 1GiB to 102400GiB, or `none`
        #[arg(long, value_name = "SIZE|none")]
        quota: quota::QuotaOrNone,
    },
    /// List the shares of a storage account, with the use of their quotas as its hosts report it, or those of all accounts
    List {
        /// Name of the account [default: all accounts]
        account: Option<String>,
    },
    /// Show a share with its quota and its grants
    Show {
        /// The share
        #[arg(value_name = "ACCOUNT/SHARE")]
        share: ShareName,
    },
    /// Delete a share's record and grants; its files on the host are kept
    Delete {
        /// The share
        #[arg(value_name = "ACCOUNT/SHARE")]
        share: ShareName,
        #[command(flatten)]
        consent: ConsentArgs,
    },
    /// Grant a role to a user or group, replacing the one it has
    Grant {
        /// The share
        #[arg(value_name = "ACCOUNT/SHARE")]
        share: ShareName,
        /// User or group: a UPN, an account or group name, or a SID
        #[arg(long, value_name = "PRINCIPAL")]
        to: String,
        /// Role; the file's own ACL restricts it further
        #[arg(long)]
        role: ShareRole,
    },
    /// Revoke the role of a user or group
    Revoke {
        /// The share
        #[arg(value_name = "ACCOUNT/SHARE")]
        share: ShareName,
        /// User or group: a UPN, an account or group name, or a SID
        #[arg(long, alias = "to", value_name = "PRINCIPAL")]
        from: String,
    },
    /// Show the effective role of a user on a share, and the grants it comes from
    Access {
        /// The share
        #[arg(value_name = "ACCOUNT/SHARE")]
        share: ShareName,
        /// UPN, account name or SID of the user
        #[arg(long, value_name = "UPN")]
        user: String,
        /// Show what this file or folder permits too, by its path from the root of the share; on the SMB host, as root
        #[arg(long)]
        path: Option<String>,
        #[command(flatten)]
        data: folder::Data,
    },
    /// Show or change the permissions of a file or folder, by names; on the SMB host, as root
    Acl(acl::Acl),
    /// Set the role of every synchronized user on all shares of an account
    DefaultPermission {
        /// Name of the account
        account: String,
        /// Role, or `none`
        #[arg(long, value_parser = default_role())]
        role: DefaultRole,
    },
}

/// A share on the command line: `ACCOUNT/SHARE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShareName {
    /// The storage account.
    pub account: String,
    /// The share.
    pub share: String,
}

impl fmt::Display for ShareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.share)
    }
}

impl FromStr for ShareName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((account, share))
                if [account, share]
                    .iter()
                    .any(|part| matches!(*part, "." | "..")) =>
            {
                Err("`.` and `..` are not names of accounts or shares")
            }
            Some((account, share))
                if !account.is_empty() && !share.is_empty() && !share.contains('/') =>
            {
                Ok(Self {
                    account: account.to_owned(),
                    share: share.to_owned(),
                })
            }
            _ => Err("expected ACCOUNT/SHARE, e.g. `acct1/projects`"),
        }
    }
}

/// What users may do without a grant: a role, or nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DefaultRole(Option<ShareRole>);

fn default_role() -> impl TypedValueParser<Value = DefaultRole> {
    let none = PossibleValue::new("none").help("No access without a grant");
    let roles = ShareRole::ALL
        .iter()
        .filter_map(ShareRole::to_possible_value);
    PossibleValuesParser::new(roles.chain([none])).map(|word| DefaultRole(word.parse().ok()))
}

const SHARES: &[Column] = &[
    column("Account", "/account"),
    column("Share", "/name"),
    shown("Quota", "/quota_gib", quota::gib),
    shown("Grants", "/grants", grants),
    time_column("CreatedAt", "/created_at"),
];

const LISTED: &[Column] = &[
    column("Account", "/account"),
    column("Share", "/name"),
    shown("Quota", "/quota_gib", quota::gib),
    shown("Grants", "/grants", grants),
    time_column("CreatedAt", "/created_at"),
    shown("Use", "/quota_on_hosts", quota::on_hosts),
];

const SHOWN: &[Column] = &[
    column("Account", "/account"),
    column("Share", "/name"),
    shown("Quota", "/quota_gib", quota::gib),
    time_column("CreatedAt", "/created_at"),
    shown("Use", "/quota_on_hosts", quota::on_hosts),
];

const GRANTS: Section = Section {
    heading: "Grants",
    pointer: "/grants",
    columns: GRANT,
};

const GRANT: &[Column] = &[
    column("Name", "/name"),
    column("Kind", "/kind"),
    column("Role", "/role"),
    column("Sid", "/sid"),
];

const ACCESS: &[Column] = &[
    column("User", "/user/upn"),
    column("Sid", "/user/sid"),
    column("State", "/user/state"),
    column("Effective", "/effective"),
    shown("Reasons", "/reasons", reasons),
];

const DEFAULT: &[Column] = &[
    column("Account", "/name"),
    column("DefaultPermission", "/default_permission"),
];

/// Grants as `AllStaff contributor, alice@corp.contoso.com reader`.
fn grants(grants: &Value) -> String {
    let shown = grants.as_array().into_iter().flatten().map(|grant| {
        let text = |key: &str| grant[key].as_str().unwrap_or_default();
        format!("{} {}", text("name"), text("role"))
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Reasons as `contributor by Sales > AllStaff, reader by default`.
pub(crate) fn reasons(reasons: &Value) -> String {
    let shown = reasons.as_array().into_iter().flatten().map(|reason| {
        let role = reason["role"].as_str().unwrap_or_default();
        let by = match reason["via"].as_str() {
            Some("group") => path(&reason["path"]),
            Some("direct") => "own grant".to_owned(),
            via => via.unwrap_or_default().to_owned(),
        };
        format!("{role} by {by}")
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// The groups from a user to a grant as `Sales > AllStaff`.
pub(super) fn path(groups: &Value) -> String {
    let names = groups.as_array().into_iter().flatten();
    let names = names.filter_map(|group| group["name"].as_str());
    names.collect::<Vec<_>>().join(" > ")
}

/// Shares of an account with the use of their quotas; the hosts are asked only where a share has one.
async fn with_use(
    client: &Client,
    tenant: &str,
    account: &str,
    shares: Vec<Share>,
) -> Result<Vec<quota::WithUse>, Failure> {
    let hosts = match shares.iter().any(|share| share.quota_gib.is_some()) {
        true => client.hosts(tenant, account).await?,
        false => Vec::new(),
    };
    Ok(quota::with_use(shares, &hosts))
}

/// What is lost with a share.
pub(crate) fn losses(share: &Share) -> Vec<String> {
    let name = format!("{}/{}", share.account, share.name);
    let open = format!("the share `{name}`: open connections end; its files on the host are kept");
    let grants = share.grants.iter().map(|grant| {
        let role = grant.role;
        format!("the role `{role}` of `{}` on `{name}`", grant.name)
    });
    std::iter::once(open).chain(grants).collect()
}

/// Creates a share, with its first grant where one is wanted.
async fn create(
    client: &Client,
    tenant: &str,
    share: &ShareName,
    quota: Option<quota::Quota>,
    grant: Option<GrantCreate>,
    context: &Context,
) -> Result<(), Failure> {
    let account = &share.account;
    let wanted = ShareCreate {
        name: share.share.clone(),
        quota_gib: quota.map(|quota| quota.gib),
    };
    let mut created = client.create_share(tenant, account, &wanted).await?;
    let next = match grant {
        None => {
            let name = &created.name;
            format!("crossrealm share grant {account}/{name} --to PRINCIPAL --role ROLE")
        }
        Some(grant) => {
            let granted = client.grant(tenant, account, &created.name, &grant).await;
            let without = format!("the share `{share}` was created without the grant");
            let granted = granted.map_err(|error| Failure::from(error).and(&without))?;
            created.grants.push(granted);
            after_grant(client, tenant, account).await
        }
    };
    context.output.record(&created, SHARES)?;
    context.suggest(&next);
    Ok(())
}

/// What usually follows a grant: the host serves the account, for which it needs a token if the account has none yet.
async fn after_grant(client: &Client, tenant: &str, account: &str) -> String {
    let tokens = client.host_tokens(tenant, account).await;
    let is_joined = tokens.is_ok_and(|tokens| tokens.iter().any(|one| one.revoked_at.is_none()));
    match is_joined {
        true => "crossrealm files serve --join FILE".to_owned(),
        false => {
            format!("crossrealm storage-account host-token {account} --join {account}.join")
        }
    }
}

/// Runs `crossrealm share`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (client, tenant) = (context.client()?, context.tenant()?);
    match args {
        Args::Create {
            share,
            quota,
            to,
            role,
        } => {
            let grant = to.zip(role).map(|(to, role)| GrantCreate { to, role });
            create(&client, tenant, &share, quota, grant, context).await
        }
        Args::SetQuota { share, quota } => {
            let gib = quota.0.map(|quota| quota.gib);
            let share = client
                .set_share_quota(
                    tenant,
                    &share.account,
                    &share.share,
                    &ShareQuota { quota_gib: gib },
                )
                .await?;
            context.output.record(&share, SHARES)
        }
        Args::List {
            account: Some(account),
        } => {
            let shares = client.shares(tenant, &account).await?;
            let shares = with_use(&client, tenant, &account, shares).await?;
            let nothing =
                format!("no shares; `crossrealm share create {account}/NAME` creates one");
            context.output.list(&shares, LISTED, &nothing)
        }
        Args::List { account: None } => {
            let mut shares = Vec::new();
            let all = client.tenant_shares(tenant).await?;
            for of_account in all.chunk_by(|a, b| a.account == b.account) {
                let account = of_account.first().map(|share| share.account.clone());
                let account = account.unwrap_or_default();
                shares.extend(with_use(&client, tenant, &account, of_account.to_vec()).await?);
            }
            let nothing = "no shares; `crossrealm share create ACCOUNT/SHARE` creates one";
            context.output.list(&shares, LISTED, nothing)
        }
        Args::Show { share } => {
            let found = client.share(tenant, &share.account, &share.share).await?;
            let shown = with_use(&client, tenant, &share.account, vec![found]).await?;
            match shown.first() {
                Some(shown) => context.output.report(shown, SHOWN, &[GRANTS]),
                None => Ok(()),
            }
        }
        Args::Delete { share, consent } => {
            let question = consent.question(context.output);
            if question.is_put() {
                let found = client.share(tenant, &share.account, &share.share).await?;
                if !question.is_consented(&losses(&found)) {
                    return question.not_consented();
                }
            }
            client
                .delete_share(tenant, &share.account, &share.share)
                .await?;
            context.output.done(&Done {
                action: "deleted",
                object: "share",
                name: &share.to_string(),
                on: None,
                effect: "its files on the hosts are kept",
            })
        }
        Args::Grant { share, to, role } => {
            let wanted = GrantCreate { to, role };
            let grant = client
                .grant(tenant, &share.account, &share.share, &wanted)
                .await?;
            context.output.record(&grant, GRANT)?;
            context.suggest(&after_grant(&client, tenant, &share.account).await);
            Ok(())
        }
        Args::Revoke { share, from } => {
            client
                .revoke(tenant, &share.account, &share.share, &from)
                .await?;
            context.output.done(&Done {
                action: "revoked",
                object: "grant",
                name: &from,
                on: Some(&share.to_string()),
                effect: "",
            })
        }
        Args::Access {
            share,
            user,
            path,
            data,
        } => {
            let access = client
                .share_access(
                    tenant,
                    &share.account,
                    &share.share,
                    &ShareAccessQuery { user },
                )
                .await?;
            match path {
                None => context.output.record(&access, ACCESS),
                Some(path) => access::of_file(&share, access, &path, &data, context).await,
            }
        }
        Args::Acl(acl) => acl::run(acl, context).await,
        Args::DefaultPermission { account, role } => {
            let account = client
                .set_default_permission(tenant, &account, &DefaultPermission { role: role.0 })
                .await?;
            context.output.record(&account, DEFAULT)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_reasons_of_an_access_name_the_groups() {
        let value = json!([
            {"role": "contributor", "via": "group", "path": [{"name": "Sales"}, {"name": "AllStaff"}]},
            {"role": "reader", "via": "default", "path": []},
            {"role": "reader", "via": "direct", "path": []},
        ]);
        assert_eq!(
            reasons(&value),
            "contributor by Sales > AllStaff, reader by default, reader by own grant"
        );
    }

    #[test]
    fn a_share_is_named_by_its_account_and_name() {
        let name: ShareName = "acct1/projects".parse().unwrap();
        assert_eq!(
            (name.account.as_str(), name.share.as_str()),
            ("acct1", "projects")
        );
        for bad in ["", "acct1", "/x", "acct1/", "a/b/c", "../x", "acct1/.."] {
            assert!(bad.parse::<ShareName>().is_err(), "{bad}");
        }
    }
}
