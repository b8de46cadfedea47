//! This computer: its system, its Kerberos configuration, and whether that fits the tenant.

use crate::bounded::read_bounded;
use crate::enctypes;
use crate::environment::Place;
use crate::error::ProbeError;
use crate::facts::{Facts, NO_SHARE, server_of};
use crate::finding::{
    Finding, failed, failed_with, need, noted, passed, quoted, skipped, try_or_fail,
};
use crate::net::{connect, host_and_port};
use crossrealm_krb::keytab::{Keytab, MAX_KEYTAB_LEN};
use crossrealm_onprem::krb5_conf::{LeftOut, Value, is_in_other_case};
use crossrealm_onprem::trust::is_at_or_below;
use std::path::{Path, PathBuf};

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
    if facts.is_in_the_cloud() || facts.places.as_slice() == [Place::AdministrationHost] {
        return skipped(format!("this is not a workstation ({system})"));
    }
    if system != "linux" {
        return passed(system);
    }
    let disabled = facts.conf.all(&["plugins", "tls", "disable"]);
    if let Some(line) = disabled.iter().find(|line| line.value == "k5tls") {
        return failed_with(
            format!("{} disables MIT Kerberos' plug-in for HTTPS", line.place),
            format!("remove {}", line.place),
        );
    }
    if let Some(base) = facts.conf.first(&["libdefaults", "plugin_base_dir"]) {
        let plugin = Path::new(&base.value).join("tls/k5tls.so");
        return match plugin.exists() {
            true => passed(format!("Linux, MIT Kerberos with `{}`", plugin.display())),
            false => failed_with(
                format!(
                    "{} makes Kerberos look for plug-ins in `{}`, where the one for HTTPS is not",
                    base.place, base.value
                ),
                format!("remove {}", base.place),
            ),
        };
    }
    match installed_plugin() {
        Some(path) => passed(format!("Linux, MIT Kerberos with `{}`", path.display())),
        None => failed(format!("MIT Kerberos lacks `{TLS_PLUGIN}`, and so HTTPS")),
    }
}

