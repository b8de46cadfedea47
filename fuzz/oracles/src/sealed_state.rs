//! The SMB host's sealed copy of its state.

use crossrealm_api::{HostState, SecretText};
use crossrealm_files::{NONCE_LEN, SealKey};

/// The nonce of every copy here: nothing else is sealed with the key.
pub(crate) const NONCE: [u8; NONCE_LEN] = [7; NONCE_LEN];
/// When the seeds were sealed.
pub(crate) const SEALED_AT: i64 = 1_700_000_000;

/// Bytes as a copy: what is accepted is what was sealed. And behind two times the JSON of a state, sealed at the one and read at the
/// other: it comes back whole or is refused, and refused when a bit of it was changed.
pub fn sealed_state(data: &[u8]) {
    let key = key();
    if let Ok(state) = key.unseal(data, "contoso", "acct1", SEALED_AT) {
        assert_eq!(key.seal(&state, NONCE, SEALED_AT).as_deref(), Ok(data));
    }
    assert!(
        stranger()
            .unseal(data, "contoso", "acct1", SEALED_AT)
            .is_err()
    );
    let Some((sealed_at, rest)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Some((read_at, json)) = rest.split_first_chunk::<8>() else {
        return;
    };
    if let Ok(state) = serde_json::from_slice::<HostState>(json) {
        let times = [*sealed_at, *read_at].map(i64::from_le_bytes);
        is_sealed(&state, times, data);
    }
}

fn is_sealed(state: &HostState, [sealed_at, read_at]: [i64; 2], data: &[u8]) {
    let key = key();
    let (tenant, account) = (state.tenant.id.to_string(), &state.account.name);
    let sealed = key
        .seal(state, NONCE, sealed_at)
        .expect("a state that was read can be sealed");
    if let Ok(read) = key.unseal(&sealed, &tenant, account, read_at) {
        assert_eq!(*read, *state);
        assert!(read_at >= sealed_at - 3_600 && read_at <= sealed_at + 7 * 86_400);
        let other = format!("{account}x");
        assert!(key.unseal(&sealed, &tenant, &other, read_at).is_err());
    }
    assert!(
        stranger()
            .unseal(&sealed, &tenant, account, read_at)
            .is_err()
    );
    let seed = data.iter().fold(0usize, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    let mut changed = sealed;
    let at = seed % changed.len();
    changed[at] ^= 1;
    assert!(key.unseal(&changed, &tenant, account, read_at).is_err());
}

pub(crate) fn key() -> SealKey {
    SealKey::of_token(&SecretText::new("xr_1"))
}

fn stranger() -> SealKey {
    SealKey::of_token(&SecretText::new("xr_2"))
}
