//! The first half of the story: an administrator sets up the cloud, the trust, the sync and the share.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use super::{CLOUD_REALM, FILES_HOST, Story, TENANT};
use crate::net::Place;
use crate::run::{Failure, Output};
use crate::wait::PATIENCE;

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

pub(super) fn the_wall(story: &mut Story) -> Result<(), Failure> {
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

pub(super) fn init_and_serve(story: &mut Story) -> Result<(), Failure> {
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

pub(super) fn tenant_create(story: &mut Story) -> Result<(), Failure> {
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

pub(super) fn no_trust_yet(story: &mut Story) -> Result<(), Failure> {
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

pub(super) fn trust_is_set(story: &mut Story) -> Result<(), Failure> {
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

pub(super) fn sync_once(story: &mut Story) -> Result<(), Failure> {
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

pub(super) fn share_is_granted(story: &mut Story) -> Result<(), Failure> {
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

pub(super) fn files_serve(story: &mut Story) -> Result<(), Failure> {
    let began = Instant::now();
    let data = story.world.path(Place::Cloud, "files");
    let run = story.files_serve("acct1", "files")?;
    let run = run.arg("--data").arg(data);
    let mut service = story
        .world
        .service(Place::Cloud, "crossrealm files serve", &run)?;
    service.wait_for_ports(&[445], PATIENCE)?;
    story.files = Some(service);
    story.account.fact(
        "cloud",
        "itself",
        "crossrealm files serve: smbd listens on port 445, never joined to a domain",
        began.elapsed(),
    );
    Ok(())
}
