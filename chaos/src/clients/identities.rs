//! The company's own administrators: disable people and enable them again, let them leave a group and come back, revoke a role
//! and grant it again. Each change is followed until the tenant says that it has it, and then left for a while.

use std::time::{Duration, Instant};

use crossrealm_lab::{DOMAIN, Place};
use serde_json::Value;

use super::administrator::{request, set_role};
use super::{LONGEST, Scene, State, outcome};
use crate::history::{Class, Ended, NODES, Operation, Record, Right};
use crate::schedule::Chance;
use crate::world::people::{DISABLED, GRANTED, GROUP, MEMBERS, ROLE_SHARE, change_in_ad, upn};

/// How long a change may take to arrive, before it is called missing.
const ARRIVES: Duration = Duration::from_secs(30);
/// How long a change is left, in milliseconds: longer than its bounds.
const LEFT_MS: (u64, u64) = (15_000, 40_000);
/// How many disablings an administrator permits: more than there are people.
const PERMIT: &str = "1000";

/// One change and its counterpart, at the end of which everybody has everything again.
pub(super) fn step(scene: &Scene, state: &mut State, chance: &mut Chance) {
    if state.round == 0 {
        all_rights()
            .iter()
            .for_each(|right| arrives(scene, chance, right, true));
    }
    let rights = all_rights();
    // Two at a time, so that one fault meets more than one.
    let first = chance.place(rights.len());
    let second = (first + 1 + chance.place(rights.len() - 1)) % rights.len();
    for on in [false, true] {
        for right in [first, second]
            .iter()
            .filter_map(|place| rights.get(*place))
        {
            set(scene, chance, right, on);
        }
        if !on {
            wait(
                scene,
                Duration::from_millis(chance.between(LEFT_MS.0, LEFT_MS.1)),
            );
        }
    }
}

fn all_rights() -> Vec<Right> {
    let mut rights: Vec<Right> = DISABLED.map(|user| Right::Enabled(user.into())).into();
    rights.extend(MEMBERS.map(|user| Right::Member(user.into(), GROUP.into())));
    rights.extend(GRANTED.map(|user| Right::Role(user.into(), ROLE_SHARE.into())));
    rights
}

/// Makes a change, again and again until it is made where it is to be kept, and follows it.
fn set(scene: &Scene, chance: &mut Chance, right: &Right, on: bool) {
    loop {
        let node = chance.place(NODES);
        if matches!(right, Right::Enabled(_)) && !on {
            permit(scene);
        }
        let operation = Operation::Change {
            right: right.clone(),
            on,
        };
        let made = match right {
            Right::Role(user, share) => scene.journal.record(Class::Api(node), operation, || {
                set_role(scene, node, user, share, on)
            }),
            _ => scene.journal.record(Class::SignIn, operation, || {
                change_in_ad(&scene.ground.story, right, on).map_or_else(
                    || Ended::Failed("not of AD".into()),
                    |run| outcome(&run, &ALREADY),
                )
            }),
        };
        if !matches!(made, Ended::Failed(_)) {
            break;
        }
        // A right that is off is given back, also at the end.
        if scene.is_over() && !on {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    if right.is_of_ad() {
        arrives(scene, chance, right, on);
    }
}

/// What AD says of a change that it has already, by an attempt before.
const ALREADY: [&str; 2] = ["already exists", "No such attribute"];

/// Waits until a node says that it knows of a change.
fn arrives(scene: &Scene, chance: &mut Chance, right: &Right, on: bool) {
    let operation = || Operation::Seen {
        right: right.clone(),
        on,
    };
    let began = Instant::now();
    let first = scene.journal.now();
    loop {
        let begin = scene.journal.now();
        if state_at(scene, chance.place(NODES), right) == Some(on) {
            let end = scene.journal.now();
            scene.journal.push(Record::new(
                Class::Sync,
                (begin, end),
                operation(),
                Ended::Done,
            ));
            return;
        }
        if began.elapsed() > ARRIVES {
            let ended = Ended::Failed(format!("not within {} s", ARRIVES.as_secs()));
            let end = scene.journal.now();
            return scene
                .journal
                .push(Record::new(Class::Sync, (first, end), operation(), ended));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What a node says of a right; `None` where it says nothing.
fn state_at(scene: &Scene, node: usize, right: &Right) -> Option<bool> {
    let ask = |path: &str| -> Option<Value> {
        let (ended, body) = request(scene, node, "GET", &format!("tenants/contoso/{path}"), None);
        ended.is_good().then_some(body)
    };
    match right {
        Right::Enabled(user) => {
            Some(ask(&format!("users/{}", upn(user)))?["user"]["state"] == "enabled")
        }
        Right::Member(user, group) => {
            let body = ask(&format!("groups/{group}"))?;
            let members = body["members"]["items"].as_array()?;
            Some(members.iter().any(|member| names(member, user)))
        }
        Right::Role(user, share) => {
            let body = ask(&format!("storage-accounts/acct1/shares/{share}"))?;
            let grants = body["grants"].as_array()?;
            Some(grants.iter().any(|grant| names(grant, user)))
        }
        _ => None,
    }
}

/// Whether a reference is to this user.
fn names(reference: &Value, user: &str) -> bool {
    ["name", "account_name", "upn"].iter().any(|field| {
        let name = reference[*field].as_str().unwrap_or_default();
        name == user || name == upn(user)
    })
}

/// Lets the next run that needs it disable people: the deletion guard counts those of an hour.
fn permit(scene: &Scene) {
    let run = scene.ground.story.crossrealm(Place::Admin);
    let run = run.args(["sync", "allow-deletions", PERMIT, "--domain", DOMAIN]);
    // Without it the change does not arrive, which is noticed there.
    let _ = run.args(["--expires", "1h"]).timeout(LONGEST).output();
}

fn wait(scene: &Scene, time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time && !scene.is_over() {
        std::thread::sleep(Duration::from_millis(100));
    }
}
