//! The domain: a real Samba Active Directory domain controller with its users and groups.
//!
//! Provisioning takes seconds and is the same every time, so it is done once per machine and Samba version into a template
//! folder; each world runs on a copy of its own. The template holds nothing but invented test data.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::child::Service;
use crate::run::{Failure, Run};
use crate::wait::PATIENCE;

/// The domain's DNS name.
pub const DOMAIN: &str = "corp.contoso.com";
/// The domain's Kerberos realm.
pub const REALM: &str = "CORP.CONTOSO.COM";
/// The domain's flat (NetBIOS) name.
pub const FLAT_NAME: &str = "CORP";
/// The password of `Administrator`.
pub const ADMIN_PASSWORD: &str = "P@ssw0rd-Lab1";
/// The password of every user.
pub const USER_PASSWORD: &str = "P@ssw0rd-User1";

/// sAMAccountName, given name, surname.
const USERS: &[(&str, &str, &str)] = &[
    ("alice", "Alice", "Archer"),
    ("bob", "Bob", "Baker"),
    ("mallory", "Mallory", "Moss"),
    ("müller", "Jürgen", "Müller"),
    ("svc-sync", "Sync", "Service"),
];

/// Group and its direct members.
const GROUPS: &[(&str, &str)] = &[("Sales", "alice,müller"), ("AllStaff", "Sales")];

const PORTS: &[u16] = &[53, 88, 135, 389, 445, 464, 3268];
/// One batch of a population: thousands of objects.
const BATCH_LIMIT: Duration = Duration::from_secs(900);

/// Raise when the steps of provisioning change in a way the constants above do not show.
const TEMPLATE_VERSION: u32 = 2;

/// People and groups that a domain has besides the usual ones.
#[derive(Debug, Hash)]
pub struct Population {
    /// A word for the template's folder.
    pub name: String,
    /// LDIF, each batch one transaction: with more than some thousand objects in one, Samba's database becomes very slow.
    pub batches: Vec<String>,
}

/// Starts a domain controller in a namespace, on its own copy of the template, with this population in it. `run` makes
/// commands for the namespace.
pub(crate) fn start(
    folder: &Path,
    cache: &Path,
    population: Option<&Population>,
    run: &dyn Fn(&str) -> Run,
) -> Result<Service, Failure> {
    let mut template = template(cache, run)?;
    if let Some(population) = population {
        template = populated(&template, cache, population, run)?;
    }
    Run::here("cp")
        .args(["-a", "--sparse=always"])
        .arg(&template)
        .arg(folder)
        .ok()?;
    std::fs::write(folder.join("etc/smb.conf"), smb_conf(folder, "DC1", ""))?;
    serve("the domain controller", folder, run)
}

/// Starts the second domain controller, which has joined. `run` makes commands for its own namespace.
pub(crate) fn start_second(folder: &Path, run: &dyn Fn(&str) -> Run) -> Result<Service, Failure> {
    serve("the second domain controller", folder, run)
}

/// Starts a domain controller on the folder it had before.
pub(crate) fn serve(
    name: &str,
    folder: &Path,
    run: &dyn Fn(&str) -> Run,
) -> Result<Service, Failure> {
    let samba = run("samba")
        .arg("-s")
        .arg(folder.join("etc/smb.conf"))
        .args(["-F", "--no-process-group"]);
    let mut service = Service::start(name, &samba, &folder.join("samba.out"))?;
    service.wait_for_ports(PORTS, PATIENCE)?;
    Ok(service)
}

/// Joins the domain as a further domain controller: some seconds, with everything replicated.
pub(crate) fn join(folder: &Path, run: &dyn Fn(&str) -> Run) -> Result<(), Failure> {
    /// What Samba does every five minutes it does here every few seconds: nobody waits five minutes for a test.
    const QUICK: &str = "dreplsrv:periodic_startup_interval = 2\ndreplsrv:periodic_interval = 3\n";
    let empty = folder.with_extension("empty.conf");
    std::fs::write(&empty, "")?;
    let first = format!("dc1.{DOMAIN}");
    run("samba-tool")
        .args(["domain", "join", DOMAIN, "DC", "--username=Administrator"])
        .arg(format!("--server={first}"))
        .arg(format!("--targetdir={}", folder.display()))
        .args([
            "--dns-backend=SAMBA_INTERNAL",
            "--option=netbios name=DC2",
            "--option=interfaces=lo lan0",
            "--option=bind interfaces only=yes",
            "-s",
        ])
        .arg(&empty)
        .env("PASSWD", ADMIN_PASSWORD)
        .timeout(PATIENCE)
        .ok()?;
    std::fs::write(folder.join("etc/smb.conf"), smb_conf(folder, "DC2", QUICK))?;
    Ok(())
}

/// `samba-tool` on a domain controller's own database.
pub(crate) fn samba_tool(folder: &Path, run: &dyn Fn(&str) -> Run, arguments: &[&str]) -> Run {
    let (conf, database) = (folder.join("etc/smb.conf"), folder.join("private/sam.ldb"));
    run("samba-tool")
        .args(arguments)
        .arg("-s")
        .arg(conf)
        .arg("-H")
        .arg(database)
}

