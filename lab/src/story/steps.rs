//! The steps of the story, each with everything it must show.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{CLOUD_REALM, FILES_HOST, SPN, Step, Story, TENANT, trace};
use crate::net::Place;
use crate::run::{Failure, Output};

/// The story, in order. Later steps rely on earlier ones.
pub const STEPS: &[Step] = &[
    Step {
        name: "the_wall",
        title: "The cloud cannot reach the company, nor the company the cloud",
        play: the_wall,
    },
    Step {
        name: "init_and_serve",
        title: "The cloud is set up and starts",
        play: init_and_serve,
    },
    Step {
        name: "tenant_create",
        title: "A tenant is created with the bootstrap token",
        play: tenant_create,
    },
    Step {
        name: "no_trust_yet",
        title: "Before: Active Directory knows of no cloud",
        play: no_trust_yet,
    },
    Step {
        name: "trust_is_set",
        title: "The trust is created, in Active Directory and in the cloud",
        play: trust_is_set,
    },
    Step {
        name: "sync_once",
        title: "Users and groups are synced to the tenant",
        play: sync_once,
    },
    Step {
        name: "share_is_granted",
        title: "A share is made and granted to a group",
        play: share_is_granted,
    },
    Step {
        name: "files_serve",
        title: "The share is served over SMB, without a domain controller",
        play: files_serve,
    },
    Step {
        name: "client_config",
        title: "The workstation gets its Kerberos configuration",
        play: client_config,
    },
    Step {
        name: "alice_gets_a_ticket",
        title: "alice signs in as always and gets a ticket for the cloud share",
        play: alice_gets_a_ticket,
    },
    Step {
        name: "alice_writes_and_reads",
        title: "alice writes a file and reads it back",
        play: alice_writes_and_reads,
    },
    Step {
        name: "alice_owns_her_file",
        title: "The file belongs to alice's on-premises identity",
        play: alice_owns_her_file,
    },
    Step {
        name: "bob_is_refused",
        title: "bob has no role on the share",
        play: bob_is_refused,
    },
    Step {
        name: "mallory_is_refused",
        title: "mallory is disabled after she signed in",
        play: mallory_is_refused,
    },
    Step {
        name: "cloud_only_is_refused",
        title: "A user who exists only in the cloud gets no ticket",
        play: cloud_only_is_refused,
    },
    Step {
        name: "revoke",
        title: "The group's role is revoked",
        play: revoke,
    },
    Step {
        name: "grant_again",
        title: "… and granted again",
        play: grant_again,
    },
];

const FIELDS: [&str; 14] = [
    "Id",
    "UserAccount",
    "ComputerAccount",
    "DisplayName",
    "DomainDnsName",
    "KeyVersion",
    "KeyUpdatedOn",
    "KeyUpdatedFrom",
    "CloudDisplayName",
    "CloudDomainDnsName",
    "CloudId",
    "CloudKeyVersion",
    "CloudKeyUpdatedOn",
    "CloudTrustDisplay",
];

/// A change of a role or a user is seen everywhere within two seconds; the rest is patience for a loaded machine.
const CHANGE_LIMIT: Duration = Duration::from_secs(20);

fn the_wall(story: &mut Story) -> Result<(), Failure> {
    for (from, to, port) in [
        (Place::Cloud, "10.77.1.1", 88),
        (Place::Cloud, "10.77.1.1", 389),
        (Place::Onprem, "10.77.2.1", 443),
    ] {
        let began = Instant::now();
        let (reached, why) = story.world.can_connect(from, to, port)?;
        if reached || !why.contains("Network is unreachable") {
            return Err(Failure::new(format!(
                "{} must have no route to {to}:{port}, but: {why}",
                from.name()
            )));
        }
        let asks = format!("TCP connection to {to}:{port}: Network is unreachable");
        let other = if from == Place::Cloud {
            "onprem"
        } else {
            "cloud"
        };
        story
            .account
            .fact(from.name(), other, &asks, began.elapsed());
    }
    // The same probe from a place that may: a refusal that everybody gets would prove nothing.
    let (reached, why) = story.world.can_connect(Place::Client, "10.77.1.1", 88)?;
    if reached {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "the client must reach the domain controller, but: {why}"
        )))
    }
}

