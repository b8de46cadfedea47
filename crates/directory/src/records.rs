//! The answers to the KDC: from memory, checked against the database's change counter, never writing.

use crate::Directory;
use crossrealm_kdc::{Lookups, Records};

impl Directory {
    /// Answers the exchange. Where the database does not answer in time, or something in it does not open, this is
    /// [`Records::Unavailable`]; it never fails otherwise. A change made here counts from the next call on, one made
    /// by another node within a second.
    pub async fn records(&self, lookups: &Lookups) -> Records {
        todo!()
    }
}
