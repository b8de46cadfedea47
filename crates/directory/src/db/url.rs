//! The URL of a store: it selects the database and how to connect to it.
//!
//! A URL appears in configuration files and process lists, so it never holds a password. A connection to another
//! machine is encrypted, and the server is authenticated.

use sqlx::any::AnyConnectOptions;
use std::net::IpAddr;
use std::str::FromStr;

/// What is said of a URL that cannot be used.
type Reason = String;

/// Where PostgreSQL listens on this machine, when nothing else is said.
const SOCKET_FOLDER: &str = "/var/run/postgresql";
/// The parameters that are accepted; `password` is not one of them.
const PARAMETERS: [&str; 7] = [
    "host",
    "port",
    "user",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
];
const EXPECTED: &str =
    "expected `sqlite:` and the path of a file, or `postgres://USER@HOST/DATABASE`";
/// What to do instead of writing a password into the URL.
pub(crate) const PASSWORD_HINT: &str = "the password goes into a file of PostgreSQL's form, `HOST:PORT:DATABASE:USER:PASSWORD`, mode 0600, that the environment variable PGPASSFILE names (otherwise `~/.pgpass`); on the same machine a socket and `peer` need none";

/// A database.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// The file at this path.
    Sqlite(String),
    /// The server and database of this URL, with every parameter that decides how to connect.
    Postgres(String),
}

/// Checks the URL of a store without opening it: `sqlite:PATH`, or `postgres://[USER@]HOST[:PORT]/DATABASE` with `sslmode`,
/// `sslrootcert`, `sslcert` and `sslkey` as PostgreSQL knows them. `postgres:///DATABASE?host=/FOLDER` is a socket.
///
/// # Errors
///
/// What is wrong with it. It never holds what follows a password.
pub fn check_store_url(url: &str) -> Result<(), String> {
    StoreUrl::parse(url).map(drop)
}

impl StoreUrl {
    pub(crate) fn parse(url: &str) -> Result<Self, Reason> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres(url).map(Self::Postgres);
        }
        url.strip_prefix("sqlite://")
            .or_else(|| url.strip_prefix("sqlite:"))
            .filter(|path| !path.is_empty() && !path.contains('\0'))
            .map(|path| Self::Sqlite(path.to_owned()))
            .ok_or_else(|| EXPECTED.to_owned())
    }
}

