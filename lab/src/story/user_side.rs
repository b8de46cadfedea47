//! The second half of the story: people use the share, or are refused, each for their own reason.

use std::time::{Duration, Instant};

use super::trace::{Trace, Watch};
use super::{CLOUD_REALM, SHARE, SPN, Story};
use crate::net::Place;
use crate::run::{Failure, Output, Run};
use crate::wait::PATIENCE;

pub(super) fn client_config(story: &mut Story) -> Result<(), Failure> {
    let conf = story.krb5_conf();
    let run = story
        .crossrealm(Place::Client)
        .args(["client", "config", "--format", "krb5.conf", "--out"])
        .arg(&conf);
    story.hop(
        "cloud",
        "what does a workstation need to find the tenant's KDC?",
        &run,
    )?;
    let text = std::fs::read_to_string(&conf)?;
    for part in [CLOUD_REALM, "https://login.cloud.example"] {
        if !text.contains(part) {
            return Err(Failure::new(format!(
                "the configuration does not name `{part}`:\n{text}"
            )));
        }
    }
    story.account.quote(&text);
    Ok(())
}

/// `kvno` for a principal, and the watch over its trace.
fn kvno(story: &Story, user: &str, principal: &str) -> Result<(Run, Watch), Failure> {
    let watch = Watch::start(&story.world.path(Place::Client, &format!("{user}.trace")))?;
    let run = story
        .user(user, "kvno")
        .arg(principal)
        .env("KRB5_TRACE", watch.path());
    Ok((run, watch))
}

fn must_have_asked_the_cloud(output: &Output, trace: &Trace) -> Result<(), Failure> {
    if trace.asked(CLOUD_REALM, "https 10.77.2.1:443") {
        return Ok(());
    }
    Err(output
        .failure("was expected to ask the tenant's KDC by HTTPS")
        .with(trace.text()))
}

fn sign_in(story: &mut Story, user: &str) -> Result<(), Failure> {
    let kinit = story
        .user(user, "kinit")
        .arg(format!("{user}@{}", crate::REALM))
        .stdin(format!("{}\n", crate::USER_PASSWORD));
    story
        .hop(
            "onprem",
            &format!("{user} signs in to Active Directory, as every morning"),
            &kinit,
        )
        .map(drop)
}

pub(super) fn alice_gets_a_ticket(story: &mut Story) -> Result<(), Failure> {
    sign_in(story, "alice")?;
    let (run, watch) = kvno(story, "alice", SPN)?;
    let output = story.hop(
        "onprem, cloud",
        "a ticket for the share's host, please",
        &run,
    )?;
    output.says(&format!("{SPN}@"))?;
    let trace = watch.finish();
    trace.tell(&story.account);
    must_have_asked_the_cloud(&output, &trace)?;
    let klist = story.user("alice", "klist").arg("-e");
    let tickets = story.hop("its cache", "which tickets does alice hold now?", &klist)?;
    tickets.says(&format!("Ticket server: {SPN}@{CLOUD_REALM}"))?;
    tickets
        .says("aes256-cts-hmac-sha1-96")?
        .does_not_say("arcfour")
        .map(drop)
}

pub(super) fn alice_writes_and_reads(story: &mut Story) -> Result<(), Failure> {
    // Every byte value, and more than one SMB write of them.
    let content: Vec<u8> = (0..3_000_000_u32)
        .map(|n| u8::try_from((n * 7 + n / 251) % 256).unwrap_or_default())
        .collect();
    let (local, back) = (
        story.world.write(Place::Client, "plan.bin", &content)?,
        story.world.path(Place::Client, "back.bin"),
    );
    let put = story.smbclient("alice", &format!("put {} plan.bin", local.display()));
    story.hop(
        "cloud",
        "SMB 3.1.1, encrypted: put plan.bin, 3,000,000 bytes",
        &put,
    )?;
    let get = story.smbclient("alice", &format!("get plan.bin {}", back.display()));
    let output = story.hop("cloud", "get it back", &get)?;
    if std::fs::read(&back)? == content {
        Ok(())
    } else {
        Err(output.failure("was expected to give back the file byte for byte"))
    }
}

pub(super) fn alice_owns_her_file(story: &mut Story) -> Result<(), Failure> {
    let ccache = story.world.path(Place::Client, "alice.ccache");
    let acl = story
        .user("alice", "smbcacls")
        .arg("--numeric")
        .arg("--use-kerberos=required");
    let acl = acl
        .arg(format!("--use-krb5-ccache={}", ccache.display()))
        .args([SHARE, "plan.bin"]);
    let output = story.hop("cloud", "whose is plan.bin?", &acl)?;
    let sid = story.world.sid_of("alice")?;
    output.says_line(&format!("OWNER:{sid}"))?;
    story
        .account
        .say(&format!("     │ and Active Directory says: alice is {sid}"));
    Ok(())
}

pub(super) fn bob_is_refused(story: &mut Story) -> Result<(), Failure> {
    sign_in(story, "bob")?;
    let (run, _) = kvno(story, "bob", SPN)?;
    story.hop(
        "onprem, cloud",
        "bob is a synced user, so he gets a ticket",
        &run,
    )?;
    let ls = story.smbclient("bob", "ls");
    story
        .refusal(
            "cloud",
            "… but no role on the share",
            &ls,
            "NT_STATUS_ACCESS_DENIED",
        )?
        .says("tree connect failed")
        .map(drop)
}

