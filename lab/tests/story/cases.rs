//! Mistaken and hostile input, and accidents: each gets its own clear answer, and the service goes on for everybody else.

use std::path::PathBuf;
use std::time::Instant;

use crossrealm_lab::story::{CLOUD_REALM, SPN, STEPS, Story};
use crossrealm_lab::{Failure, PATIENCE, Place, Run, USER_PASSWORD};

use super::Test;
use super::oracle::{der, forge, kkdcp, kvno_forged, post, send};

/// Name and test; they run in this order.
pub(crate) const TESTS: &[(&str, Test)] = &[
    ("the_kdc_proxy_refuses_garbage", kdc_proxy_garbage),
    (
        "the_kdc_proxy_refuses_a_truncated_message",
        kdc_proxy_truncated,
    ),
    (
        "the_kdc_proxy_refuses_an_oversized_message",
        kdc_proxy_oversized,
    ),
    (
        "the_kdc_proxy_refuses_other_methods",
        kdc_proxy_wrong_method,
    ),
    (
        "an_empty_body_at_the_kdc_proxy_is_a_health_check",
        kdc_proxy_empty_body,
    ),
    ("an_unknown_tenant_in_the_url_is_not_found", unknown_tenant),
    ("an_unknown_spn_gets_no_ticket", unknown_spn),
    (
        "a_referral_rewritten_by_samba_is_accepted",
        rewritten_referral_is_accepted,
    ),
    ("a_referral_with_a_wrong_key_is_refused", wrong_key),
    ("a_referral_with_an_edited_pac_is_refused", edited_pac),
    ("a_referral_without_a_pac_is_refused", no_pac),
    ("a_referral_with_a_cut_pac_is_refused", cut_pac),
    ("a_wrong_domain_password_is_reported", wrong_domain_password),
    (
        "an_unreachable_domain_controller_is_reported",
        unreachable_dc,
    ),
    ("a_share_that_does_not_exist_does_not_open", unknown_share),
    (
        "a_principal_that_does_not_exist_is_reported",
        unknown_principal,
    ),
    ("a_second_set_changes_nothing", second_set),
    ("a_wrong_token_is_refused", wrong_token),
    ("serve_on_a_taken_port_fails", taken_port),
    ("a_damaged_configuration_is_reported", damaged_config),
    ("a_damaged_master_key_is_reported", damaged_master_key),
    ("a_second_init_changes_nothing", second_init),
    ("a_second_files_serve_is_refused", second_files_serve),
    ("a_user_with_an_umlaut_opens_the_share", umlaut),
    ("an_ordinary_user_can_sync", sync_by_an_ordinary_user),
    ("serve_comes_back_after_a_kill", serve_comes_back),
    ("the_cloud_does_not_reach_the_domain_controller", the_wall),
    ("services_stop_on_sigterm", services_stop),
];

/// After each case: both services run, and a fresh sign-in of alice opens the share.
pub(crate) fn still_serves(story: &mut Story) -> Result<(), Failure> {
    for service in [&mut story.cloud, &mut story.files].into_iter().flatten() {
        if let Some(code) = service.ended() {
            return Err(Failure::new(format!(
                "{} ended with {code}",
                service.name()
            )));
        }
    }
    if story.cloud.is_none() {
        return Ok(());
    }
    story
        .world
        .kinit("alice", "alice.ccache", &story.krb5_conf())?;
    story.user("alice", "kvno").arg(SPN).ok()?;
    story
        .smbclient("alice", "ls")
        .ok()?
        .says("plan.bin")
        .map(drop)
}

fn kdc_proxy_garbage(story: &mut Story) -> Result<(), Failure> {
    for garbage in [
        b"hello".to_vec(),
        vec![0xff; 600],
        kkdcp(b"hello, this is not Kerberos", CLOUD_REALM),
        der(0x30, &[]),
    ] {
        post(story, "contoso.cloud.example", &garbage)?.is(400)?;
    }
    Ok(())
}

