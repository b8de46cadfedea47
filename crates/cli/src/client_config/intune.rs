//! Intune: a custom configuration profile as JSON, as Microsoft Graph imports and exports it
//! (`POST /deviceManagement/deviceConfigurations`).
//!
//! Two kinds of settings: one of the policy CSP's own, and ADMX-backed ones, whose value is the XML of the policy's state
//! with its list elements, name and value separated by U+F000.

use super::settings::{ClientOptions, proxy_value};
use super::{CheckedConfig, mapped_hosts};
use crate::failure::Failure;
use serde_json::{Value, json};

/// The policies' paths in the policy CSP.
const CSP: &str = "./Device/Vendor/MSFT/Policy/Config/Kerberos/";
const ADMX: &str = "./Device/Vendor/MSFT/Policy/Config/ADMX_Kerberos/";
/// The separator of name and value of a list element in an ADMX-backed policy.
const SEPARATOR: &str = "&#xF000;";

/// The profile; with `undo`, one that disables the same policies.
///
/// # Errors
/// An invalid address of the KDC proxy.
pub(crate) fn render(
    config: &CheckedConfig,
    options: ClientOptions,
    undo: bool,
) -> Result<String, Failure> {
    let realm = &config.tenant.realm;
    let proxy = proxy_value(&config.kdc_proxy_url)?;
    let mut settings = vec![
        json!({
            "@odata.type": "#microsoft.graph.omaSettingInteger",
            "displayName": "Allow retrieving the cloud Kerberos ticket during logon",
            "omaUri": format!("{CSP}CloudKerberosTicketRetrievalEnabled"),
            "value": i32::from(!undo),
        }),
        admx(
            "Specify KDC proxy servers for Kerberos clients",
            "KdcProxyServer",
            &list("KdcProxyServer", realm, &proxy),
            undo,
        ),
    ];
    let hosts = mapped_hosts(config, options.map_hosts);
    if !hosts.is_empty() {
        let list = list("hosttorealm", realm, &hosts.join("; "));
        settings.push(admx(
            "Define host name-to-Kerberos realm mappings",
            "HostToRealm",
            &list,
            undo,
        ));
    }
    if options.no_revocation_check {
        settings.push(admx(
            "Disable revocation checking for the SSL certificate of KDC proxy servers",
            "KdcProxyDisableServerRevocationCheck",
            "",
            undo,
        ));
    }
    let reverse = if undo { " (undo)" } else { "" };
    let profile = json!({
        "@odata.type": "#microsoft.graph.windows10CustomConfiguration",
        "displayName": format!("Crossrealm {}{reverse}", config.tenant.name),
        "description": "Kerberos for the file shares of a Crossrealm tenant; written by `crossrealm client config`",
        "omaSettings": settings,
    });
    Ok(format!("{profile:#}\n"))
}

/// An ADMX-backed policy, enabled with this data or disabled.
fn admx(name: &str, policy: &str, data: &str, undo: bool) -> Value {
    let value = if undo {
        "<disabled/>".to_owned()
    } else {
        format!("<enabled/>{data}")
    };
    json!({
        "@odata.type": "#microsoft.graph.omaSettingString",
        "displayName": name,
        "omaUri": format!("{ADMX}{policy}"),
        "value": value,
    })
}

/// The data of a policy whose only element is a list of one.
fn list(id: &str, name: &str, value: &str) -> String {
    let (name, value) = (escaped(name), escaped(value));
    format!("<data id=\"{id}\" value=\"{name}{SEPARATOR}{value}\"/>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::config;
    use super::*;

    #[test]
    fn the_files_are_as_committed() {
        for (undo, expected) in [
            (false, include_str!("../../tests/client_config/intune.json")),
            (
                true,
                include_str!("../../tests/client_config/intune-undo.json"),
            ),
        ] {
            let text = render(&config(), ClientOptions::default(), undo).unwrap();
            assert!(text == expected, "a committed JSON differs from:\n{text}");
        }
    }
}