fn template(cache: &Path, run: &dyn Fn(&str) -> Run) -> Result<PathBuf, Failure> {
    let version = Run::here("samba").arg("--version").ok()?.out();
    let mut hash = DefaultHasher::new();
    (
        TEMPLATE_VERSION,
        &version,
        DOMAIN,
        ADMIN_PASSWORD,
        USER_PASSWORD,
        USERS,
        GROUPS,
    )
        .hash(&mut hash);
    let template = cache.join(format!("dc-{:016x}", hash.finish()));
    made_once(template, |draft| provision(draft, run))
}

/// The template `base` with a population in it; kept beside it.
fn populated(
    base: &Path,
    cache: &Path,
    population: &Population,
    run: &dyn Fn(&str) -> Run,
) -> Result<PathBuf, Failure> {
    let mut hash = DefaultHasher::new();
    (base.file_name(), population).hash(&mut hash);
    let template = cache.join(format!("dc-{}-{:016x}", population.name, hash.finish()));
    made_once(template, |draft| {
        Run::here("cp")
            .args(["-a", "--sparse=always"])
            .arg(base)
            .arg(draft)
            .ok()?;
        let database = draft.join("private/sam.ldb");
        for batch in &population.batches {
            run("ldbadd")
                .arg("-H")
                .arg(&database)
                .stdin(batch.as_str())
                .timeout(BATCH_LIMIT)
                .ok()?;
        }
        Ok(())
    })
}

/// The folder `template`, made by `make` where it is not there yet.
fn made_once(
    template: PathBuf,
    make: impl FnOnce(&Path) -> Result<(), Failure>,
) -> Result<PathBuf, Failure> {
    if template.is_dir() {
        return Ok(template);
    }
    let cache = template.parent().unwrap_or(&template);
    std::fs::create_dir_all(cache)?;
    // Made beside its final place and renamed: a template that is there is complete, and two makers do no harm.
    let draft = tempfile::Builder::new()
        .prefix("dc-draft-")
        .tempdir_in(cache)?;
    make(&draft.path().join("dc"))?;
    match std::fs::rename(draft.path().join("dc"), &template) {
        Err(error) if !template.is_dir() => Err(error.into()),
        _ => Ok(template),
    }
}

fn provision(folder: &Path, run: &dyn Fn(&str) -> Run) -> Result<(), Failure> {
    let empty = folder.with_extension("empty.conf");
    std::fs::write(&empty, "")?;
    run("samba-tool")
        .args([
            "domain",
            "provision",
            "--server-role=dc",
            "--dns-backend=SAMBA_INTERNAL",
            "--host-name=dc1",
        ])
        .arg(format!("--realm={REALM}"))
        .arg(format!("--domain={FLAT_NAME}"))
        .arg(format!("--adminpass={ADMIN_PASSWORD}"))
        .arg(format!("--host-ip={}", crate::net::DC_ADDRESS))
        .arg(format!("--targetdir={}", folder.display()))
        .args([
            "--option=interfaces=lo lan0",
            "--option=bind interfaces only=yes",
            "-s",
        ])
        .arg(&empty)
        .timeout(PATIENCE)
        .ok()?;
    std::fs::write(folder.join("etc/smb.conf"), smb_conf(folder, "DC1", ""))?;
    // What a running domain controller does some time after its start: it registers the names of its services.
    run("samba_spnupdate")
        .arg("-s")
        .arg(folder.join("etc/smb.conf"))
        .ok()?;
    let tool = |arguments: &[&str]| samba_tool(folder, run, arguments).ok().map(drop);
    // The template may be older than a password's usual life.
    tool(&[
        "domain",
        "passwordsettings",
        "set",
        "--max-pwd-age=0",
        "--min-pwd-age=0",
    ])?;
    for (name, given, surname) in USERS {
        let (given, surname) = (
            format!("--given-name={given}"),
            format!("--surname={surname}"),
        );
        tool(&["user", "create", name, USER_PASSWORD, &given, &surname])?;
    }
    for (group, _) in GROUPS {
        tool(&["group", "add", group])?;
    }
    for (group, members) in GROUPS {
        tool(&["group", "addmembers", group, members])?;
    }
    Ok(())
}

/// The configuration of the domain controller `name`; `more` are further lines.
fn smb_conf(folder: &Path, name: &str, more: &str) -> String {
    let dc = folder.display();
    format!(
        "[global]\n\
         workgroup = {FLAT_NAME}\n\
         realm = {REALM}\n\
         netbios name = {name}\n\
         server role = active directory domain controller\n\
         server services = s3fs, rpc, wrepl, ldap, cldap, kdc, drepl, winbindd, ntp_signd, kcc, dns\n\
         interfaces = lo lan0\n\
         bind interfaces only = yes\n\
         private dir = {dc}/private\n\
         state directory = {dc}/state\n\
         cache directory = {dc}/cache\n\
         lock directory = {dc}\n\
         pid directory = {dc}\n\
         binddns dir = {dc}/bind-dns\n\
         log file = {dc}/samba.log\n\
         logging = file\n\
         load printers = no\n\
         {more}\
         [sysvol]\n\
         path = {dc}/state/sysvol\n\
         read only = no\n\
         [netlogon]\n\
         path = {dc}/state/sysvol/{DOMAIN}/scripts\n\
         read only = no\n"
    )
}
