//! What a service reports to the service manager that started it (the protocol of `sd_notify(3)`): that it is ready, what it does,
//! that it is alive. Without a service manager nothing is sent.

use sd_notify::NotifyState;
use std::time::Duration;

/// How many signs of life are sent in the time after which the service manager takes a silent service for hung.
const SIGNS_PER_LIMIT: u32 = 3;

/// The start is complete, or a reload is.
pub fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for people, shown by `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// The configuration is being read again; [`ready`] follows.
pub fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        send(&[NotifyState::Reloading, now]);
    }
}

/// The end has begun.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("ending")]);
}

/// How often to call [`alive`]; `None` where nobody waits for it.
pub fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / SIGNS_PER_LIMIT)
}

/// The service does its work: it is called from the loop that does it.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// A service manager that does not listen is no reason to stop serving.
fn send(state: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(state);
}
