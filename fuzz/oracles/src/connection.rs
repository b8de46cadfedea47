//! What a connection carries before the KDC decides: messages behind their lengths on TCP, datagrams, and bodies of the KDC
//! proxy; and the KDC's first look at a message of anybody.

use crossrealm_kdc::{EventId, Exchange, ExchangeStep, Now, TenantId, TicketOutcome};
use crossrealm_krb::kkdcp::{
    MAX_BODY_LEN, frame, message_len, open_reply, open_request, wrap_request,
};
use crossrealm_krb::messages::{AsReq, TgsReq};

const NOW: Now = Now {
    unix_s: 1_700_000_000,
    micros: 0,
};
const REALM: &str = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";

/// The bytes as a stream of messages, and as one datagram.
pub fn connection(stream: &[u8]) {
    let mut rest = stream;
    while let Some((prefix, behind)) = rest.split_first_chunk::<4>() {
        let Ok(len) = message_len(*prefix) else { break };
        assert!((1..=MAX_BODY_LEN).contains(&len));
        let Some((message, next)) = behind.split_at_checked(len) else {
            break;
        };
        let framed = frame(message).expect("it came with a length");
        assert_eq!(framed, rest[..4 + len]);
        arrives(message);
        rest = next;
    }
    arrives(stream);
}

/// One message of anybody: the proxy carries it unchanged, its realm is found or it is not answered, and the exchange asks for
/// records or ends.
fn arrives(message: &[u8]) {
    is_carried(message);
    for body in [
        AsReq::decode(message).map(|request| request.0.body),
        TgsReq::decode(message).map(|request| request.0.body),
    ]
    .into_iter()
    .flatten()
    {
        // The realm is looked up in this form.
        let realm = body.realm.as_str().to_uppercase();
        assert!(realm.len() <= 3 * message.len());
    }
    let tenant = TenantId([7; 16]);
    match Exchange::begin(tenant, message, NOW, EventId([9; 16])) {
        ExchangeStep::Need { lookups, .. } => {
            assert_eq!(lookups.tenant, tenant);
            assert!(matches!(message.first(), Some(0x6A | 0x6C)));
        }
        ExchangeStep::Reply { event, .. } => {
            assert!(!matches!(event.outcome, TicketOutcome::Issued));
        }
        ExchangeStep::Drop { event } => assert!(!matches!(event.outcome, TicketOutcome::Issued)),
    }
}

/// The proxy's envelope around a message, and around its reply.
fn is_carried(message: &[u8]) {
    let body = wrap_request(message, REALM).expect("a message that arrived is short");
    match open_request(&body) {
        Ok(request) => {
            assert_eq!(request.message, message);
            assert_eq!(request.target_domain.as_deref(), Some(REALM));
            let reply = request.wrap_reply(message).expect("it fitted before");
            assert!(reply.len() > MAX_BODY_LEN || open_reply(&reply).as_deref() == Ok(message));
        }
        Err(error) => assert!(body.len() > MAX_BODY_LEN, "{error}"),
    }
}
