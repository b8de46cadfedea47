//! `docs/troubleshooting.md` is made from the code's own list of reasons, so that none can be missing.
//!
//! The test compares the file with the list. `cargo test -p crossrealm-kdc --test troubleshooting -- --nocapture` prints
//! the text that belongs there when they differ.

use crossrealm_kdc::Reason;
use std::fmt::Write;

const HEAD: &str = "\
# Why a ticket was refused

Every refusal has one reason. The client sees its text in the error (MIT's tools show the code of Kerberos only; run them
with `KRB5_TRACE=/dev/stderr` for the text), with the id of an event: `… [clock-skew, event 4f0c…]`. `crossrealm events`
shows the event with what was seen. This page says what each reason means and what to do next; it is made from the code's
own list, and a test keeps both equal.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for reason in Reason::ALL {
        let (code, number) = (reason.code(), reason.error_code());
        let (text, hint) = (capital(reason.text()), capital(reason.hint()));
        writeln!(
            page,
            "\n## {code}\n\n{text} (Kerberos error {number}).\n\n**Next:** {hint}."
        )
        .unwrap();
    }
    page
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), chars.as_str())
}

#[test]
fn the_page_tells_every_reason() {
    let (written, wanted) = (include_str!("../../../docs/troubleshooting.md"), page());
    if written != wanted {
        println!("{wanted}");
    }
    assert!(
        written == wanted,
        "docs/troubleshooting.md is not what the code says"
    );
}
