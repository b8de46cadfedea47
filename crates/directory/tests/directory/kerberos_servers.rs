//! The record of a domain's Kerberos server object.

use crate::support::{CORP, World, assert_fails, by, code, corp};
use crossrealm_directory::{DirectoryError, NewKerberosServer, RecordKind};
use crossrealm_types::AdObject;
use uuid::Uuid;

fn seen(key_version: u32) -> NewKerberosServer {
    NewKerberosServer {
        domain: corp(),
        number: 56754,
        display_name: "krbtgt_56754".to_owned(),
        key_version,
        key_updated_at: 1_700_000_000,
        account: Some(ad_object(1000)),
        computer: Some(ad_object(1001)),
    }
}

fn ad_object(rid: u32) -> AdObject {
    AdObject {
        guid: Uuid::from_u128(u128::from(rid)),
        sid: format!("S-1-5-21-1-2-3-{rid}").parse().unwrap(),
    }
}

#[tokio::test]
async fn the_last_seen_object_is_recorded_and_its_domain_registered() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await.id;
    assert_fails!(
        d.kerberos_server(tenant, CORP).await,
        DirectoryError::NotFound {
            kind: RecordKind::KerberosServer,
            ..
        }
    );
    for version in [2, 65538] {
        let info = d
            .record_kerberos_server(&by(), tenant, &seen(version))
            .await
            .unwrap();
        assert_eq!((info.id, info.key_version), (56754, version));
        assert_eq!(
            d.kerberos_server(tenant, "CORP.contoso.com").await.unwrap(),
            info
        );
    }
    assert_eq!(d.domain(tenant, CORP).await.unwrap().sid, corp().sid);
    // Another tenant does not see it.
    let other = world.tenant("second").await.id;
    assert_fails!(
        d.kerberos_server(other, CORP).await,
        DirectoryError::NotFound {
            kind: RecordKind::KerberosServer,
            ..
        }
    );

    d.delete_kerberos_server(&by(), tenant, CORP).await.unwrap();
    let again = d.delete_kerberos_server(&by(), tenant, CORP).await;
    assert_fails!(
        again,
        DirectoryError::NotFound {
            kind: RecordKind::KerberosServer,
            ..
        }
    );
    assert!(d.domain(tenant, CORP).await.is_ok());
    let events = "SELECT COUNT(*) FROM events WHERE action LIKE 'kerberos_server.%'";
    assert_eq!(world.count(events).await, 3);
}

#[tokio::test]
async fn invalid_names_and_a_changed_domain_sid_are_refused() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await.id;
    for name in ["", "a\nb", &"x".repeat(65)] {
        let mut seen = seen(1);
        seen.display_name = name.to_owned();
        assert!(
            d.record_kerberos_server(&by(), tenant, &seen)
                .await
                .is_err()
        );
    }
    d.record_kerberos_server(&by(), tenant, &seen(1))
        .await
        .unwrap();
    let mut other = seen(1);
    other.domain.sid = "S-1-5-21-9-9-9".parse().unwrap();
    let refused = d.record_kerberos_server(&by(), tenant, &other).await;
    assert_eq!(code(refused), "domain_sid_mismatch");
}