fn kdc_proxy_truncated(story: &mut Story) -> Result<(), Failure> {
    let whole = kkdcp(&der(0x6c, &der(0x30, &[0; 400])), CLOUD_REALM);
    for cut in [1, 2, 5, 20, whole.len() - 1] {
        post(story, "contoso.cloud.example", &whole[..cut])?.is(400)?;
    }
    // A length inside that claims more than there is.
    let mut lying = whole;
    let at = lying.iter().position(|byte| *byte == 0x6c).unwrap_or(0);
    lying[at - 4..at].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    post(story, "contoso.cloud.example", &lying)?.is(400)
}

fn kdc_proxy_oversized(story: &mut Story) -> Result<(), Failure> {
    post(
        story,
        "contoso.cloud.example",
        &kkdcp(&vec![0x6c; 200_000], CLOUD_REALM),
    )?
    .is(413)?;
    // Announced, never sent.
    let head = "POST /contoso.cloud.example/kerberos HTTP/1.0\r\nHost: login.cloud.example\r\nContent-Length: 4000000000\r\n\r\n";
    send(story, head.as_bytes())?.is(413)?;
    let head = "POST /contoso.cloud.example/kerberos HTTP/1.1\r\nHost: login.cloud.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    send(story, head.as_bytes())?.is(411)
}

fn kdc_proxy_wrong_method(story: &mut Story) -> Result<(), Failure> {
    send(
        story,
        b"GET /contoso.cloud.example/kerberos HTTP/1.0\r\nHost: login.cloud.example\r\n\r\n",
    )?
    .is(405)
}

fn kdc_proxy_empty_body(story: &mut Story) -> Result<(), Failure> {
    post(story, "contoso.cloud.example", b"")?.is(200)
}

fn unknown_tenant(story: &mut Story) -> Result<(), Failure> {
    post(story, "nosuchtenant", &kkdcp(&der(0x6c, &[]), CLOUD_REALM))?.is(404)?;
    post(story, "%2e%2e%2f", b"x")?.is(404)?;
    let list = story
        .crossrealm(Place::Admin)
        .args(["--tenant", "nosuchtenant", "user", "list"])
        .refused(1)?;
    list.says_line("error: no tenant `nosuchtenant`").map(drop)
}

fn unknown_spn(story: &mut Story) -> Result<(), Failure> {
    let mark = story.event_mark()?;
    let spn = "cifs/acct9.file.contoso.cloud.example";
    let output = story.user("alice", "kvno").arg(spn).refused(1)?;
    let words = "not found in Kerberos database while getting credentials for";
    output.says_line(&format!(
        "kvno: Server {spn}@{CLOUD_REALM} {words} {spn}@CORP.CONTOSO.COM"
    ))?;
    story.refused_because("service-unknown", mark).map(drop)
}

fn rewritten_referral_is_accepted(story: &mut Story) -> Result<(), Failure> {
    forge(story, "alice", "same")?;
    kvno_forged(story).ok().map(drop)
}

/// A forged referral must be refused with these words for the client, and this reason for the administrator.
fn forgery(
    story: &mut Story,
    user: &str,
    how: &str,
    words: &str,
    reason: &str,
) -> Result<(), Failure> {
    let mark = story.event_mark()?;
    forge(story, user, how)?;
    kvno_forged(story).refused(1)?.says(words)?;
    story.refused_because(reason, mark).map(drop)
}

fn wrong_key(story: &mut Story) -> Result<(), Failure> {
    forgery(
        story,
        "alice",
        "wrong-key",
        "Decrypt integrity check failed",
        "ticket-integrity",
    )
}

fn edited_pac(story: &mut Story) -> Result<(), Failure> {
    forgery(
        story,
        "bob",
        "edited-pac",
        "Message stream modified",
        "pac-signature",
    )
}

fn no_pac(story: &mut Story) -> Result<(), Failure> {
    forgery(
        story,
        "bob",
        "no-pac",
        "TGT has been revoked",
        "pac-missing",
    )
}

fn cut_pac(story: &mut Story) -> Result<(), Failure> {
    forgery(
        story,
        "bob",
        "cut-pac",
        "Message stream modified",
        "pac-malformed",
    )
}

