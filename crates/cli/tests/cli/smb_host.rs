//! `crossrealm files serve` against a running service: what appears, what is refused, and that nothing outlives it.
//!
//! Needs root and the packages of Samba; elsewhere it reports that and passes, unless `CROSSREALM_REQUIRE_WORLD` is set. The
//! opening of shares with tickets is the lab's story; here it is the host itself.

use super::common::{Cloud, PATIENCE, free_port, reachable, until};
use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A running `files serve`.
struct Host {
    child: Child,
    lines: Receiver<String>,
    port: u16,
}

impl Host {
    fn start(cloud: &Cloud) -> Self {
        let port = free_port();
        let mut child = cloud
            .host_command(
                "acct1",
                &["files", "serve", "--account", "acct1", "--listen"],
            )
            .arg(format!("127.0.0.1:{port}"))
            .arg("--data")
            .arg(cloud.data())
            .arg("--state")
            .arg(state(cloud, ""))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let host = Self { child, lines, port };
        host.serving();
        host
    }

    /// Waits for the next `serving …`.
    fn serving(&self) {
        let line = self
            .lines
            .recv_timeout(PATIENCE)
            .expect("a line that reports that it serves");
        let expected = format!("on 127.0.0.1:{}", self.port);
        assert!(
            line.starts_with("serving acct1.file.contoso.cloud.example "),
            "{line}"
        );
        assert!(line.ends_with(&expected), "{line}");
        assert!(reachable(self.port));
    }

    /// All processes below it, by id and start, so that a reused id is not taken for the old process.
    fn family(&self) -> HashSet<(u32, String)> {
        let mut all = HashSet::new();
        let mut open = vec![self.child.id()];
        while let Some(pid) = open.pop() {
            for child in children(pid) {
                all.extend(start_of(child).map(|start| (child, start)));
                open.push(child);
            }
        }
        all
    }

    /// A file in the host's own `/run/samba`.
    fn inside(&self, file: &str) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/root/run/samba/{file}",
            self.process("smbd")
        ))
    }

    fn process(&self, name: &str) -> u32 {
        let pids = self.family().into_iter().map(|(pid, _)| pid);
        let named = |pid: &u32| {
            let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            comm.trim() == name
        };
        pids.filter(named)
            .min()
            .unwrap_or_else(|| panic!("no {name}"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let lists = tasks.into_iter().flatten().flatten();
    let lists = lists.map(|task| fs::read_to_string(task.path().join("children")));
    let lists: Vec<String> = lists.flatten().collect();
    let pids = lists.iter().flat_map(|list| list.split_whitespace());
    pids.map(|pid| pid.parse().unwrap()).collect()
}

fn start_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let behind_name = stat.rsplit(')').next()?;
    behind_name.split_whitespace().nth(19).map(str::to_owned)
}

fn signal(pid: u32, name: &str) {
    let status = crossrealm_programs::shell(&format!("kill -{name} {pid}"))
        .status()
        .unwrap();
    assert!(status.success());
}

fn gone(family: &HashSet<(u32, String)>) -> bool {
    family
        .iter()
        .all(|(pid, start)| start_of(*pid).as_ref() != Some(start))
}

fn sections(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with('['));
    lines.map(str::to_owned).collect()
}

/// A file of the host's own state.
fn state(cloud: &Cloud, file: &str) -> PathBuf {
    cloud.data().with_file_name("state").join(file)
}

/// Whether the test can run here; prints the reason where it cannot.
fn can_run() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let samba = ["smbd", "winbindd", "smbclient"].map(crossrealm_programs::find);
    let can = root && samba.iter().all(Option::is_some);
    if !can {
        let why = "needs root, samba, winbind, libnss-winbind and smbclient";
        assert!(
            std::env::var_os("CROSSREALM_REQUIRE_WORLD").is_none(),
            "{why}"
        );
        eprintln!("skipped: {why}");
    }
    can
}

/// `files serve` for the account with these folders and this address.
fn serve(cloud: &Cloud, data: &Path, listen: &str) -> Command {
    let args = ["files", "serve", "--account", "acct1", "--listen", listen];
    let mut command = cloud.host_command("acct1", &args);
    command.arg("--data").arg(data);
    command.arg("--state").arg(state(cloud, ""));
    command
}

