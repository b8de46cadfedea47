//! Quotas of shares through the REST API: their range, their events, and that SMB hosts receive them.

use crate::common::Service;
use crossrealm_api::{
    BASE_PATH, ClientError, Code, EventQuery, HostStateAnswer, ShareCreate, ShareQuota,
};
use crossrealm_types::StorageAccountCreate;

fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Code {
    result.unwrap_err().code().expect("a refusal by the server")
}

/// The status of the response to a body that the typed client would not send.
async fn put_quota(service: &Service, body: &str) -> u16 {
    let token = std::fs::read_to_string(service.path("admin.token")).unwrap();
    let request = format!(
        "PUT {BASE_PATH}/tenants/contoso/storage-accounts/acct1/shares/second/quota HTTP/1.1\r\n\
         Host: login.cloud.example\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        token.trim(),
        body.len()
    );
    service.exchange(request.as_bytes()).await.status
}

#[tokio::test]
async fn a_share_has_the_quota_that_was_set_and_each_change_is_audited() {
    let service = Service::start().await;
    service.contoso().await;
    let admin = &service.admin;
    let account = StorageAccountCreate {
        name: "acct1".into(),
        aliases: vec![],
    };
    admin
        .create_storage_account("contoso", &account)
        .await
        .unwrap();
    let share = ShareCreate {
        name: "projects".into(),
        quota_gib: None,
    };
    admin
        .create_share("contoso", "acct1", &share)
        .await
        .unwrap();
    let set = async |gib| {
        admin
            .set_share_quota(
                "contoso",
                "acct1",
                "projects",
                &ShareQuota { quota_gib: gib },
            )
            .await
    };
    let now = async || {
        let share = admin.share("contoso", "acct1", "projects").await.unwrap();
        share.quota_gib
    };
    assert_eq!(now().await, None);
    assert_eq!(set(Some(102_400)).await.unwrap().quota_gib, Some(102_400));
    // Setting the same quota again is no change.
    set(Some(102_400)).await.unwrap();
    for bad in [0, 102_401, u32::MAX] {
        assert_eq!(code(set(Some(bad)).await), Code::InvalidName, "{bad}");
        let share = ShareCreate {
            name: "second".into(),
            quota_gib: Some(bad),
        };
        let made = admin.create_share("contoso", "acct1", &share).await;
        assert_eq!(code(made), Code::InvalidName, "{bad}");
    }
    assert_eq!(now().await, Some(102_400));
    let gone = admin
        .set_share_quota(
            "contoso",
            "acct1",
            "gone",
            &ShareQuota { quota_gib: Some(1) },
        )
        .await;
    assert_eq!(code(gone), Code::ShareNotFound);
    set(Some(1)).await.unwrap();
    let host = service.host("acct1", "fs1").await;
    let state = match host.host_state("contoso", "acct1", None, 0).await.unwrap() {
        HostStateAnswer::State { state, .. } => state,
        HostStateAnswer::Unchanged => panic!("nothing was known before"),
    };
    assert_eq!(state.shares[0].quota_gib, Some(1));
    set(None).await.unwrap();
    assert_eq!(now().await, None);

    // A fraction of a GiB is refused, and a body without the field does not remove a quota.
    let share = ShareCreate {
        name: "second".into(),
        quota_gib: Some(5),
    };
    let made = admin
        .create_share("contoso", "acct1", &share)
        .await
        .unwrap();
    assert_eq!(made.quota_gib, Some(5));
    for body in [
        "{}",
        r#"{"quota_gib":1.5}"#,
        r#"{"quota_gib":-1}"#,
        r#"{"quota_gib":"1"}"#,
        r#"{"quota_gib":4294967297}"#,
    ] {
        assert_eq!(put_quota(&service, body).await, 400, "{body}");
    }
    let share = admin.share("contoso", "acct1", "second").await.unwrap();
    assert_eq!(share.quota_gib, Some(5));
    assert_eq!(put_quota(&service, r#"{"quota_gib":5}"#).await, 200);
    // A share that is created again has the quota of its creation.
    admin
        .delete_share("contoso", "acct1", "second")
        .await
        .unwrap();
    let again = ShareCreate {
        name: "second".into(),
        quota_gib: None,
    };
    let made = admin
        .create_share("contoso", "acct1", &again)
        .await
        .unwrap();
    assert_eq!(made.quota_gib, None);

    let events = admin
        .events("contoso", &EventQuery::default())
        .await
        .unwrap();
    let changes: Vec<&str> = events
        .iter()
        .filter(|event| event.action == "share.set-quota")
        .map(|event| event.detail.as_str())
        .collect();
    let expected = [
        "102400 GiB, was none",
        "1 GiB, was 102400 GiB",
        "none, was 1 GiB",
    ];
    let mut sorted = changes.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, {
        let mut all = expected;
        all.sort_unstable();
        all
    });
}
