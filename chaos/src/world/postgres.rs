//! PostgreSQL with a streaming replica, in the cloud's namespace: two servers that change roles, and the wires to whichever of them is
//! the primary.

use std::path::PathBuf;

use crossrealm_lab::{Failure, Output, PATIENCE, Place, Run, Service, World, until};
use crossrealm_programs::find;

use super::wires::{Order, Wires};

/// Nothing but loopback of the namespace reaches the servers.
const PG_HBA: &str = "local all all trust\nhost all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n";
const DATABASE: &str = "crossrealm";
/// The ports of the two servers.
const PORTS: [u16; 2] = [5432, 5433];
/// Where the wire of the replication begins.
pub(crate) const REPLICATION: (&str, u16) = ("replication", 6009);

/// Both servers.
pub(crate) struct Database {
    folder: PathBuf,
    servers: [Option<Service>; 2],
    primary: usize,
}

impl Database {
    /// Makes a cluster with a database for the service, and a replica of it that every commit waits for.
    pub(crate) fn make(world: &World, wires: &Wires) -> Result<Self, Failure> {
        let mut own = Self {
            folder: world.path(Place::Cloud, "postgres"),
            servers: [None, None],
            primary: 0,
        };
        std::fs::create_dir(&own.folder)?;
        let chown = world.at(Place::Cloud, "chown");
        chown.arg("postgres:postgres").arg(&own.folder).ok()?;
        let initdb = own.run(world, "initdb")?;
        let options = ["--auth=trust", "--locale=C.UTF-8", "--no-sync", "-D"];
        initdb.args(options).arg(own.data(0)).ok()?;
        std::fs::write(own.data(0).join("pg_hba.conf"), PG_HBA)?;
        own.start(world, 0)?;
        own.sql(world, "postgres", "CREATE ROLE crossrealm LOGIN")?;
        own.create(world)?;
        own.replicate(world, wires)?;
        Ok(own)
    }

    /// Creates the empty database of the service.
    fn create(&self, world: &World) -> Result<(), Failure> {
        let create = format!("CREATE DATABASE {DATABASE} OWNER crossrealm");
        self.sql(world, "postgres", &create).map(drop)
    }

