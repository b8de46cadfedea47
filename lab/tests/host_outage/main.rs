//! An SMB host without its service: for an hour, which a clock of its own lets pass in a minute, and for longer than the
//! copy of its state is good for.

use std::fs;
use std::time::{Duration, Instant};

use crossrealm_lab::story::{SHARE, SPN, Story};
use crossrealm_lab::{Clock, Failure, Output, PATIENCE, Place, Run, Service, need, until};

/// How fast the host's clock runs while the service is away, and how long that takes.
const TIMES: u64 = 60;
const HOUR: Duration = Duration::from_secs(3_600);
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
/// What the host may write into its log while the service is away: that it is away, and little more.
const MOST_LINES: usize = 5;

#[test]
fn a_host_serves_on_while_the_service_is_away() {
    if need::skipped() {
        return;
    }
    if let Err(failure) = Play::begin().and_then(|mut play| {
        let outcome = play.all();
        outcome.map_err(|failure| play.with_logs(failure))
    }) {
        panic!("{failure}");
    }
}

/// The fields' order is the order of destruction.
struct Play {
    host: Option<Service>,
    /// The host's.
    clock: Clock,
    story: Story,
}

impl Play {
    /// The story up to a configured workstation, but for the host; alice is signed in and has her ticket.
    fn begin() -> Result<Self, Failure> {
        let story = Story::prepared()?;
        let clock = Clock::make(&story.world)?;
        let conf = story.krb5_conf();
        story.world.kinit("alice", "alice.ccache", &conf)?;
        story.user("alice", "kvno").arg(SPN).ok()?;
        Ok(Self {
            host: None,
            clock,
            story,
        })
    }

    fn all(&mut self) -> Result<(), Failure> {
        self.an_hour_passes_without_the_service()?;
        self.a_copy_is_good_for_a_week()
    }

    fn an_hour_passes_without_the_service(&mut self) -> Result<(), Failure> {
        let mut host = self.start_host("host", 0)?;
        host.wait_for_line("serving acct1", PATIENCE)?;
        self.until("alice is served", |play| Ok(play.ls()?.code == Some(0)))?;
        let stop = self.story.world.path(Place::Client, "stop-writing");
        let writer = self.writes_on(&stop)?;
        self.stop_cloud()?;
        let mark = host.log_mark();
        host.wait_for_line("serving on by what was known last", PATIENCE)?;
        self.clock.runs(TIMES)?;
        let began = Instant::now();
        while began.elapsed() * u32::try_from(TIMES).unwrap_or(1) < HOUR {
            // A new session, with the ticket from before.
            self.ls()?.says("projects.txt")?;
            std::thread::sleep(Duration::from_secs(2));
        }
        self.clock.runs(1)?;
        let lines = host.log_from(mark);
        let writes = writer.log_mark();
        self.until("the open session still writes", |_| {
            Ok(writer.log_from(writes).matches("putting file").count() > 3)
        })?;
        let never = writer.log_from(0);
        if lines.lines().count() > MOST_LINES || never.contains("NT_STATUS") {
            return Err(Failure::new("an hour without the service was not quiet")
                .with(lines)
                .with(writer.log_tail()));
        }
        self.story.start_cloud()?;
        let began = Instant::now();
        for words in [
            &["share", "revoke", "acct1/projects", "--from", "AllStaff"][..],
            &["share", "create", "acct1/afterwards"],
            &[
                "share",
                "grant",
                "acct1/afterwards",
                "--to",
                "alice@corp.contoso.com",
                "--role",
                "reader",
            ],
        ] {
            self.admin(words)?;
        }
        let after = SHARE.replace("projects", "afterwards");
        let ls = self.smb(&after, "ls");
        self.until("what changed meanwhile is in effect", |play| {
            let ended = writer.log_from(0).contains("NT_STATUS");
            let refused = play.ls()?.both().contains("NT_STATUS_ACCESS_DENIED");
            Ok(ended && refused && ls.output()?.code == Some(0))
        })?;
        println!(
            "after an hour without the service: changes in effect {:.1} s after it was back",
            began.elapsed().as_secs_f64()
        );
        let log = host.log_from(mark);
        let (away, back) = (
            logged_at(&log, "serving on by what was known last")?,
            logged_at(&log, "the API answers again")?,
        );
        if back < away + HOUR.as_secs() {
            return Err(Failure::new(format!("it was {} s, no hour", back - away)).with(log));
        }
        fs::write(&stop, "")?;
        self.host = Some(host);
        Ok(())
    }

