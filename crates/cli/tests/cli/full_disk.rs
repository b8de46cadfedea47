//! R11: the start on a full disk, with the space that is kept back and without it. Needs root, for a disk in memory that is seen in
//! a mount namespace alone; elsewhere it reports that and passes, unless `CROSSREALM_REQUIRE_WORLD` is set.

use crate::common::{free_port, reachable, until};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Makes an installation (`$2` is the program, `$3` its port) on a disk of its own at the folder `$1`, does `$4`, fills the disk and
/// serves.
const SERVE: &str = r#"set -e
mount -t tmpfs -o size=8m none "$1"
"$2" init --base-domain cloud.example --https-listen "127.0.0.1:$3" --dir "$1/xr" >/dev/null
if [ "$4" = without ]; then rm "$1/xr/crossrealm.db-reserve"; fi
cat /dev/zero >"$1/fill" 2>/dev/null || true
exec "$2" serve --config "$1/xr/crossrealm.toml""#;

fn start(folder: &Path, port: u16, reserve: &str) -> Child {
    let shell = crossrealm_programs::shell(SERVE);
    let mut unshare = crossrealm_programs::command("unshare");
    unshare
        .arg("--mount")
        .arg(shell.get_program())
        .args(shell.get_args())
        .arg(folder)
        .arg(env!("CARGO_BIN_EXE_crossrealm"))
        .args([&port.to_string(), reserve]);
    unshare.stdin(Stdio::null()).stderr(Stdio::piped());
    unshare.spawn().unwrap()
}

fn get(port: u16, path: &str) -> String {
    let url = format!("https://127.0.0.1:{port}{path}");
    let mut curl: Command = crossrealm_programs::command("curl");
    curl.args(["--disable", "--silent", "--insecure", &url]);
    String::from_utf8(curl.output().unwrap().stdout).unwrap()
}

fn stderr_of(service: Child) -> (Option<i32>, String) {
    let output = service.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[test]
fn r11_a_service_starts_on_a_full_disk_with_the_space_that_it_keeps_back() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        let why = "needs root";
        assert!(
            std::env::var_os("CROSSREALM_REQUIRE_WORLD").is_none(),
            "{why}"
        );
        return eprintln!("skipped: {why}");
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut service = start(folder.path(), port, "with");
    until("the service answers on a full disk", || reachable(port));
    // It serves what it reads; what it can still write depends on what was kept back.
    let authority = get(port, "/api/v1/ca");
    assert!(authority.contains("BEGIN CERTIFICATE"), "{authority}");
    service.kill().unwrap();
    let (_, log) = stderr_of(service);
    assert!(
        log.contains("with the space that was kept back") && log.contains("free space"),
        "{log}"
    );

    let service = start(folder.path(), free_port(), "without");
    let (code, log) = stderr_of(service);
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("crossrealm.db") && log.contains("hint: free space on its disk"),
        "{log}"
    );
}
