//! File shares as their users and administrators meet them: roles, file permissions, other clients, changing keys, other
//! servers. One world for all; the host is the product's own, the witnesses are Samba's tools and the disk.

mod changes;
mod clients;
mod compromise;
mod ext4;
mod foreign;
mod hosts;
mod many;
mod matrix;
mod mistakes;
mod names;
mod permissions;
mod reduced_roles;
mod revoked_users;
mod rotation;
mod scene;
mod torture;

use std::process::ExitCode;
use std::sync::Mutex;

use crossrealm_lab::{Failure, need};
use libtest_mimic::{Arguments, Failed, Trial};
use scene::Scene;

type Test = fn(&mut Scene) -> Result<(), Failure>;

/// Name and test, in the order in which they run.
const TESTS: &[&[(&str, Test)]] = &[
    matrix::TESTS,
    permissions::TESTS,
    clients::TESTS,
    names::TESTS,
    ext4::TESTS,
    rotation::TESTS,
    hosts::TESTS,
    changes::TESTS,
    compromise::TESTS,
    revoked_users::TESTS,
    reduced_roles::TESTS,
    mistakes::TESTS,
    torture::TESTS,
    foreign::TESTS,
    many::TESTS,
];

static SCENE: Mutex<Result<Option<Scene>, ()>> = Mutex::new(Ok(None));

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let skipped = need::skipped();
    let trials = TESTS.iter().flat_map(|tests| tests.iter());
    let trials = trials
        .map(|(name, test)| Trial::test(*name, move || on_scene(*test)).with_ignored_flag(skipped));
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // A static is never dropped, and the world must not outlive the tests.
    if let Ok(scene) = &mut *scene() {
        drop(scene.take());
    }
    conclusion.exit_code()
}

fn scene() -> std::sync::MutexGuard<'static, Result<Option<Scene>, ()>> {
    SCENE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Sets the scene, unless that was done, and runs the test on it.
fn on_scene(test: Test) -> Result<(), Failed> {
    let mut scene = scene();
    if let Ok(empty @ None) = &mut *scene {
        match Scene::set() {
            Ok(set) => *empty = Some(set),
            Err(failure) => {
                *scene = Err(());
                return Err(failure.to_string().into());
            }
        }
    }
    let Ok(Some(scene)) = &mut *scene else {
        return Err("not reached: the world did not start".into());
    };
    test(scene).map_err(|failure| scene.story.with_logs(failure).to_string().into())
}
