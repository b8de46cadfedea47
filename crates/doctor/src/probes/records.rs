//! The tenant's records: trust, sync, user, account, role, SMB hosts. They need a token.

use crate::facts::{Facts, NO_DIRECTORY, NO_RECORDS, NO_SHARE, NO_USER};
use crate::finding::{
    Failed, Finding, failed, failed_with, need, noted, passed, quoted, skipped, try_or_fail,
};
use crossrealm_api::{ClientError, Code, ShareAccessQuery};
use crossrealm_onprem::kerberos_server::trust_key;
use crossrealm_onprem::ldap::{Entry, Filter, Search};
use crossrealm_onprem::trust::{is_at_or_below, key_difference, record_difference};
use crossrealm_os::clock::now_s;
use crossrealm_types::{IdentitySource, IdentityState, Sid, SyncFailure};

/// The most groups in a ticket.
const MAX_GROUPS: usize = 1010;
/// A sync that is older is reported, in seconds: a day.
const STALE_S: i64 = 24 * 3600;

/// The finding of a failed API call: skipped, where the token's role does not permit it.
fn api_error(error: ClientError) -> Finding {
    match error.code() {
        Some(Code::Forbidden) => skipped("the token's role does not permit this request"),
        _ => Finding::Failed(Failed {
            seen: error.to_string(),
            next: error
                .hint()
                .or_else(|| Some("look at the log of `crossrealm serve`".to_owned())),
            refusal: error.refusal().cloned().map(Box::new),
            ..Failed::default()
        }),
    }
}

/// Whether the tenant holds a confirmed key of the trust with the domain.
pub(super) async fn trust_record(facts: &mut Facts) -> Finding {
    let (client, tenant) = need!(facts.tenant_api(), NO_RECORDS);
    let trusts = try_or_fail!(client.trusts(&tenant).await, api_error);
    let domain = facts.domain();
    // A child domain uses the trust of its forest's root.
    let covers = |trust_domain: &str| {
        domain
            .as_ref()
            .is_none_or(|domain| is_at_or_below(domain, trust_domain))
    };
    let Some(trust) = trusts.iter().find(|trust| covers(&trust.domain)) else {
        let domain = domain.as_deref().unwrap_or("any domain");
        return failed(format!("the tenant has no trust with `{domain}`"));
    };
    let (domain, keys) = (&trust.domain, &trust.keys);
    if let Some(difference) = record_difference(trust) {
        return failed(format!("`{domain}`: {difference}"));
    }
    let used = keys.iter().filter(|key| key.last_seen_at.is_some());
    let used = match used.max_by_key(|key| key.last_seen_at) {
        Some(key) => format!("the last referral used version {}", key.version),
        None => "no referral has arrived yet".to_owned(),
    };
    let version = keys.first().map_or(0, |key| key.version);
    let seen = format!("version {version} of the key of `{domain}` is current; {used}");
    facts.trust = Some(trust.clone());
    passed(seen)
}

/// Whether AD's key was set when the tenant created its current one: AD never discloses the key itself.
pub(super) async fn trust_keys(facts: &mut Facts) -> Finding {
    let trust = need!(&facts.trust, NO_RECORDS);
    let flat_name = need!(&facts.tdo, NO_DIRECTORY).flat_name.clone();
    let ldap = need!(facts.ldap.as_mut(), NO_DIRECTORY);
    let key = try_or_fail!(trust_key(ldap, &flat_name).await);
    let set_at = key.and_then(|key| key.updated_at);
    let set_at = need!(set_at, "AD does not disclose the trust's account");
    match key_difference(trust, set_at) {
        Some(difference) => failed(difference),
        None => passed("AD's key was set when the tenant created its current version"),
    }
}

