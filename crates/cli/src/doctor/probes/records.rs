//! The tenant's own records: trust, sync, user, account, role. They need a token.

use super::cloud::now_s;
use super::{NO_RECORDS, NO_SHARE, NO_USER, need};
use crate::doctor::engine::{Finding, failed, failed_with, passed, skipped};
use crate::doctor::patient::Patient;
use crossrealm_api::{
    Client, ClientError, Code, IdentitySource, IdentityState, TrustKeyState, TrustState,
};
use crossrealm_onprem::ldap::{Filter, Search};

/// The most groups of a ticket.
const MAX_GROUPS: usize = 1010;
/// What the clocks of AD and the tenant may differ by, in seconds.
const SKEW_S: i64 = 300;
/// A sync that is older is named, in seconds: a day.
const STALE_S: i64 = 24 * 3600;

fn api<'p>(patient: &'p Patient<'_>) -> Option<(&'p Client, String)> {
    let cloud = patient.cloud.as_ref()?;
    Some((patient.client.as_ref()?, cloud.tenant.id.to_string()))
}

/// Why the tenant's record of the user was not looked at.
fn no_user(patient: &Patient<'_>) -> &'static str {
    match api(patient) {
        None => NO_RECORDS,
        Some(_) => NO_USER,
    }
}

/// What a failed call means: nothing, where the token may not ask.
fn refused(error: &ClientError) -> Finding {
    match error.code() {
        Some(Code::Forbidden) => skipped("the token may not ask that"),
        _ => failed_with(
            error.to_string(),
            error
                .hint()
                .unwrap_or_else(|| "look at the log of `crossrealm serve`".to_owned()),
        ),
    }
}

/// Whether the tenant holds a confirmed key for the domain's trust.
pub async fn trust_record(patient: &mut Patient<'_>) -> Finding {
    let (client, tenant) = need!(api(patient), NO_RECORDS);
    let trusts = match client.trusts(&tenant).await {
        Ok(trusts) => trusts,
        Err(error) => return refused(&error),
    };
    let domain = patient.domain();
    // A child domain arrives through the trust of its forest's root.
    let fits = |trust_domain: &str| {
        domain
            .as_ref()
            .is_none_or(|domain| crate::client_config::is_at_or_below(domain, trust_domain))
    };
    let Some(trust) = trusts.iter().find(|trust| fits(&trust.domain)) else {
        return failed(format!(
            "the tenant has no trust with `{}`",
            domain.unwrap_or_else(|| "any domain".to_owned())
        ));
    };
    let pending = trust
        .keys
        .iter()
        .any(|key| key.state == TrustKeyState::Pending);
    let seen = match (trust.state, pending) {
        (TrustState::Pending, _) => {
            return failed(format!("the trust with `{}` is half set up", trust.domain));
        }
        (TrustState::Active, true) => {
            return failed(format!(
                "a rotation of the key of `{}` is half done",
                trust.domain
            ));
        }
        (TrustState::Active, false) => trust.keys.first().map(|key| key.version),
    };
    let used = trust
        .keys
        .iter()
        .filter(|key| key.last_seen_at.is_some())
        .max_by_key(|key| key.last_seen_at);
    let used = match used {
        Some(key) => format!("tickets last came with version {}", key.version),
        None => "no ticket has come yet".to_owned(),
    };
    let seen = format!(
        "version {} of the key of `{}` is current; {used}",
        seen.unwrap_or_default(),
        trust.domain
    );
    patient.trust = Some(trust.clone());
    passed(seen)
}

/// Whether AD took its key when the tenant made its current one: AD shows nobody the key itself.
pub async fn trust_keys(patient: &mut Patient<'_>) -> Finding {
    let current = patient.trust.as_ref().and_then(|trust| {
        trust
            .keys
            .iter()
            .find(|key| key.state == TrustKeyState::Current)
            .cloned()
    });
    let current = need!(current, NO_RECORDS);
    let flat_name = need!(
        patient.tdo.as_ref().map(|tdo| tdo.flat_name.clone()),
        "AD was not read"
    );
    let ldap = need!(patient.ldap.as_mut(), "AD was not read");
    let base = ldap.base().to_owned();
    let filter = Filter::Equality("sAMAccountName".to_owned(), format!("{flat_name}$"));
    let found = match ldap
        .search(&Search::subtree(&base, filter, &["pwdLastSet"]))
        .await
    {
        Ok(found) => found,
        Err(error) => return failed(error.to_string()),
    };
    let set_at = found
        .first()
        .and_then(|entry| entry.file_time("pwdLastSet"));
    let set_at = need!(set_at, "AD does not show the trust's account");
    let version = current.version;
    if set_at + SKEW_S < current.created_at {
        return failed(format!(
            "AD took its key {} before the tenant made version {version}",
            span(current.created_at - set_at)
        ));
    }
    if let Some(confirmed) = current.confirmed_at
        && set_at > confirmed + SKEW_S
    {
        return failed(format!(
            "AD's key was changed {} after it took version {version}",
            span(set_at - confirmed)
        ));
    }
    passed(format!(
        "AD took its key when the tenant made version {version}"
    ))
}

/// Whether users are synced, and how long ago.
pub async fn sync(patient: &Patient<'_>) -> Finding {
    let (client, tenant) = need!(api(patient), NO_RECORDS);
    let domain = need!(
        patient.domain(),
        "no domain is known; give `--domain DOMAIN`"
    );
    match client.sync_state(&tenant, &domain).await {
        Ok(state) => match state.last_success_at {
            None => failed(format!("`{domain}` was never synced")),
            Some(at) => {
                let ago = span(now_s() - at);
                let old = if now_s() - at > STALE_S {
                    ": changes of AD since then are not known"
                } else {
                    ""
                };
                passed(format!(
                    "{} users and {} groups of `{domain}`, {ago} ago{old}",
                    state.users, state.groups
                ))
            }
        },
        Err(error) if error.code() == Some(Code::DomainNotFound) => {
            failed(format!("the tenant does not know `{domain}`"))
        }
        Err(error) => refused(&error),
    }
}

/// Whether the tenant knows the user, as one of AD.
pub async fn user_synced(patient: &mut Patient<'_>) -> Finding {
    let (client, tenant) = need!(api(patient), NO_RECORDS);
    let name = need!(patient.user_name(), NO_USER);
    let mut found = client.user(&tenant, &name).await;
    // The UPN may be another than account and domain.
    if let (Err(error), Some((account, _))) = (&found, name.split_once('@'))
        && error.code() == Some(Code::UserNotFound)
        && patient.args.user.is_none()
    {
        found = client.user(&tenant, account).await;
    }
    match found {
        Ok(details) => {
            let (sid, source) = (details.user.sid.clone(), details.user.source);
            let upn = details.user.upn.clone();
            patient.user = Some(details);
            match source {
                IdentitySource::Hybrid => passed(format!("`{upn}` is {sid}")),
                IdentitySource::CloudOnly => failed_with(
                    format!(
                        "`{upn}` exists only in the tenant, and has no on-premises sign-in to get tickets with"
                    ),
                    "use a user synced from AD",
                ),
            }
        }
        Err(error) if error.code() == Some(Code::UserNotFound) => {
            failed(format!("the tenant has no user `{name}`"))
        }
        Err(error) => refused(&error),
    }
}

/// Whether the user may sign in.
pub fn user_enabled(patient: &Patient<'_>) -> Finding {
    let details = need!(&patient.user, no_user(patient));
    let upn = &details.user.upn;
    match details.user.state {
        IdentityState::Enabled => passed(format!("`{upn}` is enabled")),
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

/// Whether AD's SID of that name and the tenant's are one, in both directions.
pub async fn user_sid(patient: &mut Patient<'_>) -> Finding {
    let user = need!(
        patient.user.as_ref().map(|details| details.user.clone()),
        no_user(patient)
    );
    let (client, tenant) = need!(
        api(patient).map(|(client, tenant)| (client.clone(), tenant)),
        NO_RECORDS
    );
    let ldap = need!(patient.ldap.as_mut(), "AD was not read");
    let base = ldap.base().to_owned();
    let filter = Filter::Equality("sAMAccountName".to_owned(), user.account_name.clone());
    let in_ad = match ldap
        .search(&Search::subtree(&base, filter, &["objectSid"]))
        .await
    {
        Ok(found) => found
            .first()
            .and_then(|entry| entry.sid("objectSid"))
            .map(|sid| sid.to_string()),
        Err(error) => return failed(error.to_string()),
    };
    match in_ad {
        None => {
            return failed(format!(
                "AD has no account `{}` any more",
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
    match client.user(&tenant, &user.sid).await {
        Ok(back) if back.user.upn == user.upn => passed(format!(
            "`{}` is {} in AD and in the tenant, and back",
            user.account_name, user.sid
        )),
        Ok(back) => failed(format!(
            "{} is `{}` in the tenant, not `{}`",
            user.sid, back.user.upn, user.upn
        )),
        Err(error) => refused(&error),
    }
}

/// Whether the user's groups fit.
pub fn group_count(patient: &Patient<'_>) -> Finding {
    let details = need!(&patient.user, no_user(patient));
    let count = details.effective_groups.len();
    match count {
        0..=MAX_GROUPS => passed(format!("{count} groups, of at most {MAX_GROUPS}")),
        _ => failed(format!(
            "`{}` is in {count} groups, of at most {MAX_GROUPS}",
            details.user.upn
        )),
    }
}

/// Whether account and share exist.
pub async fn storage_account(patient: &mut Patient<'_>) -> Finding {
    let (client, tenant) = need!(api(patient), NO_RECORDS);
    let Some(wanted) = &patient.args.share else {
        return match client.storage_accounts(&tenant).await {
            Ok(accounts) if accounts.is_empty() => failed_with(
                "the tenant has none",
                "crossrealm storage-account create NAME",
            ),
            Ok(accounts) => {
                let names: Vec<String> = accounts
                    .iter()
                    .map(|account| format!("`{}`", account.name))
                    .collect();
                passed(names.join(", "))
            }
            Err(error) => refused(&error),
        };
    };
    let account = match client.storage_account(&tenant, &wanted.account).await {
        Ok(account) => account,
        Err(error) if error.code() == Some(Code::StorageAccountNotFound) => {
            return failed(error.to_string());
        }
        Err(error) => return refused(&error),
    };
    let share = client.share(&tenant, &wanted.account, &wanted.share).await;
    let seen = format!("`{}` at `{}`", account.name, account.host);
    let names = std::iter::once(&account.host).chain(&account.aliases);
    let alias = patient
        .args
        .host
        .clone()
        .unwrap_or_else(|| account.host.clone());
    let is_known = names.clone().any(|name| name.eq_ignore_ascii_case(&alias));
    let known: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    patient.account = Some(account);
    if !is_known {
        return failed_with(
            format!(
                "the account answers to {}, not to `{alias}`",
                known.join(", ")
            ),
            format!("use one of them, or make the account anew with `--alias {alias}`"),
        );
    }
    match share {
        Ok(_) => passed(seen),
        Err(error) if error.code() == Some(Code::ShareNotFound) => failed(error.to_string()),
        Err(error) => refused(&error),
    }
}

/// What the user may do on the share.
pub async fn role(patient: &Patient<'_>) -> Finding {
    let (client, tenant) = need!(api(patient), NO_RECORDS);
    let share = need!(&patient.args.share, NO_SHARE);
    let user = need!(&patient.user, no_user(patient));
    let access = client
        .share_access(&tenant, &share.account, &share.share, &user.user.sid)
        .await;
    let upn = &user.user.upn;
    match access {
        Ok(access) => match access.effective {
            Some(role) => passed(format!(
                "`{upn}` is {role} of `{}/{}`",
                share.account, share.share
            )),
            None => failed_with(
                format!("`{upn}` has no role on `{}/{}`", share.account, share.share),
                format!(
                    "crossrealm share grant {}/{} --to {upn} --role reader",
                    share.account, share.share
                ),
            ),
        },
        Err(error) => refused(&error),
    }
}

/// What the hosts of the account say of themselves.
pub async fn host_health(patient: &mut Patient<'_>) -> Finding {
    let (client, tenant) = need!(api(patient), NO_RECORDS);
    let share = need!(&patient.args.share, NO_SHARE);
    let hosts = match client.hosts(&tenant, &share.account).await {
        Ok(hosts) => hosts,
        Err(error) => return refused(&error),
    };
    let living: Vec<_> = hosts.iter().filter(|host| !host.silent).collect();
    if let Some(ill) = living
        .iter()
        .find(|host| host.report.problem.is_some() || !host.report.serving)
    {
        let problem = ill.report.problem.as_deref().unwrap_or("it does not serve");
        return failed(format!("host `{}`: {problem}", ill.name));
    }
    let seen = match living.as_slice() {
        [] if hosts.is_empty() => {
            return skipped("no host of the account has reported to the service");
        }
        [] => return failed("every host of the account has been silent for too long"),
        living => {
            let told = living.iter().map(|host| {
                let report = &host.report;
                let (sessions, restarts) = (report.session_count, report.smbd_restarts);
                format!(
                    "`{}` serves {sessions} sessions, smbd was restarted {restarts} times",
                    host.name
                )
            });
            told.collect::<Vec<_>>().join("; ")
        }
    };
    patient.host_kvnos = living
        .iter()
        .map(|host| (host.name.clone(), host.report.kvnos.clone()))
        .collect();
    passed(seen)
}

/// Whether the hosts have the key that the ticket is sealed with.
pub fn host_keytab(patient: &Patient<'_>) -> Finding {
    let kvno = need!(patient.ticket_kvno(), "there is no ticket");
    if patient.host_kvnos.is_empty() {
        return skipped("no host has told the versions of its keys");
    }
    let lacks = |(_, kvnos): &&(String, Vec<u32>)| !kvnos.contains(&kvno);
    match patient.host_kvnos.iter().find(lacks) {
        Some((host, kvnos)) => failed(format!(
            "host `{host}` has the key versions {kvnos:?}, the ticket has {kvno}"
        )),
        None => passed(format!("every host has version {kvno}")),
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
