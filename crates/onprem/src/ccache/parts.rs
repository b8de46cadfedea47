//! A cache in parts, as keyrings and daemons of KCM hold it.

use crossrealm_krb::ccache::{Ccache, CcacheError};
use zeroize::Zeroizing;

/// The client's name, and each entry alone, in the file's format.
pub(super) struct Parts {
    pub(super) principal: Zeroizing<Vec<u8>>,
    pub(super) entries: Vec<Zeroizing<Vec<u8>>>,
}

impl Parts {
    pub(super) fn join(self) -> Result<Ccache, CcacheError> {
        Ccache::from_parts(&self.principal, &self.entries)
    }
}
