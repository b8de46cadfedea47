//! Everything that stands against `kerberos-server set`, found before the first change and told at once.

use super::object::ObjectRun;
use super::trust::TrustRun;
use crate::failure::Failure;
use crossrealm_onprem::kerberos_server::{ObjectStep, preflight};
use crossrealm_onprem::os;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::trust::findings;

/// How long a key must be in use before it is rotated again without `--force`: a ticket's life and more.
const ROTATION_PAUSE_S: i64 = 24 * 3600;

/// What was found: a line, and what to do about it.
pub(super) type Finding = (String, String);

/// Refuses with all findings, if there are any.
pub(super) fn refuse(findings: Vec<Finding>) -> Result<(), Failure> {
    let mut findings = findings.into_iter();
    let Some((mut message, mut hint)) = findings.next() else {
        return Ok(());
    };
    for (next_message, next_hint) in findings {
        message.push_str("\nerror: ");
        message.push_str(&next_message);
        if !hint.contains(&next_hint) {
            hint.push_str("\nhint: ");
            hint.push_str(&next_hint);
        }
    }
    Err(Failure::new(message).hint(hint))
}

/// What stands against the object's steps.
pub(super) async fn object(
    run: &mut ObjectRun,
    steps: &[ObjectStep],
) -> Result<Vec<Finding>, Failure> {
    let missing = preflight::missing_rights(&mut run.ldap, steps).await?;
    Ok(missing
        .into_iter()
        .map(|line| (line, rights_hint()))
        .collect())
}

/// What stands against the trust, and what only deserves a note.
pub(super) async fn trust(
    object: &mut ObjectRun,
    run: &TrustRun<'_>,
    session: &Session,
) -> Result<(Vec<Finding>, Vec<String>), Failure> {
    let mut found: Vec<Finding> = findings(&run.observed, &run.wanted)
        .into_iter()
        .map(|refusal| (refusal.to_string(), refusal.hint()))
        .collect();
    let root = &session.dc().root_dse;
    if preflight::forest_knows_trusts(root) == Some(false) {
        found.push((
            "the forest functional level is below Windows Server 2003: it knows no forest trusts"
                .to_owned(),
            "raise the forest functional level".to_owned(),
        ));
    }
    let system = format!("CN=System,{}", object.ldap.base());
    if run.observed.own.is_none()
        && !preflight::may_create(&mut object.ldap, &system, "trustedDomain").await?
    {
        let line = format!("the account may not create trusts (`trustedDomain` in `{system}`)");
        found.push((line, rights_hint()));
    }
    let mut notes = Vec::new();
    if preflight::domain_is_recent(root) == Some(false) {
        notes.push(
            "the domain functional level is below Windows Server 2012; raise it when you can"
                .to_owned(),
        );
    }
    let names = &run.wanted.top_level_names;
    let shadowing = preflight::shadowing_names(&mut object.ldap, names).await?;
    if !shadowing.is_empty() {
        notes.push(format!(
            "AD answers for `{}` itself and refers nobody to the tenant for them",
            shadowing.join("`, `")
        ));
    }
    Ok((found, notes))
}

/// What stands against a rotation: a key that has just been made. Tickets sealed with the one before may still be on
/// their way.
pub(super) fn too_young(what: &str, made_at: Option<i64>) -> Option<Finding> {
    let now = i64::try_from(os::now().as_secs()).unwrap_or(i64::MAX);
    let left = made_at?
        .saturating_add(ROTATION_PAUSE_S)
        .saturating_sub(now);
    // A time in the future is no reason to wait for ever.
    (1..=ROTATION_PAUSE_S).contains(&left).then(|| {
        (
            format!(
                "{what} was made less than 24 hours ago; it may be rotated again in {}",
                span(left)
            ),
            "`--force` rotates it now".to_owned(),
        )
    })
}

fn span(seconds: i64) -> String {
    let minutes = seconds.div_euclid(60) + i64::from(seconds % 60 != 0);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

fn rights_hint() -> String {
    "use a member of Domain Admins or Enterprise Admins of the forest's root domain".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_findings_are_in_one_refusal() {
        assert!(refuse(Vec::new()).is_ok());
        let finding = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let refused = refuse(vec![
            finding("one", "do this"),
            finding("two", "do that"),
            finding("three", "do this"),
        ]);
        assert_eq!(
            refused.unwrap_err().to_string(),
            "error: one\nerror: two\nerror: three\n\nhint: do this\nhint: do that"
        );
    }

    #[test]
    fn a_young_key_waits_and_the_time_left_is_told() {
        let now = i64::try_from(os::now().as_secs()).unwrap();
        let (line, hint) = too_young("the key", Some(now - 3600)).unwrap();
        assert!(line.ends_with("again in 23 h"), "{line}");
        assert!(hint.contains("--force"));
        assert_eq!(too_young("the key", Some(now - 25 * 3600)), None);
        assert_eq!(too_young("the key", Some(now + 3600)), None);
        assert_eq!(too_young("the key", None), None);
        assert_eq!(span(61), "2 min");
        assert_eq!(span(3660), "1 h 1 min");
    }
}
