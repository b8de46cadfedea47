//! Why a configuration cannot be used.

use std::path::PathBuf;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such file.
    #[error("the configuration file `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("the configuration file `{}` cannot be read: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// It is not TOML, holds an unknown key, lacks a needed one, or a value has the wrong type.
    #[error("the configuration file `{}` is wrong in line {line}: {reason}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A value makes no sense.
    #[error("the configuration file `{}` is wrong at `{key}`: {reason}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        reason: String,
    },
    /// A variable of the environment makes no sense.
    #[error("the environment variable `{name}` is wrong: {reason}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ConfigError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => Some("a new installation makes one".into()),
            Self::Unreadable { .. } => Some("check its owner and mode".into()),
            Self::Syntax { reason, .. } if reason.starts_with("unknown field") => Some(
                "this version has no such key: correct its name, or remove it if another version wrote it; the reference *Configuration* lists the keys".into(),
            ),
            Self::Variable { .. } => Some(
                "correct or unset it, in the service's unit if a unit sets it; the reference *Configuration* lists the variables".into(),
            ),
            Self::Syntax { .. } | Self::Value { .. } => None,
        }
    }
}
