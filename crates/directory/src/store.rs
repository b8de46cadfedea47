//! The handle: a database, a master key and the caches.

use crate::master_key::MasterKey;
use crate::Result;
use std::sync::Arc;

/// The directory of an installation. Cheap to clone; every clone is the same directory.
#[derive(Clone)]
pub struct Directory {
    pub(crate) inner: Arc<()>,
}

impl Directory {
    /// Opens (makes, migrates) the database at `url`: `sqlite:PATH`, `sqlite:///PATH`. A file that is made can be read
    /// by its owner only. A database that was made under another master key is refused.
    pub async fn open(url: &str, master_key: MasterKey) -> Result<Self> {
        todo!()
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        todo!()
    }

    /// Closes the database. What is under way ends first.
    pub async fn close(&self) {
        todo!()
    }
}
