//! Any other Kerberos service: a PostgreSQL server that knows the tenant's users by their tickets alone.
//!
//! What runs here is what `docs/guide/services.md` has people run. The server is Debian's own, on a scratch cluster, in the
//! cloud's namespace; the system's own clusters are never touched.

use std::ffi::OsStr;
use std::path::PathBuf;

use crossrealm_lab::story::{CLOUD_REALM, Story};
use crossrealm_lab::{Failure, Output, PATIENCE, Place, REALM, Run, Service};

use super::Test;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] =
    &[("psql_signs_in_with_a_ticket_through_the_trust", psql)];

/// Where Debian keeps the servers, each version in a folder of its own.
const VERSIONS: &str = "/usr/lib/postgresql";
const SPN: &str = "postgres/db1.contoso.cloud.example";
const HOST: &str = "db1.contoso.cloud.example";

/// Nobody comes in from the network but with a ticket, and over an encrypted connection.
const PG_HBA: &str = "local all postgres peer
hostgssenc all all 0.0.0.0/0 gss include_realm=1 krb_realm=CORP.CONTOSO.COM map=corp
";
/// A user of the company's realm is the role of the same name.
const PG_IDENT: &str = "corp /^(.+)@CORP\\.CONTOSO\\.COM$ \\1\n";

fn psql(story: &mut Story) -> Result<(), Failure> {
    let database = start(story)?;
    let used = alice_gets_a_row(story)
        .and_then(|()| bob_is_not_alice(story))
        .and_then(|()| unknown_dana_gets_no_ticket(story))
        .and_then(|()| disabled_mallory_gets_no_ticket(story))
        .map_err(|failure| failure.with(database.log_tail()));
    // Gently, also after a failure: a killed server would leave its shared memory behind.
    let stopped = database.stop(PATIENCE);
    used.and(stopped)
}

/// Makes the service principal, a cluster with its keytab and a role for alice, and starts it.
fn start(story: &Story) -> Result<Service, Failure> {
    let folder = story.world.path(Place::Cloud, "postgres");
    let (data, keytab) = (folder.join("data"), folder.join("postgres.keytab"));
    std::fs::create_dir(&folder)?;
    let principal = story.crossrealm(Place::Admin).arg("service-principal");
    principal.clone().args(["create", SPN]).ok()?.says(SPN)?;
    let export = principal.args(["keytab", SPN, "--out"]);
    export.arg(&keytab).ok()?;
    let own = story.world.at(Place::Cloud, "chown");
    own.args(["-R", "postgres:postgres"]).arg(&folder).ok()?;
    let initdb = as_postgres(story, server_program("initdb")?);
    let initdb = initdb.args(["--auth=peer", "--locale=C.UTF-8", "--no-sync", "-D"]);
    initdb.arg(&data).ok()?;
    std::fs::write(data.join("pg_hba.conf"), PG_HBA)?;
    std::fs::write(data.join("pg_ident.conf"), PG_IDENT)?;
    let server = as_postgres(story, server_program("postgres")?)
        .arg("-D")
        .arg(&data)
        .args(["-c", "listen_addresses=*", "-c"])
        .arg(format!("krb_server_keyfile={}", keytab.display()))
        .arg("-c")
        .arg(format!("unix_socket_directories={}", folder.display()))
        // The keytab is all it needs to know of Kerberos: no configuration, no KDC.
        .env("KRB5_CONFIG", "/dev/null")
        .env("KRB5RCACHEDIR", &folder);
    let mut server = story.world.service(Place::Cloud, "postgresql", &server)?;
    server.wait_for_line("ready to accept connections", PATIENCE)?;
    let role = as_postgres(story, "psql").arg("-h").arg(&folder);
    role.args(["-d", "postgres", "-c", "create role alice login"])
        .ok()?;
    story.world.add_cloud_host(HOST)?;
    Ok(server)
}

/// A program of PostgreSQL's as its own user. Its shared memory goes with the processes, however they end.
fn as_postgres(story: &Story, program: impl AsRef<OsStr>) -> Run {
    story
        .world
        .at(Place::Cloud, "unshare")
        .args(["--ipc", "setpriv", "--reuid=postgres", "--regid=postgres"])
        .args(["--clear-groups", "--"])
        .arg(program)
}

