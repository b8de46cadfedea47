//! `kerberos-server get`: the fields of `Get-AzureADKerberosServer` (Microsoft Entra Kerberos), in its order, and in JSON the
//! details of the trust.

use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::hints;
use crate::output::{Column, Format, column, time_column, with_times};
use crate::terminal::say;
use crossrealm_agent::kerberos_server::inspect::Inspection;
use crossrealm_types::{Sid, Timestamp, Trust, TrustKey};
use serde::Serialize;

/// The arguments of `kerberos-server get`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    domain: DomainArgs,
}

/// What is printed. The fields up to `cloud_trust_display` are those of Microsoft Entra Kerberos; the ones of the Kerberos
/// server object stay empty where there is none.
#[derive(Debug, Default, Serialize)]
struct View {
    id: Option<u32>,
    user_account: Option<String>,
    computer_account: Option<String>,
    display_name: Option<String>,
    domain_dns_name: Option<String>,
    key_version: Option<u32>,
    key_updated_on: Option<Timestamp>,
    key_updated_from: Option<String>,
    cloud_display_name: Option<String>,
    cloud_domain_dns_name: Option<String>,
    cloud_id: Option<u32>,
    cloud_key_version: Option<u32>,
    cloud_key_updated_on: Option<Timestamp>,
    cloud_trust_display: Option<String>,
    trusted_domain_object: Option<TdoView>,
    #[serde(serialize_with = "with_times")]
    cloud_trust: Option<Trust>,
    tickets_last_arrived: Option<Arrived>,
    /// Objects of Microsoft Entra Kerberos, which this product never changes.
    microsoft_objects: Vec<String>,
    findings: Vec<String>,
}

/// The trusted domain object as AD holds it.
#[derive(Debug, Serialize)]
struct TdoView {
    name: String,
    flat_name: String,
    sid: Option<Sid>,
    direction: u32,
    r#type: u32,
    attributes: u32,
    encryption_types: Option<u32>,
    top_level_names: Vec<String>,
    /// AD's own count, which is not the tenant's.
    key_version: Option<u32>,
    key_updated_on: Option<Timestamp>,
}

/// The version of the trust key, by the tenant's count, with which tickets last arrived.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Arrived {
    key_version: u32,
    at: Timestamp,
}

const COLUMNS: &[Column] = &[
    column("Id", "/id"),
    column("UserAccount", "/user_account"),
    column("ComputerAccount", "/computer_account"),
    column("DisplayName", "/display_name"),
    column("DomainDnsName", "/domain_dns_name"),
    column("KeyVersion", "/key_version"),
    time_column("KeyUpdatedOn", "/key_updated_on"),
    column("KeyUpdatedFrom", "/key_updated_from"),
    column("CloudDisplayName", "/cloud_display_name"),
    column("CloudDomainDnsName", "/cloud_domain_dns_name"),
    column("CloudId", "/cloud_id"),
    column("CloudKeyVersion", "/cloud_key_version"),
    time_column("CloudKeyUpdatedOn", "/cloud_key_updated_on"),
    column("CloudTrustDisplay", "/cloud_trust_display"),
];

/// Runs `kerberos-server get`.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let tenant = client.tenant(context.tenant()?).await?;
    let credentials = args.domain.sign_in.credentials()?;
    let target = args.domain.target(&credentials);
    let inspection = Inspection::read(&client, &tenant, &target).await?;
    let trust_display = inspection.trust_display(&tenant);
    let view = view(inspection, trust_display);
    if context.output == Format::Table {
        for dn in &view.microsoft_objects {
            say!("note: `{dn}` belongs to Microsoft Entra Kerberos and is never changed");
        }
        for finding in &view.findings {
            say!("note: {finding}");
        }
    }
    context.output.record(&view, COLUMNS)
}

fn view(inspection: Inspection, trust_display: Option<String>) -> View {
    let Inspection {
        object,
        recorded_object: recorded,
        trust,
        trust_key,
        recorded_trust,
        ..
    } = inspection;
    let user = object.user.as_ref().filter(|user| user.is_ours);
    let computer = object.computer.as_ref().filter(|found| found.is_ours);
    let recorded = recorded.as_ref();
    View {
        id: user.and_then(|user| user.number),
        user_account: user.map(|_| object.user_dn.clone()),
        computer_account: computer.map(|_| object.computer_dn.clone()),
        display_name: user.map(|user| user.account_name.clone()),
        domain_dns_name: user.map(|_| inspection.domain.clone()),
        key_version: user.map(|user| user.key_version),
        key_updated_on: user
            .and_then(|user| user.key_updated_at)
            .map(Timestamp::from_unix),
        key_updated_from: user.and_then(|user| user.key_updated_from.clone()),
        cloud_display_name: recorded.map(|recorded| recorded.display_name.clone()),
        cloud_domain_dns_name: recorded.map(|recorded| recorded.domain.clone()),
        cloud_id: recorded.map(|recorded| recorded.id),
        cloud_key_version: recorded.map(|recorded| recorded.key_version),
        cloud_key_updated_on: recorded.map(|recorded| recorded.key_updated_at),
        cloud_trust_display: trust_display,
        tickets_last_arrived: recorded_trust
            .as_ref()
            .and_then(|trust| last_arrived(&trust.keys)),
        trusted_domain_object: trust.map(|own| TdoView {
            name: own.name,
            flat_name: own.flat_name,
            sid: own.sid,
            direction: own.direction,
            r#type: own.kind,
            attributes: own.attributes,
            encryption_types: own.enctypes,
            top_level_names: own.top_level_names,
            key_version: trust_key.and_then(|key| key.version),
            key_updated_on: trust_key
                .and_then(|key| key.updated_at)
                .map(Timestamp::from_unix),
        }),
        cloud_trust: recorded_trust,
        microsoft_objects: object.microsoft,
        findings: inspection
            .differences
            .iter()
            .map(hints::with_remedy)
            .collect(),
    }
}

