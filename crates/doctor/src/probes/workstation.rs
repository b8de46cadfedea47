//! This computer: its system, its Kerberos configuration, and whether that fits the tenant.

use crate::error::ProbeError;
use crate::facts::{Facts, NO_SHARE, read_bounded, server_of};
use crate::finding::{Finding, failed, failed_with, need, passed, skipped, try_or_fail};
use crate::net::{connect, host_and_port};
use crossrealm_krb::keytab::{Keytab, MAX_KEYTAB_LEN};
use crossrealm_onprem::trust::is_at_or_below;
use std::path::Path;

/// The keytab of a joined Linux computer.
const HOST_KEYTAB: &str = "/etc/krb5.keytab";
/// MIT's plug-in for HTTPS, below a library directory.
const TLS_PLUGIN: &str = "krb5/plugins/tls/k5tls.so";
/// Why this computer's Kerberos configuration is not checked.
const NO_WORKSTATION: &str =
    "this is not a workstation: its Kerberos is not configured for a tenant";

/// Whether MIT Kerberos can speak HTTPS.
pub(super) fn client_system(facts: &Facts) -> Finding {
    let system = std::env::consts::OS;
    if !facts.is_workstation() {
        return skipped(format!("this is not a workstation ({system})"));
    }
    if system != "linux" {
        return passed(system);
    }
    let roots = ["/usr/lib", "/usr/lib64", "/lib", "/usr/local/lib"];
    let below = |root: &str| {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let directories = roots.iter().flat_map(|root| {
        let mut all = below(root);
        all.push(root.into());
        all
    });
    match directories
        .map(|directory| directory.join(TLS_PLUGIN))
        .find(|path| path.exists())
    {
        Some(path) => passed(format!("Linux, MIT Kerberos with `{}`", path.display())),
        None => failed(format!("MIT Kerberos lacks `{TLS_PLUGIN}`, and so HTTPS")),
    }
}

/// Whether this computer is a member of the domain.
pub(super) fn joined(facts: &Facts) -> Finding {
    let Ok(bytes) = read_bounded(Path::new(HOST_KEYTAB), MAX_KEYTAB_LEN) else {
        return skipped(format!(
            "not joined, or `{HOST_KEYTAB}` is readable by root only; only Windows must be joined"
        ));
    };
    let realm = facts.domain().map(|domain| domain.to_uppercase());
    let keytab = Keytab::from_bytes(&bytes).ok();
    let own = keytab
        .iter()
        .flat_map(|keytab| &keytab.entries)
        .find(|entry| {
            let fits = realm
                .as_ref()
                .is_none_or(|realm| entry.principal.realm().eq_ignore_ascii_case(realm));
            fits && entry
                .principal
                .components()
                .first()
                .is_some_and(|name| name.ends_with('$') || name.eq_ignore_ascii_case("host"))
        });
    match own {
        Some(entry) => passed(format!("joined as `{}`", entry.principal)),
        None => skipped(format!(
            "`{HOST_KEYTAB}` holds no computer account of the domain; only Windows must be joined"
        )),
    }
}

/// Whether krb5.conf has the tenant's realm, and which file sets it.
pub(super) fn krb5_conf(facts: &Facts) -> Finding {
    if !facts.is_workstation() {
        return skipped(NO_WORKSTATION);
    }
    if let Some(reason) = facts.conf.unreadable.first() {
        return failed(reason);
    }
    if let Some((realm, value)) = facts.kdc_proxy() {
        let files = facts.conf.files.len();
        let all = facts.conf.all(&["realms", realm, "kdc"]);
        let behind = match all.len() {
            0 | 1 => String::new(),
            n => format!("; {} more `kdc` lines follow it", n - 1),
        };
        return passed(format!(
            "`{realm}` in {}, of {files} files read{behind}",
            value.place
        ));
    }
    let named = facts.realm.as_deref().unwrap_or("the tenant's realm");
    let read: Vec<String> = facts
        .conf
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    // The realm may be configured with a KDC of another kind of address.
    match facts.conf.first(&["realms", named, "kdc"]) {
        Some(value) => failed(format!(
            "`{named}` has the KDC `{}` ({}), which is not an HTTPS URL",
            value.value, value.place
        )),
        None if read.is_empty() => failed("there is no krb5.conf"),
        None => failed(format!("no KDC proxy is configured in {}", read.join(", "))),
    }
}

/// Whether the URL of the KDC proxy has the right form and tenant.
pub(super) fn proxy_string(facts: &Facts) -> Finding {
    let (realm, value) = need!(facts.kdc_proxy(), NO_WORKSTATION);
    let text = &value.value;
    let place = &value.place;
    let right = facts
        .cloud
        .as_ref()
        .map(|cloud| cloud.kdc_proxy_url.as_str());
    let next = match right {
        Some(right) => format!("write `kdc = {right}` in {place}"),
        None => {
            format!("write it as `kdc = https://login.BASE-DOMAIN:443/TENANT/kerberos` in {place}")
        }
    };
    let tenant = text
        .strip_prefix("https://")
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(_, path)| path.strip_suffix("/kerberos"));
    let (Some(tenant), Some((host, port))) = (tenant, host_and_port(text)) else {
        return failed_with(
            format!("`{text}` in {place} is not the URL of a KDC proxy"),
            next,
        );
    };
    let Some(cloud) = &facts.cloud else {
        return passed(format!(
            "`{text}` for `{realm}`; a token is needed to compare the tenant"
        ));
    };
    let known = cloud.tenant.id.to_string();
    let wanted = host_and_port(&cloud.kdc_proxy_url);
    if tenant != known && !tenant.eq_ignore_ascii_case(&cloud.tenant.domain) {
        return failed_with(
            format!(
                "{place} names the tenant `{tenant}`, but `{}` is `{known}`",
                cloud.tenant.name
            ),
            next,
        );
    }
    if wanted.is_some_and(|(wanted, at)| !wanted.eq_ignore_ascii_case(&host) || at != port) {
        return failed_with(
            format!(
                "{place} names the host `{host}` port {port}, not that of `{}`",
                cloud.kdc_proxy_url
            ),
            next,
        );
    }
    passed(format!("`{text}` in {place}"))
}