    /// The address of the primary.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", PORTS[self.primary])
    }

    /// Starts the primary, which was killed, and the replica, if that was.
    pub(crate) fn start_again(&mut self, world: &World) -> Result<(), Failure> {
        for number in [self.primary, 1 - self.primary] {
            if self.servers[number].is_none() {
                self.start(world, number)?;
            }
        }
        Ok(())
    }

    pub(crate) fn kill_primary(&mut self) {
        self.servers[self.primary] = None;
    }

    pub(crate) fn kill_replica(&mut self) {
        self.servers[1 - self.primary] = None;
    }

    pub(crate) fn signal_primary(&self, name: &str) {
        if let Some(server) = &self.servers[self.primary] {
            server.signal_all(name);
        }
    }

    /// Whether a commit waits for the replica.
    pub(crate) fn waits_for_replica(&self, world: &World, waits: bool) -> Result<(), Failure> {
        self.set(
            world,
            "synchronous_standby_names",
            if waits { "*" } else { "" },
        )
    }

    /// Changes a setting of the running primary.
    pub(crate) fn set(&self, world: &World, name: &str, value: &str) -> Result<(), Failure> {
        self.sql(
            world,
            "postgres",
            &format!("ALTER SYSTEM SET {name} = '{value}'"),
        )?;
        self.sql(world, "postgres", "SELECT pg_reload_conf()")
            .map(drop)
    }

    /// Makes the replica the primary, and leads the wires of the nodes there.
    pub(crate) fn fail_over(&mut self, world: &World, wires: &Wires) -> Result<(), Failure> {
        self.kill_primary();
        self.primary = 1 - self.primary;
        self.sql(world, "postgres", "SELECT pg_promote(true, 60)")?;
        self.waits_for_replica(world, false)?;
        wires.lead_to(&self.address())
    }

    /// Makes the server that is not the primary a replica of it, with a fresh copy, and has commits wait for it.
    pub(crate) fn replicate(&mut self, world: &World, wires: &Wires) -> Result<(), Failure> {
        let replica = 1 - self.primary;
        self.servers[replica] = None;
        wires.order_to(REPLICATION.0, &Order::Pass, &self.address())?;
        let data = self.data(replica);
        if data.exists() {
            std::fs::remove_dir_all(&data)?;
        }
        let copy = self.run(world, "pg_basebackup")?;
        let source = format!("host=127.0.0.1 port={} user=postgres", REPLICATION.1);
        let options = [
            "--checkpoint=fast",
            "--no-sync",
            "--write-recovery-conf",
            "-d",
        ];
        let copy = copy.args(options).arg(source).arg("-D").arg(&data);
        copy.ok()?;
        self.start(world, replica)?;
        until("the replica follows", PATIENCE, || {
            let state = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
            let follows = self.sql(world, "postgres", state)?.out().trim() == "1";
            Ok(follows.then_some(()))
        })?;
        self.waits_for_replica(world, true)
    }

    /// Writes a backup while the nodes serve, as docs/guide/backup.md has it.
    pub(crate) fn back_up(&self, world: &World) -> Result<(), Failure> {
        let dump = self.at_primary(self.run(world, "pg_dump")?, "postgres");
        let dump = dump.args(["--format", "custom", "--file"]);
        dump.arg(self.folder.join("backup"))
            .arg(DATABASE)
            .ok()
            .map(drop)
    }

    /// Restores the backup, while no node runs.
    pub(crate) fn restore(&self, world: &World) -> Result<(), Failure> {
        let drop_it = format!("DROP DATABASE {DATABASE} WITH (FORCE)");
        self.sql(world, "postgres", &drop_it)?;
        self.create(world)?;
        let restore = self.at_primary(self.run(world, "pg_restore")?, "postgres");
        let options = ["--no-owner", "--role", "crossrealm", "--dbname", DATABASE];
        let restore = restore.args(options).arg(self.folder.join("backup"));
        restore.ok().map(drop)
    }

    /// Ends every connection of the nodes.
    pub(crate) fn end_connections(&self, world: &World) -> Result<(), Failure> {
        let end =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'crossrealm'";
        self.sql(world, "postgres", end).map(drop)
    }

    /// Locks every table against writing, for so many seconds.
    pub(crate) fn lock_tables(&self, world: &World, seconds: u64) -> Result<(), Failure> {
        let lock = format!(
            "DO $$ DECLARE t record; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP \
             EXECUTE format('LOCK TABLE %I IN EXCLUSIVE MODE', t.tablename); END LOOP; PERFORM pg_sleep({seconds}); END $$"
        );
        self.sql(world, DATABASE, &lock).map(drop)
    }

    fn sql(&self, world: &World, database: &str, statement: &str) -> Result<Output, Failure> {
        let psql = self.at_primary(self.run(world, "psql")?, "postgres");
        let psql = psql.args(["-d", database, "-qtA", "-v", "ON_ERROR_STOP=1", "-c"]);
        psql.arg(statement).ok()
    }

    fn at_primary(&self, run: Run, user: &str) -> Run {
        let port = PORTS[self.primary].to_string();
        run.args(["-h", "127.0.0.1", "-p", &port, "-U", user])
    }

    fn data(&self, number: usize) -> PathBuf {
        self.folder.join(format!("data{number}"))
    }

    fn start(&mut self, world: &World, number: usize) -> Result<(), Failure> {
        // A server that was killed left its mark, and its number may be somebody else's now.
        let _ = std::fs::remove_file(self.data(number).join("postmaster.pid"));
        let server = self
            .run(world, "postgres")?
            .arg("-D")
            .arg(self.data(number));
        let options = [
            format!("port={}", PORTS[number]),
            "listen_addresses=127.0.0.1".into(),
            format!("unix_socket_directories={}", self.folder.display()),
            "max_connections=200".into(),
            "wal_keep_size=64MB".into(),
            "max_wal_size=64MB".into(),
        ];
        let server = options
            .iter()
            .fold(server, |run, option| run.args(["-c", option]));
        let name = format!("postgres {number}");
        let mut service = world.service(Place::Cloud, &name, &server)?;
        service.wait_for_ports(&[PORTS[number]], PATIENCE)?;
        self.servers[number] = Some(service);
        // An open port answers that the server is starting up.
        let select = world
            .at(Place::Cloud, "psql")
            .args(["-h", "127.0.0.1", "-p"]);
        let select = select.arg(PORTS[number].to_string());
        let select = select.args(["-U", "postgres", "-d", "postgres", "-c", "SELECT 1"]);
        until("the database answers", PATIENCE, || {
            Ok((select.output()?.code == Some(0)).then_some(()))
        })
    }

    /// A program of PostgreSQL's as its own user. Its shared memory goes with the processes, however they end.
    fn run(&self, world: &World, name: &str) -> Result<Run, Failure> {
        let program = find(name);
        let program = program.ok_or_else(|| Failure::new(format!("there is no `{name}`")))?;
        let own = [
            "--ipc",
            "setpriv",
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
        ];
        Ok(world.at(Place::Cloud, "unshare").args(own).arg(program))
    }
}
