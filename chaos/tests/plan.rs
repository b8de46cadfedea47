//! The program from outside: what needs no world.

fn plan(seed: &str) -> String {
    let output = crossrealm_programs::built(env!("CARGO_BIN_EXE_chaos"))
        .args(["--plan", "--minutes", "3", "--seed", seed])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_seed_prints_the_same_schedule_each_time() {
    let first = plan("5");
    assert!(first.lines().count() > 20, "{first}");
    assert_eq!(first, plan("5"));
    assert_ne!(first, plan("6"));
}

#[test]
fn a_wrong_option_is_refused() {
    let output = crossrealm_programs::built(env!("CARGO_BIN_EXE_chaos"))
        .args(["--minutes", "many"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