/// Whether the domain is synchronized, and how long ago.
pub(super) async fn sync(facts: &Facts) -> Finding {
    let (client, tenant) = need!(facts.tenant_api(), NO_RECORDS);
    let domain = need!(facts.domain(), "no domain is known; give `--domain DOMAIN`");
    let state = match client.sync_state(&tenant, &domain).await {
        Err(error) if error.code() == Some(Code::DomainNotFound) => {
            return failed(format!("the tenant has no domain `{domain}`"));
        }
        state => try_or_fail!(state, api_error),
    };
    let Some(at) = state.last_success_at else {
        return failed(format!("`{domain}` was never synchronized"));
    };
    if let Some(exceeding) = exceeding(&state.failures) {
        return failed_with(
            exceeding,
            "correct these objects in AD, then: crossrealm sync once",
        );
    }
    let (users, groups, age_s) = (state.users, state.groups, now_s() - at);
    let seen = format!(
        "{users} users and {groups} groups of `{domain}`, {} ago",
        span(age_s)
    );
    match age_s > STALE_S {
        true => noted(
            format!("{seen}: later changes in AD are missing"),
            "`crossrealm sync status --domain DOMAIN` shows which agent should run",
        ),
        false => passed(seen),
    }
}

/// Whether the tenant has the user, as a user of AD.
pub(super) async fn user_synced(facts: &mut Facts) -> Finding {
    let (client, tenant) = need!(facts.tenant_api(), NO_RECORDS);
    let name = need!(facts.user_name(), NO_USER);
    let mut found = client.user(&tenant, &name).await;
    // The UPN may differ from the account name and domain.
    if let (Err(error), Some((account, _))) = (&found, name.split_once('@'))
        && error.code() == Some(Code::UserNotFound)
        && facts.options.user.is_none()
    {
        found = client.user(&tenant, account).await;
    }
    match found {
        Ok(details) => {
            let (sid, source) = (details.user.sid.clone(), details.user.source);
            let upn = details.user.upn.clone();
            facts.user = Some(details);
            match source {
                IdentitySource::Hybrid => passed(format!("`{upn}` is {sid}")),
                IdentitySource::CloudOnly => failed_with(
                    format!(
                        "`{upn}` is a cloud-only user, and cannot sign in on-premises to get tickets"
                    ),
                    "use a user synchronized from AD",
                ),
            }
        }
        Err(error) if error.code() == Some(Code::UserNotFound) => {
            failed(format!("the tenant has no user `{name}`"))
        }
        Err(error) => api_error(error),
    }
}

/// Whether the user is enabled, in AD too where that can be read.
pub(super) async fn user_enabled(facts: &mut Facts) -> Finding {
    let details = need!(&facts.user, facts.why_no_user()).clone();
    let upn = &details.user.upn;
    match details.user.state {
        IdentityState::Enabled => match disabled_in_ad(facts, &details.user.sid).await {
            Some(why) => failed_with(
                format!("`{upn}` {why} in AD, and is still enabled in the tenant"),
                "crossrealm sync once; if it refuses the user, `crossrealm sync status --domain DOMAIN` names the reason",
            ),
            None => passed(format!("`{upn}` is enabled")),
        },
        IdentityState::Deleted => failed_with(
            format!("`{upn}` was deleted"),
            "restore the user in AD, then: crossrealm sync once",
        ),
        IdentityState::Disabled => {
            let why = details
                .user
                .disabled_reason
                .map(|reason| format!(" ({reason:?})").to_lowercase());
            failed(format!("`{upn}` is disabled{}", why.unwrap_or_default()))
        }
    }
}

/// Why the user with this SID may not sign in to AD; `None` if they may, or if that cannot be read.
async fn disabled_in_ad(facts: &mut Facts, sid: &Sid) -> Option<&'static str> {
    let ldap = facts.ldap.as_mut()?;
    let base = ldap.base().to_owned();
    let filter = Filter::Equality("objectSid".to_owned(), sid.to_string());
    let search = Search::subtree(&base, filter, &["userAccountControl", "accountExpires"]);
    let found = ldap.search(&search).await.ok()?;
    why_disabled(found.first()?, now_s())
}

/// Why AD refuses the user of an entry at a time, [MS-ADTS] 2.2.16 and 2.3.
fn why_disabled(entry: &Entry, now_s: i64) -> Option<&'static str> {
    const ACCOUNT_DISABLED: u32 = 2;
    let control = entry.flags("userAccountControl").unwrap_or_default();
    if control & ACCOUNT_DISABLED != 0 {
        return Some("is disabled");
    }
    let expires_at = entry.file_time("accountExpires");
    expires_at
        .is_some_and(|at| at <= now_s)
        .then_some("has expired")
}

