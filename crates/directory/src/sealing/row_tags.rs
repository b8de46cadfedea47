//! Authentication of rows that grant rights: tokens, administrators, grants on shares, default roles.
//!
//! Such a row holds no key to seal, so sealing alone does not keep a writer to the database from adding one. Each row
//! therefore carries a tag, HMAC-SHA-256 under a key derived from the master key, over its table, its id and every
//! column that decides what it grants. A row without a valid tag grants nothing, and is reported once.
//!
//! A tag does not say that a row is the newest: somebody who kept a copy of a row can put it back.

use crate::sealing::master_key::MasterKey;
use crossrealm_kdc::TenantId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq;

/// The most refused rows that are remembered, so that each is reported once. With more, reports may repeat.
const REMEMBERED: usize = 1_000;

/// The tables whose rows grant rights. The words are part of the tags and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RightsTable {
    /// Access tokens.
    Tokens,
    /// Administrators and their credentials.
    Administrators,
    /// Roles granted on shares.
    Grants,
    /// Default roles of storage accounts.
    DefaultRoles,
    /// Permits for the deletions of a sync run.
    DeletionPermits,
}

impl RightsTable {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "token",
            Self::Administrators => "administrator",
            Self::Grants => "grant",
            Self::DefaultRoles => "default role",
            Self::DeletionPermits => "deletion permit",
        }
    }
}

/// What a tag covers of one row. Every part has a length prefix, so that no two rows have the same bytes.
#[derive(Clone, Debug)]
pub(crate) struct RightsRow {
    table: RightsTable,
    tenant: Option<TenantId>,
    id: Vec<u8>,
    content: Vec<u8>,
}

impl RightsRow {
    pub(crate) fn new(table: RightsTable, tenant: Option<TenantId>, id: &[u8]) -> Self {
        let row = Self {
            table,
            tenant,
            id: id.to_vec(),
            content: Vec::with_capacity(192),
        };
        row.bytes(table.as_str().as_bytes())
            .optional(tenant.as_ref().map(|tenant| tenant.as_bytes().as_slice()))
            .bytes(id)
    }

    pub(crate) fn bytes(mut self, part: &[u8]) -> Self {
        self.content.extend((part.len() as u64).to_be_bytes());
        self.content.extend(part);
        self
    }

    pub(crate) fn text(self, part: &str) -> Self {
        self.bytes(part.as_bytes())
    }

    /// NULL differs from an empty value.
    pub(crate) fn optional(self, part: Option<&[u8]>) -> Self {
        match part {
            Some(part) => self.bytes(&[1]).bytes(part),
            None => self.bytes(&[0]),
        }
    }

    pub(crate) fn number(self, part: Option<i64>) -> Self {
        self.optional(part.map(i64::to_be_bytes).as_ref().map(|n| n.as_slice()))
    }
}

/// A row that was refused, to be reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedRow {
    pub(crate) table: RightsTable,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) id: Vec<u8>,
}

/// Makes and checks tags.
pub(crate) struct RowTags {
    mac: Hmac<Sha256>,
    refused: Mutex<Refused>,
}

#[derive(Default)]
struct Refused {
    known: HashSet<(RightsTable, Vec<u8>)>,
    unreported: Vec<RefusedRow>,
}

/// The tags that rows get at once: those of a version that had none, or of another master key.
#[derive(Clone, Copy)]
pub(crate) struct NewTags<'a> {
    /// The tags that the rows must have; `None` where rows had none.
    pub(crate) earlier: Option<&'a RowTags>,
    /// The new ones.
    pub(crate) tags: &'a RowTags,
}

impl NewTags<'_> {
    /// The new tag of a row; none for a row that is not authentic, which goes on granting nothing.
    pub(crate) fn of(&self, row: &RightsRow, tag: Option<&[u8]>) -> Option<Vec<u8>> {
        let is_authentic = self
            .earlier
            .is_none_or(|earlier| earlier.is_authentic(row, tag));
        is_authentic.then(|| self.tags.tag(row))
    }
}

