//! An administrator: creates and deletes objects, creates and revokes tokens, and reads both at any node.

use serde_json::{Value, json};

use super::api::{Call, call};
use super::{Scene, State};
use crate::history::{Class, Ended, NODES, Operation, Right, Store};
use crate::schedule::Chance;

/// Below the tenant.
const SHARES: &str = "tenants/contoso/storage-accounts/acct1/shares";
const PRINCIPALS: &str = "tenants/contoso/service-principals";
const TOKENS: &str = "tenants/contoso/storage-accounts/acct1/host-tokens";
/// Revoked tokens that are still tried, at most.
const MOST_TOKENS: usize = 20;

/// What was created, whether or not it was acknowledged.
#[derive(Default)]
pub(crate) struct Known {
    /// Paths in the API.
    objects: Vec<String>,
    /// Id and token.
    tokens: Vec<(String, String)>,
}

/// One call, or two.
pub(super) fn step(scene: &Scene, state: &mut State, chance: &mut Chance) {
    let node = chance.place(NODES);
    let known = &mut state.administrator;
    match chance.below(10) {
        0 | 1 => create(scene, known, node, state.round),
        2 if chance.below(3) == 0 => {
            let place = chance.place(known.objects.len());
            if let Some(path) = known.objects.get(place) {
                delete(scene, path, node);
            }
        }
        3 => create_token(scene, known, node, state.round),
        4 => {
            let place = chance.place(known.tokens.len());
            if let Some((id, _)) = known.tokens.get(place) {
                revoke_token(scene, id, node);
            }
        }
        5..=7 => {
            let place = chance.place(known.objects.len());
            if let Some(path) = known.objects.get(place) {
                read(scene, path, node);
            }
        }
        _ => {
            let place = chance.place(known.tokens.len());
            if let Some((id, token)) = known.tokens.get(place) {
                use_token(scene, id, token, node);
            }
        }
    }
}

/// Reads everything once more, at every node.
pub(super) fn read_all(scene: &Scene, known: &Known) {
    for node in 0..NODES {
        known
            .objects
            .iter()
            .for_each(|path| read(scene, path, node));
        for (id, token) in &known.tokens {
            use_token(scene, id, token, node);
        }
    }
}

fn create(scene: &Scene, known: &mut Known, node: usize, number: usize) {
    let (path, body, object) = match number % 2 {
        0 => {
            let name = format!("share{number}");
            (SHARES, json!({"name": name}), format!("{SHARES}/{name}"))
        }
        _ => {
            let name = format!("HTTP/host{number}.contoso.cloud.example");
            let path = format!("{PRINCIPALS}/{}", name.replace('/', "%2F"));
            (PRINCIPALS, json!({"spn": name}), path)
        }
    };
    known.objects.push(object.clone());
    change(
        scene,
        node,
        Right::Object(Store::Postgres, object),
        true,
        || request(scene, node, "POST", path, Some(body)).0,
    );
}

fn delete(scene: &Scene, path: &str, node: usize) {
    let right = Right::Object(Store::Postgres, path.to_owned());
    change(scene, node, right, false, || {
        // That it is not there may be due to an attempt that was not acknowledged.
        done_if_refused(request(scene, node, "DELETE", path, None).0)
    });
}

fn read(scene: &Scene, path: &str, node: usize) {
    let rights = vec![Right::Object(Store::Postgres, path.to_owned())];
    scene
        .journal
        .record(Class::Api(node), Operation::Use { rights }, || {
            request(scene, node, "GET", path, None).0
        });
}

fn create_token(scene: &Scene, known: &mut Known, node: usize, number: usize) {
    let begin = scene.journal.now();
    let body = json!({"name": format!("probe{number}")});
    let (ended, made) = request(scene, node, "POST", TOKENS, Some(body));
    let (id, token) = (&made["host_token"]["id"], &made["token"]);
    let id = id.as_str().unwrap_or("of no answer").to_owned();
    if let Some(token) = token.as_str() {
        known.tokens.push((id.clone(), token.to_owned()));
    }
    if known.tokens.len() > MOST_TOKENS {
        known.tokens.remove(0);
    }
    scene.journal.push(crate::history::Record {
        class: Class::Api(node),
        begin,
        end: scene.journal.now(),
        operation: Operation::Change {
            right: Right::Token(Store::Postgres, id),
            on: true,
        },
        ended,
        ticket: None,
        sids: Vec::new(),
    });
}

fn revoke_token(scene: &Scene, id: &str, node: usize) {
    let right = Right::Token(Store::Postgres, id.to_owned());
    change(scene, node, right, false, || {
        done_if_refused(request(scene, node, "DELETE", &format!("{TOKENS}/{id}"), None).0)
    });
}

fn use_token(scene: &Scene, id: &str, token: &str, node: usize) {
    let rights = vec![Right::Token(Store::Postgres, id.to_owned())];
    let wanted = Call {
        node,
        method: "GET",
        path: "whoami",
        body: None,
        token: Some(token),
    };
    scene
        .journal
        .record(Class::Api(node), Operation::Use { rights }, || {
            call(scene, &wanted).0
        });
}

/// Gives a user a role of their own, or takes it.
pub(super) fn set_role(scene: &Scene, node: usize, user: &str, share: &str, on: bool) -> Ended {
    let path = format!("{SHARES}/{share}/grants");
    let to = crate::world::people::upn(user);
    match on {
        true => {
            request(
                scene,
                node,
                "PUT",
                &path,
                Some(json!({"to": to, "role": "contributor"})),
            )
            .0
        }
        false => done_if_refused(request(scene, node, "DELETE", &format!("{path}/{to}"), None).0),
    }
}

fn change(scene: &Scene, node: usize, right: Right, on: bool, work: impl FnOnce() -> Ended) {
    let operation = Operation::Change { right, on };
    scene.journal.record(Class::Api(node), operation, work);
}

/// The end of what is gone already.
fn done_if_refused(ended: Ended) -> Ended {
    match ended {
        Ended::Refused(reason) if reason.starts_with("404") => Ended::Done,
        other => other,
    }
}

/// A call of the administrator.
pub(super) fn request(
    scene: &Scene,
    node: usize,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> (Ended, Value) {
    let token = None;
    call(
        scene,
        &Call {
            node,
            method,
            path,
            body,
            token,
        },
    )
}
