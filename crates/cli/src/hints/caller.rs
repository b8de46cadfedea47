//! Whose token a command sends: where another one comes from depends on it. A process runs one command, and knows it before
//! the first call.

use std::sync::OnceLock;

static CURRENT: OnceLock<Caller> = OnceLock::new();

/// Who calls the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A person with a session or a token.
    Administrator,
    /// A command that both administrators and connectors run.
    AdministratorOrSyncAgent,
    /// The sync agent.
    SyncAgent,
    /// An SMB host.
    SmbHost,
}

impl Caller {
    /// Every caller.
    #[cfg(test)]
    pub(crate) const ALL: &[Self] = &[
        Self::Administrator,
        Self::AdministratorOrSyncAgent,
        Self::SyncAgent,
        Self::SmbHost,
    ];

    /// A next step for this caller: where their token does not permit a command in it, an administrator has to take it.
    pub(crate) fn addressed(self, step: String) -> String {
        match self.may_take(&step) {
            true => step,
            false => format!("an administrator has to do it: {step}"),
        }
    }

    fn may_take(self, step: &str) -> bool {
        let permitted: &[&str] = match self {
            // The role decides, and the service says which one is needed.
            Self::Administrator => return true,
            Self::AdministratorOrSyncAgent | Self::SyncAgent => {
                &["sync once", "sync run", "sync plan", "sync status"]
            }
            Self::SmbHost => &["files serve"],
        };
        let mut commands = step.split("`crossrealm ").skip(1);
        commands.all(|command| permitted.iter().any(|known| command.starts_with(known)))
            || step.contains("an administrator")
    }

    /// The next step of a caller whose token is not valid.
    pub(crate) fn new_token(self) -> &'static str {
        match self {
            Self::Administrator => {
                "sign in with `crossrealm login`, without `--token-file` and `CROSSREALM_TOKEN`, or give another token by one of them; the first one is the file `admin.token` beside the configuration of the service"
            }
            Self::AdministratorOrSyncAgent => {
                "an administrator signs in with `crossrealm login`; for a sync agent `crossrealm connector create --domain DOMAIN --out FILE` creates another token, after `crossrealm connector revoke --domain DOMAIN` if it has one"
            }
            Self::SyncAgent => {
                "have an administrator create another token with `crossrealm connector create --domain DOMAIN --out FILE`, after `crossrealm connector revoke --domain DOMAIN` if the domain has a connector, and give it by `--token-file`"
            }
            Self::SmbHost => {
                "have an administrator create another token with `crossrealm storage-account host-token ACCOUNT --out FILE`, and give it by `--token-file`"
            }
        }
    }
}

/// Notes the caller, once.
pub(crate) fn set(caller: Caller) {
    // A second command in one process would be a mistake; the first one is the one that the user typed.
    let _ = CURRENT.set(caller);
}

/// The caller of this process; an administrator before it is noted.
pub(crate) fn current() -> Caller {
    CURRENT.get().copied().unwrap_or(Caller::Administrator)
}