/// A URL of a store as it may be shown: without user and parameters. Of an invalid one, which may hold a secret
/// anywhere, only the beginning.
pub fn shown_store_url(url: &str) -> String {
    let Some((scheme, rest)) = url
        .split_once("://")
        .filter(|_| !url.starts_with("sqlite:"))
    else {
        return url.to_owned();
    };
    if StoreUrl::parse(url).is_err() {
        return format!("{scheme}://…");
    }
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.split('?').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

/// Checks a PostgreSQL URL and makes explicit what the environment would otherwise decide: the host and the encryption.
fn postgres(url: &str) -> Result<String, Reason> {
    let mut url = AnyConnectOptions::from_str(url)
        .map_err(|error| format!("invalid URL: {error}"))?
        .database_url;
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    if url.password().is_some() || pairs.iter().any(|(key, _)| key == "password") {
        return Err(format!(
            "it holds a password, which others can read; {PASSWORD_HINT}"
        ));
    }
    for (place, (key, value)) in pairs.iter().enumerate() {
        if !PARAMETERS.contains(&key.as_str()) {
            let known = PARAMETERS.join("`, `");
            return Err(format!("it has the parameter `{key}`; known are `{known}`"));
        }
        if pairs.iter().take(place).any(|(before, _)| before == key) {
            return Err(format!("it has the parameter `{key}` twice"));
        }
        if key.starts_with("ssl") && key != "sslmode" && !value.starts_with('/') {
            return Err(format!("`{key}` must be the full path of a file"));
        }
    }
    let parameter = |name: &str| {
        let found = pairs.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    let database = url.path().trim_start_matches('/');
    if database.is_empty() || database.contains('/') {
        return Err("it must name one database: `postgres://USER@HOST/DATABASE`".into());
    }
    let in_front = url.host_str().filter(|host| !host.is_empty());
    let host = host(in_front, parameter("host"))?;
    let mode = encryption(&host, parameter("sslmode"))?;
    let rest: Vec<_> = pairs
        .iter()
        .filter(|(key, _)| key != "host" && key != "sslmode")
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(rest)
        .append_pair("host", &host)
        .append_pair("sslmode", mode);
    Ok(url.into())
}

/// The name or address of the server, or the folder of its socket.
fn host(in_front: Option<&str>, parameter: Option<&str>) -> Result<String, Reason> {
    let host = match (in_front, parameter) {
        (None, None) => SOCKET_FOLDER,
        (None, Some(folder)) if folder.starts_with('/') => folder,
        (None, Some(_)) => {
            return Err("the parameter `host` is for the directory of a socket; a server's name follows `postgres://`".into());
        }
        (Some(_), Some(_)) => return Err("it names a host twice".into()),
        (Some(host), None) => host.trim_start_matches('[').trim_end_matches(']'),
    };
    if !host.starts_with('/') && host.contains(['%', ',']) {
        return Err(
            "it must name one host; the directory of a socket is given by `?host=/FOLDER`".into(),
        );
    }
    Ok(host.to_owned())
}

/// How to encrypt. On the same machine the operator decides; to another machine only `verify-full` is accepted.
fn encryption(host: &str, wanted: Option<&str>) -> Result<&'static str, Reason> {
    let is_socket = host.starts_with('/');
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let known = ["disable", "prefer", "require", "verify-ca", "verify-full"];
    match wanted {
        Some("verify-full") => Ok("verify-full"),
        Some(mode) if is_socket || is_loopback => known
            .into_iter()
            .find(|known| *known == mode)
            .ok_or_else(|| format!("`sslmode` must be one of `{}`", known.join("`, `"))),
        Some(mode) => Err(format!(
            "`sslmode={mode}` does not authenticate the server; for another machine only `verify-full` is accepted, and `sslrootcert=/FILE` names the authority that signed its certificate, unless that is a public one"
        )),
        None if is_socket => Ok("disable"),
        None if is_loopback => Ok("prefer"),
        None => Ok("verify-full"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_password() {
        for (url, wanted) in [
            ("postgres://u@db.example/x", "postgres://db.example/x"),
            ("postgres://u:p@db.example/x", "postgres://…"),
            ("postgres://u:p/x", "postgres://…"),
            ("postgres://u@db.example/x?password=p", "postgres://…"),
            ("mysql://u:p@db.example/x", "mysql://…"),
            ("postgres:///x?host=/run", "postgres:///x"),
            ("sqlite:/var/lib/a@b.db", "sqlite:/var/lib/a@b.db"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(shown_store_url(url), wanted);
        }
    }

    #[test]
    fn connections_over_a_network_are_encrypted_and_authenticated() {
        for (url, wanted) in [
            (
                "postgres:///x",
                "postgres:///x?host=%2Fvar%2Frun%2Fpostgresql&sslmode=disable",
            ),
            (
                "postgres:///x?host=/run/pg&user=u",
                "postgres:///x?user=u&host=%2Frun%2Fpg&sslmode=disable",
            ),
            (
                "postgres://u@localhost/x",
                "postgres://u@localhost/x?host=localhost&sslmode=prefer",
            ),
            (
                "postgres://[::1]:5433/x?sslmode=require",
                "postgres://[::1]:5433/x?host=%3A%3A1&sslmode=require",
            ),
            (
                "postgresql://u@db.example/x",
                "postgresql://u@db.example/x?host=db.example&sslmode=verify-full",
            ),
            (
                "postgres://u@192.0.2.1/x?sslmode=verify-full&sslrootcert=/ca.pem",
                "postgres://u@192.0.2.1/x?sslrootcert=%2Fca.pem&host=192.0.2.1&sslmode=verify-full",
            ),
        ] {
            let parsed = StoreUrl::parse(url);
            assert_eq!(parsed, Ok(StoreUrl::Postgres(wanted.into())), "{url}");
        }
    }

    #[test]
    fn errors_name_the_cause_and_repeat_no_password() {
        for (url, reason) in [
            ("postgres://u:s3cret@db.example/x", "holds a password"),
            (
                "postgres://u@db.example/x?password=s3cret",
                "holds a password",
            ),
            ("postgres://u@db.example/x?passfile=/s3cret", "`passfile`"),
            ("postgres://u@db.example/x?sslmode=require", "verify-full"),
            ("postgres://u@localhost/x?sslmode=s3cret", "must be one of"),
            ("postgres://u@db.example/x?sslrootcert=ca.pem", "full path"),
            ("postgres://u@db.example/x?port=1&port=2", "twice"),
            ("postgres://u@db.example/x?host=/run", "a host twice"),
            ("postgres:///x?host=db.example", "directory of a socket"),
            ("postgres://a,b/x", "one host"),
            ("postgres://db.example", "name one database"),
            ("postgres://db.example:s3cret/x", "invalid URL"),
            ("mysql://u:s3cret@db.example/x", "expected `sqlite:`"),
            ("sqlite:", "expected `sqlite:`"),
        ] {
            let error = check_store_url(url).unwrap_err();
            assert!(error.contains(reason), "{url}: {error}");
            assert!(!error.contains("s3cret"), "{url}: {error}");
        }
    }
}
