//! Password hashing (Argon2id) in a fixed amount of memory.
//!
//! A hash needs 19 MiB and tens of milliseconds of a processor, and anyone may ask for one. So there are as many pieces of
//! hashing memory as there are hashes that the machine can compute beside its other work; they are made once and used
//! again. What is allocated and freed for each attempt instead stays with the allocator: one piece for every thread that
//! ever hashed.

use crate::error::{DirectoryError, Refusal, Result};
use crate::random::random;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use zeroize::{Zeroize as _, Zeroizing};

/// The longest password, in bytes.
pub(crate) const MAX_PASSWORD_LEN: usize = 256;
/// The format of a stored password: Argon2id, version 0x13, 19 MiB, two passes, one lane; salt, hash.
const FORMAT: u8 = 1;
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
const SALT_LEN: usize = 16;
const HASH_LEN: usize = 32;
/// The most passwords that are hashed at once, on a machine of any size: 38 MiB.
const MOST_AT_ONCE: usize = 2;
/// How long a sign-in waits for hashing memory before it is refused. How many wait is bounded by the caller.
const PATIENCE: Duration = Duration::from_secs(2);

/// The hashing memory of this process.
pub(crate) struct HashingPool {
    /// As many as hashes may run at once.
    permits: Arc<Semaphore>,
    /// The pieces that are not in use; made when first needed.
    unused: Arc<Mutex<Vec<Box<[Block]>>>>,
}

/// The right to compute one hash, with the memory for it. Returned to the pool when dropped.
pub(crate) struct HashingMemory {
    blocks: Option<Box<[Block]>>,
    unused: Arc<Mutex<Vec<Box<[Block]>>>>,
    _permit: OwnedSemaphorePermit,
}

impl HashingPool {
    pub(crate) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            // Half of the processors stay free for tickets.
            permits: Arc::new(Semaphore::new((cores / 2).clamp(1, MOST_AT_ONCE))),
            unused: Arc::default(),
        }
    }

    /// Waits for hashing memory.
    ///
    /// # Errors
    ///
    /// [`Refusal::SignInBusy`] if there is none in time.
    pub(crate) async fn acquire(&self) -> Result<HashingMemory> {
        match timeout(PATIENCE, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(HashingMemory {
                blocks: lock(&self.unused).pop(),
                unused: Arc::clone(&self.unused),
                _permit: permit,
            }),
            Ok(Err(_)) | Err(_) => Err(Refusal::SignInBusy.into()),
        }
    }
}

impl HashingMemory {
    /// The stored form of a password.
    pub(crate) async fn hashed(self, password: Zeroizing<String>) -> Result<Vec<u8>> {
        let mut stored = vec![FORMAT; 1 + SALT_LEN];
        random(&mut stored[1..])?;
        let hash = self.hash(password, stored[1..].to_vec()).await?;
        stored.extend_from_slice(hash.as_ref());
        Ok(stored)
    }

    /// Whether this is the stored password. `None` is the password of an account that has none: the same work is done,
    /// so that the time does not say which accounts exist.
    pub(crate) async fn verified(
        self,
        password: Zeroizing<String>,
        stored: Option<Vec<u8>>,
    ) -> Result<bool> {
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| vec![FORMAT; 1 + SALT_LEN + HASH_LEN]);
        let damaged = || DirectoryError::damaged("administrator's password", "an unknown format");
        let (format, rest) = stored.split_first().ok_or_else(damaged)?;
        let (salt, wanted) = rest.split_at_checked(SALT_LEN).ok_or_else(damaged)?;
        if *format != FORMAT || wanted.len() != HASH_LEN {
            return Err(damaged());
        }
        if password.len() > MAX_PASSWORD_LEN {
            return Ok(false);
        }
        let computed = self.hash(password, salt.to_vec()).await?;
        Ok(bool::from(computed.as_ref().ct_eq(wanted)) && exists)
    }

    /// On a blocking thread, which keeps the memory until it is done even if the caller no longer waits.
    async fn hash(
        mut self,
        password: Zeroizing<String>,
        salt: Vec<u8>,
    ) -> Result<Zeroizing<[u8; HASH_LEN]>> {
        let failed =
            |error: &dyn std::fmt::Display| DirectoryError::damaged("password hash", error);
        tokio::task::spawn_blocking(move || {
            let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_LEN))
                .map_err(|error| failed(&error))?;
            let blocks = self
                .blocks
                .get_or_insert_with(|| vec![Block::new(); params.block_count()].into());
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let mut hash = Zeroizing::new([0; HASH_LEN]);
            argon2
                .hash_password_into_with_memory(
                    password.as_bytes(),
                    &salt,
                    hash.as_mut(),
                    blocks.as_mut(),
                )
                .map_err(|error| failed(&error))?;
            Ok(hash)
        })
        .await
        .map_err(|error| failed(&error))?
    }
}

impl Drop for HashingMemory {
    fn drop(&mut self) {
        if let Some(mut blocks) = self.blocks.take() {
            blocks.iter_mut().zeroize();
            lock(&self.unused).push(blocks);
        }
    }
}

fn lock(unused: &Mutex<Vec<Box<[Block]>>>) -> std::sync::MutexGuard<'_, Vec<Box<[Block]>>> {
    unused.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    /// R4, S15: hashes use the same memory again, and there are never more of them at once than there is memory for.
    #[tokio::test]
    async fn hashing_memory_is_used_again_and_bounded() {
        let pool = HashingPool::new();
        let at_once = pool.permits.available_permits();
        assert!((1..=MOST_AT_ONCE).contains(&at_once));
        let stored = pool.acquire().await.unwrap().hashed(password("one")).await;
        let stored = stored.unwrap();
        for (text, right) in [("one", true), ("other", false)] {
            let memory = pool.acquire().await.unwrap();
            assert!(memory.blocks.is_some(), "new memory was allocated");
            let found = memory.verified(password(text), Some(stored.clone())).await;
            assert_eq!(found.unwrap(), right);
        }
        let memory = pool.acquire().await.unwrap();
        assert!(!memory.verified(password("one"), None).await.unwrap());
        assert_eq!(lock(&pool.unused).len(), 1);

        let mut held = Vec::new();
        for _ in 0..at_once {
            held.push(pool.acquire().await.unwrap());
        }
        let refused = pool.acquire().await.err().unwrap();
        assert!(matches!(
            refused,
            DirectoryError::Refused(Refusal::SignInBusy)
        ));
        held.pop();
        assert!(pool.acquire().await.is_ok());
    }

    /// A password's traces do not stay in memory that is kept.
    #[tokio::test]
    async fn kept_memory_is_wiped() {
        let pool = HashingPool::new();
        let memory = pool.acquire().await.unwrap();
        memory.hashed(password("one")).await.unwrap();
        let unused = lock(&pool.unused);
        let words = unused.iter().flatten().flat_map(|block| block.as_ref());
        assert_eq!(words.filter(|word| **word != 0).count(), 0);
    }
}
