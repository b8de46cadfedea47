//! This computer: its system, how its Kerberos is configured, whether that fits the tenant.

use super::need;
use crate::client_config::is_at_or_below;
use crate::doctor::engine::{Finding, failed, failed_with, passed, skipped};
use crate::doctor::https::{self, Anchors, Error};
use crate::doctor::patient::{Patient, connects, host_and_port, read_bounded, resolve};
use crossrealm_krb::keytab::{Keytab, MAX_KEYTAB_LEN};
use std::path::Path;

/// Where a joined Linux computer has its keys.
const HOST_KEYTAB: &str = "/etc/krb5.keytab";
/// MIT's plug-in for HTTPS, below a library folder.
const TLS_PLUGIN: &str = "krb5/plugins/tls/k5tls.so";
/// Why nothing is said of this computer's Kerberos.
const NO_WORKSTATION: &str = "this is no workstation: its Kerberos is not configured for a tenant";

/// Whether MIT Kerberos can speak HTTPS.
pub fn client_system(patient: &Patient<'_>) -> Finding {
    let system = std::env::consts::OS;
    if !patient.is_workstation() {
        return skipped(format!("this is no workstation ({system})"));
    }
    if system != "linux" {
        return passed(system);
    }
    let roots = ["/usr/lib", "/usr/lib64", "/lib", "/usr/local/lib"];
    let below = |root: &str| {
        let inside = std::fs::read_dir(root).into_iter().flatten().flatten();
        inside.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let folders = roots.iter().flat_map(|root| {
        let mut all = below(root);
        all.push(root.into());
        all
    });
    match folders
        .map(|folder| folder.join(TLS_PLUGIN))
        .find(|path| path.exists())
    {
        Some(path) => passed(format!("Linux, MIT Kerberos with `{}`", path.display())),
        None => failed(format!(
            "MIT Kerberos has no `{TLS_PLUGIN}`, and so no HTTPS"
        )),
    }
}

/// Whether this computer is a member of the domain.
pub fn joined(patient: &Patient<'_>) -> Finding {
    let Ok(bytes) = read_bounded(Path::new(HOST_KEYTAB), MAX_KEYTAB_LEN) else {
        return skipped(format!(
            "not joined, or not to be seen without root (`{HOST_KEYTAB}`); only Windows must be"
        ));
    };
    let realm = patient.domain().map(|domain| domain.to_uppercase());
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

/// Whether Kerberos knows the tenant's realm, and which file says so.
pub fn krb5_conf(patient: &Patient<'_>) -> Finding {
    if !patient.is_workstation() {
        return skipped(NO_WORKSTATION);
    }
    if let Some(trouble) = patient.conf.unreadable.first() {
        return failed(trouble);
    }
    if let Some((realm, value)) = patient.proxied() {
        let files = patient.conf.files.len();
        let all = patient.conf.all(&["realms", realm, "kdc"]);
        let behind = match all.len() {
            0 | 1 => String::new(),
            n => format!("; {} more `kdc` lines are asked behind it", n - 1),
        };
        return passed(format!(
            "`{realm}` in {}, of {files} files read{behind}",
            value.place
        ));
    }
    let named = patient.realm.as_deref().unwrap_or("the tenant's realm");
    let read: Vec<String> = patient
        .conf
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    // A realm without an https KDC is named, but by another kind of address.
    match patient.conf.first(&["realms", named, "kdc"]) {
        Some(value) => failed(format!(
            "`{named}` has the KDC `{}` ({}), which is no HTTPS address",
            value.value, value.place
        )),
        None if read.is_empty() => failed("there is no krb5.conf"),
        None => failed(format!("no KDC proxy is named in {}", read.join(", "))),
    }
}

/// Whether the address is of the right form, for the right tenant.
pub fn proxy_string(patient: &Patient<'_>) -> Finding {
    let (realm, value) = need!(patient.proxied(), NO_WORKSTATION);
    let text = &value.value;
    let place = &value.place;
    let right = patient
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
            format!("`{text}` in {place} is not the address of a KDC proxy"),
            next,
        );
    };
    let Some(cloud) = &patient.cloud else {
        return passed(format!(
            "`{text}` for `{realm}`; whether the tenant is the right one shows with a token"
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

/// Whether the Kerberos library would trust the service.
pub async fn http_anchors(patient: &Patient<'_>) -> Finding {
    let (_, value) = need!(patient.proxied(), NO_WORKSTATION);
    let (anchors, whose) = match patient.http_anchors() {
        Some((path, Ok(pem))) => match Anchors::from_pem(&pem) {
            Ok(anchors) => (anchors, format!("`{path}`")),
            Err(error) => return failed(format!("`{path}`: {error}")),
        },
        Some((_, Err(error))) => return failed(error),
        None => match Anchors::system() {
            Ok(anchors) => (anchors, "this computer's authorities".to_owned()),
            Err(error) => return failed(error),
        },
    };
    let (host, port) = need!(host_and_port(&value.value), "the address is none");
    let address = match resolve(&host, port).await {
        Ok(address) => address,
        Err(error) => return failed(format!("`{host}` does not resolve: {error}")),
    };
    match https::ask(&host, address, &anchors, "GET", "/healthz", b"").await {
        Ok(_) => passed(format!("{whose} vouches for `{host}`")),
        Err(Error::Certificate(reason)) => failed(format!("{reason}, trusting {whose}")),
        Err(Error::Other(reason)) => failed(format!("`{host}`: {reason}")),
    }
}

/// Whether a KDC proxy answers at the configured address: an empty question is answered with nothing.
pub async fn kdc_proxy(patient: &Patient<'_>) -> Finding {
    let (_, value) = need!(patient.proxied(), NO_WORKSTATION);
    let (host, port) = need!(host_and_port(&value.value), "the address is none");
    let anchors = match patient.anchors() {
        Ok((anchors, _)) => anchors,
        Err(error) => return failed(error),
    };
    let address = match resolve(&host, port).await {
        Ok(address) => address,
        Err(error) => return failed(format!("`{host}` does not resolve: {error}")),
    };
    if let Err(error) = connects(address).await {
        return failed(format!("TCP {address}: {error}"));
    }
    let path = value.value.splitn(4, '/').nth(3).unwrap_or_default();
    match https::ask(&host, address, &anchors, "POST", &format!("/{path}"), b"").await {
        Ok(answer) if answer.status == 200 => passed(format!("`{}` answers", value.value)),
        Ok(answer) => failed(format!(
            "`{}` ({}) is answered with HTTP {}: no such tenant or path",
            value.value, value.place, answer.status
        )),
        Err(Error::Certificate(reason) | Error::Other(reason)) => {
            failed(format!("`{host}`: {reason}"))
        }
    }
}

/// Whether the share's host is sought in the tenant's realm, or left to the domain controller.
pub fn realm_mapping(patient: &Patient<'_>) -> Finding {
    let (realm, _) = need!(patient.proxied(), NO_WORKSTATION);
    let host = need!(patient.share_host(), super::NO_SHARE);
    let covered = patient.cloud.as_ref().is_none_or(|cloud| {
        cloud
            .tenant
            .top_level_names
            .iter()
            .any(|suffix| is_at_or_below(&host, suffix))
    });
    match patient.conf.realm_of(&host) {
        Some(value) if value.value.eq_ignore_ascii_case(realm) => {
            passed(format!("`{host}` is mapped to `{realm}` ({})", value.place))
        }
        Some(value) => failed(format!(
            "{} maps `{host}` to `{}`, not to `{realm}`",
            value.place, value.value
        )),
        None if covered => passed(format!(
            "`{host}` is mapped nowhere: the domain controller refers to its realm"
        )),
        None => failed(format!(
            "`{host}` lies below no top-level name, so that no referral finds it, and is mapped to no realm"
        )),
    }
}
