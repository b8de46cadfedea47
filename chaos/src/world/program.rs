//! A program that can be killed, stopped and started while others use what it serves.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crossrealm_lab::{Failure, PATIENCE, Place, Run, Service, World, until};

/// One program, and whether it runs.
#[derive(Default)]
pub(crate) struct Program(Mutex<Option<Service>>);

impl Program {
    /// Starts a program, and waits until it says that it listens: behind that it has opened what it needs. The log is that of the
    /// program before too.
    pub(crate) fn start(
        &self,
        world: &World,
        name: &str,
        run: &Run,
        says: &str,
    ) -> Result<(), Failure> {
        self.kill();
        let log = world.path(Place::Cloud, &format!("{}.log", name.replace(' ', "-")));
        let mark = std::fs::metadata(log).map_or(0, |meta| meta.len());
        let mut service = world.service(Place::Cloud, name, run)?;
        until(says, PATIENCE, || match service.ended() {
            Some(code) => Err(Failure::new(format!("{name} ended with code {code}"))),
            None => Ok(service.log_from(mark).contains(says).then_some(())),
        })
        .map_err(|failure| failure.with(service.log_tail()))?;
        self.is(service);
        Ok(())
    }

    /// Puts the running program in the place of the one before.
    pub(crate) fn is(&self, service: Service) {
        *self.held() = Some(service);
    }

    pub(crate) fn kill(&self) {
        *self.held() = None;
    }

    /// Ends it as a service manager does.
    pub(crate) fn stop(&self) -> Result<(), Failure> {
        let service = self.held().take();
        service.map_or(Ok(()), |service| service.stop(PATIENCE))
    }

    /// Sends it and everything that it started a signal.
    pub(crate) fn signal(&self, name: &str) {
        if let Some(service) = self.held().as_ref() {
            service.signal_all(name);
        }
    }

    /// Sends those processes a signal whose program has this name.
    pub(crate) fn signal_named(&self, program: &str, name: &str) {
        if let Some(service) = self.held().as_ref() {
            service.signal_named(program, name);
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<Service>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
