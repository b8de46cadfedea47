//! The world: the four machines, the domain controller, a scratch folder, and what can be done at each place.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::child::Service;
use crate::dc::{self, Population};
use crate::need;
use crate::net::{self, Network, Place};
use crate::run::{Failure, Run};
use crate::wait::PATIENCE;

/// A running test world. Dropping it ends every process it started and removes everything it made.
///
/// The fields' order is the order of destruction: processes, namespaces, files.
#[derive(Debug)]
pub struct World {
    second_dc: Option<Service>,
    /// Behind a lock, so that it can be killed while others use the world.
    dc: Mutex<Option<Service>>,
    network: Network,
    scratch: tempfile::TempDir,
    started_in: Duration,
}

impl World {
    /// Starts the world: namespaces, wires, and a domain controller that answers.
    ///
    /// # Errors
    /// When root, a program or a package is missing, or a part did not start; the message says which and shows its log.
    pub fn start() -> Result<Self, Failure> {
        Self::start_with(None)
    }

    /// The same with a domain that has these people and groups too. The first time it takes as long as writing them does;
    /// they are kept in the template folder.
    ///
    /// # Errors
    /// As [`World::start`].
    pub fn start_populated(population: &Population) -> Result<Self, Failure> {
        Self::start_with(Some(population))
    }