/// The plug-in in a library directory, or in a directory below one: those of the architectures.
fn installed_plugin() -> Option<PathBuf> {
    let roots = ["/usr/lib", "/usr/lib64", "/lib", "/usr/local/lib"];
    let directories = roots.iter().flat_map(|root| {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        let below = entries.map(|entry| entry.path());
        below.chain([PathBuf::from(root)])
    });
    let mut plugins = directories.map(|directory| directory.join(TLS_PLUGIN));
    plugins.find(|path| path.exists())
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

/// Whether the Kerberos library can read its configuration at all.
pub(super) fn krb5_files(facts: &Facts) -> Finding {
    if let Some(fault) = facts.conf.faults.first() {
        return match facts.is_in_the_cloud() {
            true => skipped(format!("{}, which no service here needs", fault.seen)),
            false => failed_with(&fault.seen, &fault.next),
        };
    }
    match facts.conf.files.len() {
        0 => skipped("there is no krb5.conf"),
        _ => passed(format!("{} can be read", files_of(facts))),
    }
}

fn files_of(facts: &Facts) -> String {
    quoted(facts.conf.files.iter().map(|file| file.display()))
}

/// Whether realms are written as the Kerberos library compares them: with their case.
pub(super) fn realm_case(facts: &Facts) -> Finding {
    let realm = need!(&facts.realm, NO_WORKSTATION);
    if !facts.is_workstation() {
        return skipped(NO_WORKSTATION);
    }
    let write = |value: &Value, realm: &str| {
        let place = &value.place;
        format!("write the realm as `{realm}` there: {place}")
    };
    if facts.conf.all(&["realms", realm, "kdc"]).is_empty()
        && let Some(value) = facts.conf.section_in_other_case(realm)
    {
        let (name, place) = (section_of(value), &value.place);
        return failed_with(
            format!("the section of {place} is named `{name}`, the realm is `{realm}`"),
            write(value, realm),
        );
    }
    let mapped = facts.share_host();
    let mapped = mapped.and_then(|host| facts.conf.realm_of(&host));
    if let Some(value) = mapped.filter(|value| is_in_other_case(&value.value, realm)) {
        return failed_with(
            format!(
                "{} maps to `{}`, the realm is `{realm}`",
                value.place, value.value
            ),
            write(value, realm),
        );
    }
    let Some(domain) = facts.domain().map(|domain| domain.to_uppercase()) else {
        return passed(format!("`{realm}`"));
    };
    let usual = facts.conf.first(&["libdefaults", "default_realm"]);
    if let Some(value) = usual.filter(|value| is_in_other_case(&value.value, &domain)) {
        let seen = format!(
            "{} has `default_realm = {}`, with which `kinit` without a realm fails",
            value.place, value.value
        );
        // Who gives the realm can sign in.
        return noted(seen, write(value, &domain));
    }
    passed(format!("`{realm}` and `{domain}`"))
}

pub(super) fn section_of(value: &Value) -> &str {
    value.path.get(1).map(String::as_str).unwrap_or_default()
}

/// Whether the Kerberos library may use AES.
pub(super) fn enctypes(facts: &Facts) -> Finding {
    if !facts.is_workstation() {
        return skipped(NO_WORKSTATION);
    }
    match enctypes::without_aes(&facts.conf) {
        None => passed("the configuration excludes no encryption type of AD and of the tenant"),
        Some((name, value)) => failed_with(
            format!("{} restricts Kerberos to `{}`", value.place, value.value),
            format!("remove `{name}` there: {}", value.place),
        ),
    }
}

/// Whether krb5.conf has the tenant's realm, and which file sets it.
pub(super) fn krb5_conf(facts: &Facts) -> Finding {
    if !facts.is_workstation() {
        return skipped(NO_WORKSTATION);
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
    let is_ours = |left_out: &&LeftOut| left_out.proxy.0.eq_ignore_ascii_case(named);
    if let Some(left_out) = facts.conf.left_out.iter().find(is_ours) {
        let (file, realm) = (left_out.file.display(), &left_out.proxy.0);
        return failed_with(
            format!("`{file}` configures `{realm}`, but Kerberos does not read this file"),
            &left_out.next,
        );
    }
    // The realm may be configured with a KDC of another kind of address.
    match facts.conf.first(&["realms", named, "kdc"]) {
        Some(value) => failed(format!(
            "`{named}` has the KDC `{}` ({}), which is not an HTTPS URL",
            value.value, value.place
        )),
        None if facts.conf.files.is_empty() => match std::env::var("KRB5_CONFIG") {
            Ok(named) if !named.is_empty() => failed_with(
                format!("`KRB5_CONFIG` names `{named}`, which is not there"),
                format!(
                    "unset KRB5_CONFIG; or create the file: crossrealm client config --format krb5.conf --out {named}"
                ),
            ),
            _ => failed("there is no krb5.conf"),
        },
        None => failed(format!(
            "no KDC proxy of `{named}` is configured in {}",
            files_of(facts)
        )),
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
        .and_then(|(_, path)| path.trim_end_matches('/').strip_suffix("/kerberos"));
    let tenant = tenant.filter(|tenant| !tenant.is_empty() && !tenant.contains('/'));
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

fn is_of_domain(facts: &Facts, realm: &str) -> bool {
    facts
        .domain()
        .is_some_and(|domain| domain.to_uppercase() == realm)
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
        // The client then asks the domain controller for the service, which refers all the same.
        Some(value) if covered && is_of_domain(facts, &value.value) => passed(format!(
            "`{host}` is mapped to `{}` ({}), whose domain controller refers to its realm",
            value.value, value.place
        )),
        Some(value) if value.value == realm => {
            passed(format!("`{host}` is mapped to `{realm}` ({})", value.place))
        }
        Some(value) => failed_with(
            format!(
                "{} maps `{host}` to `{}`, not to `{realm}`",
                value.place, value.value
            ),
            format!("remove {}, or map the host to `{realm}` there", value.place),
        ),
        None if covered => passed(format!(
            "`{host}` has no mapping: the domain controller refers to its realm"
        )),
        None => failed(format!(
            "`{host}` is below no top-level name, so no referral leads to it, and has no mapping to a realm"
        )),
    }
}
