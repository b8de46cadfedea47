//! An SMB host through its life, with its own token: two accounts in one process, who is connected, a role taken away under
//! an open connection, a second host on the same data, smbd killed in mid-write, a full disk, a revoked token.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

use crossrealm_lab::story::{SERVER, Story, TENANT};
use crossrealm_lab::{Failure, Output, PATIENCE, Place, Run, Service, need, until};

/// Lets `smbclient` offer no cipher, so that what it sends can be signed at most.
const NO_CIPHER: &str = "--option=client smb3 encryption algorithms=-AES-128-GCM, -AES-128-CCM, -AES-256-GCM, -AES-256-CCM";
/// The port of the hosts with a full disk.
const R5_PORT: u16 = 3445;
const DESK: &str = "//acct1.file.contoso.cloud.example/desk";
const MORE: &str = "//acct2.file.contoso.cloud.example/more";

#[test]
fn a_host_serves_with_its_own_token() {
    if need::skipped() {
        return;
    }
    if let Err(failure) = Play::begin().and_then(|mut play| {
        let outcome = play.all();
        outcome.map_err(|failure| play.with_logs(failure))
    }) {
        panic!("{failure}");
    }
}

/// A small file system in memory, taken away when it is dropped.
struct InMemory(PathBuf);

impl InMemory {
    fn mount(at: PathBuf) -> Result<Self, Failure> {
        fs::create_dir_all(&at)?;
        let mount = Run::here("mount").args(["-t", "tmpfs", "-o", "size=40m", "xr-lab"]);
        mount.arg(&at).ok()?;
        Ok(Self(at))
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        let _ = Run::here("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// The fields' order is the order of destruction.
struct Play {
    second: Option<Service>,
    host: Option<Service>,
    disk: InMemory,
    story: Story,
}

impl Play {
    /// The story up to a configured workstation; then two accounts, their shares, and a host with a token for each.
    fn begin() -> Result<Self, Failure> {
        let story = Story::prepared()?;
        let disk = InMemory::mount(story.world.path(Place::Cloud, "files"))?;
        let play = Self {
            second: None,
            host: None,
            disk,
            story,
        };
        play.story
            .world
            .add_cloud_host("acct2.file.contoso.cloud.example")?;
        for words in [
            &["storage-account", "create", "acct2"][..],
            &["share", "create", "acct1/desk"],
            &["share", "create", "acct2/more"],
        ] {
            play.admin(words)?;
        }
        for (share, user) in [
            ("acct1/desk", "alice"),
            ("acct1/desk", "bob"),
            ("acct2/more", "bob"),
        ] {
            let upn = format!("{user}@corp.contoso.com");
            play.admin(&[
                "share",
                "grant",
                share,
                "--to",
                &upn,
                "--role",
                "contributor",
            ])?;
        }
        for user in ["alice", "bob"] {
            let ccache = format!("{user}.ccache");
            play.story
                .world
                .kinit(user, &ccache, &play.story.krb5_conf())?;
            for account in ["acct1", "acct2"] {
                let spn = format!("cifs/{account}.file.contoso.cloud.example");
                play.story.user(user, "kvno").arg(spn).ok()?;
            }
        }
        Ok(play)
    }

    fn all(&mut self) -> Result<(), Failure> {
        self.one_process_serves_two_accounts()?;
        self.nobody_comes_in_but_by_kerberos_and_smb_3()?;
        self.names_that_are_no_shares_are_refused()?;
        self.a_role_taken_away_ends_that_users_connection_alone()?;
        self.two_hosts_give_the_same_owners()?;
        self.smbd_killed_in_mid_write_loses_nothing_that_was_acknowledged()?;
        self.r9_daemons_that_hang_are_replaced()?;
        self.a_full_disk_spoils_nothing()?;
        self.r5_users_clear_a_disk_that_they_filled()?;
        self.a_revoked_host_stops()
    }

    fn one_process_serves_two_accounts(&mut self) -> Result<(), Failure> {
        let tokens = self.path("tokens");
        fs::create_dir_all(&tokens)?;
        for account in ["acct1", "acct2"] {
            let out = tokens.join(format!("{account}.token"));
            let run = self.story.crossrealm(Place::Admin);
            run.args(["storage-account", "host-token", account, "--for", "fs1"])
                .arg("--out")
                .arg(&out)
                .ok()?;
            assert_eq!(fs::metadata(&out)?.mode() & 0o777, 0o600);
        }
        // Each token is good for its own account's state and nothing else.
        let stranger = self.without_token(Place::Cloud);
        stranger
            .arg("--token-file")
            .arg(tokens.join("acct2.token"))
            .args(["storage-account", "list"])
            .refused(1)?
            .says("is the host of storage account `acct2`")?;
        let run = self
            .without_token(Place::Cloud)
            .args(["files", "serve", "--name", "fs1", "--data"])
            .arg(&self.disk.0)
            .arg("--state")
            .arg(self.path("state"))
            .arg("--host-tokens")
            .arg(&tokens)
            .args(["--account", "acct1", "--listen", "10.77.2.1:445"])
            .args(["--account", "acct2", "--listen", "10.77.2.1:1445"]);
        let mut host = self.story.world.service(Place::Cloud, "host", &run)?;
        host.wait_for_line("serving acct1.file.contoso.cloud.example", PATIENCE)?;
        host.wait_for_line("serving acct2.file.contoso.cloud.example", PATIENCE)?;
        self.host = Some(host);
        crossrealm_lab::demand_host_samba(self.smbd("smb ports = 445")?)?;
        let put = self.put("alice", DESK, 445, b"first", "first.txt")?;
        put.ok()?;
        self.put("bob", MORE, 1445, b"second", "second.txt")?.ok()?;
        let denied = self.smb("alice", MORE, 1445, "ls").refused(1)?;
        denied.says("NT_STATUS_ACCESS_DENIED")?;

        // No key lies on the disk, neither open nor in the copy for times without the API.
        for account in ["acct1", "acct2"] {
            let state = self.path("state").join(account);
            let copy = fs::read(state.join("last-state.sealed"))?;
            let seen = String::from_utf8_lossy(&copy);
            assert!(seen.starts_with('{') && !seen.contains("keytab") && !seen.contains("alice"));
            assert!(!state.join("keytab").exists());
        }
        Ok(())
    }

    fn nobody_comes_in_but_by_kerberos_and_smb_3(&self) -> Result<(), Failure> {
        let bare = || self.story.world.at(Place::Client, "smbclient");
        let password = format!("alice%{}", crossrealm_lab::USER_PASSWORD);
        for (run, why) in [
            (bare().args([DESK, "-N", "-c", "ls"]), "anonymous"),
            (
                bare().args(["-N", "-L", "//acct1.file.contoso.cloud.example"]),
                "anonymous list",
            ),
            (bare().args([DESK, "-U", "guest%", "-c", "ls"]), "guest"),
            (
                bare()
                    .args([DESK, "--use-kerberos=off", "-U", &password, "-c", "ls"])
                    .args(["-W", "CORP"]),
                "NTLM",
            ),
            (
                self.smb("alice", DESK, 445, "ls").args(["-m", "NT1"]),
                "SMB 1",
            ),
            (
                self.smb("alice", DESK, 445, "ls").args(["-m", "SMB2_10"]),
                "SMB 2",
            ),
            (
                self.smb("alice", DESK, 445, "ls").arg(NO_CIPHER),
                "signed, not encrypted",
            ),
            (
                self.smb("alice", &DESK.replace("desk", "admin$"), 445, "ls"),
                "ADMIN$",
            ),
            (
                self.smb("alice", &DESK.replace("desk", "c$"), 445, "ls"),
                "C$",
            ),
            (
                self.smb("alice", &DESK.replace("desk", "homes"), 445, "ls"),
                "homes",
            ),
            (
                self.smb("alice", &DESK.replace("desk", "alice"), 445, "ls"),
                "a home",
            ),
            (
                self.smb("alice", &DESK.replace("desk", "print$"), 445, "ls"),
                "print$",
            ),
        ] {
            let output = run.output()?;
            let refused = output.both().contains("NT_STATUS_") || output.both().contains("failed");
            if output.code == Some(0) || !refused || output.both().contains("first.txt") {
                return Err(output.failure(&format!("was expected to be refused: {why}")));
            }
        }
        // The way in that all of these differ from.
        self.smb("alice", DESK, 445, "ls")
            .ok()?
            .says("first.txt")
            .map(drop)
    }

    fn names_that_are_no_shares_are_refused(&self) -> Result<(), Failure> {
        for name in [
            "global",
            "homes",
            "printers",
            "ipc$",
            "admin$",
            "print$",
            "..",
            "../../etc",
            "a/b",
            // The share is called `desk`.
            "Desk",
            "-ab",
            "a%S",
            "a  b",
            "x]",
            "x:y",
            "a\nb",
        ] {
            let run = self.story.crossrealm(Place::Admin);
            let output = run.args(["share", "create"]).arg(format!("acct1/{name}"));
            let output = output.output()?;
            if output.code == Some(0) || !output.err().starts_with("error:") {
                return Err(output.failure("was expected to be refused as no share name"));
            }
        }
        Ok(())
    }

    fn a_role_taken_away_ends_that_users_connection_alone(&mut self) -> Result<(), Failure> {
        let (alice, bob) = (self.holds_open("alice")?, self.holds_open("bob")?);
        let sessions = self.until("both are reported", |play| {
            let host = play.shown("acct1")?;
            let users = host["sessions"].as_array().cloned().unwrap_or_default();
            let has = |name: &str| {
                users.iter().any(|one| {
                    one["user"]
                        .as_str()
                        .is_some_and(|user| user.to_lowercase().ends_with(name))
                        && one["shares"].to_string().contains("desk")
                })
            };
            Ok((has("alice") && has("bob")).then_some(host))
        })?;
        let session = &sessions["sessions"][0];
        assert_eq!(session["dialect"], "SMB3_11", "{session}");
        assert!(
            session["encryption"]
                .as_str()
                .is_some_and(|c| c.starts_with("AES-")),
            "{session}"
        );
        assert_eq!(session["client"], "10.77.2.2", "{session}");
        assert_eq!(
            (&sessions["name"], &sessions["serving"]),
            (&"fs1".into(), &true.into())
        );
        assert_eq!(sessions["kvnos"].as_array().map(Vec::len), Some(2));
        assert!(
            sessions["disk_free_bytes"]
                .as_u64()
                .is_some_and(|free| free < 40 << 20)
        );
        let table = self.admin(&["storage-account", "show", "acct1"])?;
        table.says("fs1 (serving on 10.77.2.1:445, state up to date")?;

        self.admin(&["storage-account", "hosts", "acct1"])?
            .says("from 10.77.2.2 (")?;

        let began = Instant::now();
        self.admin(&[
            "share",
            "revoke",
            "acct1/desk",
            "--to",
            "alice@corp.contoso.com",
        ])?;
        self.until("a new connection of alice is refused", |play| {
            let output = play.smb("alice", DESK, 445, "ls").output()?;
            Ok(output
                .both()
                .contains("NT_STATUS_ACCESS_DENIED")
                .then_some(()))
        })?;
        println!(
            "a revoked role refused a new connection after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        let late = |user: &str| {
            let desk = self.disk.0.join("acct1/shares/desk");
            desk.join(format!("{user}-late.txt"))
        };
        for user in ["alice", "bob"] {
            fs::write(self.flag(user, "go"), "")?;
        }
        // The process of her connection is reached a moment after the host; from then on she writes nothing more.
        let refusals = |mark| {
            let log = alice.log_from(mark);
            log.matches("NT_STATUS_NETWORK_NAME_DELETED").count()
        };
        let ended = self.until("her open connection is ended", |_| {
            Ok((refusals(0) > 0).then_some(()))
        });
        ended.map_err(|failure| failure.with(alice.log_tail()))?;
        let _ = fs::remove_file(late("alice"));
        let mark = alice.log_mark();
        self.until("she tries again", |_| {
            Ok((refusals(mark) >= 3).then_some(()))
        })?;
        self.until("bob writes", |_| Ok(late("bob").exists().then_some(())))?;
        for (user, client) in [("alice", &alice), ("bob", &bob)] {
            fs::write(self.flag(user, "stop"), "")?;
            self.until("the client ends", |play| {
                Ok(play.flag(user, "back").exists().then_some(()))
            })
            .map_err(|failure| failure.with(client.log_tail()))?;
        }
        assert!(!late("alice").exists(), "{}", alice.log_tail());
        if bob.log_from(0).contains("NT_STATUS") {
            return Err(Failure::new("bob's connection was not left alone").with(bob.log_tail()));
        }
        self.admin(&[
            "share",
            "grant",
            "acct1/desk",
            "--to",
            "alice@corp.contoso.com",
            "--role",
            "contributor",
        ])?;
        self.until("alice may come again", |play| {
            Ok((play.smb("alice", DESK, 445, "ls").output()?.code == Some(0)).then_some(()))
        })
    }

    /// A client of this user that has the share open and waits; from `go` to `stop` it writes a file by the same connection
    /// again and again.
    fn holds_open(&self, user: &str) -> Result<Service, Failure> {
        let world = &self.story.world;
        let file = world.write(Place::Client, "late.txt", "late")?;
        let script = format!(
            "{{ echo ls; while [ ! -e {go} ]; do sleep 0.05; done\n\
             while [ ! -e {stop} ]; do echo put {file} {user}-late.txt; sleep 0.1; done; }} | stdbuf -oL \"$@\"\n\
             touch {back}\n",
            go = self.flag(user, "go").display(),
            stop = self.flag(user, "stop").display(),
            file = file.display(),
            back = self.flag(user, "back").display()
        );
        let script = world.write(Place::Client, &format!("{user}-wait.sh"), script)?;
        let ccache = world.path(Place::Client, &format!("{user}.ccache"));
        let run = self.story.user(user, "sh").arg(script);
        let run = run
            .args(["smbclient", DESK, "--use-kerberos=required"])
            .arg(format!("--use-krb5-ccache={}", ccache.display()));
        world.service(Place::Client, &format!("{user} waits"), &run)
    }

    fn flag(&self, user: &str, what: &str) -> PathBuf {
        self.story
            .world
            .path(Place::Client, &format!("{user}.{what}"))
    }

    fn two_hosts_give_the_same_owners(&mut self) -> Result<(), Failure> {
        let (data, token) = (self.path("fs2-files"), self.path("fs2.token"));
        // A token reports for one host.
        let run = self.story.crossrealm(Place::Admin);
        run.args(["storage-account", "host-token", "acct1", "--for", "fs2"])
            .arg("--out")
            .arg(&token)
            .ok()?;
        let run = self
            .without_token(Place::Cloud)
            .args([
                "files",
                "serve",
                "--name",
                "fs2",
                "--account",
                "acct1",
                "--data",
            ])
            .arg(&data)
            .arg("--state")
            .arg(self.path("fs2-state"))
            .arg("--token-file")
            .arg(token)
            .args(["--listen", "10.77.2.1:2445"]);
        let mut second = self.story.world.service(Place::Cloud, "second", &run)?;
        second.wait_for_line("serving acct1", PATIENCE)?;
        // The second host meets strangers before it meets anybody of the domain.
        let smbd = self.smbd("smb ports = 2445")?.to_string();
        let stranger = Run::here("nsenter").args(["--mount", "--target", &smbd, "wbinfo"]);
        for sid in ["S-1-5-21-7-7-7-1000", "S-1-5-21-6-6-6-1000"] {
            stranger.clone().arg("--sid-to-uid").arg(sid).output()?;
        }
        self.second = Some(second);
        self.put("bob", DESK, 2445, b"b", "bob2.txt")?.ok()?;
        self.put("alice", DESK, 2445, b"a", "alice2.txt")?.ok()?;
        self.put("alice", DESK, 445, b"a", "alice1.txt")?.ok()?;
        let desks = [&self.disk.0, &data].map(|data| data.join("acct1/shares/desk"));
        let owner = |file: &str| {
            let desk = &desks[usize::from(file.contains('2'))];
            fs::metadata(desk.join(file)).map(|meta| (meta.uid(), meta.gid()))
        };
        assert_eq!(owner("alice1.txt")?, owner("alice2.txt")?);
        let sid = self.story.world.sid_of("alice")?;
        let rid: u32 = sid
            .rsplit('-')
            .next()
            .unwrap_or_default()
            .parse()
            .unwrap_or(0);
        assert_eq!(owner("alice1.txt")?.0, 100_000_000 + 8 * 1_000_000 + rid);
        assert_ne!(owner("bob2.txt")?, owner("alice2.txt")?);
        let names = self.until("both hosts are reported", |play| {
            let shown = play.show("acct1")?;
            let hosts = shown["hosts"].as_array().cloned().unwrap_or_default();
            Ok((hosts.len() == 2).then_some(hosts))
        })?;
        assert_eq!(
            (&names[0]["name"], &names[1]["name"]),
            (&"fs1".into(), &"fs2".into())
        );
        self.second
            .take()
            .map_or(Ok(()), |second| second.stop(PATIENCE))?;
        let shown = self.show("acct1")?;
        assert_eq!(shown["hosts"][1]["serving"], false, "it said goodbye");
        Ok(())
    }

    fn smbd_killed_in_mid_write_loses_nothing_that_was_acknowledged(
        &mut self,
    ) -> Result<(), Failure> {
        let content: Vec<u8> = (0..24_000_000_u32).map(|n| (n % 251) as u8).collect();
        let pipe = self.story.world.path(Place::Client, "pipe");
        Run::here("mkfifo").arg(&pipe).ok()?;
        let put = self.smb(
            "alice",
            DESK,
            445,
            &format!("put {} long.bin", pipe.display()),
        );
        let mut client = self.story.world.service(Place::Client, "long put", &put)?;
        let mut writer = fs::OpenOptions::new().write(true).open(&pipe)?;
        writer.write_all(&content[..20_000_000])?;
        let long = self.disk.0.join("acct1/shares/desk/long.bin");
        let size = || fs::metadata(&long).map_or(0, |meta| meta.len());
        self.until("a part of it arrived", |_| {
            Ok((size() > 1_000_000).then_some(()))
        })?;
        let acknowledged = size();
        let smbd = self.smbd("smb ports = 445")?;
        let mark = self.host.as_ref().map_or(0, Service::log_mark);
        Run::here("kill").args(["-KILL", &smbd.to_string()]).ok()?;
        let began = Instant::now();
        self.until("it serves again", |play| {
            let log = play
                .host
                .as_ref()
                .map(|host| host.log_from(mark))
                .unwrap_or_default();
            Ok(log.contains("serving acct1").then_some(()))
        })?;
        println!(
            "smbd served again {:.1} s after it was killed",
            began.elapsed().as_secs_f64()
        );
        // The client went away with its connection: what it has not sent yet has no reader, or only its buffer.
        let _ = writer.write_all(&content[20_000_000..]);
        drop(writer);
        self.until("the client ended", |_| Ok(client.ended().map(drop)))?;
        let kept = fs::read(&long)?;
        assert!(kept.len() as u64 >= acknowledged);
        assert!(content.starts_with(&kept), "what is there is what was sent");
        self.smb("alice", DESK, 445, "get first.txt -")
            .ok()?
            .says("first")?;
        self.put("alice", DESK, 445, &content, "long.bin")?.ok()?;
        assert_eq!(fs::read(&long)?, content);
        let host = self.until("the restart is reported", |play| {
            let host = play.shown("acct1")?;
            Ok((host["smbd_restarts"] == 1 && host["serving"] == true).then_some(host))
        })?;
        assert_eq!(host["problem"], serde_json::Value::Null);
        Ok(())
    }

    /// R9: a stopped smbd, whose connections the kernel goes on accepting, and a stopped winbindd.
    fn r9_daemons_that_hang_are_replaced(&self) -> Result<(), Failure> {
        let before = self.shown("acct1")?;
        let restarts = |host: &serde_json::Value, daemon: &str| host[daemon].as_u64().unwrap_or(0);
        for (daemon, field) in [("winbindd", "winbindd_restarts"), ("smbd", "smbd_restarts")] {
            let pid = self.daemon(daemon, "smb ports = 445")?;
            Run::here("kill").args(["-STOP", &pid.to_string()]).ok()?;
            let began = Instant::now();
            self.until("the daemon is replaced", |play| {
                let now = play.shown("acct1")?;
                let replaced = restarts(&now, field) > restarts(&before, field);
                Ok((replaced && now["serving"] == true).then_some(()))
            })?;
            println!(
                "{daemon} was replaced {:.1} s after it was stopped",
                began.elapsed().as_secs_f64()
            );
            self.until("it serves", |play| {
                let get = play.smb("alice", DESK, 445, "get first.txt -").output()?;
                Ok((get.code == Some(0)).then_some(()))
            })?;
        }
        Ok(())
    }

    fn a_full_disk_spoils_nothing(&self) -> Result<(), Failure> {
        let full = self
            .put("alice", DESK, 445, &vec![7; 60_000_000], "huge.bin")?
            .output()?;
        let reported = ["NT_STATUS_DISK_FULL", "NT_STATUS_UNSUCCESSFUL"];
        if !reported.iter().any(|status| full.both().contains(status)) {
            return Err(full.failure("was expected to report that the disk is full"));
        }
        // A change that arrives meanwhile waits for space, and what was served goes on being served.
        self.smb("alice", DESK, 445, "get first.txt -")
            .ok()?
            .says("first")?;
        self.smb("alice", DESK, 445, "del huge.bin").ok()?;
        self.put("alice", DESK, 445, b"space", "after.txt")?.ok()?;
        self.smb("alice", DESK, 445, "get after.txt -")
            .ok()?
            .says("space")?;
        self.admin(&["share", "create", "acct1/afterwards"])?;
        let folder = self.disk.0.join("acct1/shares/afterwards");
        self.until("a new share is served", |_| {
            Ok(folder.exists().then_some(()))
        })
    }

    /// R5: the host's state lay among the users' files, so that nobody could delete anything on a full disk.
    fn r5_users_clear_a_disk_that_they_filled(&self) -> Result<(), Failure> {
        let token = self.path("r5.token");
        let run = self.story.crossrealm(Place::Admin);
        run.args(["storage-account", "host-token", "acct1", "--for", "r5"])
            .arg("--out")
            .arg(&token)
            .ok()?;
        for kind in ["ext4", "btrfs"] {
            if need::skipped_without(kind) {
                continue;
            }
            let (image, at) = (self.path(&format!("{kind}.img")), self.path(kind));
            let disk = crossrealm_lab::Disk::mount(kind, &[], "128M", image, at)?;
            let serve = self
                .without_token(Place::Cloud)
                .args(["files", "serve", "--name", "r5", "--account", "acct1"])
                .args(["--listen", &format!("10.77.2.1:{R5_PORT}"), "--data"])
                .arg(&disk.at)
                .arg("--state")
                .arg(self.path(&format!("r5-state-{kind}")))
                .arg("--token-file")
                .arg(&token);
            self.fill_and_clear(kind, &serve)?;
        }
        Ok(())
    }

    /// Fills the disk of a host to its last block, restarts the host, and clears the disk over SMB.
    fn fill_and_clear(&self, kind: &str, serve: &Run) -> Result<(), Failure> {
        let start = |when: &str| -> Result<Service, Failure> {
            let name = format!("host on {when} {kind}");
            let mut host = self.story.world.service(Place::Cloud, &name, serve)?;
            host.wait_for_line("serving acct1", PATIENCE)?;
            Ok(host)
        };
        let put = |size: usize, name: &str| -> Result<Output, Failure> {
            self.put("alice", DESK, R5_PORT, &vec![7; size], name)?
                .output()
        };
        let host = start("an empty")?;
        for (size, least) in [(16 << 20, 2), (1 << 20, 0), (64 << 10, 0), (1 << 10, 0)] {
            let mut fitting = 0;
            while put(size, &format!("{size}-{fitting}"))?.code == Some(0) {
                fitting += 1;
                if fitting > 100 {
                    return Err(Failure::new("the disk of 128 MiB does not become full"));
                }
            }
            assert!(fitting >= least, "{fitting} files of {size} bytes fitted");
        }
        host.stop(PATIENCE)?;
        let host = start("a full")?;
        self.smb("alice", DESK, R5_PORT, "del 16777216-0").ok()?;
        self.until("a file fits again", |_| {
            Ok((put(1 << 20, "again")?.code == Some(0)).then_some(()))
        })?;
        // Changes of the account arrive as ever.
        self.smb("bob", DESK, R5_PORT, "ls").ok()?.says("again")?;
        host.stop(PATIENCE)
    }

    fn a_revoked_host_stops(&mut self) -> Result<(), Failure> {
        self.revoke("acct2")?;
        let began = Instant::now();
        self.until("the revoked account is served no more", |play| {
            let (reached, _) = play
                .story
                .world
                .can_connect(Place::Client, "10.77.2.1", 1445)?;
            Ok((!reached).then_some(()))
        })?;
        println!(
            "a revoked host stopped after {:.1} s",
            began.elapsed().as_secs_f64()
        );
        self.smb("alice", DESK, 445, "ls").ok()?;
        assert!(!self.path("state/acct2/last-state.sealed").exists());
        assert!(self.disk.0.join("acct2/shares/more/second.txt").exists());
        self.revoke("acct1")?;
        let Some(mut host) = self.host.take() else {
            return Err(Failure::new("no host runs"));
        };
        let code = self.until("the host ended", |_| Ok(host.ended()))?;
        let log = host.log_from(0);
        assert_eq!(code, 1, "{log}");
        assert!(
            log.contains("error: stopped serving storage account `acct1`: "),
            "{log}"
        );
        assert!(
            log.contains("error: stopped serving storage account `acct2`: "),
            "{log}"
        );
        assert!(log.contains("host-token acct"), "{log}");
        let again = self
            .without_token(Place::Cloud)
            .args(["files", "serve", "--account", "acct1", "--data"])
            .arg(&self.disk.0)
            .arg("--state")
            .arg(self.path("state/acct1"))
            .arg("--token-file")
            .arg(self.path("tokens/acct1.token"));
        again.refused(1)?.says("revoked").map(drop)
    }

    fn revoke(&self, account: &str) -> Result<(), Failure> {
        let tokens = self.admin(&["-o", "json", "storage-account", "host-tokens", account])?;
        for token in tokens.json()?.as_array().into_iter().flatten() {
            let id = token["id"].as_str().unwrap_or_default();
            self.admin(&["storage-account", "revoke-host-token", account, id])?;
        }
        Ok(())
    }

    /// Runs an administrator's command, which must succeed.
    fn admin(&self, words: &[&str]) -> Result<Output, Failure> {
        self.story.crossrealm(Place::Admin).args(words).ok()
    }

    /// The product's command with the address of the service and no token.
    fn without_token(&self, place: Place) -> Run {
        self.story
            .bare(place)
            .on_host_samba()
            .env("CROSSREALM_SERVER", SERVER)
            .env("CROSSREALM_TENANT", TENANT)
            .env("CROSSREALM_CA", self.story.ca())
    }

    fn show(&self, account: &str) -> Result<serde_json::Value, Failure> {
        self.admin(&["-o", "json", "storage-account", "show", account])?
            .json()
    }

    /// What the first host of the account said last.
    fn shown(&self, account: &str) -> Result<serde_json::Value, Failure> {
        Ok(self.show(account)?["hosts"][0].clone())
    }

    fn smb(&self, user: &str, share: &str, port: u16, commands: &str) -> Run {
        let ccache = self
            .story
            .world
            .path(Place::Client, &format!("{user}.ccache"));
        let run = self
            .story
            .user(user, "smbclient")
            .arg(share)
            .arg("--use-kerberos=required");
        run.arg(format!("--use-krb5-ccache={}", ccache.display()))
            .args(["-p", &port.to_string(), "-c", commands])
    }

    fn put(
        &self,
        user: &str,
        share: &str,
        port: u16,
        content: &[u8],
        name: &str,
    ) -> Result<Run, Failure> {
        let file = self
            .story
            .world
            .write(Place::Client, &format!("{user}-{name}"), content)?;
        Ok(self.smb(user, share, port, &format!("put {} {name}", file.display())))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.story.world.path(Place::Cloud, file)
    }

    /// The first smbd whose own configuration, in its own namespace, has this line, and whose parent is no smbd.
    fn smbd(&self, line: &str) -> Result<u32, Failure> {
        self.daemon("smbd", line)
    }

    /// The main process of a daemon of the host whose `smb.conf` has this line.
    fn daemon(&self, name: &str, line: &str) -> Result<u32, Failure> {
        let comm = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let parent = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let behind = stat.rsplit(')').next().unwrap_or_default().to_owned();
            behind
                .split_whitespace()
                .nth(1)
                .and_then(|id| id.parse().ok())
                .unwrap_or(0)
        };
        let pids = fs::read_dir("/proc")?
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let scratch = self.story.world.scratch().display().to_string();
        let found = pids
            .filter(|pid| comm(*pid).trim() == name && comm(parent(*pid)).trim() != name)
            .find(|pid| {
                let conf = fs::read_to_string(format!("/proc/{pid}/root/run/samba/conf/smb.conf"));
                let mounts =
                    fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
                mounts.contains(&scratch)
                    && conf.is_ok_and(|conf| conf.lines().any(|own| own.trim() == line))
            });
        found.ok_or_else(|| Failure::new(format!("no smbd with `{line}` runs")))
    }

    /// Waits until something is there.
    fn until<T>(
        &self,
        what: &str,
        mut is: impl FnMut(&Self) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        until(what, PATIENCE, || is(self))
    }

    fn with_logs(&self, failure: Failure) -> Failure {
        let services = [&self.host, &self.second];
        let tails = services.into_iter().flatten().map(Service::log_tail);
        let samba = fs::read_to_string(self.path("state/acct1/log/samba.log")).unwrap_or_default();
        let from = samba.len().saturating_sub(3_000);
        let failure = tails.fold(self.story.with_logs(failure), Failure::with);
        failure.with(samba.get(from..).unwrap_or_default())
    }
}