fn init_and_serve(story: &mut Story) -> Result<(), Failure> {
    let folder = story.cloud_folder();
    let init = story
        .bare(Place::Cloud)
        .args(["init", "--base-domain", "cloud.example", "--dir"])
        .arg(&folder);
    story.hop(
        "its disk",
        "set up a cloud for `cloud.example`: configuration, keys, a private CA",
        &init,
    )?;
    for file in [
        "crossrealm.toml",
        "master.key",
        "tls/ca.pem",
        "tls/login.pem",
        "tls/login.key",
        "admin.token",
    ] {
        let path = folder.join(file);
        let meta = path
            .metadata()
            .map_err(|error| Failure::new(format!("`init` did not leave `{file}`: {error}")))?;
        let secret = ["master.key", "tls/login.key", "admin.token"].contains(&file);
        if secret && meta.permissions().mode() & 0o077 != 0 {
            return Err(Failure::new(format!(
                "`{file}` can be read by others: mode {:o}",
                meta.permissions().mode() & 0o777
            )));
        }
    }
    let took = story.start_cloud()?;
    story.account.fact(
        "cloud",
        "itself",
        "crossrealm serve: KDC proxy and API listen on port 443",
        took,
    );
    story.read_token()
}

fn tenant_create(story: &mut Story) -> Result<(), Failure> {
    let create = story
        .crossrealm(Place::Admin)
        .args(["tenant", "create", TENANT]);
    story.hop("cloud", "create the tenant `contoso`", &create)?;
    let shown = story
        .crossrealm(Place::Admin)
        .args(["-o", "json", "tenant", "show", TENANT])
        .ok()?;
    let tenant = shown.json()?;
    for (field, value) in [
        ("name", TENANT),
        ("domain", "contoso.cloud.example"),
        ("realm", CLOUD_REALM),
    ] {
        if tenant[field] != value {
            return Err(shown.failure(&format!("was expected to have `{field}` = `{value}`")));
        }
    }
    Ok(())
}

