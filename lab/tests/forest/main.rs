//! The forest around the trust: what stands against it, a second domain controller, a child domain, who signs in, what is
//! shown, and whose keys they are, on a real Active Directory.
//!
//! What the product says is compared with `ldbsearch`, `samba-tool`, Samba's library and MIT's tools. All cases share
//! one world and run in order.

mod credentials;
mod keys;
mod preflight;
mod replication;
mod view;

use std::path::PathBuf;

use crossrealm_lab::story::{Account, Story, TENANT_STEPS};
use crossrealm_lab::{DOMAIN, Failure, Output, Place, Run, build_product, need};

const SET: &[&str] = &["kerberos-server", "set"];
const WHOLE: &[&str] = &["kerberos-server", "set", "--setup-cloud-trust"];
const GET: &[&str] = &["kerberos-server", "get"];
const JSON: &[&str] = &["-o", "json"];

#[test]
fn the_forest_around_the_trust_is_checked_and_followed() {
    if need::skipped() {
        return;
    }
    if let Err(failure) = Forest::begin().and_then(|mut forest| {
        let outcome = forest.all();
        outcome.map_err(|failure| forest.story.with_logs(failure))
    }) {
        panic!("{failure}");
    }
}

struct Forest {
    story: Story,
}

impl Forest {
    /// The service runs and has a tenant; Active Directory knows nothing of it.
    fn begin() -> Result<Self, Failure> {
        let mut story = Story::begin(&build_product()?, Account::silent())?;
        story.play_steps(TENANT_STEPS)?;
        Ok(Self { story })
    }

    fn all(&mut self) -> Result<(), Failure> {
        let began = std::time::Instant::now();
        let lap = |what: &str| println!("{:>6.1} s  {what}", began.elapsed().as_secs_f64());
        self.nothing_is_shown_of_a_fresh_domain()?;
        lap("an empty view");
        self.credentials()?;
        lap("credentials");
        self.story.world.start_second_dc()?;
        lap("the second domain controller");
        self.preflight()?;
        lap("preflight");
        self.the_object_alone_is_shown()?;
        lap("the object alone");
        self.replication()?;
        lap("replication");
        self.view()?;
        lap("view and repair");
        self.keys()?;
        lap("keys");
        self.a_child_gets_its_own_object()?;
        lap("a child domain");
        Ok(())
    }

    /// A command of the tenant's and the domain's administrator.
    fn run(&self, words: &[&[&str]]) -> Result<Run, Failure> {
        self.story.with_domain_admin(&words.concat())
    }

    /// What `get` prints for programs.
    fn get(&self) -> Result<serde_json::Value, Failure> {
        self.run(&[JSON, GET])?.ok()?.json()
    }

    /// The trusts in the domain controller's own database, by Samba's library.
    fn trusts_of_ad(&self, verb: &str, more: &[&str]) -> Result<Output, Failure> {
        let folder = self.story.world.dc_folder();
        let run = self.story.world.at(Place::Onprem, "/usr/bin/python3");
        run.arg(script("trusts_of_ad.py"))
            .arg(folder.join("private/sam.ldb"))
            .arg(folder.join("etc/smb.conf"))
            .arg(verb)
            .args(more)
            .ok()
    }

    /// What AD holds of the trust and the Kerberos server object, by the number of its last change.
    fn changes(&self) -> Result<Vec<String>, Failure> {
        let filter = "(|(objectClass=trustedDomain)(cn=krbtgt_Crossrealm)(cn=CrossrealmKerberos)(sAMAccountName=CONTOSO*$))";
        let output = self.story.world.ldbsearch(filter, &["uSNChanged"]).ok()?;
        let out = output.out();
        let lines = out.lines().filter(|line| line.starts_with("uSNChanged: "));
        Ok(lines.map(str::to_owned).collect())
    }

    /// The values of an attribute of the object that the filter finds, by `ldbsearch`.
    fn ad(&self, filter: &str, attribute: &str) -> Result<Vec<String>, Failure> {
        let output = self.story.world.ldbsearch(filter, &[attribute]).ok()?;
        Ok(values(&output, attribute))
    }
}

/// The values of an attribute in the output of `ldbsearch`, with folded lines made whole.
fn values(output: &Output, attribute: &str) -> Vec<String> {
    let whole = output.out().replace("\n ", "");
    let prefix = format!("{attribute}: ");
    let lines = whole.lines().filter_map(|line| line.strip_prefix(&prefix));
    lines.map(str::to_owned).collect()
}

/// The one value there must be.
fn only(mut values: Vec<String>, what: &str) -> Result<String, Failure> {
    match (values.pop(), values.is_empty()) {
        (Some(value), true) => Ok(value),
        _ => Err(Failure::new(format!(
            "AD does not show one value of `{what}`"
        ))),
    }
}

/// A script beside this file.
fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/forest")).join(name)
}

/// The domain's administrator as the command line names them.
fn administrator() -> String {
    format!("administrator@{DOMAIN}")
}
