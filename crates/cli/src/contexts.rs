//! Contexts: the services that `crossrealm connect` has verified, each with its private CA and a tenant, so that no later
//! command needs these options. They hold no secret; a token is part of a session.

use crate::config_dir;
use crate::failure::Failure;
use crate::input_file::read_bounded;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::str::FromStr;

const FILE: &str = "contexts.json";
const MAX_FILE_BYTES: usize = 1 << 20;

/// A service and the tenant to work on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// The address, as [`address`] writes it.
    pub server: String,
    /// The file with the private CA that issued the service's certificate; absent where the certificate is public.
    pub ca: Option<PathBuf>,
    /// Name, domain or id of the tenant.
    pub tenant: Option<String>,
}

/// All contexts of the user.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Contexts {
    /// The one that is used where none is chosen.
    pub current: Option<ContextName>,
    /// The contexts, by name.
    pub contexts: BTreeMap<ContextName, Remembered>,
}

/// The name of a context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ContextName(String);

impl FromStr for ContextName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        match (1..=255).contains(&text.len()) && text.bytes().all(plain) {
            true => Ok(Self(text.to_owned())),
            false => Err("a name has letters, digits, dots, hyphens and underscores"),
        }
    }
}

impl std::fmt::Display for ContextName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Contexts {
    /// The contexts of the user's file; none where there is no file.
    pub(crate) fn load() -> Result<Self, Failure> {
        // Without a home directory there is nothing to remember, and commands work all the same.
        let Ok(path) = path() else {
            return Ok(Self::default());
        };
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = read_bounded(&path, MAX_FILE_BYTES, "context")?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(format!("`{}` is damaged: {error}", path.display()))
                .hint("delete it, and run `crossrealm connect URL` again")
        })
    }

    /// Writes the user's file.
    fn store(&self) -> Result<(), Failure> {
        let encode = |error| Failure::new(format!("cannot encode the contexts as JSON: {error}"));
        let bytes = serde_json::to_vec_pretty(self).map_err(encode)?;
        if bytes.len() > MAX_FILE_BYTES {
            let failure = Failure::new(format!(
                "the contexts take more than {MAX_FILE_BYTES} bytes"
            ));
            return Err(failure.hint("remove some with `crossrealm context remove NAME`"));
        }
        config_dir::write(&path()?, &bytes, "context")
    }

    /// Adds a context, with its private CA in a file of its own, or replaces the one of this name; it becomes the current one.
    pub(crate) fn add(
        &mut self,
        name: ContextName,
        server: &str,
        ca_pem: Option<&str>,
        tenant: Option<String>,
    ) -> Result<(), Failure> {
        let ca = match ca_pem {
            Some(pem) => {
                let path = config_dir::path(&format!("{name}.ca.pem"))?;
                config_dir::write(&path, pem.as_bytes(), "CA")?;
                Some(path)
            }
            None => None,
        };
        let remembered = Remembered {
            server: address(server),
            ca,
            tenant,
        };
        self.contexts.insert(name.clone(), remembered);
        self.current = Some(name);
        self.store()
    }

    /// Makes a context the current one.
    pub(crate) fn choose(&mut self, name: &ContextName) -> Result<(), Failure> {
        self.named(name)?;
        self.current = Some(name.clone());
        self.store()
    }

    /// Remembers the tenant of the current context, where the context is one of `server` and has none.
    pub(crate) fn remember_tenant(&mut self, server: &str, tenant: &str) -> Result<bool, Failure> {
        let current = self.current.as_ref();
        let Some(remembered) = current.and_then(|name| self.contexts.get_mut(name)) else {
            return Ok(false);
        };
        if remembered.server != address(server) || remembered.tenant.is_some() {
            return Ok(false);
        }
        remembered.tenant = Some(tenant.to_owned());
        self.store()?;
        Ok(true)
    }

    /// Removes a context and the file of its CA.
    pub(crate) fn remove(&mut self, name: &ContextName) -> Result<(), Failure> {
        let removed = self.contexts.remove(name).ok_or_else(|| unknown(name))?;
        if self.current.as_ref() == Some(name) {
            self.current = None;
        }
        self.store()?;
        match removed.ca.map(std::fs::remove_file) {
            Some(Err(error)) if error.kind() != ErrorKind::NotFound => Err(Failure::new(format!(
                "the context is removed, but not the file of its CA: {error}"
            ))),
            _ => Ok(()),
        }
    }

    /// The context of this name.
    pub(crate) fn named(&self, name: &ContextName) -> Result<&Remembered, Failure> {
        self.contexts.get(name).ok_or_else(|| unknown(name))
    }
}

fn unknown(name: &ContextName) -> Failure {
    Failure::new(format!("no context `{name}`"))
        .hint("`crossrealm context list` shows them; `crossrealm connect URL` adds one")
}

/// An address of a service in one spelling: with its scheme, without a slash at the end.
pub(crate) fn address(server: &str) -> String {
    let server = server.trim_end_matches('/');
    match server.contains("://") {
        true => server.to_owned(),
        false => format!("https://{server}"),
    }
}

fn path() -> Result<PathBuf, Failure> {
    config_dir::path(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for text in [
            "login.cloud.example",
            "https://login.cloud.example",
            "https://login.cloud.example/",
        ] {
            assert_eq!(address(text), "https://login.cloud.example");
        }
    }

    #[test]
    fn names_are_plain_words() {
        assert!("login.cloud.example".parse::<ContextName>().is_ok());
        for bad in ["", "a b", "a/b", "é", &"a".repeat(256)] {
            assert!(bad.parse::<ContextName>().is_err(), "{bad}");
        }
    }
}