    /// The copy was confirmed an hour ahead of everybody else's clock, by the host's.
    fn a_copy_is_good_for_a_week(&mut self) -> Result<(), Failure> {
        self.host
            .take()
            .map_or(Ok(()), |host| host.stop(PATIENCE))?;
        self.stop_cloud()?;
        let mut late = self.start_host("late host", 7 * DAY_S + 2 * HOUR_S)?;
        let code = self.ended(&mut late)?;
        let log = late.log_from(0);
        if code != 1 || !log.contains("error:") || !log.contains("more than 7 days") {
            return Err(Failure::new(format!("it ended with code {code}")).with(log));
        }
        let mut host = self.start_host("host of the last day", 7 * DAY_S - HOUR_S)?;
        host.wait_for_line("serving acct1", PATIENCE)?;
        let after = SHARE.replace("projects", "afterwards");
        let ls = self.smb(&after, "ls");
        self.until("the share is served from the copy", |_| {
            Ok(ls.output()?.code == Some(0))
        })?;
        host.stop(PATIENCE)
    }

    /// A host whose clocks begin so far ahead.
    fn start_host(&self, name: &str, ahead_s: i64) -> Result<Service, Failure> {
        self.clock.is_ahead(ahead_s, ahead_s)?;
        let run = self.story.files_serve("acct1", "files")?;
        let run = run
            .arg("--data")
            .arg(self.story.world.path(Place::Cloud, "files"));
        let run = self.clock.of(run);
        self.story.world.service(Place::Cloud, name, &run)
    }

    fn stop_cloud(&mut self) -> Result<(), Failure> {
        let cloud = self.story.cloud.take();
        cloud.map_or(Ok(()), |cloud| cloud.stop(PATIENCE))
    }

    /// A session of alice that writes without pause.
    fn writes_on(&self, stop: &std::path::Path) -> Result<Service, Failure> {
        let world = &self.story.world;
        let local = world.write(Place::Client, "on.txt", "on")?;
        let script = "( while [ ! -e \"$1\" ]; do echo \"put $2 projects.txt\"; sleep 0.2; done ) | \
                      stdbuf -oL smbclient \"$3\" --use-kerberos=required --use-krb5-ccache=\"$4\" 2>&1";
        let run = self.story.user("alice", "sh").args(["-c", script, "sh"]);
        let run = run.arg(stop).arg(local).arg(SHARE);
        let run = run.arg(world.path(Place::Client, "alice.ccache"));
        let mut writer = world.service(Place::Client, "writer", &run)?;
        writer.wait_for_line("putting file", PATIENCE)?;
        Ok(writer)
    }

    fn ls(&self) -> Result<Output, Failure> {
        self.smb(SHARE, "ls").output()
    }

    fn smb(&self, share: &str, commands: &str) -> Run {
        let ccache = self.story.world.path(Place::Client, "alice.ccache");
        let run = self.story.user("alice", "smbclient").arg(share);
        run.arg("--use-kerberos=required")
            .arg(format!("--use-krb5-ccache={}", ccache.display()))
            .args(["-c", commands])
    }

    fn admin(&self, words: &[&str]) -> Result<(), Failure> {
        let run = self.story.crossrealm(Place::Admin).args(words);
        run.ok().map(drop)
    }

    fn ended(&self, service: &mut Service) -> Result<i32, Failure> {
        let ended = until("the host ends", PATIENCE, || Ok(service.ended()));
        ended.map_err(|failure| failure.with(service.log_tail()))
    }

    fn until(
        &self,
        what: &str,
        holds: impl Fn(&Self) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        until(what, PATIENCE, || Ok(holds(self)?.then_some(())))
    }

    fn with_logs(&self, failure: Failure) -> Failure {
        let tail = self.host.as_ref().map(Service::log_tail);
        self.story.with_logs(failure).with(tail.unwrap_or_default())
    }
}

/// When a line of the log was written, in seconds since 1970, as `date` reads its time.
fn logged_at(log: &str, text: &str) -> Result<u64, Failure> {
    let line = log.lines().find(|line| line.contains(text));
    let time = line.and_then(|line| line.split_whitespace().next());
    let time = time.ok_or_else(|| Failure::new(format!("the log does not say `{text}`")))?;
    let output = Run::here("date").args(["+%s", "--date", time]).ok()?;
    let seconds = output.out().trim().parse();
    seconds.map_err(|_| output.failure("was expected to be a time"))
}
