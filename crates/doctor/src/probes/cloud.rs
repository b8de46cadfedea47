//! The service: DNS name, port, certificate, clock, health, token, tenant.

use super::clock::skew;
use crate::error::ProbeError;
use crate::facts::Facts;
use crate::finding::{
    Finding, failed, failed_with, need, noted, passed, quoted, skipped, try_or_fail,
};
use crate::https::Response;
use crate::net::{connect, resolve};
use crossrealm_api::Code;
use crossrealm_onprem::trust::is_at_or_below;
use crossrealm_os::clock::now_s;

/// A certificate that expires sooner is reported, in seconds: three weeks.
const EXPIRES_SOON_S: i64 = 21 * 24 * 3600;

/// Whether the service and the tenant are known.
pub(super) fn settings(facts: &Facts) -> Finding {
    let service = match (&facts.service, &facts.options.server) {
        (Some(service), Some(url)) if !is_https(url) => {
            return failed_with(
                format!("`{url}` is not an HTTPS URL"),
                format!("give `--server https://{}`", service.host),
            );
        }
        (Some(service), _) => service,
        (None, Some(url)) => return failed(format!("the service's address `{url}` is not a URL")),
        (None, None) => {
            return failed("the service is given neither by an option nor by krb5.conf");
        }
    };
    let proxies = facts.conf.kdc_proxies();
    if let Some(tenant) = &facts.options.tenant
        && facts.options.token.is_none()
        && proxies.len() > 1
        && facts.kdc_proxy().is_none()
    {
        return failed_with(
            format!(
                "krb5.conf configures {}, and which of them is `{tenant}` is not known here",
                quoted(proxies.iter().map(|(realm, _)| realm))
            ),
            "give the tenant's domain or id with `--tenant`, or a token with `--token-file FILE`",
        );
    }
    let Some(tenant) = facts.tenant_name() else {
        return failed(format!(
            "the service is `{}`, but no tenant is given",
            service.host
        ));
    };
    let seen = format!(
        "`{}` port {} ({}), tenant `{tenant}`",
        service.host, service.port, service.source
    );
    match (facts.kdc_proxy(), &facts.options.tenant) {
        (Some((realm, _)), None) if proxies.len() > 1 => noted(
            format!(
                "{seen}; krb5.conf configures {} tenants, this is `{realm}`",
                proxies.len()
            ),
            "choose another one with `--tenant`",
        ),
        _ => passed(seen),
    }
}

fn is_https(url: &str) -> bool {
    url.split_once("://")
        .is_none_or(|(scheme, _)| scheme.eq_ignore_ascii_case("https"))
}

/// Whether the environment sets a web proxy that would be used for the service. Kerberos uses none, and neither does this
/// diagnosis: it explains no failure of a share.
pub(super) fn stray_proxy(facts: &Facts) -> Finding {
    let service = need!(&facts.service, "the service is not known");
    match web_proxy(&service.host) {
        WebProxy::Unset => passed("the environment sets no proxy"),
        WebProxy::Excluded { name, shown } => passed(format!(
            "`{name}` is `{shown}`, but `no_proxy` excludes the service"
        )),
        WebProxy::Used { name, shown } => noted(
            format!(
                "`{name}` sends requests of other programs for `{}` to `{shown}`; Kerberos connects directly",
                service.host
            ),
            format!("export no_proxy={}", service.host),
        ),
    }
}

/// The web proxy that the environment sets for a host.
enum WebProxy {
    Unset,
    /// The variable and its value without a password.
    Excluded {
        name: String,
        shown: String,
    },
    Used {
        name: String,
        shown: String,
    },
}

fn web_proxy(host: &str) -> WebProxy {
    let variable = |name: &str| {
        let pairs = [name.to_owned(), name.to_uppercase()];
        pairs.into_iter().find_map(|name| {
            let value = std::env::var(&name)
                .ok()
                .filter(|value| !value.is_empty())?;
            Some((name, value))
        })
    };
    let mut names = ["https_proxy", "all_proxy", "http_proxy"].iter();
    let Some((name, value)) = names.find_map(|name| variable(name)) else {
        return WebProxy::Unset;
    };
    // The URL may contain a password.
    let shown = value
        .rsplit_once('@')
        .map_or(value.as_str(), |(_, host)| host)
        .to_owned();
    let is_excluded = variable("no_proxy").is_some_and(|(_, list)| {
        list.split(',').map(str::trim).any(|entry| {
            let entry = entry.trim_start_matches('.');
            entry == "*" || (!entry.is_empty() && is_at_or_below(host, entry))
        })
    });
    match is_excluded {
        true => WebProxy::Excluded { name, shown },
        false => WebProxy::Used { name, shown },
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
    let host = facts.service.as_ref().map(|service| service.host.as_str());
    match connect(address).await {
        Ok(()) => passed(format!("TCP {address} answers")),
        Err(error) => match web_proxy(host.unwrap_or_default()) {
            WebProxy::Used { name, .. } => failed(format!(
                "TCP {address}: {error}; `{name}` is set, but Kerberos uses no web proxy"
            )),
            _ => failed(format!("TCP {address}: {error}")),
        },
    }
}

/// Whether the service's certificate is trusted and valid for its name, and when it expires.
pub(super) async fn tls_login(facts: &mut Facts) -> Finding {
    let (server, whose) = match facts.https_server() {
        Ok(server) => server,
        Err(error @ ProbeError::NoServiceAddress) => return skipped(error.to_string()),
        Err(error) => {
            return failed_with(
                error,
                match facts.options.ca {
                    Some(_) => {
                        "give the file with the certificate authority of the service: `--ca FILE`"
                    }
                    None => {
                        "create the configuration again: `crossrealm client config --format krb5.conf --out …`"
                    }
                },
            );
        }
    };
    let host = &server.host;
    match server.get("/healthz").await {
        Err(ProbeError::Certificate(reason)) => {
            failed(format!("`{host}`: {reason} (trusting {whose})"))
        }
        Err(error) => failed(format!("`{host}`: {error}")),
        Ok(response) => match response.certificate_expires {
            Some(end) if end - now_s() < EXPIRES_SOON_S => noted(
                format!(
                    "trusted, but it expires in {} days",
                    (end - now_s()) / 86_400
                ),
                "renew the certificate in `tls/` of the service",
            ),
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