pub(super) fn mallory_is_refused(story: &mut Story) -> Result<(), Failure> {
    sign_in(story, "mallory")?;
    // She holds everything she needs before she is disabled, so that only the cloud can still refuse her.
    let (referral, _) = kvno(story, "mallory", &format!("krbtgt/{CLOUD_REALM}"))?;
    story.hop(
        "onprem",
        "mallory fetches the referral to the tenant's realm",
        &referral,
    )?;
    story
        .world
        .samba_tool(&["user", "disable", "mallory"])
        .ok()?;
    let sync = story.with_domain_admin(&["sync", "once"])?;
    story.hop(
        "onprem, cloud",
        "she is disabled in Active Directory; the sync agent runs",
        &sync,
    )?;
    let mark = story.event_mark()?;
    let (ask, watch) = kvno(story, "mallory", &format!("{SPN}@{CLOUD_REALM}"))?;
    let output = refused_ticket(story, "mallory shows her referral to the cloud", &ask)?;
    output.says("revoked")?;
    must_have_asked_the_cloud(&output, &watch.finish())?;
    tell_reason(story, "identity-disabled", mark)
}

/// Every refusal leaves an event that says why; administrators see it with `crossrealm events`.
fn tell_reason(story: &Story, reason: &str, mark: i64) -> Result<(), Failure> {
    let event = story.refused_because(reason, mark)?;
    let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let (actor, target, detail) = (text("actor"), text("target"), text("detail"));
    story.account.say(&format!(
        "     │ the event: `{reason}`, {actor} → {target} {detail}"
    ));
    Ok(())
}

/// A `kvno` or `kinit` that must end with exit code 1, within [`PATIENCE`]: caches may take two seconds to see a change.
fn refused_ticket(story: &mut Story, asks: &str, run: &Run) -> Result<Output, Failure> {
    let began = Instant::now();
    loop {
        let output = run.output()?;
        if output.code == Some(1) {
            story.account.hop("cloud", asks, &output);
            return Ok(output);
        }
        if began.elapsed() > PATIENCE {
            return Err(output.failure("was expected to be refused"));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

pub(super) fn cloud_only_is_refused(story: &mut Story) -> Result<(), Failure> {
    let create =
        story
            .crossrealm(Place::Admin)
            .args(["user", "create", "dana@contoso.cloud.example"]);
    story.hop(
        "cloud",
        "make a user dana who exists only in the tenant",
        &create,
    )?;
    let mark = story.event_mark()?;
    let kinit = story
        .user("dana", "kinit")
        .arg(format!("dana@{CLOUD_REALM}"))
        .stdin("wrong\n");
    refused_ticket(story, "dana tries to sign in at the tenant's KDC", &kinit)?
        .does_not_say("Cannot contact")?;
    tell_reason(story, "sign-in-is-on-premises", mark)?;
    // The same name in Active Directory is another identity: names never open anything, synced SIDs do.
    story
        .world
        .samba_tool(&["user", "create", "dana", crate::USER_PASSWORD])
        .ok()?;
    sign_in(story, "dana")?;
    let mark = story.event_mark()?;
    let (ask, watch) = kvno(story, "dana", SPN)?;
    let output = refused_ticket(
        story,
        "a dana of Active Directory who was never synced shows her referral",
        &ask,
    )?;
    must_have_asked_the_cloud(&output, &watch.finish())?;
    tell_reason(story, "identity-not-synced", mark)
}

pub(super) fn revoke(story: &mut Story) -> Result<(), Failure> {
    story.smbclient("alice", "ls").ok()?.says("plan.bin")?;
    let revoke = story.crossrealm(Place::Admin).args([
        "share",
        "revoke",
        "acct1/projects",
        "--from",
        "AllStaff",
    ]);
    story.hop("cloud", "take the role from AllStaff", &revoke)?;
    let ls = story.smbclient("alice", "ls");
    let began = Instant::now();
    loop {
        let output = ls.output()?;
        if output.code == Some(1)
            && output
                .both()
                .contains("tree connect failed: NT_STATUS_ACCESS_DENIED")
        {
            story.account.hop(
                "cloud",
                &format!(
                    "alice opens the share again, {} ms after",
                    began.elapsed().as_millis()
                ),
                &output,
            );
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(output
                .failure("was expected to be refused: NT_STATUS_ACCESS_DENIED at tree connect"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

pub(super) fn grant_again(story: &mut Story) -> Result<(), Failure> {
    let grant = story.crossrealm(Place::Admin).args([
        "share",
        "grant",
        "acct1/projects",
        "--to",
        "AllStaff",
        "--role",
        "contributor",
    ]);
    story.hop("cloud", "let AllStaff contribute again", &grant)?;
    let ls = story.smbclient("alice", "ls");
    let began = Instant::now();
    loop {
        let output = ls.output()?;
        if output.code == Some(0) {
            story.account.hop("cloud", "alice is back", &output);
            return output.says("plan.bin").map(drop);
        }
        if began.elapsed() > PATIENCE {
            return Err(output.failure("was expected to be allowed again"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