/// Whether the Kerberos library trusts the service's certificate.
pub(super) async fn http_anchors(facts: &Facts) -> Finding {
    let (_, value) = need!(facts.kdc_proxy(), NO_WORKSTATION);
    let (anchors, whose) = try_or_fail!(facts.kerberos_trust_anchors());
    let server = try_or_fail!(server_of(&value.value, anchors).await);
    let host = &server.host;
    match server.get("/healthz").await {
        Ok(_) => passed(format!("the certificate of `{host}` is trusted by {whose}")),
        Err(ProbeError::Certificate(reason)) => failed(format!("{reason}, trusting {whose}")),
        Err(error) => failed(format!("`{host}`: {error}")),
    }
}

/// Whether a KDC proxy answers at the configured URL: it answers an empty request with an empty response.
pub(super) async fn kdc_proxy(facts: &Facts) -> Finding {
    let (_, value) = need!(facts.kdc_proxy(), NO_WORKSTATION);
    let (anchors, _) = try_or_fail!(facts.trust_anchors());
    let server = try_or_fail!(server_of(&value.value, anchors).await);
    if let Err(error) = connect(server.address).await {
        return failed(format!("TCP {}: {error}", server.address));
    }
    let path = value.value.splitn(4, '/').nth(3).unwrap_or_default();
    match server.post(&format!("/{path}"), b"").await {
        Ok(response) if response.status == 200 => passed(format!("`{}` answers", value.value)),
        Ok(response) => failed(format!(
            "`{}` ({}) returns HTTP {}: no such tenant or path",
            value.value, value.place, response.status
        )),
        Err(error) => failed(format!("`{}`: {error}", server.host)),
    }
}

/// Whether the share's host is mapped to the tenant's realm, or left to the domain controller's referral.
pub(super) fn realm_mapping(facts: &Facts) -> Finding {
    let (realm, _) = need!(facts.kdc_proxy(), NO_WORKSTATION);
    let host = need!(facts.share_host(), NO_SHARE);
    let covered = facts.cloud.as_ref().is_none_or(|cloud| {
        cloud
            .tenant
            .top_level_names
            .iter()
            .any(|suffix| is_at_or_below(&host, suffix))
    });
    match facts.conf.realm_of(&host) {
        Some(value) if value.value.eq_ignore_ascii_case(realm) => {
            passed(format!("`{host}` is mapped to `{realm}` ({})", value.place))
        }
        Some(value) => failed(format!(
            "{} maps `{host}` to `{}`, not to `{realm}`",
            value.place, value.value
        )),
        None if covered => passed(format!(
            "`{host}` has no mapping: the domain controller refers to its realm"
        )),
        None => failed(format!(
            "`{host}` is below no top-level name, so no referral leads to it, and has no mapping to a realm"
        )),
    }
}
