//! A body for every request of the API that has one, by the name of its operation.

use serde_json::{Value, json};

const GUID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";
const SID: &str = "S-1-5-21-1-2-3-1104";
const UPN: &str = "alice@corp.contoso.com";

/// The bodies.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    [administration(), trusts(), identities(), storage()].concat()
}

fn administration() -> Vec<(&'static str, Value)> {
    let enrolment = json!({"upn": UPN, "tenant": "contoso", "enrolment_code": "ABCD-EFGH",
        "password": "correct horse battery", "code": "123456"});
    vec![
        (
            "create_administrator",
            json!({"upn": UPN, "role": "storage-administrator", "tenant": "contoso"}),
        ),
        (
            "sign_in",
            json!({"upn": UPN, "tenant": "contoso", "password": "correct horse battery", "code": "123456"}),
        ),
        (
            "begin_enrolment",
            json!({"upn": UPN, "enrolment_code": "ABCD-EFGH"}),
        ),
        ("finish_enrolment", enrolment),
        (
            "create_tenant",
            json!({"name": "contoso", "domain": "contoso.cloud.example", "realm": "KERBEROS.CONTOSO.CLOUD.EXAMPLE",
                "flat_name": "CONTOSO-KRB", "top_level_names": ["contoso.cloud.example"]}),
        ),
        ("set_tenant_policy", json!({"allow_low_rids": true})),
        ("rotate_realm_key", json!({"compromised": true})),
    ]
}

fn trusts() -> Vec<(&'static str, Value)> {
    let server = json!({"flat_name": "CORP", "sid": SID, "forest": "corp.contoso.com", "id": 16777217,
        "display_name": "AzureADKerberos", "key_version": 65536, "key_updated_at": "2026-01-31T23:59:59.000Z"});
    vec![
        (
            "prepare_trust",
            json!({"realm": "CORP.CONTOSO.COM", "flat_name": "CORP", "sid": SID, "top_level_names": ["corp.contoso.com"],
                "rotate": true}),
        ),
        (
            "confirm_trust",
            json!({"version": 2, "top_level_names": ["corp.contoso.com"]}),
        ),
        ("retire_trust_keys", json!({"before": 3})),
        (
            "rotate_trust",
            json!({"every_s": 2_592_000, "holder": "agent1"}),
        ),
        ("confirm_trust_rotation", json!({"version": 3})),
        ("record_kerberos_server", server),
        (
            "record_ad_step",
            json!({"phase": "begun", "principal": "administrator@CORP.CONTOSO.COM", "controller": "dc1.corp.contoso.com",
                "step": "create the trust", "reason": "because"}),
        ),
    ]
}

fn identities() -> Vec<(&'static str, Value)> {
    let user = json!({"object_guid": GUID, "kind": "user", "sid": SID, "account_name": "alice", "upn": UPN, "state": "enabled"});
    let elsewhere = json!([{"object_guid": GUID, "domain_sid": "S-1-5-21-4-5-6"}]);
    let changes = json!({"run_id": GUID, "domain": {"dns_name": "corp.contoso.com", "flat_name": "CORP", "sid": "S-1-5-21-1-2-3"},
        "changes": [{"op": "upsert", "identity": user},
            {"op": "members", "object_guid": GUID, "add": [GUID], "remove": [], "elsewhere": elsewhere},
            {"op": "delete", "object_guid": GUID}]});
    vec![
        (
            "create_connector",
            json!({"domain": "corp.contoso.com", "rotate_trust": true}),
        ),
        ("apply_identities", changes),
        ("lookup_identities", json!({"object_guids": [GUID]})),
        (
            "take_sync_lease",
            json!({"holder": "agent1", "seconds": 60}),
        ),
        (
            "release_sync_lease",
            json!({"holder": "agent1", "problem": "the domain controller is away"}),
        ),
        (
            "allow_deletions",
            json!({"deletions": 500, "expires_in_s": 3600}),
        ),
        (
            "create_user",
            json!({"upn": "cloud@contoso.cloud.example", "display_name": "Алиса"}),
        ),
    ]
}

fn storage() -> Vec<(&'static str, Value)> {
    let report = json!({"program": "0.2.0", "listen": "0.0.0.0:445", "serving": true, "smbd_restarts": 0,
        "winbindd_restarts": 0, "session_count": 0, "kvnos": [1, 2], "sessions": [], "quotas": []});
    vec![
        (
            "create_storage_account",
            json!({"name": "acct1", "aliases": ["files.contoso.com"]}),
        ),
        (
            "rotate_storage_account_key",
            json!({"key": "kerb1", "force": true}),
        ),
        ("set_default_permission", json!({"role": "reader"})),
        ("create_host_token", json!({"name": "fs1"})),
        ("report_host", report),
        (
            "resolve_names",
            json!({"sids": [SID], "names": ["CORP\\alice"]}),
        ),
        (
            "create_share",
            json!({"name": "projects", "quota_gib": 100}),
        ),
        ("set_share_quota", json!({"quota_gib": null})),
        ("grant", json!({"to": "Sales", "role": "contributor"})),
        (
            "create_service_principal",
            json!({"spn": "postgres/db1.contoso.cloud.example"}),
        ),
        ("rotate_service_principal_key", json!({"key": "kerb2"})),
    ]
}

#[cfg(test)]
mod tests {
    use crossrealm_api::endpoint::{self, Endpoint};
    use std::collections::BTreeMap;

    /// The fuzzer begins with a body of every request that has one, and each is what it stands for.
    #[test]
    fn every_request_has_a_seed() {
        let mut seeds: BTreeMap<_, _> = super::all().into_iter().collect();
        let mut is_read = |name: &str, read: &dyn Fn(&str) -> Result<(), serde_json::Error>| {
            let seed = seeds.remove(name).unwrap_or_default();
            read(&seed.to_string()).unwrap_or_else(|error| panic!("{name}: {error}"));
        };
        macro_rules! check_all {
            ($($Endpoint:ident $operation:ident,)+) => {
                $(if <endpoint::$Endpoint as Endpoint>::SPEC.body.is_some() {
                    is_read(stringify!($operation), &|text| {
                        serde_json::from_str::<<endpoint::$Endpoint as Endpoint>::Body>(text).map(drop)
                    });
                })+
            };
        }
        crossrealm_api::for_each_endpoint!(check_all);
        assert!(seeds.is_empty(), "no requests: {:?}", seeds.keys());
    }
}
