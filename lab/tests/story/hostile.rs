//! Mistaken and hostile input: each gets its own clear answer, and the service goes on for everybody else.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossrealm_lab::story::{CLOUD_REALM, SPN, Story};
use crossrealm_lab::{Failure, Place, Run};

use super::oracle::{der, forge, kkdcp, kvno_forged, post, send};

type Test = fn(&mut Story) -> Result<(), Failure>;

/// Name and test; they run in this order.
pub const TESTS: &[(&str, Test)] = &[
    ("kdc_proxy_garbage", kdc_proxy_garbage),
    ("kdc_proxy_truncated", kdc_proxy_truncated),
    ("kdc_proxy_oversized", kdc_proxy_oversized),
    ("kdc_proxy_wrong_method", kdc_proxy_wrong_method),
    (
        "kdc_proxy_empty_body_is_a_health_check",
        kdc_proxy_empty_body,
    ),
    ("unknown_tenant_in_the_url", unknown_tenant),
    ("unknown_spn", unknown_spn),
    (
        "referral_rewritten_by_samba_is_accepted",
        rewritten_referral_is_accepted,
    ),
    ("referral_with_a_wrong_key", wrong_key),
    ("referral_with_an_edited_pac", edited_pac),
    ("referral_without_a_pac", no_pac),
    ("referral_with_a_cut_pac", cut_pac),
    ("wrong_domain_password", wrong_domain_password),
    ("unreachable_domain_controller", unreachable_dc),
    ("share_that_does_not_exist", unknown_share),
    ("principal_that_does_not_exist", unknown_principal),
    ("second_set_changes_nothing", second_set),
    ("wrong_token", wrong_token),
    ("serve_on_a_taken_port", taken_port),
    ("damaged_config", damaged_config),
    ("damaged_master_key", damaged_master_key),
    ("services_stop_when_asked", services_stop),
];

/// After whatever was done: both services run, and a fresh sign-in of alice opens the share.
pub fn still_serves(story: &mut Story) -> Result<(), Failure> {
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
        kkdcp(b"not Kerberos at all", CLOUD_REALM),
        der(0x30, &[]),
    ] {
        post(story, "contoso", &garbage)?.is(400)?;
    }
    Ok(())
}

fn kdc_proxy_truncated(story: &mut Story) -> Result<(), Failure> {
    let whole = kkdcp(&der(0x6c, &der(0x30, &[0; 400])), CLOUD_REALM);
    for cut in [1, 2, 5, 20, whole.len() - 1] {
        post(story, "contoso", &whole[..cut])?.is(400)?;
    }
    // A length inside that claims more than there is.
    let mut lying = whole;
    let at = lying.iter().position(|byte| *byte == 0x6c).unwrap_or(0);
    lying[at - 4..at].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
    post(story, "contoso", &lying)?.is(400)
}

fn kdc_proxy_oversized(story: &mut Story) -> Result<(), Failure> {
    post(story, "contoso", &kkdcp(&vec![0x6c; 200_000], CLOUD_REALM))?.is(413)?;
    // Announced, never sent.
    let head = "POST /contoso/kerberos HTTP/1.0\r\nHost: login.cloud.example\r\nContent-Length: 4000000000\r\n\r\n";
    send(story, head.as_bytes())?.is(413)?;
    let head = "POST /contoso/kerberos HTTP/1.1\r\nHost: login.cloud.example\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    send(story, head.as_bytes())?.is(411)
}

fn kdc_proxy_wrong_method(story: &mut Story) -> Result<(), Failure> {
    send(
        story,
        b"GET /contoso/kerberos HTTP/1.0\r\nHost: login.cloud.example\r\n\r\n",
    )?
    .is(405)
}

fn kdc_proxy_empty_body(story: &mut Story) -> Result<(), Failure> {
    post(story, "contoso", b"")?.is(200)
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
    let host = "cifs/acct9.file.contoso.cloud.example";
    let output = story.user("alice", "kvno").arg(host).refused(1)?;
    output.says("Server not found in Kerberos database")?;
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
        output
            .says("error: ")?
            .says("password")?
            .does_not_say("wrong.password")?;
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
        output.says("error: ")?.says("10.77.1.250")?;
        if began.elapsed() > Duration::from_secs(30) {
            return Err(output.failure("was expected to give up within 30 s"));
        }
    }
    Ok(())
}

