//! The API of one node, by curl on the administration host.

use crossrealm_lab::Place;
use serde_json::Value;

use super::{LONGEST, Scene};
use crate::history::Ended;
use crate::world::{LOGIN, address};

/// A call.
pub(super) struct Call<'a> {
    pub(super) node: usize,
    pub(super) method: &'a str,
    /// Below `/api/v1/`.
    pub(super) path: &'a str,
    pub(super) body: Option<Value>,
    /// In place of the administrator's.
    pub(super) token: Option<&'a str>,
}

/// An answer: how it ended, and its body.
pub(super) fn call(scene: &Scene, call: &Call) -> (Ended, Value) {
    let story = &scene.ground.story;
    let token = match call.token {
        Some(token) => token.to_owned(),
        None => {
            std::fs::read_to_string(story.cloud_folder().join("admin.token")).unwrap_or_default()
        }
    };
    // Secrets stay off the command line: all options come by the standard input.
    let body = call
        .body
        .as_ref()
        .map_or_else(String::new, Value::to_string);
    let mut options = format!(
        "url = \"https://{LOGIN}/api/v1/{}\"\nrequest = \"{}\"\nheader = \"Authorization: Bearer {}\"\n",
        call.path,
        call.method,
        token.trim()
    );
    if call.body.is_some() {
        options += &format!(
            "header = \"Content-Type: application/json\"\ndata = \"{}\"\n",
            body.replace('\\', "\\\\").replace('"', "\\\"")
        );
    }
    let resolve = format!("{LOGIN}:443:{}", address(call.node));
    let limit = LONGEST.as_secs().saturating_sub(2).to_string();
    let curl = story
        .world
        .at(Place::Admin, "curl")
        .args(["-sS", "-K", "-"]);
    let curl = curl.args([
        "--resolve",
        &resolve,
        "--max-time",
        &limit,
        "-w",
        "\n%{http_code}",
    ]);
    let curl = curl
        .arg("--cacert")
        .arg(story.ca())
        .stdin(options)
        .timeout(LONGEST);
    let output = match curl.output() {
        Ok(output) => output,
        Err(failure) => return (Ended::Failed(failure.to_string()), Value::Null),
    };
    let said = output.out();
    let (text, status) = said.rsplit_once('\n').unwrap_or(("", ""));
    let body = serde_json::from_str(text).unwrap_or(Value::Null);
    let reason = || {
        format!(
            "{status} {} {}",
            text.chars().take(300).collect::<String>(),
            output.err().trim()
        )
    };
    let ended = match status.parse() {
        Ok(200..=299) => Ended::Done,
        // What the node decided. A conflict may be one with what was not acknowledged.
        Ok(400..=407 | 410..=428) => Ended::Refused(reason()),
        _ => Ended::Failed(reason()),
    };
    (ended, body)
}
