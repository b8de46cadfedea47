#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| crossrealm_fuzz_oracles::sealed_state(data));