    fn start_with(population: Option<&Population>) -> Result<Self, Failure> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if let Some(reason) = need::unmet() {
            return Err(Failure::new(reason));
        }
        let began = Instant::now();
        let parent = std::env::temp_dir();
        net::sweep(&parent);
        let prefix = format!(
            "xr-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let scratch = tempfile::Builder::new()
            .prefix(&format!("{prefix}-scratch."))
            .tempdir_in(&parent)?;
        // File servers change to their users' identities: these must be able to walk through to the shares.
        std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755))?;
        for place in Place::USUAL {
            std::fs::create_dir(scratch.path().join(place.name()))?;
        }
        let network = Network::build(&prefix)?;
        let mut world = Self {
            second_dc: None,
            dc: Mutex::new(None),
            network,
            scratch,
            started_in: Duration::ZERO,
        };
        world.start_dc(population)?;
        world.started_in = began.elapsed();
        Ok(world)
    }

    fn start_dc(&mut self, population: Option<&Population>) -> Result<(), Failure> {
        let dc = dc::start(&self.dc_folder(), &cache_folder(), population, &|program| {
            self.at(Place::Onprem, program)
        })?;
        *self.dc() = Some(dc);
        self.write(Place::Client, "corp-krb5.conf", corp_krb5_conf())
            .map(drop)?;
        // An open port is not yet a domain: the first ticket is.
        let began = Instant::now();
        loop {
            match self.kinit(
                "alice",
                "start.ccache",
                &self.path(Place::Client, "corp-krb5.conf"),
            ) {
                Ok(_) => return Ok(()),
                Err(failure) if began.elapsed() > PATIENCE => {
                    return Err(failure.with(self.dc_log_tail()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Starts the second domain controller, `dc2`, in the branch office; the first time it joins the domain. It fetches
    /// what changed every few seconds.
    ///
    /// # Errors
    /// When it cannot join or does not start; with its log.
    pub fn start_second_dc(&mut self) -> Result<(), Failure> {
        let place = self.folder(Place::Branch);
        if !place.is_dir() {
            std::fs::create_dir(&place)?;
            self.network.add_branch()?;
        }
        let at_branch = |program: &str| self.at(Place::Branch, program);
        if !self.second_dc_folder().is_dir() {
            dc::join(&self.second_dc_folder(), &at_branch)?;
            // What the new controller does some time after its start, and the first one learns some time later: it
            // registers the names of its services.
            for class in ["HOST", "ldap"] {
                let name = format!("{class}/dc2.{domain}/{domain}", domain = dc::DOMAIN);
                self.samba_tool(&["spn", "add", &name, "DC2$"]).ok()?;
            }
        }
        let dc = dc::start_second(&self.second_dc_folder(), &at_branch)?;
        self.second_dc = Some(dc);
        Ok(())
    }

    /// Stops the second domain controller at once, as a power cut does.
    pub fn stop_second_dc(&mut self) {
        self.second_dc = None;
    }

    /// Where the second domain controller keeps its files.
    pub fn second_dc_folder(&self) -> PathBuf {
        self.path(Place::Branch, "dc")
    }

    /// `ldbsearch` in the second domain controller's own database.
    pub fn second_ldbsearch(&self, filter: &str, attributes: &[&str]) -> Run {
        let run = self
            .at(Place::Branch, "ldbsearch")
            .arg("-H")
            .arg(self.second_dc_folder().join("private/sam.ldb"));
        run.args(["--show-binary", "--cross-ncs", filter])
            .args(attributes)
    }

    /// Kills the domain controller, as a power cut does.
    pub fn kill_dc(&self) {
        *self.dc() = None;
    }

    /// Sends all processes of the domain controller a signal: `STOP`, `CONT`.
    pub fn signal_dc(&self, name: &str) {
        if let Some(dc) = self.dc().as_ref() {
            dc.signal_all(name);
        }
    }

    fn dc(&self) -> MutexGuard<'_, Option<Service>> {
        self.dc.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the domain controller again after [`World::kill_dc`].
    ///
    /// # Errors
    /// When it does not answer in time.
    pub fn restart_dc(&self) -> Result<(), Failure> {
        self.restart_dc_with(&|run| run)
    }

    /// The same with its command changed: another environment, say.
    ///
    /// # Errors
    /// As [`World::restart_dc`].
    pub fn restart_dc_with(&self, change: &dyn Fn(Run) -> Run) -> Result<(), Failure> {
        let dc = dc::serve("the domain controller", &self.dc_folder(), &|program| {
            change(self.at(Place::Onprem, program))
        })?;
        *self.dc() = Some(dc);
        Ok(())
    }

    /// Changes the domain controller's database by LDIF, as its administrator: `ldbmodify`, which also adds and deletes.
    pub fn ldbmodify(&self, ldif: &str) -> Run {
        self.at(Place::Onprem, "ldbmodify")
            .arg("-H")
            .arg(self.dc_folder().join("private/sam.ldb"))
            .stdin(ldif)
    }

    /// How long the start took.
    pub fn started_in(&self) -> Duration {
        self.started_in
    }

    /// A command at a place.
    pub fn at(&self, place: Place, program: impl AsRef<OsStr>) -> Run {
        Run::inside(
            self.network.namespace(place),
            place.name().into(),
            program,
            self.folder(place),
        )
    }

    /// A long-running program at a place; its log is `<name>.log` in the place's folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn service(&self, place: Place, name: &str, run: &Run) -> Result<Service, Failure> {
        Service::start(
            name,
            run,
            &self.path(place, &format!("{}.log", name.replace(' ', "-"))),
        )
    }

    /// The folder of a place: what this machine keeps on its disk.
    pub fn folder(&self, place: Place) -> PathBuf {
        self.scratch.path().join(place.name())
    }

    /// The folder that holds all places' folders.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// A file in the folder of a place.
    pub fn path(&self, place: Place, file: &str) -> PathBuf {
        self.folder(place).join(file)
    }

    /// Writes a file, readable by its owner only, into the folder of a place.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(
        &self,
        place: Place,
        file: &str,
        content: impl AsRef<[u8]>,
    ) -> Result<PathBuf, Failure> {
        let path = self.path(place, file);
        std::fs::write(&path, content)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// Makes the cloud answer under another name, for client and admin.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn add_cloud_host(&self, name: &str) -> Result<(), Failure> {
        [Place::Client, Place::Admin]
            .iter()
            .try_for_each(|place| self.network.add_host(*place, net::CLOUD_ADDRESS, name))
    }

    /// Makes a name lead to these addresses at one place, in this order, and nowhere else.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn resolve(&self, place: Place, name: &str, addresses: &[&str]) -> Result<(), Failure> {
        self.network.set_host(place, name, addresses)
    }

    /// The namespace's name, for people who want to look inside (`ip netns exec NAME …`).
    pub fn namespace(&self, place: Place) -> String {
        self.network.namespace(place)
    }

    /// `samba-tool` beside the domain controller, on its own database: the domain administrator's hand in tests.
    pub fn samba_tool(&self, arguments: &[&str]) -> Run {
        dc::samba_tool(
            &self.dc_folder(),
            &|program| self.at(Place::Onprem, program),
            arguments,
        )
    }

    /// `ldbsearch` in the domain controller's own database.
    pub fn ldbsearch(&self, filter: &str, attributes: &[&str]) -> Run {
        let run = self
            .at(Place::Onprem, "ldbsearch")
            .arg("-H")
            .arg(self.dc_folder().join("private/sam.ldb"));
        run.args(["--show-binary", "--cross-ncs", filter])
            .args(attributes)
    }

    /// The SID of a user or group as Active Directory has it.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn sid_of(&self, account: &str) -> Result<String, Failure> {
        let output = self
            .ldbsearch(&format!("(sAMAccountName={account})"), &["objectSid"])
            .ok()?;
        let sid = output
            .out()
            .lines()
            .find_map(|line| line.strip_prefix("objectSid: ").map(str::to_owned));
        sid.ok_or_else(|| output.failure("was expected to show an objectSid"))
    }

    /// Where the domain controller keeps its files.
    pub fn dc_folder(&self) -> PathBuf {
        self.scratch.path().join("onprem/dc")
    }

    /// The tails of the domain controllers' logs.
    pub fn dc_log_tail(&self) -> String {
        let tail = |name: &str, folder: PathBuf| {
            let own = std::fs::read_to_string(folder.join("samba.log")).unwrap_or_default();
            let from = own.len().saturating_sub(3_000);
            format!("--- log of {name}\n{}", own.get(from..).unwrap_or(&own))
        };
        let first = tail("the domain controller", self.dc_folder());
        match self.second_dc {
            Some(_) => {
                let second = tail("the second domain controller", self.second_dc_folder());
                format!("{first}\n{second}")
            }
            None => first,
        }
    }

    /// A user's environment on the client: the Kerberos configuration and a credential cache of their own.
    pub fn as_user(&self, run: Run, ccache: &str, krb5_conf: &Path) -> Run {
        run.env("KRB5_CONFIG", krb5_conf).env(
            "KRB5CCNAME",
            format!("FILE:{}", self.path(Place::Client, ccache).display()),
        )
    }

    /// Signs a user of the domain in at the client, with the password all users have.
    ///
    /// # Errors
    /// When `kinit` fails.
    pub fn kinit(
        &self,
        user: &str,
        ccache: &str,
        krb5_conf: &Path,
    ) -> Result<crate::run::Output, Failure> {
        let kinit = self
            .at(Place::Client, "kinit")
            .arg(format!("{user}@{}", dc::REALM))
            .stdin(format!("{}\n", dc::USER_PASSWORD));
        self.as_user(kinit, ccache, krb5_conf).ok()
    }

    /// Tries a TCP connection from one place to an address; says whether it was made, and what the kernel answered.
    ///
    /// # Errors
    /// When the attempt itself could not be run.
    pub fn can_connect(
        &self,
        from: Place,
        address: &str,
        port: u16,
    ) -> Result<(bool, String), Failure> {
        let script = format!("exec 3<>/dev/tcp/{address}/{port}");
        let output = self
            .at(from, "bash")
            .args(["-c", &script])
            .timeout(Duration::from_secs(20))
            .output()?;
        Ok((output.code == Some(0), output.err()))
    }
}

/// Where the templates, and other things made once, are kept: beside the build, so that `cargo clean` removes them.
pub(crate) fn cache_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
        .join("lab-cache")
}

/// What a workstation of the domain has before Crossrealm: the company's realm and nothing else.
fn corp_krb5_conf() -> String {
    format!(
        "[libdefaults]\n default_realm = {realm}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
         dns_canonicalize_hostname = false\n rdns = false\n[realms]\n {realm} = {{\n  kdc = {dc}\n }}\n",
        realm = dc::REALM,
        dc = net::DC_ADDRESS
    )
}
