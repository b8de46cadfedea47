//! Keys of the configuration in the environment: `limits.connections` is `CROSSREALM_LIMITS_CONNECTIONS` there. A variable takes
//! precedence over the file. So a service manager can name the place of a credential, and a container needs no file of its own.

use super::error::ConfigError;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// The keys of the configuration.
pub(crate) const KEYS: &[&str] = &[
    "base_domain",
    "store",
    "https_listen",
    "kdc_listen",
    "metrics_listen",
    "public_port",
    "master_key",
    "state",
    "docs",
    "tls.certificate",
    "tls.key",
    "tls.ca",
    "limits.connections",
    "limits.connections_per_address",
    "limits.requests",
    "limits.requests_per_address",
    "limits.ticket_requests",
    "limits.ticket_requests_per_tenant",
    "limits.header_timeout_s",
    "limits.body_timeout_s",
];

/// The beginnings of variables that can only be meant for a key.
const RESERVED: [&str; 2] = ["CROSSREALM_TLS_", "CROSSREALM_LIMITS_"];

/// The variable of a key.
pub(crate) fn variable(key: &str) -> String {
    format!("CROSSREALM_{}", key.replace('.', "_").to_uppercase())
}

/// The keys that the environment sets, each with its variable and its value. An empty variable sets nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides(BTreeMap<&'static str, String>);

impl Overrides {
    /// Those of this process.
    pub(super) fn of_process() -> Result<Self, ConfigError> {
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with("CROSSREALM_")) else {
                continue;
            };
            let known = KEYS.iter().any(|key| variable(key) == name);
            match value.into_string() {
                Ok(value) => variables.push((name.to_owned(), value)),
                Err(_) if known => return Err(refused(name, "it is not UTF-8".to_owned())),
                Err(_) => {}
            }
        }
        Self::of(variables)
    }

    /// Those among these variables.
    pub(super) fn of(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut found = BTreeMap::new();
        for (name, value) in variables {
            if value.is_empty() {
                continue;
            }
            match KEYS.iter().find(|key| variable(key) == name) {
                Some(key) => {
                    found.insert(*key, value);
                }
                None if RESERVED.iter().any(|begin| name.starts_with(begin)) => {
                    return Err(refused(
                        &name,
                        "the configuration has no such key".to_owned(),
                    ));
                }
                None => {}
            }
        }
        Ok(Self(found))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The variable that sets the key, if one does.
    pub(super) fn sets(&self, key: &str) -> Option<String> {
        self.0.contains_key(key).then(|| variable(key))
    }

    /// The keys with their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(key, value)| (*key, value.as_str()))
    }
}

/// Puts the value of a variable into the content of the file.
pub(super) fn put(file: &mut Table, key: &str, text: &str) -> Result<(), ConfigError> {
    let value = match is_number(key) {
        true => {
            let wrong = |_| refused(&variable(key), format!("expected a number, not `{text}`"));
            Value::Integer(text.trim().parse().map_err(wrong)?)
        }
        false => Value::String(text.to_owned()),
    };
    let (table, name) = match key.split_once('.') {
        None => (Some(file), key),
        Some((table, name)) => {
            let empty = || Value::Table(Table::new());
            let table = file.entry(table).or_insert_with(empty);
            (table.as_table_mut(), name)
        }
    };
    // A file with another value in the place of the table was refused before.
    if let Some(table) = table {
        table.insert(name.to_owned(), value);
    }
    Ok(())
}

fn is_number(key: &str) -> bool {
    key == "public_port" || key.starts_with("limits.")
}

pub(super) fn refused(name: &str, reason: String) -> ConfigError {
    ConfigError::Variable {
        name: name.to_owned(),
        reason,
    }
}