/// The names of those that the tenant may grant more than AD does.
fn exceeding(failures: &[SyncFailure]) -> Option<String> {
    let names = failures.iter().filter(|one| one.exceeds);
    let names: Vec<String> = names
        .map(|one| format!("`{}` ({})", one.name, one.reason))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "the tenant may grant more than AD, whose values cannot be read, to {}",
            names.join(", ")
        )
    })
}

/// Whether the name has the same SID in AD and in the tenant, and that SID the same user.
pub(super) async fn user_sid(facts: &mut Facts) -> Finding {
    let user = need!(&facts.user, facts.why_no_user()).user.clone();
    let (client, tenant) = need!(facts.tenant_api(), NO_RECORDS);
    let client = client.clone();
    let ldap = need!(facts.ldap.as_mut(), NO_DIRECTORY);
    let base = ldap.base().to_owned();
    let filter = Filter::Equality("sAMAccountName".to_owned(), user.account_name.clone());
    let search = Search::subtree(&base, filter, &["objectSid"]);
    let found = try_or_fail!(ldap.search(&search).await);
    let in_ad = found.first().and_then(|entry| entry.sid("objectSid"));
    match in_ad {
        None => {
            return failed(format!(
                "AD no longer has an account `{}`",
                user.account_name
            ));
        }
        Some(sid) if sid != user.sid => {
            return failed(format!(
                "`{}` is {sid} in AD, and {} in the tenant",
                user.account_name, user.sid
            ));
        }
        Some(_) => {}
    }
    match client.user(&tenant, &user.sid.to_string()).await {
        Ok(back) if back.user.upn == user.upn => passed(format!(
            "`{}` is {} in AD and in the tenant",
            user.account_name, user.sid
        )),
        Ok(back) => failed(format!(
            "{} is `{}` in the tenant, not `{}`",
            user.sid, back.user.upn, user.upn
        )),
        Err(error) => api_error(error),
    }
}

/// Whether the user's groups fit into a ticket.
pub(super) fn group_count(facts: &Facts) -> Finding {
    let details = need!(&facts.user, facts.why_no_user());
    let count = details.effective_groups.len();
    match count {
        0..=MAX_GROUPS => passed(format!("{count} groups, of at most {MAX_GROUPS}")),
        _ => failed(format!(
            "`{}` is in {count} groups, of at most {MAX_GROUPS}",
            details.user.upn
        )),
    }
}

/// Whether the storage account and the share exist.
pub(super) async fn storage_account(facts: &mut Facts) -> Finding {
    let (client, tenant) = need!(facts.tenant_api(), NO_RECORDS);
    let Some(wanted) = &facts.options.share else {
        return match client.storage_accounts(&tenant).await {
            Ok(accounts) if accounts.is_empty() => failed_with(
                "the tenant has none",
                "crossrealm storage-account create NAME",
            ),
            Ok(accounts) => passed(quoted(accounts.iter().map(|account| &account.name))),
            Err(error) => api_error(error),
        };
    };
    let account = match client.storage_account(&tenant, &wanted.account).await {
        Ok(account) => account,
        Err(error) if error.code() == Some(Code::StorageAccountNotFound) => {
            return failed(error);
        }
        Err(error) => return api_error(error),
    };
    let share = client.share(&tenant, &wanted.account, &wanted.name).await;
    let seen = format!("`{}` at `{}`", account.name, account.host);
    let names = std::iter::once(&account.host).chain(&account.aliases);
    let alias = facts
        .options
        .host
        .clone()
        .unwrap_or_else(|| account.host.clone());
    let is_known = names.clone().any(|name| name.eq_ignore_ascii_case(&alias));
    let known = quoted(names);
    facts.account = Some(account);
    if !is_known {
        return failed_with(
            format!("the account answers to {known}, not to `{alias}`"),
            format!("use one of them, or create the account again with `--alias {alias}`"),
        );
    }
    match share {
        Ok(_) => passed(seen),
        Err(error) if error.code() == Some(Code::ShareNotFound) => failed(error),
        Err(error) => api_error(error),
    }
}