fn domain_admin_with(story: &Story, password: &str, words: &[&str]) -> Result<Run, Failure> {
    let file = story
        .world
        .write(Place::Admin, "wrong.password", password)?;
    let run = story
        .crossrealm(Place::Admin)
        .args(words)
        .args(["--domain", "corp.contoso.com"]);
    Ok(run
        .args([
            "--domain-user",
            "administrator@corp.contoso.com",
            "--domain-password-file",
        ])
        .arg(file))
}

fn wrong_domain_password(story: &mut Story) -> Result<(), Failure> {
    for words in [&["kerberos-server", "get"][..], &["sync", "once"]] {
        let output = domain_admin_with(story, "wrong", words)?.refused(1)?;
        output.says_line("error: wrong password for `administrator@CORP.CONTOSO.COM`")?;
        output.says_line("hint: check the password; too many wrong ones may lock the account")?;
    }
    Ok(())
}

fn unreachable_dc(story: &mut Story) -> Result<(), Failure> {
    for words in [&["kerberos-server", "get"][..], &["sync", "once"]] {
        let began = Instant::now();
        let run = story
            .with_domain_admin(words)?
            .args(["--dc", "10.77.1.250"]);
        let output = run.refused(1)?;
        output.says("error: cannot connect to `10.77.1.250` port 389 (LDAP): ")?;
        let next = "run this on-premises, on a computer that reaches the domain controller on TCP ports 88, 389 and 445";
        output.says_line(&format!("hint: {next}"))?;
        if began.elapsed() > PATIENCE {
            return Err(output.failure("was expected to give up within 30 s"));
        }
    }
    Ok(())
}

fn unknown_share(story: &mut Story) -> Result<(), Failure> {
    let admin = story.crossrealm(Place::Admin);
    let grant = admin.clone().args([
        "share",
        "grant",
        "acct1/nosuch",
        "--to",
        "AllStaff",
        "--role",
        "reader",
    ]);
    grant
        .refused(1)?
        .says_line("error: no share `acct1/nosuch`")?;
    let create = admin.args(["share", "create", "acct9/projects"]);
    create
        .refused(1)?
        .says_line("error: no storage account `acct9`")?;
    let nosuch = story
        .smbclient("alice", "ls")
        .output()?
        .line
        .replace("/projects", "/nosuch");
    let open = story.user("alice", "sh").args(["-c", &nosuch]);
    open.refused(1)?
        .says_line("tree connect failed: NT_STATUS_BAD_NETWORK_NAME")
        .map(drop)
}

fn unknown_principal(story: &mut Story) -> Result<(), Failure> {
    let admin = story.crossrealm(Place::Admin);
    let grant = admin.clone().args([
        "share",
        "grant",
        "acct1/projects",
        "--to",
        "NoSuchGroup",
        "--role",
        "reader",
    ]);
    grant
        .refused(1)?
        .says_line("error: no user or group `NoSuchGroup`")?;
    let show = admin.args(["user", "show", "nobody@corp.contoso.com"]);
    show.refused(1)?
        .says("error: no user")?
        .says("`nobody@corp.contoso.com`")
        .map(drop)
}

fn second_set(story: &mut Story) -> Result<(), Failure> {
    let before = trusts(story)?;
    let get = story
        .with_domain_admin(&["kerberos-server", "get"])?
        .args(["-o", "json"]);
    let shown = get.ok()?.json()?;
    story
        .with_domain_admin(&["kerberos-server", "set", "--setup-cloud-trust"])?
        .ok()?;
    let after = trusts(story)?;
    if before != after {
        return Err(Failure::new(format!(
            "a second `set` changed Active Directory\n--- before\n{before}\n--- after\n{after}"
        )));
    }
    let again = get.ok()?;
    if again.json()? == shown {
        Ok(())
    } else {
        Err(again.failure(&format!(
            "was expected to print the same as before: {shown}"
        )))
    }
}

/// The trusted domain objects with everything in them, the secrets' versions included.
fn trusts(story: &Story) -> Result<String, Failure> {
    story
        .world
        .ldbsearch("(objectClass=trustedDomain)", &["*"])
        .ok()
        .map(|output| output.out())
}