impl RowTags {
    pub(crate) fn new(key: &MasterKey) -> Self {
        // HKDF-Expand (RFC 5869 §2.3) of one block; the master key is uniformly random, so nothing is to extract.
        let mut expand = keyed(key.bytes());
        expand.update(b"crossrealm row authentication v1\x01");
        Self {
            mac: keyed(&expand.finalize().into_bytes()),
            refused: Mutex::default(),
        }
    }

    /// The tag of a row.
    pub(crate) fn tag(&self, row: &RightsRow) -> Vec<u8> {
        let mut mac = self.mac.clone();
        mac.update(&row.content);
        mac.finalize().into_bytes().to_vec()
    }

    /// Whether a row has its tag. One that has not is remembered for the report.
    pub(crate) fn is_authentic(&self, row: &RightsRow, tag: Option<&[u8]>) -> bool {
        let authentic = bool::from(self.tag(row).ct_eq(tag.unwrap_or_default()));
        if !authentic {
            self.refuse(row);
        }
        authentic
    }

    /// The rows that were refused for the first time since the last call.
    pub(crate) fn take_refused(&self) -> Vec<RefusedRow> {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut refused.unreported)
    }

    fn refuse(&self, row: &RightsRow) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.known.len() >= REMEMBERED {
            refused.known.clear();
        }
        let is_new = refused.known.insert((row.table, row.id.clone()));
        if is_new && refused.unreported.len() < REMEMBERED {
            refused.unreported.push(RefusedRow {
                table: row.table,
                tenant: row.tenant,
                id: row.id.clone(),
            });
        }
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).unwrap_or_else(|_| {
        // HMAC takes keys of any length.
        unreachable!("HMAC refused a key")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(byte: u8) -> RowTags {
        RowTags::new(&MasterKey::from_bytes([byte; 32]))
    }

    fn row() -> RightsRow {
        RightsRow::new(RightsTable::Tokens, Some(TenantId([7; 16])), &[1, 2])
            .text("reader")
            .number(Some(5))
    }

    #[test]
    fn a_tag_holds_for_its_row_and_master_key_only() {
        let one = tags(1);
        let tag = one.tag(&row());
        assert!(one.is_authentic(&row(), Some(&tag)));
        assert!(!tags(2).is_authentic(&row(), Some(&tag)));
        assert!(!one.is_authentic(&row(), None));
        assert!(!one.is_authentic(&row(), Some(&tag[..31])));
        let tenant = Some(TenantId([7; 16]));
        let others = [
            RightsRow::new(RightsTable::Grants, tenant, &[1, 2]).text("reader"),
            RightsRow::new(RightsTable::Tokens, None, &[1, 2]).text("reader"),
            RightsRow::new(RightsTable::Tokens, tenant, &[1]).text("reader"),
            RightsRow::new(RightsTable::Tokens, tenant, &[1, 2]).text("writer"),
        ];
        for other in others {
            assert!(!one.is_authentic(&other.clone().number(Some(5)), Some(&tag)));
        }
        let base = || RightsRow::new(RightsTable::Tokens, tenant, &[1, 2]).text("reader");
        assert!(!one.is_authentic(&base().number(None), Some(&tag)));
        // What moves from one column into the next is another row.
        assert_ne!(
            one.tag(&base().text("ab").text("c")),
            one.tag(&base().text("a").text("bc"))
        );
        assert_ne!(
            one.tag(&base().optional(None)),
            one.tag(&base().optional(Some(&[])))
        );
    }

    #[test]
    fn a_refused_row_is_reported_once() {
        let tags = tags(1);
        for _ in 0..3 {
            assert!(!tags.is_authentic(&row(), None));
        }
        let refused = tags.take_refused();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].id, [1, 2]);
        assert!(!tags.is_authentic(&row(), None));
        assert_eq!(tags.take_refused(), []);
    }
}
