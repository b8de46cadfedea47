//! Users of MIT's Kerberos, who reach all nodes by one name.

use crossrealm_lab::story::CLOUD_REALM;
use crossrealm_lab::{Place, REALM, USER_PASSWORD};

use super::{Scene, State, outcome};
use crate::history::{Class, Operation};
use crate::schedule::Chance;
use crate::world::people::{PAC_SPN, WRITER, everybody, ticket_rights};

/// A user fetches a fresh ticket with the referral that they hold.
pub(super) fn ticket(scene: &Scene, state: &mut State, _: &mut Chance) {
    let users: Vec<&str> = everybody().collect();
    let Some(user) = users.get(state.round % users.len()) else {
        return;
    };
    let story = &scene.ground.story;
    let cache = format!("ticket-{}", state.round);
    let file = story.world.path(Place::Client, &format!("{cache}.ccache"));
    let own = story.world.path(Place::Client, &format!("{user}.ccache"));
    if std::fs::copy(own, &file).is_err() {
        return;
    }
    let kvno = story
        .user(&cache, "kvno")
        .arg(format!("{PAC_SPN}@{CLOUD_REALM}"));
    let rights = ticket_rights(user);
    let operation = Operation::Use { rights };
    let refusals = ["revoked", "KDC policy"];
    scene
        .journal
        .record_ticket(Class::Ticket, operation, Some(&file), || {
            outcome(&kvno, &refusals)
        });
}

/// A user signs in to AD and fetches a referral.
pub(super) fn sign_in(scene: &Scene, state: &mut State, _: &mut Chance) {
    let story = &scene.ground.story;
    if !state.round.is_multiple_of(4) {
        return;
    }
    let script = "kinit \"$1\" && kvno -q \"$2\"";
    let run = story.user("sign-in", "sh").args(["-c", script, "sh"]);
    let run = run.arg(format!("{WRITER}@{REALM}"));
    let run = run.arg(format!("krbtgt/{CLOUD_REALM}@{REALM}"));
    let run = run.stdin(format!("{USER_PASSWORD}\n"));
    let user = WRITER.to_owned();
    let operation = Operation::SignIn { user };
    scene
        .journal
        .record(Class::SignIn, operation, || outcome(&run, &[]));
}
