//! The way to the service: name, port, certificate, clock, health, token.

use super::need;
use crate::doctor::engine::{Finding, failed, failed_with, passed, skipped};
use crate::doctor::https::{self, Answer, Error};
use crate::doctor::patient::{Patient, connects, resolve};
use crossrealm_api::Code;
use crossrealm_krb::credential::MAX_SKEW_S;
use crossrealm_onprem::os;

/// A certificate that ends sooner is named, in seconds: three weeks.
const SOON_S: i64 = 21 * 24 * 3600;

/// Whether it is known whom to ask.
pub fn settings(patient: &Patient<'_>) -> Finding {
    let login = match &patient.login {
        Some(login) => login,
        None if patient.context.server().is_ok() => return failed("the service's address is none"),
        None => return failed("neither an option nor krb5.conf names the service"),
    };
    match patient.tenant_name() {
        Some(tenant) => passed(format!(
            "`{}` port {} ({}), tenant `{tenant}`",
            login.host, login.port, login.source
        )),
        None => failed(format!(
            "the service is `{}`, but no tenant is named",
            login.host
        )),
    }
}

/// Whether the environment names a web proxy that would be used for the service.
pub fn stray_proxy(patient: &Patient<'_>) -> Finding {
    let login = need!(&patient.login, "the service is not known");
    let variable = |name: &str| {
        let upper = name.to_uppercase();
        let pairs = [name.to_owned(), upper];
        pairs.into_iter().find_map(|name| {
            let value = std::env::var(&name)
                .ok()
                .filter(|value| !value.is_empty())?;
            Some((name, value))
        })
    };
    let found = ["https_proxy", "all_proxy", "http_proxy"]
        .iter()
        .find_map(|name| variable(name));
    let Some((name, value)) = found else {
        return passed("no proxy is named in the environment");
    };
    let spared = variable("no_proxy").is_some_and(|(_, list)| {
        list.split(',').map(str::trim).any(|entry| {
            let entry = entry.trim_start_matches('.');
            entry == "*"
                || (!entry.is_empty() && crate::client_config::is_at_or_below(&login.host, entry))
        })
    });
    // The address may hold a password.
    let shown = value
        .rsplit_once('@')
        .map_or(value.as_str(), |(_, host)| host);
    match spared {
        true => passed(format!(
            "`{name}` is `{shown}`, but `no_proxy` spares the service"
        )),
        false => failed_with(
            format!("`{name}` sends requests for `{}` to `{shown}`", login.host),
            format!("unset {name}, or: export no_proxy={}", login.host),
        ),
    }
}

/// Whether the service's name resolves.
pub async fn dns_login(patient: &mut Patient<'_>) -> Finding {
    let login = need!(&patient.login, "the service is not known");
    match resolve(&login.host, login.port).await {
        Ok(address) => {
            let seen = format!("`{}` is {}", login.host, address.ip());
            patient.login_address = Some(address);
            passed(seen)
        }
        Err(error) => failed(format!("`{}` does not resolve: {error}", login.host)),
    }
}

/// Whether the service's port answers.
pub async fn port_login(patient: &Patient<'_>) -> Finding {
    let address = need!(patient.login_address, "the service's address is not known");
    match connects(address).await {
        Ok(()) => passed(format!("TCP {address} answers")),
        Err(error) => failed(format!("TCP {address}: {error}")),
    }
}

/// Whether its certificate is trusted, for its name, and for how long.
pub async fn tls_login(patient: &mut Patient<'_>) -> Finding {
    let (anchors, whose) = match patient.anchors() {
        Ok(anchors) => anchors,
        Err(error) => return failed(error),
    };
    let (host, address) = need!(target(patient), "the service's address is not known");
    match https::ask(&host, address, &anchors, "GET", "/healthz", b"").await {
        Err(Error::Certificate(reason)) => failed(format!("`{host}`: {reason} (trusting {whose})")),
        Err(Error::Other(reason)) => failed(format!("`{host}`: {reason}")),
        Ok(answer) => match answer.certificate_ends {
            Some(end) if end - now_s() < SOON_S => passed(format!(
                "trusted, but it ends in {} days: renew it",
                (end - now_s()) / 86_400
            )),
            Some(end) => passed(format!(
                "trusted by {whose}, for another {} days",
                (end - now_s()) / 86_400
            )),
            None => passed(format!("trusted by {whose}")),
        },
    }
}

