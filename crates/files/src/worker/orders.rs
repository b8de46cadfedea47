//! The supervisor's orders to the worker, on stdin.

use crate::error::FilesError;
use crate::ipc::Order;
use serde_json::error::Category;
use std::os::fd::AsFd;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;
use zeroize::Zeroizing;

/// The supervisor's orders.
pub(super) struct Orders(Lines<BufReader<Receiver>>);

impl Orders {
    /// Opens stdin.
    pub(super) fn open() -> Result<Self, FilesError> {
        let failed = |error| FilesError::file("read", Path::new("/dev/stdin"), &error);
        let stdin = std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(failed)?;
        let pipe = Receiver::from_owned_fd(stdin).map_err(failed)?;
        Ok(Self(BufReader::new(pipe).lines()))
    }

    /// The next order; `None` once the supervisor closed stdin or is gone.
    pub(super) async fn next(&mut self) -> Result<Option<Order>, FilesError> {
        let line = match self.0.next_line().await {
            Ok(Some(line)) => Zeroizing::new(line),
            Ok(None) | Err(_) => return Ok(None),
        };
        let order = serde_json::from_str(&line).map_err(|error| FilesError::BadState {
            what: "an order of the supervisor".into(),
            reason: kind(&error).to_owned(),
        })?;
        Ok(Some(order))
    }
}

/// The kind of a JSON error. Its full text could quote the line, which contains keys.
fn kind(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        Category::Io => "it cannot be read",
        Category::Syntax => "it is not JSON",
        Category::Data => "it is of another version",
        Category::Eof => "it is truncated",
    }
}