fn wrong_token(story: &mut Story) -> Result<(), Failure> {
    let list = story.crossrealm(Place::Admin).args(["tenant", "list"]);
    let unknown = list
        .clone()
        .env("CROSSREALM_TOKEN", "cr-not-a-token")
        .refused(1)?;
    unknown.says_line("error: the token is unknown, has ended or was revoked")?;
    list.env("CROSSREALM_TOKEN", "")
        .refused(1)?
        .says_line("error: no API token")
        .map(drop)
}

fn taken_port(story: &mut Story) -> Result<(), Failure> {
    let config = story.cloud_folder().join("crossrealm.toml");
    let serve = story
        .bare(Place::Cloud)
        .arg("serve")
        .arg("--config")
        .arg(config);
    let output = serve.timeout(PATIENCE).refused(1)?;
    output.says_line("error: cannot listen on `0.0.0.0:443`: the address is in use")?;
    output.says("hint: another program listens there").map(drop)
}

/// A copy of the service's folder, to be damaged, and the command that serves it.
fn copy(story: &Story, name: &str) -> Result<(PathBuf, Run), Failure> {
    let folder = story.world.path(Place::Cloud, name);
    Run::here("cp")
        .arg("-a")
        .arg(story.cloud_folder())
        .arg(&folder)
        .ok()?;
    let config = folder.join("crossrealm.toml");
    let text = std::fs::read_to_string(&config)?;
    let (from, to) = (
        story.cloud_folder().display().to_string(),
        folder.display().to_string(),
    );
    std::fs::write(
        &config,
        text.replace(&from, &to).replace(":443\"", ":8443\""),
    )?;
    let serve = story
        .bare(Place::Cloud)
        .arg("serve")
        .arg("--config")
        .arg(config)
        .timeout(PATIENCE);
    Ok((folder, serve))
}

fn damaged_config(story: &mut Story) -> Result<(), Failure> {
    let (folder, serve) = copy(story, "damaged-config")?;
    let config = folder.join("crossrealm.toml");
    let text = std::fs::read_to_string(&config)?;
    let lines = text.lines().count();
    let wrong = |line: usize| {
        format!(
            "error: the configuration file `{}` is wrong in line {line}: ",
            config.display()
        )
    };
    let damages = [
        (format!("{text}\n[[["), lines + 2, ""),
        (
            format!("{text}\nno_such_setting = 1\n"),
            lines + 2,
            "unknown field `no_such_setting`",
        ),
        (
            "base_domain = \"cloud.example\"\n".to_owned(),
            1,
            "missing field `store`",
        ),
        ("\u{0}\u{1}".to_owned(), 1, ""),
    ];
    for (damaged, line, reason) in damages {
        std::fs::write(&config, damaged)?;
        serve.refused(1)?.says(&wrong(line))?.says(reason)?;
    }
    std::fs::remove_file(&config)?;
    let gone = serve.refused(1)?;
    gone.says_line(&format!(
        "error: the configuration file `{}` does not exist",
        config.display()
    ))?;
    gone.says("hint: `crossrealm init` makes one").map(drop)
}

fn damaged_master_key(story: &mut Story) -> Result<(), Failure> {
    let (folder, serve) = copy(story, "damaged-key")?;
    let key = folder.join("master.key");
    let whole = std::fs::read(&key)?;
    let mut renamed = whole.clone();
    renamed[..2].copy_from_slice(b"xx");
    let named = format!("error: the master key file `{}`", key.display());
    for (damaged, reason) in [
        (
            &whole[..whole.len() / 2],
            "it does not have the length of a master key file",
        ),
        (b"", "it does not have the length of a master key file"),
        (
            &renamed,
            "it does not begin with `crossrealm-master-key-v1`",
        ),
    ] {
        std::fs::write(&key, damaged)?;
        let output = serve.refused(1)?;
        output.says_line(&format!("{named} is damaged: {reason}"))?;
        output.says_line("hint: restore it from your backup")?;
    }
    // A sound key, but of another installation.
    let other = story.world.path(Place::Cloud, "other");
    let init = story
        .bare(Place::Cloud)
        .args(["init", "--base-domain", "cloud.example", "--dir"]);
    init.arg(&other).ok()?;
    std::fs::copy(other.join("master.key"), &key)?;
    serve
        .refused(1)?
        .says("error: this is not the master key of this database")?;
    std::fs::remove_file(&key)?;
    serve
        .refused(1)?
        .says_line(&format!("{named} does not exist"))
        .map(drop)
}

