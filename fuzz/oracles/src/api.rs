//! The JSON of the API, by the declarations of all endpoints.

use crossrealm_api::endpoint::{self, Endpoint};
use crossrealm_api::{ErrorBody, Fingerprint};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Every request, response and refusal: what is not one is refused, and what is read can be written and reads as the same
/// again.
pub fn api(json: &[u8]) {
    macro_rules! check_all {
        ($($Endpoint:ident $operation:ident,)+) => {
            $(check::<endpoint::$Endpoint>(json);)+
        };
    }
    crossrealm_api::for_each_endpoint!(check_all);
    reads_as_written::<ErrorBody>(json);
    let text = str::from_utf8(json).unwrap_or_default();
    if let Ok(fingerprint) = text.parse::<Fingerprint>() {
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }
}

fn check<E: Endpoint>(json: &[u8]) {
    reads_as_written::<E::Body>(json);
    reads_as_written::<E::Response>(json);
}

fn reads_as_written<T: Serialize + DeserializeOwned>(json: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(json) else {
        return;
    };
    let written = serde_json::to_value(&read).expect("what was read can be written");
    let again: T = serde_json::from_value(written.clone()).expect("what was written can be read");
    let again = serde_json::to_value(&again).expect("what was read can be written");
    assert_eq!(again, written);
}