/// Whether the user has a role on the share.
pub(super) async fn role(facts: &Facts) -> Finding {
    let (client, tenant) = need!(facts.tenant_api(), NO_RECORDS);
    let share = need!(&facts.options.share, NO_SHARE);
    let user = need!(&facts.user, facts.why_no_user());
    let (account, name, upn) = (&share.account, &share.name, &user.user.upn);
    let query = ShareAccessQuery {
        user: user.user.sid.to_string(),
    };
    let access = client.share_access(&tenant, account, name, &query).await;
    match try_or_fail!(access, api_error).effective {
        Some(role) => passed(format!("`{upn}` is {role} of `{account}/{name}`")),
        None => failed_with(
            format!("`{upn}` has no role on `{account}/{name}`"),
            format!("crossrealm share grant {account}/{name} --to {upn} --role reader"),
        ),
    }
}

/// Whether the SMB hosts of the account report that they serve.
pub(super) async fn host_health(facts: &mut Facts) -> Finding {
    let (client, tenant) = need!(facts.tenant_api(), NO_RECORDS);
    let share = need!(&facts.options.share, NO_SHARE);
    let hosts = try_or_fail!(client.hosts(&tenant, &share.account).await, api_error);
    let reporting: Vec<_> = hosts.iter().filter(|host| !host.silent).collect();
    if let Some(unhealthy) = reporting
        .iter()
        .find(|host| host.report.problem.is_some() || !host.report.serving)
    {
        let problem = unhealthy.report.problem.as_deref();
        let problem = problem.unwrap_or("it does not serve");
        return failed(format!("SMB host `{}`: {problem}", unhealthy.name));
    }
    let seen = match reporting.as_slice() {
        [] if hosts.is_empty() => {
            return skipped("no SMB host of the account has reported to the service");
        }
        [] => return failed("every SMB host of the account has stopped reporting"),
        reporting => {
            let texts = reporting.iter().map(|host| {
                let report = &host.report;
                let (sessions, restarts) = (report.session_count, report.smbd_restarts);
                format!(
                    "`{}` serves {sessions} sessions, smbd was restarted {restarts} times",
                    host.name
                )
            });
            texts.collect::<Vec<_>>().join("; ")
        }
    };
    facts.host_kvnos = reporting
        .iter()
        .map(|host| (host.name.clone(), host.report.kvnos.clone()))
        .collect();
    passed(seen)
}

/// Whether the SMB hosts have the key that the ticket is encrypted with.
pub(super) fn host_keytab(facts: &Facts) -> Finding {
    let kvno = need!(facts.ticket_kvno(), "there is no ticket");
    if facts.host_kvnos.is_empty() {
        return skipped("no SMB host has reported the versions of its keys");
    }
    let lacks = |(_, kvnos): &&(String, Vec<u32>)| !kvnos.contains(&kvno);
    match facts.host_kvnos.iter().find(lacks) {
        Some((host, kvnos)) => failed(format!(
            "SMB host `{host}` has the key versions {kvnos:?}, the ticket has {kvno}"
        )),
        None => passed(format!("every SMB host has version {kvno}")),
    }
}

fn span(seconds: i64) -> String {
    match seconds {
        ..=119 => format!("{} s", seconds.max(0)),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F1: those who may have more rights in the tenant than in AD are named, each with the reason, and nobody else.
    #[test]
    fn f1_only_those_who_exceed_are_named() {
        let failure = |name: &str, exceeds: bool| SyncFailure {
            object_guid: None,
            name: name.to_owned(),
            reason: "`userAccountControl` is missing or unusable".to_owned(),
            exceeds,
        };
        let failures = [
            failure("alice", true),
            failure("Sales", false),
            failure("bob", true),
        ];
        let said = exceeding(&failures).unwrap();
        for name in ["alice", "bob"] {
            let named = format!("`{name}` (`userAccountControl` is missing or unusable)");
            assert!(said.contains(&named), "{said}");
        }
        assert!(!said.contains("Sales"), "{said}");
        assert_eq!(exceeding(&failures[1..2]), None);
        assert_eq!(exceeding(&[]), None);
    }
}
