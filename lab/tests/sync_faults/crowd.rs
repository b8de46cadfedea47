//! A group with more members than any answer holds.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossrealm_lab::{Failure, Place};

use crate::hands::{BASE, BY_CHANGES, Play};
use crate::script;

/// How many members the group has, unless `CROSSREALM_LAB_CROWD` says another number: more than one range of 5,000.
const MEMBERS: usize = 6_000;
/// How many a small one has: a dozen may leave within an hour without a question, and changes to all of them take a run
/// more than one request.
const SOME: usize = 150;
/// How long filling and reading may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(900);

impl Play {
    pub(super) fn a_large_group_comes_by_ranges(&mut self) -> Result<(), Failure> {
        let count = match std::env::var("CROSSREALM_LAB_CROWD") {
            Ok(number) => number
                .parse()
                .map_err(|_| Failure::new("CROSSREALM_LAB_CROWD is no number"))?,
            Err(_) => MEMBERS,
        };
        let filled = self.gather(count)?;
        let first = self.sync(&["once", "-o", "json"]).timeout(PATIENCE).ok()?;
        println!(
            "a group of {count}: filled in {:.1} s, synced in {:.1} s",
            filled.as_secs_f64(),
            first.took.as_secs_f64()
        );
        assert_eq!(first.json()?["memberships_added"], count);
        self.agrees()?;
        // A change of the group costs reading it, and nothing else.
        self.member("delete", 0)?;
        let changed = self.sync(&["once", "-o", "json"]).timeout(PATIENCE).ok()?;
        println!("one member less: {:.1} s", changed.took.as_secs_f64());
        let changed = changed.json()?;
        assert_eq!(changed["compared"], BY_CHANGES);
        assert_eq!(
            (
                &changed["memberships_removed"],
                &changed["memberships_added"]
            ),
            (&1.into(), &0.into())
        );
        self.agrees()
    }

    /// The group for those who want no more than a large one.
    pub(super) fn a_crowd_gathers(&mut self) -> Result<(), Failure> {
        self.gather(MEMBERS)?;
        self.sync(&["once"]).timeout(PATIENCE).ok()?;
        self.agrees()
    }

    /// The group for those who want it small.
    pub(super) fn some_gather(&mut self) -> Result<(), Failure> {
        self.gather(SOME)?;
        self.sync(&["once"]).ok()?;
        self.agrees()
    }

    /// Gives everybody in the small group another display name.
    pub(super) fn all_are_renamed(&self, name: &str) -> Result<(), Failure> {
        let renamed = |number: usize| {
            format!(
                "dn: CN=crowd{number:05},OU=Crowd,{BASE}\nchangetype: modify\nreplace: displayName\n\
                 displayName: {name} {number}\n\n"
            )
        };
        self.ldif(&(0..SOME).map(renamed).collect::<String>())
    }

    /// Makes so many users and the group that they are in. Says how long it took.
    fn gather(&mut self, count: usize) -> Result<Duration, Failure> {
        self.story.world.kill_dc();
        let fill = self.story.world.at(Place::Onprem, "/usr/bin/python3");
        let fill = fill
            .arg(script("crowd.py"))
            .arg(self.story.world.dc_folder());
        let filled = fill
            .args([BASE, &count.to_string()])
            .timeout(PATIENCE)
            .ok()?;
        self.story.world.restart_dc()?;
        Ok(filled.took)
    }

    /// Adds a member of the crowd to its group, or takes it out.
    fn member(&self, verb: &str, number: usize) -> Result<(), Failure> {
        self.ldif(&format!(
            "dn: CN=Crowd,CN=Users,{BASE}\nchangetype: modify\n{verb}: member\n\
             member: CN=crowd{number:05},OU=Crowd,{BASE}\n\n"
        ))
    }

    /// Members go and come from the first value to the last while the ranges are read.
    pub(super) fn a_group_may_change_while_it_is_read(&mut self) -> Result<(), Failure> {
        let over = AtomicBool::new(false);
        let play = &*self;
        std::thread::scope(|scope| -> Result<(), Failure> {
            let changes = scope.spawn(|| -> Result<usize, Failure> {
                let mut count = 0;
                while !over.load(Ordering::Relaxed) {
                    play.member("delete", 1 + count)?;
                    count += 1;
                }
                Ok(count)
            });
            let read = play
                .sync(&["once", "--full", "-o", "json"])
                .timeout(PATIENCE)
                .ok();
            over.store(true, Ordering::Relaxed);
            let changes = changes
                .join()
                .map_err(|_| Failure::new("the changes ended badly"))??;
            let read = read?;
            println!(
                "{changes} changes during a run: {}",
                read.json()?["failures"]
            );
            // However much was read of the group: nobody who is in it was taken out of it.
            assert!(read.json()?["memberships_removed"].as_u64() <= u64::try_from(changes).ok());
            Ok(())
        })?;
        self.sync(&["once"]).timeout(PATIENCE).ok()?;
        self.agrees()
    }
}
