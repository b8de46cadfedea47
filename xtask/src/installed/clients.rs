//! Clients that connect to the service without pause while something happens to it.

use std::process::{Child, Stdio};

use super::machine::Machine;
use crate::Outcome;

/// Opens a connection, asks for `/livez` and closes it, again and again, until its input ends. Prints how many were answered, and what
/// happened to the others. The time-out is longer than a start of the service may take: a client that waits is not refused.
const CLIENT: &str = r#"
import http.client, select, ssl, sys
context = ssl._create_unverified_context()
answered, failed = 0, []
while not select.select([sys.stdin], [], [], 0.01)[0]:
    try:
        connection = http.client.HTTPSConnection("127.0.0.1", 443, timeout=60, context=context)
        connection.request("GET", "/livez", headers={"Host": "login.cloud.example"})
        status = connection.getresponse().status
        connection.close()
        if status == 200:
            answered += 1
        else:
            failed.append(str(status))
    except Exception as error:
        failed.append(repr(error))
print(answered, len(failed), *sorted(set(failed))[:3])
"#;

/// A client that runs.
pub(super) struct Client(Child);

impl Client {
    /// Starts one.
    pub(super) fn start(machine: &Machine<'_>) -> Result<Self, String> {
        let mut python = machine.on_its_network("python3");
        python
            .args(["-c", CLIENT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = python.spawn();
        child
            .map(Self)
            .map_err(|error| format!("cannot start a client: {error}"))
    }

    /// Ends it. Every connection must have been answered.
    pub(super) fn end(mut self, during: &str) -> Outcome {
        drop(self.0.stdin.take());
        let output = self
            .0
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let mut words = text.split(' ');
        let (answered, failed) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        eprintln!("during {during}: {answered} connections answered, {failed} failed");
        match (answered.parse::<u32>(), failed) {
            (Ok(1..), "0") => Ok(()),
            _ => Err(format!("during {during} connections failed: {text}")),
        }
    }
}