/// The exit code of a command that does not serve, and its stderr.
fn refused(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

/// The same command behind a shell in a mount namespace of its own, where `prepare` was run.
fn behind(prepare: &str, command: &Command) -> Command {
    let script = format!("{prepare} && exec \"$@\"");
    let shell = crossrealm_programs::shell(&script);
    let mut unshare = crossrealm_programs::command("unshare");
    unshare
        .arg("--mount")
        .arg(shell.get_program())
        .args(shell.get_args())
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        unshare.env(name, value.unwrap());
    }
    unshare
}

#[test]
fn a_host_that_cannot_serve_reports_the_reason() {
    if !can_run() {
        return;
    }
    let cloud = Cloud::start();
    let data = cloud.data();
    let expect = |command: Command, words: &[&str]| {
        let (code, stderr) = refused(command);
        assert_eq!(code, Some(1), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "`{word}` is missing in: {stderr}");
        }
    };

    // A port in use, and an address of another machine.
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    expect(
        serve(&cloud, &data, &taken),
        &["the port is in use", "hint: "],
    );
    let nowhere = serve(&cloud, &data, "192.0.2.1:4450");
    expect(nowhere, &["cannot listen on 192.0.2.1:4450", "hint: "]);

    // A package that is missing, a data directory that is read-only, one that is full.
    let fine = serve(&cloud, &data, "127.0.0.1:1");
    let missing = behind("mount --bind /dev/null /usr/sbin/winbindd", &fine);
    expect(
        missing,
        &["`winbindd` is missing", "apt-get install winbind"],
    );
    let folder = data.with_file_name("other");
    fs::create_dir(&folder).unwrap();
    let there = folder.display();
    let other = serve(&cloud, &folder, "127.0.0.1:1");
    let read_only = format!("mount -t tmpfs -o ro none '{there}'");
    expect(
        behind(&read_only, &other),
        &["Read-only file system", "remount it read-write"],
    );
    let full = format!(
        "mount -t tmpfs -o size=8k none '{there}' && head -c 8192 /dev/zero > '{there}/fill'"
    );
    expect(
        behind(&full, &other),
        &["No space left on device", "free some space"],
    );

    // A token that is none; one that is another account's; an account that is not there; two accounts at one address.
    let mut stranger = serve(&cloud, &data, "127.0.0.1:1");
    stranger.env("CROSSREALM_TOKEN", format!("xr_{}", "0".repeat(64)));
    expect(
        stranger,
        &[
            "does not accept this host for storage account `acct1`",
            "unknown, has ended or was revoked",
            "host-token acct1",
        ],
    );
    cloud.ok(&["storage-account", "create", "acct2"]);
    let token = cloud.ok(&["storage-account", "host-token", "acct2"]).stdout;
    let mut other = serve(&cloud, &data, "127.0.0.1:1");
    other.env("CROSSREALM_TOKEN", String::from_utf8(token).unwrap().trim());
    expect(other, &["is the host of storage account `acct2`"]);
    let no_account = cloud.command(&["files", "serve", "--account", "nosuch"]);
    expect(no_account, &["the token of an SMB host"]);
    let bad = cloud.command(&["files", "serve", "--account", "../../x"]);
    expect(bad, &["is not the name of a storage account"]);
    let two = ["files", "serve", "--account", "acct1", "--account", "acct2"];
    expect(
        cloud.command(&two),
        &["2 accounts need 2 addresses", "--listen"],
    );

    // Names that mean something to Samba or to a path never become shares.
    for name in [
        "global", "homes", "printers", "ipc$", "admin$", "..", "../etc", "a/b",
    ] {
        let (code, stderr) = refused(cloud.command(&["share", "create", &format!("acct1/{name}")]));
        // 2 for what is no ACCOUNT/SHARE at all.
        assert!(matches!(code, Some(1 | 2)), "{name}: {stderr}");
    }
    // An account is deleted with its shares only with `--force`.
    let guarded = cloud.command(&["storage-account", "delete", "acct1"]);
    expect(guarded, &["has a share", "--force"]);
    let kept = data.join("acct1/shares/kept");
    fs::write(&kept, "data").unwrap();
    cloud.ok(&["storage-account", "delete", "acct1", "--force"]);
    assert!(kept.exists(), "files stay");
}

