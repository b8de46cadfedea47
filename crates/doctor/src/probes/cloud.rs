//! The service: DNS name, port, certificate, clock, health, token, tenant.

use super::clock::skew;
use crate::error::ProbeError;
use crate::facts::Facts;
use crate::finding::{Finding, failed, failed_with, need, passed, skipped, try_or_fail};
use crate::https::Response;
use crate::net::{connect, resolve};
use crossrealm_api::Code;
use crossrealm_onprem::trust::is_at_or_below;
use crossrealm_os::clock::now_s;

/// A certificate that expires sooner is reported, in seconds: three weeks.
const EXPIRES_SOON_S: i64 = 21 * 24 * 3600;

/// Whether the service and the tenant are known.
pub(super) fn settings(facts: &Facts) -> Finding {
    let service = match &facts.service {
        Some(service) => service,
        None if facts.options.server.is_some() => {
            return failed("the service's address is not a URL");
        }
        None => return failed("the service is given neither by an option nor by krb5.conf"),
    };
    match facts.tenant_name() {
        Some(tenant) => passed(format!(
            "`{}` port {} ({}), tenant `{tenant}`",
            service.host, service.port, service.source
        )),
        None => failed(format!(
            "the service is `{}`, but no tenant is given",
            service.host
        )),
    }
}

/// Whether the environment sets a web proxy that would be used for the service.
pub(super) fn stray_proxy(facts: &Facts) -> Finding {
    let service = need!(&facts.service, "the service is not known");
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
        return passed("the environment sets no proxy");
    };
    let excluded = variable("no_proxy").is_some_and(|(_, list)| {
        list.split(',').map(str::trim).any(|entry| {
            let entry = entry.trim_start_matches('.');
            entry == "*" || (!entry.is_empty() && is_at_or_below(&service.host, entry))
        })
    });
    // The URL may contain a password.
    let shown = value
        .rsplit_once('@')
        .map_or(value.as_str(), |(_, host)| host);
    match excluded {
        true => passed(format!(
            "`{name}` is `{shown}`, but `no_proxy` excludes the service"
        )),
        false => failed_with(
            format!(
                "`{name}` sends requests for `{}` to `{shown}`",
                service.host
            ),
            format!("unset {name}, or: export no_proxy={}", service.host),
        ),
    }
}

/// Whether the service's name resolves.
pub(super) async fn dns_login(facts: &mut Facts) -> Finding {
    let service = need!(&facts.service, "the service is not known");
    match resolve(&service.host, service.port).await {
        Ok(address) => {
            let seen = format!("`{}` is {}", service.host, address.ip());
            facts.service_address = Some(address);
            passed(seen)
        }
        Err(error) => failed(format!("`{}` does not resolve: {error}", service.host)),
    }
}

/// Whether the service's port answers.
pub(super) async fn port_login(facts: &Facts) -> Finding {
    let address = need!(facts.service_address, "the service's address is not known");
    match connect(address).await {
        Ok(()) => passed(format!("TCP {address} answers")),
        Err(error) => failed(format!("TCP {address}: {error}")),
    }
}

/// Whether the service's certificate is trusted and valid for its name, and when it expires.
pub(super) async fn tls_login(facts: &mut Facts) -> Finding {
    let (server, whose) = match facts.https_server() {
        Ok(server) => server,
        Err(error @ ProbeError::NoServiceAddress) => return skipped(error.to_string()),
        Err(error) => return failed(error),
    };
    let host = &server.host;
    match server.get("/healthz").await {
        Err(ProbeError::Certificate(reason)) => {
            failed(format!("`{host}`: {reason} (trusting {whose})"))
        }
        Err(error) => failed(format!("`{host}`: {error}")),
        Ok(response) => match response.certificate_expires {
            Some(end) if end - now_s() < EXPIRES_SOON_S => passed(format!(
                "trusted, but it expires in {} days: renew it",
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
pub(super) async fn clock_cloud(facts: &Facts) -> Finding {
    let response = try_or_fail!(healthz(facts).await);
    let date = need!(response.date, "the service's response has no date");
    skew("the cloud's clock", date - now_s())
}

/// Whether the service reports that its database answers.
pub(super) async fn service_health(facts: &Facts) -> Finding {
    match healthz(facts).await {
        Ok(response) if response.status == 200 => passed("the service reports that it is healthy"),
        Ok(response) => failed(format!(
            "the service reports that it is not healthy (HTTP {})",
            response.status
        )),
        Err(error) => failed(error),
    }
}

/// Whether the API accepts the token.
pub(super) async fn api_token(facts: &mut Facts) -> Finding {
    let client = need!(
        facts.api_client(),
        "no token was given; with `--token-file FILE` the tenant's records are compared"
    );
    let client = try_or_fail!(client);
    match client.whoami().await {
        Ok(me) => {
            facts.client = Some(client);
            let role = me.role.map_or("not an administrator", |role| role.as_str());
            passed(format!("the token of `{}` ({role})", me.name))
        }
        Err(error) => failed(error),
    }
}

/// Whether the tenant exists.
pub(super) async fn tenant(facts: &mut Facts) -> Finding {
    let client = need!(&facts.client, "there is no token");
    let name = need!(facts.tenant_name(), "no tenant is given");
    match client.client_config(&name).await {
        Ok(cloud) => {
            let seen = format!("`{}`, realm `{}`", cloud.tenant.name, cloud.tenant.realm);
            facts.realm = Some(cloud.tenant.realm.clone());
            facts.cloud = Some(cloud);
            // The tenant gives the share's host name, which shows whether this is its SMB host.
            facts.detect_places().await;
            passed(seen)
        }
        Err(error) if error.code() == Some(Code::Forbidden) => {
            skipped("the token may not read the tenant")
        }
        Err(error) => failed(error),
    }
}

async fn healthz(facts: &Facts) -> Result<Response, ProbeError> {
    facts.https_server()?.0.get("/healthz").await
}
