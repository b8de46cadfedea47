//! What a command shows at a terminal while a person waits for it, and shows nobody else.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

/// A service that takes its time and then hangs up. Returns its address.
fn slow_service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 16]);
            thread::sleep(Duration::from_millis(2_000));
        }
    });
    address
}

const ARGS: &str = "tenant list";

fn environment(command: &mut Command, home: &tempfile::TempDir) {
    command
        .env("CROSSREALM_SERVER", slow_service())
        .env("CROSSREALM_TOKEN", "x")
        .env("XDG_CONFIG_HOME", home.path())
        .env("TERM", "xterm")
        .stdin(Stdio::null());
}

/// The command at a terminal, which `script` makes.
fn at_terminal(options: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut script = crossrealm_programs::command("script");
    script.args(["--quiet", "--return", "--command"]);
    let program = env!("CARGO_BIN_EXE_crossrealm");
    script.arg(format!("exec {program} {ARGS} {options}"));
    script.arg("/dev/null");
    environment(&mut script, &home);
    let output = script.output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn at_pipes() -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut command = crossrealm_programs::built(env!("CARGO_BIN_EXE_crossrealm"));
    command.args(ARGS.split(' '));
    environment(&mut command, &home);
    command.output().unwrap()
}

const DOING: &str = "waiting for the service";

#[test]
fn a_person_at_a_terminal_sees_that_something_goes_on() {
    let shown = at_terminal("");
    assert!(shown.contains(DOING), "{shown:?}");
    // More than one picture of it, in one line, which is gone before the outcome is written.
    assert!(shown.matches(DOING).count() > 3, "{shown:?}");
    let (before, after) = shown.rsplit_once(DOING).unwrap();
    assert!(!before.contains('\n'), "{shown:?}");
    assert!(
        after.contains("\u{1b}[2K") && after.contains("error: "),
        "{shown:?}"
    );
}

#[test]
fn nothing_of_it_is_in_json_or_in_a_pipe() {
    let json = at_terminal("-o json");
    assert!(!json.contains(DOING) && !json.contains('\u{1b}'), "{json}");
    assert!(json.trim().starts_with('{'), "{json}");
    let piped = at_pipes();
    let text = String::from_utf8(piped.stderr).unwrap();
    assert!(!piped.status.success() && text.starts_with("error: "));
    assert!(!text.contains(DOING) && !text.contains(['\r', '\u{1b}']));
}
