//! Clocks in the hands of a test: a library that is loaded before a program, and a file that says what its clocks show.

use std::path::PathBuf;

use crate::run::{Failure, Run};
use crate::world::World;

/// Clocks for the programs that are given them; all of them show the same.
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// Clocks that are right, as yet.
    ///
    /// # Errors
    /// When the library cannot be built.
    pub fn make(world: &World) -> Result<Self, Failure> {
        Self::named(world, "clock")
    }

    /// The same under a name: programs with clocks of different names see different times.
    ///
    /// # Errors
    /// When the library cannot be built.
    pub fn named(world: &World, name: &str) -> Result<Self, Failure> {
        let clock = Self {
            library: world.scratch().join(format!("{name}.so")),
            file: world.scratch().join(name),
        };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/clock.c");
        let compile = Run::here("cc").args(["-shared", "-fPIC", "-O1", "-pthread", "-o"]);
        compile.arg(&clock.library).arg(source).ok()?;
        clock.is_ahead(0, 0)?;
        Ok(clock)
    }

    /// The command with these clocks.
    pub fn of(&self, run: Run) -> Run {
        run.env("LD_PRELOAD", &self.library)
            .env("CLOCK_FILE", &self.file)
            // Else Samba's database asks the machine's own clock, past what is preloaded.
            .env("LDB_MODULES_DISABLE_DEEPBIND", "1")
    }

    /// The time of day is as many seconds ahead, and so many more have passed by the clocks that only count.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn is_ahead(&self, day_s: i64, passed_s: i64) -> Result<(), Failure> {
        self.shows(day_s, passed_s, 1)
    }

    /// All clocks run so many times as fast as they should from now on, and keep what they gained. A program that starts
    /// later begins at the right time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn runs(&self, times: u64) -> Result<(), Failure> {
        self.shows(0, 0, times)
    }

    /// So many more seconds have passed by the clocks that only count, and all clocks run so many times as fast from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn is_ahead_and_runs(&self, passed_s: i64, times: u64) -> Result<(), Failure> {
        self.shows(0, passed_s, times)
    }

    fn shows(&self, day_s: i64, passed_s: i64, times: u64) -> Result<(), Failure> {
        let fresh = self.file.with_extension("new");
        std::fs::write(&fresh, format!("{day_s} {passed_s} {times}"))?;
        Ok(std::fs::rename(fresh, &self.file)?)
    }
}