/// Whether the clocks agree.
pub async fn clock_cloud(patient: &Patient<'_>) -> Finding {
    let answer = match healthz(patient).await {
        Ok(answer) => answer,
        Err(reason) => return failed(reason),
    };
    let date = need!(answer.date, "the service does not tell its time");
    skew("the cloud's clock", date - now_s())
}

/// Tells a difference of clocks, in seconds ahead of ours.
pub fn skew(whose: &str, ahead_s: i64) -> Finding {
    let side = if ahead_s < 0 { "behind" } else { "ahead" };
    let seen = format!("{whose} is {} s {side}", ahead_s.abs());
    match ahead_s.abs() {
        // Both clocks tell whole seconds.
        0..=2 => passed(format!("{whose} agrees with this computer's")),
        far if far >= MAX_SKEW_S => failed(seen),
        _ => passed(format!("{seen}, within five minutes")),
    }
}

/// Whether the service's store answers.
pub async fn service_health(patient: &Patient<'_>) -> Finding {
    match healthz(patient).await {
        Ok(answer) if answer.status == 200 => passed("the service says that it is well"),
        Ok(answer) => failed(format!(
            "the service says that it is not well (HTTP {})",
            answer.status
        )),
        Err(reason) => failed(reason),
    }
}

/// Whether the token is one.
pub async fn api_token(patient: &mut Patient<'_>) -> Finding {
    let client = match need!(
        patient.api(),
        "no token was given; `--token-file FILE` lets the tenant's records be compared"
    ) {
        Ok(client) => client,
        Err(error) => return failed(error),
    };
    match client.whoami().await {
        Ok(me) => {
            patient.client = Some(client);
            let role = me.role.map_or("not an administrator", |role| role.as_str());
            passed(format!("the token of `{}` ({role})", me.name))
        }
        Err(error) => failed(error.to_string()),
    }
}

/// Whether the tenant exists.
pub async fn tenant(patient: &mut Patient<'_>) -> Finding {
    let client = need!(&patient.client, "there is no token");
    let name = need!(patient.tenant_name(), "no tenant is named");
    match client.client_config(&name).await {
        Ok(cloud) => {
            let seen = format!("`{}`, realm `{}`", cloud.tenant.name, cloud.tenant.realm);
            patient.realm = Some(cloud.tenant.realm.clone());
            patient.cloud = Some(cloud);
            // A file host is known by the share's name, and that by the tenant.
            patient.find_places().await;
            passed(seen)
        }
        Err(error) if error.code() == Some(Code::Forbidden) => {
            skipped("the token may not read the tenant")
        }
        Err(error) => failed(error.to_string()),
    }
}

async fn healthz(patient: &Patient<'_>) -> Result<Answer, String> {
    let (anchors, _) = patient.anchors()?;
    let (host, address) = target(patient).ok_or("the service's address is not known")?;
    match https::ask(&host, address, &anchors, "GET", "/healthz", b"").await {
        Ok(answer) => Ok(answer),
        Err(Error::Certificate(reason) | Error::Other(reason)) => Err(reason),
    }
}

fn target(patient: &Patient<'_>) -> Option<(String, std::net::SocketAddr)> {
    Some((patient.login.as_ref()?.host.clone(), patient.login_address?))
}

/// The time, Unix seconds.
pub fn now_s() -> i64 {
    i64::try_from(os::now().as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_minutes_are_too_much() {
        assert!(matches!(skew("x", 0), Finding::Passed(_)));
        assert!(matches!(skew("x", -299), Finding::Passed(_)));
        assert!(matches!(skew("x", 301), Finding::Failed(_)));
        assert!(matches!(skew("x", -301), Finding::Failed(_)));
    }
}
