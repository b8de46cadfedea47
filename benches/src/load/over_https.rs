//! Through the API: HTTPS, a connector's token, the database on disk.

use std::path::Path;
use std::time::Instant;

use crossrealm_api::{
    ApplyIdentities, ConnectorCreate, IdentityChange, PageQuery, SyncDomain, TenantCreate,
};
use crossrealm_testkit::trusted_tenant::sync_run;
use crossrealm_types::{IdentityKind, IdentityState, SyncedIdentity};

use super::People;
use crate::service::Service;
use uuid::Uuid;

const TENANT: &str = "contoso";
const DOMAIN: &str = "corp.contoso.com";
const SID: &str = "S-1-5-21-1111-2222-3333";
/// Identities in a request.
const BATCH: u32 = 1_000;
/// Groups in a request of memberships.
const GROUPS: u32 = 200;
/// Direct users of a group.
const MEMBERS: u32 = 50;

/// Rates per second.
#[derive(Debug)]
pub(super) struct Found {
    pub made: f64,
    pub unchanged: f64,
    pub memberships: f64,
    pub read: f64,
}

/// Loads a fresh service.
///
/// # Errors
/// When anything is refused, or not all come back.
pub(super) async fn load(product: &Path, people: People) -> Result<Found, String> {
    let service = Service::start(product)?;
    let said = |error: crossrealm_api::ClientError| error.to_string();
    let wanted = TenantCreate {
        name: TENANT.into(),
        ..TenantCreate::default()
    };
    service.admin.create_tenant(&wanted).await.map_err(said)?;
    let apply = async |client: &crossrealm_api::Client, changes| {
        let result = client
            .apply_identities(TENANT, DOMAIN, &request(changes))
            .await;
        let result = result.map_err(|error| error.to_string())?;
        match result.refused.first() {
            Some(refused) => Err(format!("refused: {refused:?}")),
            None => Ok(result),
        }
    };
    apply(&service.admin, Vec::new()).await?;
    let wanted = ConnectorCreate {
        domain: DOMAIN.into(),
        rotate_trust: false,
    };
    let made = service.admin.create_connector(TENANT, &wanted).await;
    let agent = service.client(&made.map_err(said)?.token)?;

    let all = people.users + people.groups;
    let mut rates = [0.0; 2];
    for (again, rate) in rates.iter_mut().enumerate() {
        let began = Instant::now();
        let mut counted = 0;
        for first in (0..all).step_by(BATCH as usize) {
            let changes = (first..all.min(first + BATCH))
                .map(|n| object(n, people))
                .collect();
            let result = apply(&agent, changes).await?;
            counted += [result.created, result.unchanged][again];
        }
        *rate = f64::from(all) / began.elapsed().as_secs_f64();
        if u64::from(all) != counted {
            return Err(format!("{counted} of {all} were taken"));
        }
    }

    let began = Instant::now();
    let mut added = 0;
    for first in (0..people.groups).step_by(GROUPS as usize) {
        let last = people.groups.min(first + GROUPS);
        let changes = (first..last).map(|n| members(n, people)).collect();
        added += apply(&agent, changes).await?.memberships_added;
    }
    let memberships = added as f64 / began.elapsed().as_secs_f64();

    let began = Instant::now();
    let (mut after, mut read) = (None::<String>, 0);
    loop {
        let page = agent
            .domain_identities(
                TENANT,
                DOMAIN,
                &PageQuery {
                    after: after.clone(),
                    limit: Some(BATCH),
                },
            )
            .await
            .map_err(said)?;
        read += page.identities.len();
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if read != all as usize {
        return Err(format!("{read} of {all} came back"));
    }
    let read = read as f64 / began.elapsed().as_secs_f64();
    let [made, unchanged] = rates;
    Ok(Found {
        made,
        unchanged,
        memberships,
        read,
    })
}

fn object_guid(n: u32) -> Uuid {
    // Scattered, as those of AD are.
    let high = n.wrapping_mul(2_654_435_761);
    format!("{high:08x}-1111-4111-8111-{n:012x}")
        .parse()
        .expect("a GUID")
}

fn object(n: u32, people: People) -> IdentityChange {
    let is_user = n < people.users;
    let (kind, upn, rid) = match is_user {
        true => (IdentityKind::User, format!("account{n}@{DOMAIN}"), 513),
        false => (IdentityKind::Group, String::new(), 0),
    };
    IdentityChange::Upsert {
        identity: SyncedIdentity {
            object_guid: object_guid(n),
            kind,
            sid: format!("{SID}-{}", 1000 + n).parse().expect("a SID"),
            account_name: format!("account{n}"),
            upn,
            display_name: format!("Account number {n} of Contoso"),
            state: IdentityState::Enabled,
            disabled_reason: None,
            primary_group_rid: rid,
            members: Vec::new(),
            more_members: false,
        },
    }
}

/// The members of the `n`th group: some users, and the group behind it, in chains of ten.
fn members(n: u32, people: People) -> IdentityChange {
    let mut add: Vec<Uuid> = (0..MEMBERS)
        .map(|k| object_guid((n * MEMBERS + k) % people.users))
        .collect();
    if n % 10 != 9 && n + 1 < people.groups {
        add.push(object_guid(people.users + n + 1));
    }
    IdentityChange::Members {
        object_guid: object_guid(people.users + n),
        add,
        remove: Vec::new(),
        elsewhere: None,
    }
}

fn request(changes: Vec<IdentityChange>) -> ApplyIdentities {
    let domain = SyncDomain {
        dns_name: DOMAIN.into(),
        flat_name: "CORP".into(),
        sid: SID.parse().expect("a SID"),
    };
    ApplyIdentities {
        last: false,
        ..sync_run(domain, changes)
    }
}