/// The `Name : value` lines of `kerberos-server get`, in the order printed.
fn fields(output: &Output) -> Vec<(String, String)> {
    let text = output.out();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn no_trust_yet(story: &mut Story) -> Result<(), Failure> {
    let get = story.with_domain_admin(&["kerberos-server", "get"])?;
    let output = story.hop(
        "onprem, cloud",
        "what do you know of a Kerberos server object and a trust?",
        &get,
    )?;
    let fields = fields(&output);
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    if names != FIELDS {
        return Err(output.failure(&format!(
            "was expected to print exactly the fields {FIELDS:?}"
        )));
    }
    match fields.iter().find(|(_, value)| !value.is_empty()) {
        None => Ok(()),
        Some((name, _)) => {
            Err(output.failure(&format!("was expected to have nothing in `{name}`")))
        }
    }
}

fn trust_is_set(story: &mut Story) -> Result<(), Failure> {
    let set = story.with_domain_admin(&["kerberos-server", "set", "--setup-cloud-trust"])?;
    story.hop(
        "onprem, cloud",
        "make a trusted domain object by LSA RPC and register its key in the tenant",
        &set,
    )?;
    let get = story.with_domain_admin(&["kerberos-server", "get"])?;
    let output = story.hop("onprem, cloud", "and now?", &get)?;
    let trust = fields(&output)
        .into_iter()
        .find(|(name, _)| name == "CloudTrustDisplay");
    if trust.is_none_or(|(_, value)| value.is_empty()) {
        return Err(output.failure("was expected to show the trust in `CloudTrustDisplay`"));
    }
    // The witness: the domain controller's own database. Inbound (1), forest-transitive (8), AES only.
    let witness = story.world.ldbsearch(
        "(objectClass=trustedDomain)",
        &[
            "trustPartner",
            "trustDirection",
            "trustAttributes",
            "msDS-SupportedEncryptionTypes",
        ],
    );
    let output = story.hop(
        "its database",
        "the witness: which trusted domain objects are there?",
        &witness,
    )?;
    output
        .says_line(&format!("trustPartner: {}", CLOUD_REALM.to_lowercase()))
        .or_else(|_| output.says_line(&format!("trustPartner: {CLOUD_REALM}")))?;
    output
        .says_line("trustDirection: 1")?
        .says_line("trustAttributes: 8")?;
    let enctypes = output.out().lines().find_map(|line| {
        line.strip_prefix("msDS-SupportedEncryptionTypes: ")
            .map(str::to_owned)
    });
    match enctypes.and_then(|value| value.parse::<u32>().ok()) {
        Some(value) if value & 0x18 != 0 && value & 0x7 == 0 => Ok(()),
        _ => Err(output.failure("was expected to allow AES and nothing else (msDS-SupportedEncryptionTypes 0x10 or 0x18)")),
    }
}

fn sync_once(story: &mut Story) -> Result<(), Failure> {
    let sync = story.with_domain_admin(&["sync", "once"])?;
    story.hop(
        "onprem, cloud",
        "read users, groups and nested memberships over sealed LDAP, write them to the tenant",
        &sync,
    )?;
    for user in ["alice", "bob", "mallory", "müller"] {
        let upn = format!("{user}@{}", crate::DOMAIN);
        let show = story.crossrealm(Place::Admin).args(["user", "show", &upn]);
        let output = if user == "alice" {
            story.hop("cloud", "who is alice to you?", &show)?
        } else {
            show.ok()?
        };
        output.says(&story.world.sid_of(user)?)?;
    }
    let alice = story
        .crossrealm(Place::Admin)
        .args(["-o", "json", "user", "show", "alice@corp.contoso.com"])
        .ok()?;
    for group in ["Sales", "AllStaff"] {
        alice.says(group)?.says(&story.world.sid_of(group)?)?;
    }
    Ok(())
}

fn share_is_granted(story: &mut Story) -> Result<(), Failure> {
    let admin = |words: &[&str]| story.crossrealm(Place::Admin).args(words);
    let create = admin(&["storage-account", "create", "acct1"]);
    let share = admin(&["share", "create", "acct1/projects"]);
    let grant = admin(&[
        "share",
        "grant",
        "acct1/projects",
        "--to",
        "AllStaff",
        "--role",
        "contributor",
    ]);
    let access = admin(&[
        "share",
        "access",
        "acct1/projects",
        "--user",
        "alice@corp.contoso.com",
    ]);
    story.hop(
        "cloud",
        "make a storage account with two Kerberos keys",
        &create,
    )?;
    story.hop("cloud", "make a share in it", &share)?;
    story.hop(
        "cloud",
        "let AllStaff contribute; alice is in it through Sales",
        &grant,
    )?;
    let access = story.hop("cloud", "what may alice do there, and why?", &access)?;
    access.says("contributor")?.says("AllStaff")?;
    story.world.add_cloud_host(FILES_HOST)
}

fn files_serve(story: &mut Story) -> Result<(), Failure> {
    let began = Instant::now();
    let data = story.world.path(Place::Cloud, "files");
    let run = story
        .crossrealm(Place::Cloud)
        .args(["files", "serve", "--account", "acct1", "--data"])
        .arg(data);
    let mut service = story
        .world
        .service(Place::Cloud, "crossrealm files serve", &run)?;
    service.wait_for_ports(&[445], Duration::from_secs(60))?;
    story.files = Some(service);
    story.account.fact(
        "cloud",
        "itself",
        "crossrealm files serve: smbd listens on port 445, never joined to a domain",
        began.elapsed(),
    );
    Ok(())
}

fn client_config(story: &mut Story) -> Result<(), Failure> {
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
    story.account.say(
        &text
            .lines()
            .map(|line| format!("     │ {line}\n"))
            .collect::<String>(),
    );
    Ok(())
}

/// `kvno` for a principal, with its trace.
fn kvno(story: &Story, user: &str, principal: &str) -> (crate::run::Run, std::path::PathBuf) {
    let trace = story.world.path(Place::Client, &format!("{user}.trace"));
    let _ = std::fs::remove_file(&trace);
    (
        story
            .user(user, "kvno")
            .arg(principal)
            .env("KRB5_TRACE", &trace),
        trace,
    )
}

fn read_trace(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn asked_the_cloud(trace: &str) -> bool {
    trace::exchanges(trace).iter().any(|exchange| {
        exchange.realm == CLOUD_REALM && exchange.transport == "https 10.77.2.1:443"
    })
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

fn alice_gets_a_ticket(story: &mut Story) -> Result<(), Failure> {
    sign_in(story, "alice")?;
    let (run, trace) = kvno(story, "alice", SPN);
    let output = story.hop(
        "onprem, cloud",
        "a ticket for the share's host, please",
        &run,
    )?;
    output.says(&format!("{SPN}@"))?;
    let trace = read_trace(&trace);
    trace::tell(&story.account, &trace);
    if !asked_the_cloud(&trace) {
        return Err(output
            .failure("was expected to get the ticket by HTTPS from the tenant's KDC")
            .with(trace));
    }
    let klist = story.user("alice", "klist").arg("-e");
    let tickets = story.hop("its cache", "which tickets does alice hold now?", &klist)?;
    tickets
        .says(&format!("krbtgt/{CLOUD_REALM}@CORP.CONTOSO.COM"))?
        .says(&format!("{SPN}@{CLOUD_REALM}"))?;
    tickets
        .says("aes256-cts-hmac-sha1-96")?
        .does_not_say("arcfour")
        .map(drop)
}

fn alice_writes_and_reads(story: &mut Story) -> Result<(), Failure> {
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

fn alice_owns_her_file(story: &mut Story) -> Result<(), Failure> {
    let ccache = story.world.path(Place::Client, "alice.ccache");
    let acl = story
        .user("alice", "smbcacls")
        .arg("--numeric")
        .arg("--use-kerberos=required");
    let acl = acl
        .arg(format!("--use-krb5-ccache={}", ccache.display()))
        .args([super::SHARE, "plan.bin"]);
    let output = story.hop("cloud", "whose is plan.bin?", &acl)?;
    let sid = story.world.sid_of("alice")?;
    output.says_line(&format!("OWNER:{sid}"))?;
    story
        .account
        .say(&format!("     │ and Active Directory says: alice is {sid}"));
    Ok(())
}

fn bob_is_refused(story: &mut Story) -> Result<(), Failure> {
    sign_in(story, "bob")?;
    let (run, _) = kvno(story, "bob", SPN);
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

fn mallory_is_refused(story: &mut Story) -> Result<(), Failure> {
    sign_in(story, "mallory")?;
    // She holds everything she needs before she is disabled, so that only the cloud can still refuse her.
    let (referral, _) = kvno(story, "mallory", &format!("krbtgt/{CLOUD_REALM}"));
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
    let (ask, trace) = kvno(story, "mallory", &format!("{SPN}@{CLOUD_REALM}"));
    let output = refused_ticket(story, "mallory shows her referral to the cloud", &ask)?;
    output.says("revoked")?;
    let trace = read_trace(&trace);
    if asked_the_cloud(&trace) {
        Ok(())
    } else {
        Err(output
            .failure("was expected to be refused by the tenant's KDC")
            .with(trace))
    }
}

/// A `kvno` or `kinit` that must end with exit code 1, within [`CHANGE_LIMIT`]: caches may take two seconds to see a change.
fn refused_ticket(story: &mut Story, asks: &str, run: &crate::run::Run) -> Result<Output, Failure> {
    let began = Instant::now();
    loop {
        let output = run.output()?;
        if output.code == Some(1) {
            story.account.hop("cloud", asks, &output);
            return Ok(output);
        }
        if began.elapsed() > CHANGE_LIMIT {
            return Err(output.failure("was expected to be refused"));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn cloud_only_is_refused(story: &mut Story) -> Result<(), Failure> {
    let create =
        story
            .crossrealm(Place::Admin)
            .args(["user", "create", "dana@contoso.cloud.example"]);
    story.hop(
        "cloud",
        "make a user dana who exists only in the tenant",
        &create,
    )?;
    let kinit = story
        .user("dana", "kinit")
        .arg(format!("dana@{CLOUD_REALM}"))
        .stdin("whatever\n");
    refused_ticket(story, "dana tries to sign in at the tenant's KDC", &kinit)?
        .does_not_say("Cannot contact")?;
    // The same name in Active Directory is another identity: names never open anything, synced SIDs do.
    story
        .world
        .samba_tool(&["user", "create", "dana", crate::USER_PASSWORD])
        .ok()?;
    sign_in(story, "dana")?;
    let (ask, trace) = kvno(story, "dana", SPN);
    let output = refused_ticket(
        story,
        "a dana of Active Directory who was never synced shows her referral",
        &ask,
    )?;
    let trace = read_trace(&trace);
    if asked_the_cloud(&trace) {
        Ok(())
    } else {
        Err(output
            .failure("was expected to be refused by the tenant's KDC")
            .with(trace))
    }
}

fn revoke(story: &mut Story) -> Result<(), Failure> {
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
        if began.elapsed() > CHANGE_LIMIT {
            return Err(output
                .failure("was expected to be refused: NT_STATUS_ACCESS_DENIED at tree connect"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn grant_again(story: &mut Story) -> Result<(), Failure> {
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
        if began.elapsed() > CHANGE_LIMIT {
            return Err(output.failure("was expected to be allowed again"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
