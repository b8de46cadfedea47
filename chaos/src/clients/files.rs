//! Users of Samba's client, with the tickets that they hold.

use std::hash::{DefaultHasher, Hash, Hasher};

use crossrealm_lab::Place;

use super::{Scene, State, outcome};
use crate::history::{Class, Ended, Operation};
use crate::schedule::Chance;
use crate::world::people::{SHARE, WRITER, everybody, share_of, smbclient};

/// The sizes of files, in bytes.
const SIZES: (u64, u64) = (10, 200_000);
/// What smbclient says of a file that is not there.
const NOT_THERE: [&str; 2] = ["NT_STATUS_OBJECT_NAME_NOT_FOUND", "NT_STATUS_NO_SUCH_FILE"];
const DENIED: [&str; 2] = ["NT_STATUS_ACCESS_DENIED", "NT_STATUS_LOGON_FAILURE"];

/// Writes a new file, and reads one of those that were written.
pub(super) fn write_and_read(scene: &Scene, state: &mut State, chance: &mut Chance) {
    let path = format!("file-{}", state.round);
    let length = chance.between(SIZES.0, SIZES.1);
    let content: Vec<u8> = (0..length.div_ceil(8))
        .flat_map(|_| chance.next().to_le_bytes())
        .collect();
    let story = &scene.ground.story;
    let Ok(local) = story.world.write(Place::Client, "to-write", &content) else {
        return;
    };
    let put = smbclient(
        story,
        WRITER,
        SHARE,
        &format!("put {} {path}", local.display()),
    );
    let operation = Operation::Put {
        path: path.clone(),
        digest: digest(&content),
    };
    scene
        .journal
        .record(Class::Files, operation, || outcome(&put, &[]));
    state.files.push(path);
    let place = chance.place(state.files.len());
    if let Some(path) = state.files.get(place) {
        read(scene, path);
    }
}

/// Reads every file once more.
pub(super) fn read_all(scene: &Scene, files: &[String]) {
    files.iter().for_each(|path| read(scene, path));
}

fn read(scene: &Scene, path: &str) {
    let story = &scene.ground.story;
    let back = story.world.path(Place::Client, "read-back");
    let get = smbclient(
        story,
        WRITER,
        SHARE,
        &format!("get {path} {}", back.display()),
    );
    let operation = Operation::Get { path: path.into() };
    scene.journal.record(Class::Files, operation, || {
        let _ = std::fs::remove_file(&back);
        match outcome(&get, &NOT_THERE) {
            Ended::Done => std::fs::read(&back).map_or_else(
                |error| Ended::Failed(error.to_string()),
                |content| Ended::Content(digest(&content)),
            ),
            other => other,
        }
    });
}

/// A user opens their share, with a new session.
pub(super) fn open_share(scene: &Scene, state: &mut State, _: &mut Chance) {
    let users: Vec<&str> = everybody().collect();
    let Some(user) = users.get(state.round % users.len()) else {
        return;
    };
    let (share, rights) = share_of(user);
    let ls = smbclient(&scene.ground.story, user, share, "ls");
    let operation = Operation::Use { rights };
    scene
        .journal
        .record(Class::Tree, operation, || outcome(&ls, &DENIED));
}

/// Enough to tell files apart that nobody forges.
fn digest(content: &[u8]) -> String {
    let mut hash = DefaultHasher::new();
    content.hash(&mut hash);
    format!("{:016x}", hash.finish())
}