/// A program of the server, of whichever version Debian has here; it is on nobody's `PATH`.
fn server_program(name: &str) -> Result<PathBuf, Failure> {
    let versions = std::fs::read_dir(VERSIONS)?.flatten();
    let mut programs = versions.map(|version| version.path().join("bin").join(name));
    programs
        .find(|program| program.is_file())
        .ok_or_else(|| Failure::new(format!("there is no `{name}` below `{VERSIONS}`")))
}

fn ask(story: &Story, user: &str, role: &str, statement: &str) -> Run {
    let address = format!("host={HOST} user={role} dbname=postgres gssencmode=require");
    story
        .user(user, "psql")
        .args([&address, "--no-password", "-t", "-A", "-c", statement])
}

fn alice_gets_a_row(story: &mut Story) -> Result<(), Failure> {
    story
        .world
        .kinit("alice", "alice.ccache", &story.krb5_conf())?;
    let one = ask(story, "alice", "alice", "select 1").ok()?;
    one.says_line("1")?;
    let session = "select principal, encrypted from pg_stat_gssapi where pid = pg_backend_pid()";
    let output = ask(story, "alice", "alice", session).ok()?;
    output.says_line(&format!("alice@{REALM}|t"))?;
    let tickets = story.user("alice", "klist").ok()?;
    tickets.says(&format!("{SPN}@{CLOUD_REALM}")).map(drop)
}

/// bob is synced, so he gets a ticket; it makes him bob, who has no role here, and nobody else.
fn bob_is_not_alice(story: &mut Story) -> Result<(), Failure> {
    story.world.kinit("bob", "bob.ccache", &story.krb5_conf())?;
    let as_alice = ask(story, "bob", "alice", "select 1").refused(2)?;
    as_alice.says("GSSAPI authentication failed for user \"alice\"")?;
    let as_bob = ask(story, "bob", "bob", "select 1").refused(2)?;
    as_bob.says("role \"bob\" does not exist")?;
    // Without a ticket there is no way in at all.
    let plain = format!("host={HOST} user=alice dbname=postgres gssencmode=disable");
    let without = story.user("bob", "psql");
    let without = without.args([&plain, "--no-password", "-c", "select 1"]);
    without.refused(2)?.says("no pg_hba.conf entry").map(drop)
}

/// dana of Active Directory was never synced: the tenant does not know who she is.
fn unknown_dana_gets_no_ticket(story: &mut Story) -> Result<(), Failure> {
    let mark = story.event_mark()?;
    let run = ask(story, "dana", "alice", "select 1");
    refused_a_ticket(story, &run, "identity-not-synced", mark).map(drop)
}

/// mallory was disabled after she fetched a referral. Configured with the host's realm, her client asks the tenant at once.
fn disabled_mallory_gets_no_ticket(story: &mut Story) -> Result<(), Failure> {
    let mut conf = std::fs::read_to_string(story.krb5_conf())?;
    conf += &format!("\n[domain_realm]\n .contoso.cloud.example = {CLOUD_REALM}\n");
    let conf = story
        .world
        .write(Place::Client, "domain-realm-krb5.conf", conf)?;
    let mark = story.event_mark()?;
    let run = ask(story, "mallory", "alice", "select 1").env("KRB5_CONFIG", conf);
    refused_a_ticket(story, &run, "identity-disabled", mark)?
        .says("revoked")
        .map(drop)
}

/// Expects that `psql` gets no ticket, and that the event says why.
fn refused_a_ticket(story: &Story, run: &Run, reason: &str, mark: i64) -> Result<Output, Failure> {
    let output = run.refused(2)?;
    output.says("could not initiate GSSAPI security context")?;
    let event = story
        .refused_because(reason, mark)
        .map_err(|failure| failure.with(output.both()))?;
    if event["target"] == SPN {
        return Ok(output);
    }
    Err(output.failure(&format!(
        "was expected to leave an event for {SPN}: {event}"
    )))
}