fn last_arrived(keys: &[TrustKey]) -> Option<Arrived> {
    let seen = keys.iter().filter_map(|key| {
        Some(Arrived {
            key_version: key.version,
            at: Timestamp::from_unix(key.last_seen_at?),
        })
    });
    // Of two in the same second the newer version is meant.
    seen.max_by_key(|seen| (seen.at, seen.key_version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_agent::kerberos_server::inspect::Difference;
    use crossrealm_onprem::kerberos_server::{Object, RevealGroups, User};
    use crossrealm_onprem::trust::TrustDifference;
    use crossrealm_types::{AdObject, KerberosServer, TrustKeyState};
    use uuid::Uuid;

    fn nothing() -> Inspection {
        Inspection {
            domain: "corp.contoso.com".to_owned(),
            object: Object {
                user_dn: "CN=krbtgt_Crossrealm,CN=Users,DC=corp".to_owned(),
                user: None,
                computer_dn: "CN=CrossrealmKerberos,OU=Domain Controllers,DC=corp".to_owned(),
                computer: None,
                groups: RevealGroups::default(),
                microsoft: Vec::new(),
            },
            recorded_object: None,
            trust: None,
            trust_key: None,
            recorded_trust: None,
            differences: Vec::new(),
        }
    }

    #[test]
    fn both_sides_of_the_object_are_shown() {
        let mut inspection = nothing();
        let object = AdObject {
            guid: Uuid::nil(),
            sid: "S-1-5-21-9-9-9-1000".parse().unwrap(),
        };
        inspection.object.user = Some(User {
            object: object.clone(),
            is_ours: true,
            account_name: "krbtgt_56754".to_owned(),
            number: Some(56754),
            flags: 0x202,
            key_version: 2,
            key_updated_at: Some(1_700_000_000),
            key_updated_from: Some("dc1.corp.contoso.com".to_owned()),
        });
        inspection.recorded_object = Some(KerberosServer {
            domain: "corp.contoso.com".to_owned(),
            id: 56754,
            display_name: "krbtgt_56754".to_owned(),
            key_version: 2,
            key_updated_at: Timestamp::from_unix(1_700_000_000),
            recorded_at: Timestamp::from_unix(1),
            removal_begun_at: None,
            account: Some(object),
            computer: None,
        });
        let view = view(inspection, None);
        assert_eq!((view.id, view.cloud_id), (Some(56754), Some(56754)));
        assert_eq!(
            view.key_updated_from.as_deref(),
            Some("dc1.corp.contoso.com")
        );
        assert_eq!(view.domain_dns_name.as_deref(), Some("corp.contoso.com"));
    }

    #[test]
    fn an_empty_domain_has_no_values_and_no_findings() {
        let view = view(nothing(), None);
        assert_eq!(view.domain_dns_name, None);
        assert_eq!(view.cloud_trust_display, None);
        assert_eq!(view.findings, Vec::<String>::new());
    }

    #[test]
    fn a_difference_is_shown_with_the_command_that_repairs_it() {
        let mut inspection = nothing();
        inspection.differences = vec![Difference::Trust(TrustDifference::Pending)];
        assert_eq!(
            view(inspection, None).findings,
            [
                "the trust is half set up: run `crossrealm kerberos-server set --setup-cloud-trust` to finish"
            ]
        );
    }

    #[test]
    fn the_version_that_tickets_last_arrived_with_is_named() {
        let key = |version, last_seen_at| TrustKey {
            version,
            state: TrustKeyState::Retired,
            created_at: 1,
            confirmed_at: None,
            retires_at: None,
            last_seen_at,
        };
        let mut keys = vec![key(3, None), key(2, Some(20)), key(1, Some(10))];
        let (key_version, at) = (2, Timestamp::from_unix(20));
        assert_eq!(last_arrived(&keys), Some(Arrived { key_version, at }));
        keys[2].last_seen_at = Some(30);
        assert_eq!(last_arrived(&keys).unwrap().key_version, 1);
        keys.truncate(1);
        assert_eq!(last_arrived(&keys), None);
    }
}
