//! Independent hands: raw HTTP over TLS, DER by a few lines, and Samba's own code to rewrite tickets.

use std::path::{Path, PathBuf};

use crossrealm_lab::story::{CLOUD_REALM, Story};
use crossrealm_lab::{Failure, Output, PATIENCE, Place, Run};

/// What came back over HTTP.
pub(crate) struct Reply {
    pub status: u16,
    pub body: Vec<u8>,
    pub output: Output,
}

impl Reply {
    /// Expects this status and a body of at most a few words: nothing of the service's inside.
    pub(crate) fn is(&self, status: u16) -> Result<(), Failure> {
        if self.status != status {
            return Err(self.output.failure(&format!(
                "was expected to be answered with HTTP status {status}"
            )));
        }
        if self.body.len() > 512 {
            return Err(self.output.failure("was expected to have a short body"));
        }
        Ok(())
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("oracles")
        .join(name)
}

/// Sends these bytes to the service from the client's place.
pub(crate) fn send(story: &Story, request: &[u8]) -> Result<Reply, Failure> {
    let run = story
        .world
        .at(Place::Client, "python3")
        .arg(script("tls.py"))
        .args(["login.cloud.example", "443"]);
    let output = run
        .arg(story.ca())
        .stdin(request)
        .timeout(PATIENCE)
        .output()?;
    let head = output.out().lines().next().unwrap_or_default().to_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or(0);
    let split = output
        .stdout
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map_or(output.stdout.len(), |at| at + 4);
    let body = output.stdout[split..].to_vec();
    Ok(Reply {
        status,
        body,
        output,
    })
}

/// Posts a body to the KDC proxy of a tenant.
pub(crate) fn post(story: &Story, tenant: &str, body: &[u8]) -> Result<Reply, Failure> {
    let head = format!(
        "POST /{tenant}/kerberos HTTP/1.0\r\nHost: login.cloud.example\r\nContent-Type: application/kerberos\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    send(story, &[head.as_bytes(), body].concat())
}

/// A `KDC-PROXY-MESSAGE` ([MS-KKDCP] 2.2.2) around a Kerberos message.
pub(crate) fn kkdcp(kerberos: &[u8], realm: &str) -> Vec<u8> {
    let length = u32::try_from(kerberos.len())
        .unwrap_or(u32::MAX)
        .to_be_bytes();
    let message = der(0xa0, &der(0x04, &[&length[..], kerberos].concat()));
    let realm = der(0xa1, &der(0x1b, realm.as_bytes()));
    der(0x30, &[message, realm].concat())
}

/// One DER element.
pub(crate) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let bytes = content.len().to_be_bytes();
    let significant: Vec<u8> = bytes
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    let length = match content.len() {
        short @ 0..=127 => vec![u8::try_from(short).unwrap_or(0)],
        _ => [
            vec![0x80 | u8::try_from(significant.len()).unwrap_or(0)],
            significant,
        ]
        .concat(),
    };
    [vec![tag], length, content.to_vec()].concat()
}

/// Gives a user a fresh sign-in, their referral rewritten by `how`, in the cache `forged.ccache`.
pub(crate) fn forge(story: &Story, user: &str, how: &str) -> Result<PathBuf, Failure> {
    story
        .world
        .kinit(user, "honest.ccache", &story.krb5_conf())?;
    let honest = story.world.path(Place::Client, "honest.ccache");
    story
        .user("honest", "kvno")
        .arg(format!("krbtgt/{CLOUD_REALM}"))
        .ok()?;
    let forged = story.world.path(Place::Client, "forged.ccache");
    let run = story
        .world
        .at(Place::Onprem, "python3")
        .arg(script("referral.py"))
        .arg(story.world.dc_folder());
    run.args([&honest, &forged]).args([CLOUD_REALM, how]).ok()?;
    Ok(forged)
}

/// Asks for the share's ticket with the forged cache.
pub(crate) fn kvno_forged(story: &Story) -> Run {
    story
        .user("forged", "kvno")
        .arg(format!("{}@{CLOUD_REALM}", crossrealm_lab::story::SPN))
}
