//! Bytes of a client in memory, each with its part of a budget.
//!
//! Memory is taken from the budget as the bytes arrive, not as their announced length promises: a client that announces much
//! and sends little holds little.

use crate::limits::Permit;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// What is allocated for the first bytes. Most bodies are smaller.
const FIRST: usize = 8 * 1024;

/// Bytes, wiped when dropped, and their part of the budget.
pub(crate) struct HeldBytes {
    bytes: Zeroizing<Vec<u8>>,
    permit: Permit<IpAddr>,
}

/// The bytes in flight, or those of this sender, have used up the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoMemory;

impl HeldBytes {
    /// No bytes yet; `permit` is of the budget.
    pub(crate) fn new(permit: Permit<IpAddr>) -> Self {
        Self {
            bytes: Zeroizing::default(),
            permit,
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Wipes the bytes and keeps their part of the budget, for what was decoded from them.
    pub(crate) fn into_permit(self) -> Permit<IpAddr> {
        self.permit
    }

    /// Appends `data` to bytes of which there will be at most `whole`.
    pub(crate) fn append(&mut self, data: &[u8], whole: usize) -> Result<(), NoMemory> {
        self.reserve(data.len(), whole)?;
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// The vector to append to, with capacity for `more` bytes. What was allocated before is wiped.
    pub(crate) fn reserve(&mut self, more: usize, whole: usize) -> Result<&mut Vec<u8>, NoMemory> {
        let (needed, capacity) = (self.bytes.len() + more, self.bytes.capacity());
        if needed > capacity {
            let wanted = needed.max((2 * capacity).max(FIRST).min(whole));
            let mut grown = Zeroizing::new(Vec::new());
            grown.reserve_exact(wanted);
            if !self.permit.try_grow(grown.capacity() - capacity) {
                return Err(NoMemory);
            }
            grown.extend_from_slice(&self.bytes);
            self.bytes = grown;
        }
        Ok(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ConcurrencyLimit;
    use std::net::Ipv4Addr;

    const FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// S2: memory is taken as bytes arrive, within the budget, and given back.
    #[test]
    fn bytes_are_bounded_as_they_arrive() {
        let budget = ConcurrencyLimit::new(4 * FIRST, 3 * FIRST);
        let mut small = HeldBytes::new(budget.none(FROM));
        small.append(&[1; 100], 100).unwrap();
        assert!(small.bytes.capacity() < FIRST);
        let mut large = HeldBytes::new(budget.none(FROM));
        large.append(&[1; FIRST], usize::MAX).unwrap();
        large.append(&[2; FIRST], usize::MAX).unwrap();
        assert_eq!(large.append(&[3; FIRST], usize::MAX), Err(NoMemory));
        assert_eq!(large.as_slice(), [[1; FIRST], [2; FIRST]].concat());
        let kept = large.into_permit();
        assert!(
            HeldBytes::new(budget.none(FROM))
                .append(&[1; FIRST], FIRST)
                .is_err()
        );
        drop(kept);
        assert!(
            HeldBytes::new(budget.none(FROM))
                .append(&[1; FIRST], FIRST)
                .is_ok()
        );
    }
}
