//! The only client of the service on SQLite: an administrator, a sync agent and alice in one.

use crossrealm_api::{ClientError, HostTokenCreate};
use crossrealm_testkit::trusted_tenant::{ACCOUNT, TENANT};
use crossrealm_types::StorageAccountCreate;

use super::{Scene, State};
use crate::history::{Class, Ended, Operation, Record, Right, Store};
use crate::schedule::Chance;

/// How often alice asks for a ticket after each change.
const TICKETS: usize = 3;
const MOST_TOKENS: usize = 20;

/// What was created, whether or not it was acknowledged.
#[derive(Default)]
pub(crate) struct Known {
    accounts: Vec<String>,
    tokens: Vec<(String, String)>,
}

pub(super) fn step(scene: &Scene, state: &mut State, chance: &mut Chance) {
    let (known, number) = (&mut state.solo, state.round);
    match chance.below(6) {
        0 => create_account(scene, known, number),
        1 => create_token(scene, known, number),
        2 => {
            let place = chance.place(known.tokens.len());
            if let Some((id, _)) = known.tokens.get(place) {
                revoke_token(scene, id);
            }
        }
        3 => {
            for on in [false, true] {
                let right = Right::SoloEnabled;
                let operation = Operation::Change { right, on };
                scene.journal.record(Class::SoloApi, operation, || {
                    of_result(scene.ground.solo.sync(on)).0
                });
                (0..TICKETS).for_each(|_| ticket(scene));
            }
        }
        4 => {
            let place = chance.place(known.accounts.len());
            if let Some(name) = known.accounts.get(place) {
                read_account(scene, name);
            }
        }
        _ => {
            ticket(scene);
            let place = chance.place(known.tokens.len());
            if let Some((id, token)) = known.tokens.get(place) {
                use_token(scene, id, token);
            }
        }
    }
}

/// Reads everything once more.
pub(super) fn read_all(scene: &Scene, known: &Known) {
    known
        .accounts
        .iter()
        .for_each(|name| read_account(scene, name));
    for (id, token) in &known.tokens {
        use_token(scene, id, token);
    }
}

fn ticket(scene: &Scene) {
    let rights = vec![Right::SoloEnabled];
    let work = || scene.ground.solo.ticket();
    scene
        .journal
        .record(Class::SoloTicket, Operation::Use { rights }, work);
}

fn create_account(scene: &Scene, known: &mut Known, number: usize) {
    let solo = &scene.ground.solo;
    let name = format!("solo{number}");
    known.accounts.push(name.clone());
    let right = Right::Object(Store::Sqlite, name.clone());
    let new = StorageAccountCreate {
        name,
        aliases: vec![],
    };
    let operation = Operation::Change { right, on: true };
    scene.journal.record(Class::SoloApi, operation, || {
        of_result(
            solo.runtime
                .block_on(solo.admin.create_storage_account(TENANT, &new)),
        )
        .0
    });
}

fn read_account(scene: &Scene, name: &str) {
    let solo = &scene.ground.solo;
    let rights = vec![Right::Object(Store::Sqlite, name.to_owned())];
    scene
        .journal
        .record(Class::SoloApi, Operation::Use { rights }, || {
            of_result(
                solo.runtime
                    .block_on(solo.admin.storage_account(TENANT, name)),
            )
            .0
        });
}

fn create_token(scene: &Scene, known: &mut Known, number: usize) {
    let solo = &scene.ground.solo;
    let new = HostTokenCreate {
        name: format!("probe{number}"),
    };
    let begin = scene.journal.now();
    let made = solo
        .runtime
        .block_on(solo.admin.create_host_token(TENANT, ACCOUNT, &new));
    let (ended, made) = of_result(made);
    let mut id = "of no answer".to_owned();
    if let Some(made) = made {
        id = made.host_token.id.to_string();
        known
            .tokens
            .push((id.clone(), made.token.expose().to_owned()));
    }
    if known.tokens.len() > MOST_TOKENS {
        known.tokens.remove(0);
    }
    scene.journal.push(Record {
        class: Class::SoloApi,
        begin,
        end: scene.journal.now(),
        operation: Operation::Change {
            right: Right::Token(Store::Sqlite, id),
            on: true,
        },
        ended,
        ticket: None,
        sids: Vec::new(),
    });
}

fn revoke_token(scene: &Scene, id: &str) {
    let solo = &scene.ground.solo;
    let right = Right::Token(Store::Sqlite, id.to_owned());
    let operation = Operation::Change { right, on: false };
    scene.journal.record(Class::SoloApi, operation, || {
        let revoked = solo
            .runtime
            .block_on(solo.admin.revoke_host_token(TENANT, ACCOUNT, id));
        match of_result(revoked).0 {
            Ended::Refused(reason) if reason.starts_with("404") => Ended::Done,
            other => other,
        }
    });
}

fn use_token(scene: &Scene, id: &str, token: &str) {
    let solo = &scene.ground.solo;
    let rights = vec![Right::Token(Store::Sqlite, id.to_owned())];
    scene
        .journal
        .record(Class::SoloApi, Operation::Use { rights }, || {
            match solo.client(token) {
                Ok(client) => of_result(solo.runtime.block_on(client.whoami())).0,
                Err(failure) => Ended::Failed(failure.to_string()),
            }
        });
}

/// How a call ended, and its answer.
fn of_result<T>(result: Result<T, ClientError>) -> (Ended, Option<T>) {
    match result {
        Ok(answer) => (Ended::Done, Some(answer)),
        Err(error) => {
            let status = error.refusal().map(|refusal| refusal.status);
            let text = format!("{} {error}", status.unwrap_or_default());
            let decided =
                status.is_some_and(|status| (400..=428).contains(&status) && status != 408);
            match decided {
                true => (Ended::Refused(text), None),
                false => (Ended::Failed(text), None),
            }
        }
    }
}