#[test]
fn a_host_follows_its_account_and_leaves_no_process() {
    if !can_run() {
        return;
    }
    let cloud = Cloud::start();
    let host = Host::start(&cloud);

    // The keys are for root only, the folder around the shares too, and the share has its Windows permissions.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let keys = host.inside("keytab");
    assert_eq!(mode(&keys), 0o600);
    assert_eq!(mode(&cloud.data().join("acct1")), 0o700);
    let share = cloud.data().join("acct1/shares/projects");
    assert!(share.is_dir());

    // No one gets in without a ticket.
    for user in [&["-N"][..], &["-U", "root%x"]] {
        let list = crossrealm_programs::command("smbclient")
            .args(["-L", "127.0.0.1", "-p", &host.port.to_string()])
            .args(user)
            .output()
            .unwrap();
        assert!(!list.status.success(), "{list:?}");
        assert!(!String::from_utf8_lossy(&list.stdout).contains("projects"));
    }

    // A new share comes into view, a deleted one goes; the files of the deleted one stay.
    let conf = host.inside("conf/smb.conf");
    fs::write(share.join("precious"), "data").unwrap();
    cloud.ok(&["share", "create", "acct1/archive"]);
    until("the new share is served", || {
        sections(&conf) == ["[global]", "[IPC$]", "[archive]", "[projects]"]
    });
    cloud.ok(&["share", "delete", "acct1/projects"]);
    until("the deleted share is gone", || {
        sections(&conf) == ["[global]", "[IPC$]", "[archive]"]
    });
    assert_eq!(fs::read_to_string(share.join("precious")).unwrap(), "data");

    // A new key arrives without a restart.
    let smbd = host.process("smbd");
    let keytab = fs::read(&keys).unwrap();
    cloud.ok(&["storage-account", "rotate-key", "acct1", "--key", "kerb1"]);
    until("the new key is there", || {
        fs::read(&keys).unwrap() != keytab
    });
    assert_eq!(host.process("smbd"), smbd);

    // What cannot be served keeps nothing else from being served: a name that means something to Samba, a folder that is
    // none. When the obstacle is gone, the share comes.
    let blocked = cloud.data().join("acct1/shares/blocked");
    fs::write(&blocked, "").unwrap();
    cloud.ok(&["share", "create", "acct1/blocked"]);
    let homes = cloud
        .command(&["share", "create", "acct1/homes"])
        .output()
        .unwrap();
    assert!(homes.status.code().is_some());
    cloud.ok(&["share", "create", "acct1/later"]);
    let served = ["[global]", "[IPC$]", "[archive]", "[later]"];
    until("the share after it is served", || sections(&conf) == served);
    fs::remove_file(&blocked).unwrap();
    let served = ["[global]", "[IPC$]", "[archive]", "[blocked]", "[later]"];
    until("the share is served once it can be", || {
        sections(&conf) == served
    });

    // A second host on the same state is refused.
    let second = serve(&cloud, &cloud.data(), "127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("already uses"));

    // winbindd is started anew below a living smbd; with smbd everything is.
    signal(host.process("winbindd"), "KILL");
    until("winbindd is back", || {
        host.family().len() > 3 && reachable(host.port)
    });
    assert_eq!(host.process("smbd"), smbd);
    let family = host.family();
    signal(smbd, "KILL");
    host.serving();
    assert!(gone(&family));

    // SIGTERM ends all of it in good order.
    let mut host = host;
    let family = host.family();
    assert!(family.len() > 3);
    signal(host.child.id(), "TERM");
    assert_eq!(host.child.wait().unwrap().code(), Some(0));
    assert!(gone(&family));
    assert!(!reachable(host.port));

    // While the API is away, a host starts with its cached state; not with a copy that was changed.
    let mut cloud = cloud;
    let copy = state(&cloud, "last-state.sealed");
    assert_eq!(mode(&copy), 0o600);
    cloud.away(|cloud| {
        let mut host = Host::start(cloud);
        signal(host.child.id(), "TERM");
        assert_eq!(host.child.wait().unwrap().code(), Some(0));
        let mut bytes = fs::read(&copy).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&copy, &bytes).unwrap();
        let (code, stderr) = refused(serve(cloud, &cloud.data(), "127.0.0.1:1"));
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("it cannot be unsealed"), "{stderr}");
        assert!(stderr.contains("it then fetches its state"), "{stderr}");
        fs::remove_file(&copy).unwrap();
        let (_, stderr) = refused(serve(cloud, &cloud.data(), "127.0.0.1:1"));
        assert!(
            stderr.contains("no state of the account is cached"),
            "{stderr}"
        );
    });

    // Killed outright, it leaves nothing behind either, and serves again afterwards.
    let mut host = Host::start(&cloud);
    let family = host.family();
    host.child.kill().unwrap();
    host.child.wait().unwrap();
    until("every process is gone", || gone(&family));
    let mut host = Host::start(&cloud);

    // With its account gone, a host ends.
    for share in ["archive", "blocked", "later"] {
        cloud.ok(&["share", "delete", &format!("acct1/{share}")]);
    }
    let _ = cloud.command(&["share", "delete", "acct1/homes"]).output();
    cloud.ok(&["storage-account", "delete", "acct1"]);
    assert_eq!(host.child.wait().unwrap().code(), Some(1));
    assert!(share.join("precious").exists());
}