fn second_init(story: &mut Story) -> Result<(), Failure> {
    let folder = story.cloud_folder();
    let files = [
        "crossrealm.toml",
        "master.key",
        "admin.token",
        "tls/ca.pem",
        "tls/login.key",
    ];
    let read = || files.map(|file| std::fs::read(folder.join(file)).unwrap_or_default());
    let before = read();
    let init = story
        .bare(Place::Cloud)
        .args(["init", "--base-domain", "cloud.example", "--dir"]);
    let output = init.arg(&folder).refused(1)?;
    output.says(&format!(
        "error: there is an installation in `{}` already",
        folder.display()
    ))?;
    output.says("nothing was changed")?;
    if read() == before {
        Ok(())
    } else {
        Err(output.failure("was expected to change nothing"))
    }
}

fn second_files_serve(story: &mut Story) -> Result<(), Failure> {
    let serve = story.files_serve("acct1", "files")?;
    let serve = serve.timeout(PATIENCE);
    let same = serve
        .clone()
        .arg("--data")
        .arg(story.world.path(Place::Cloud, "files"))
        .refused(1)?;
    same.says("error: another `files serve` already uses")?;
    let other = story.files_serve("acct1", "other")?;
    let other = other
        .timeout(PATIENCE)
        .arg("--data")
        .arg(story.world.path(Place::Cloud, "other-files"))
        .refused(1)?;
    other
        .says("error: cannot listen on 0.0.0.0:445: the port is in use")
        .map(drop)
}

/// Names beyond ASCII go through every hop: sign-in, referral, ticket, SMB.
fn umlaut(story: &mut Story) -> Result<(), Failure> {
    story
        .world
        .kinit("müller", "müller.ccache", &story.krb5_conf())?;
    story.user("müller", "kvno").arg(SPN).ok()?;
    let local = story.world.write(Place::Client, "größe.txt", "42\n")?;
    story
        .smbclient("müller", &format!("put {} größe.txt; ls", local.display()))
        .ok()?
        .says("größe.txt")?;
    story.smbclient("müller", "del größe.txt").ok().map(drop)
}

/// Reading a directory takes no administrator.
fn sync_by_an_ordinary_user(story: &mut Story) -> Result<(), Failure> {
    let password = story
        .world
        .write(Place::Admin, "svc-sync.password", USER_PASSWORD)?;
    let run = story
        .crossrealm(Place::Admin)
        .args(["sync", "once", "--domain", "corp.contoso.com"]);
    let run = run.args([
        "--domain-user",
        "svc-sync@corp.contoso.com",
        "--domain-password-file",
    ]);
    let output = run.arg(password).args(["-o", "json"]).ok()?;
    let counts = output.json()?;
    if counts["deleted"] == 0 {
        Ok(())
    } else {
        Err(output.failure("was expected to delete nothing"))
    }
}

/// What was promised before a crash holds after it: the service starts on what it finds.
fn serve_comes_back(story: &mut Story) -> Result<(), Failure> {
    let before = trusts(story)?;
    drop(story.cloud.take());
    let down = story.user("bob", "kvno").arg(SPN).arg("--no-store");
    story.world.kinit("bob", "bob.ccache", &story.krb5_conf())?;
    down.refused(1)?.says("Cannot contact any KDC for realm")?;
    story.start_cloud()?;
    story.user("bob", "kvno").arg(SPN).ok()?;
    if trusts(story)? == before {
        Ok(())
    } else {
        Err(Failure::new("Active Directory changed meanwhile"))
    }
}

fn the_wall(story: &mut Story) -> Result<(), Failure> {
    (STEPS[0].play)(story)
}

fn services_stop(story: &mut Story) -> Result<(), Failure> {
    let services = [story.files.take(), story.cloud.take()];
    services
        .into_iter()
        .flatten()
        .try_for_each(|service| service.stop(PATIENCE))
}