fn unknown_share(story: &mut Story) -> Result<(), Failure> {
    let admin = story.crossrealm(Place::Admin);
    let grant = admin
        .clone()
        .args([
            "share",
            "grant",
            "acct1/nosuch",
            "--to",
            "AllStaff",
            "--role",
            "reader",
        ])
        .refused(1)?;
    grant.says("error: ")?.says("`acct1/nosuch`")?;
    let create = admin
        .args(["share", "create", "acct9/projects"])
        .refused(1)?;
    create.says("error: ")?.says("`acct9`").map(drop)
}

fn unknown_principal(story: &mut Story) -> Result<(), Failure> {
    let grant = [
        "share",
        "grant",
        "acct1/projects",
        "--to",
        "NoSuchGroup",
        "--role",
        "reader",
    ];
    let output = story.crossrealm(Place::Admin).args(grant).refused(1)?;
    output.says("error: ")?.says("`NoSuchGroup`").map(drop)
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
    list.clone()
        .env("CROSSREALM_TOKEN", "cr-not-a-token")
        .refused(1)?
        .says("error: ")?
        .says("token")?;
    list.env("CROSSREALM_TOKEN", "")
        .refused(1)?
        .says_line("error: no API token")
        .map(drop)
}

fn taken_port(story: &mut Story) -> Result<(), Failure> {
    let config = story.cloud_folder().join("crossrealm.toml");
    let output = story
        .bare(Place::Cloud)
        .arg("serve")
        .arg("--config")
        .arg(config)
        .timeout(Duration::from_secs(20))
        .refused(1)?;
    output
        .says("error: ")?
        .says("443")?
        .says("in use")
        .map(drop)
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
        .timeout(Duration::from_secs(20));
    Ok((folder, serve))
}

fn damaged_config(story: &mut Story) -> Result<(), Failure> {
    let (folder, serve) = copy(story, "damaged-config")?;
    let config = folder.join("crossrealm.toml");
    let text = std::fs::read_to_string(&config)?;
    for damaged in [
        format!("{text}\n[[["),
        format!("{text}\nno_such_setting = 1\n"),
        text.chars().take(text.len() / 3).collect(),
        "\u{0}\u{1}".into(),
    ] {
        std::fs::write(&config, &damaged)?;
        serve.refused(1)?.says("error: ")?.says("crossrealm.toml")?;
    }
    std::fs::remove_file(&config)?;
    serve
        .refused(1)?
        .says("error: ")?
        .says("crossrealm.toml")
        .map(drop)
}

fn damaged_master_key(story: &mut Story) -> Result<(), Failure> {
    let (folder, serve) = copy(story, "damaged-key")?;
    let key = folder.join("master.key");
    let whole = std::fs::read(&key)?;
    let other = flipped(&whole);
    for damaged in [&whole[..whole.len() / 2], &other, b"", b"garbage"] {
        overwrite(&key, damaged)?;
        serve.refused(1)?.says("error: ")?.says("master")?;
    }
    std::fs::remove_file(&key)?;
    serve
        .refused(1)?
        .says("error: ")?
        .says("master.key")
        .map(drop)
}

fn overwrite(path: &Path, content: &[u8]) -> Result<(), Failure> {
    Ok(std::fs::write(path, content)?)
}

/// A key of the right form that is another key.
fn flipped(key: &[u8]) -> Vec<u8> {
    let mut other = key.to_vec();
    if let Some(byte) = other.get_mut(5) {
        *byte = if *byte == b'A' { b'B' } else { b'A' };
    }
    other
}

fn services_stop(story: &mut Story) -> Result<(), Failure> {
    let services = [story.files.take(), story.cloud.take()];
    services
        .into_iter()
        .flatten()
        .try_for_each(|service| service.stop(Duration::from_secs(20)))
}