/// R3: a service that was started on another database does not know the host's token, and neither does an older or an empty
/// one. The host serves on and keeps its copy; it ends when the installation it knows has revoked its token.
#[test]
fn a_host_is_not_dismissed_by_a_service_that_does_not_know_it() {
    if !can_run() {
        return;
    }
    let mut cloud = Cloud::start();
    let mut host = Host::start(&cloud);
    let copy = state(&cloud, "last-state.sealed");
    until("the state is cached", || copy.exists());
    // Another installation's database under the same certificate: the master key goes with the database.
    let files = ["crossrealm.db", "master.key"];
    let other = Cloud::start();
    other.stop();
    let aside = |cloud: &Cloud, name: &str| cloud.path(&format!("{name}.aside"));
    cloud.away(|cloud| {
        // The service was killed: its write-ahead log goes with its database.
        fs::rename(cloud.path("crossrealm.db-wal"), aside(cloud, "wal")).unwrap();
        let _ = fs::remove_file(cloud.path("crossrealm.db-shm"));
        for name in files {
            fs::rename(cloud.path(name), aside(cloud, name)).unwrap();
            fs::copy(other.path(name), cloud.path(name)).unwrap();
        }
    });
    // Far more than the two answers that end a host.
    std::thread::sleep(std::time::Duration::from_secs(10));
    assert!(host.child.try_wait().unwrap().is_none(), "it was dismissed");
    assert!(copy.exists() && reachable(host.port));
    // It also starts with its copy.
    host.child.kill().unwrap();
    host.child.wait().unwrap();
    let mut host = Host::start(&cloud);
    let conf = host.inside("conf/smb.conf");
    cloud.away(|cloud| {
        for name in files {
            fs::rename(aside(cloud, name), cloud.path(name)).unwrap();
        }
        let _ = fs::remove_file(cloud.path("crossrealm.db-shm"));
        fs::rename(aside(cloud, "wal"), cloud.path("crossrealm.db-wal")).unwrap();
    });
    cloud.ok(&["share", "create", "acct1/afterwards"]);
    until("the host follows its service again", || {
        sections(&conf).contains(&"[afterwards]".to_owned())
    });
    let revoked = cloud.client();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let tokens = revoked.host_tokens("contoso", "acct1").await.unwrap();
        let id = tokens[0].id.to_string();
        revoked
            .revoke_host_token("contoso", "acct1", &id)
            .await
            .unwrap();
    });
    assert_eq!(host.child.wait().unwrap().code(), Some(1));
    assert!(!copy.exists());
}
