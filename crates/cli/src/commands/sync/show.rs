//! The lines of `crossrealm sync plan`.

use crate::output::{Column, column};
use crossrealm_agent::comparison::Comparison;
use crossrealm_onprem::sync::{Position, SyncPlan};
use crossrealm_types::IdentityKind;
use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// One line of a plan.
#[derive(Serialize)]
pub(super) struct Planned {
    action: &'static str,
    kind: &'static str,
    name: String,
    detail: String,
}

pub(super) const PLANNED: &[Column] = &[
    column("Action", "/action"),
    column("IdentityKind", "/kind"),
    column("Name", "/name"),
    column("Detail", "/detail"),
];

/// The lines of a plan.
pub(super) fn planned(comparison: &Comparison) -> Vec<Planned> {
    let plan: &SyncPlan = &comparison.plan;
    let kind = |kind| match kind {
        IdentityKind::User => "user",
        IdentityKind::Group => "group",
    };
    let names: BTreeMap<Uuid, &str> = comparison
        .observed
        .present()
        .map(|object| (object.account.guid, object.account.account_name.as_str()))
        .collect();
    let name_of = |guid: &Uuid| match names.get(guid) {
        Some(name) => (*name).to_owned(),
        None => guid.to_string(),
    };
    let creates = plan.creates.iter().map(|account| Planned {
        action: "create",
        kind: kind(account.kind),
        name: account.account_name.clone(),
        detail: account.sid.to_string(),
    });
    let updates = plan.updates.iter().map(|update| Planned {
        action: "update",
        kind: kind(update.after.kind),
        name: update.after.account_name.clone(),
        detail: update.changed().join(", "),
    });
    let memberships = plan.memberships.iter().map(|membership| {
        let signed = |sign: char, guids: &[Uuid]| -> Vec<String> {
            guids
                .iter()
                .map(|guid| format!("{sign}{}", name_of(guid)))
                .collect()
        };
        let all = [
            signed('+', &membership.add),
            signed('-', &membership.remove),
        ]
        .concat();
        Planned {
            action: "members",
            kind: "group",
            name: membership.name.clone(),
            detail: all.join(" "),
        }
    });
    let deletes = plan.deletes.iter().map(|account| Planned {
        action: "delete",
        kind: kind(account.kind),
        name: account.account_name.clone(),
        detail: account.sid.to_string(),
    });
    let mut all: Vec<_> = creates
        .chain(updates)
        .chain(memberships)
        .chain(deletes)
        .collect();
    let order = |planned: &Planned| {
        ["create", "update", "members", "delete"]
            .iter()
            .position(|action| *action == planned.action)
    };
    all.sort_by(|a, b| (order(a), b.kind, &a.name).cmp(&(order(b), a.kind, &b.name)));
    all
}

/// How changes are found.
pub(super) fn source(position: &Position) -> &'static str {
    match position {
        Position::DirSync {
            sees_deleted: true, ..
        } => "DirSync",
        Position::DirSync { .. } => "DirSync; deletions by a full sync every 15 minutes",
        Position::Usn {
            sees_deleted: true, ..
        } => "uSNChanged, deleted objects",
        Position::Usn { .. } => "uSNChanged; deletions by a full sync every 15 minutes",
    }
}
