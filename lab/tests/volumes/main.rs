//! Shares on file systems that can hold more than files: quotas, enforced by Btrfs and shown elsewhere, and
//! snapshots as previous versions. One world; Btrfs is
//! on a loop device of its own.

mod quotas;
mod scene;
mod snapshots;

use crossrealm_lab::need;
use scene::Scene;

#[test]
fn quotas_and_snapshots_work_on_btrfs_and_are_refused_elsewhere() {
    if need::skipped() || need::skipped_without("btrfs") {
        return;
    }
    if let Err(failure) = Scene::set().and_then(|mut scene| {
        let outcome = snapshots::all(&mut scene).and_then(|()| quotas::all(&mut scene));
        outcome.map_err(|failure| scene.with_logs(failure))
    }) {
        panic!("{failure}");
    }
}
