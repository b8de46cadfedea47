//! What can be known before the first change: rights, levels, clocks, names that stand in the way.

use super::ObjectStep;
use crate::error::OnpremError;
use crate::ldap::{Filter, Ldap, RootDse, Search};
use ldap3_proto::proto::LdapSubstringFilter;

/// `forestFunctionality` of Windows Server 2003, below which there are no forest trusts ([MS-ADTS] 6.1.4.4).
const FOREST_2003: i64 = 2;
/// `domainFunctionality` of Windows Server 2012 ([MS-ADTS] 6.1.4.3).
const DOMAIN_2012: i64 = 5;
/// The most services that are named in a finding.
const MAX_NAMED: usize = 5;

/// Whether the signed-in account may create an object of this class in a container.
///
/// # Errors
/// Where the directory cannot be read.
pub async fn may_create(
    ldap: &mut Ldap,
    container: &str,
    class: &str,
) -> Result<bool, OnpremError> {
    let attribute = "allowedChildClassesEffective";
    let entry = ldap.object(container, &[attribute]).await?;
    Ok(entry.is_some_and(|entry| {
        entry
            .texts(attribute)
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(class))
    }))
}

/// What the signed-in account lacks for these steps, one line each. A right to change or delete shows only when it is
/// used; the right to create is asked for.
///
/// # Errors
/// Where the directory cannot be read.
pub async fn missing_rights(
    ldap: &mut Ldap,
    steps: &[ObjectStep],
) -> Result<Vec<String>, OnpremError> {
    let mut missing = Vec::new();
    for step in steps {
        let (dn, class) = match step {
            ObjectStep::CreateUser { dn } => (dn, "user"),
            ObjectStep::CreateComputer { dn, .. } => (dn, "computer"),
            _ => continue,
        };
        let container = dn.split_once(',').map_or("", |(_, parent)| parent);
        if !may_create(ldap, container, class).await? {
            missing.push(format!(
                "the account may not create objects of class `{class}` in `{container}`"
            ));
        }
    }
    Ok(missing)
}

/// Whether the forest is of a level that knows trusts between forests; `None` where it does not say.
pub fn forest_knows_trusts(root: &RootDse) -> Option<bool> {
    root.forest_functionality.map(|level| level >= FOREST_2003)
}

/// Whether the domain is of the level that is recommended; `None` where it does not say.
pub fn domain_is_recent(root: &RootDse) -> Option<bool> {
    root.domain_functionality.map(|level| level >= DOMAIN_2012)
}

/// The service names in AD at or below these suffixes: AD answers for them itself and refers nobody to the tenant.
///
/// # Errors
/// Where the directory cannot be read.
pub async fn shadowing_names(
    ldap: &mut Ldap,
    suffixes: &[String],
) -> Result<Vec<String>, OnpremError> {
    let attribute = "servicePrincipalName";
    let ends = |end: String| {
        let filter = LdapSubstringFilter {
            final_: Some(end),
            ..LdapSubstringFilter::default()
        };
        Filter::Substring(attribute.to_owned(), filter)
    };
    let filters = suffixes
        .iter()
        .flat_map(|suffix| [ends(format!(".{suffix}")), ends(format!("/{suffix}"))]);
    let base = ldap.base().to_owned();
    let search = Search::subtree(&base, Filter::Or(filters.collect()), &[attribute]);
    let found = ldap.search(&search).await?;
    Ok(found
        .iter()
        .flat_map(|entry| entry.texts(attribute))
        .filter(|name| suffixes.iter().any(|suffix| lies_at_or_below(name, suffix)))
        .take(MAX_NAMED)
        .map(str::to_owned)
        .collect())
}

/// Whether the host of a service name is the suffix or below it.
fn lies_at_or_below(name: &str, suffix: &str) -> bool {
    let Some(host) = name.split('/').nth(1) else {
        return false;
    };
    let host = host.split(':').next().unwrap_or(host).to_lowercase();
    let suffix = suffix.to_lowercase();
    host == suffix
        || host
            .strip_suffix(&suffix)
            .is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        let root = |forest, domain| RootDse {
            forest_functionality: forest,
            domain_functionality: domain,
            ..RootDse::default()
        };
        assert_eq!(forest_knows_trusts(&root(Some(1), None)), Some(false));
        assert_eq!(forest_knows_trusts(&root(Some(2), None)), Some(true));
        assert_eq!(forest_knows_trusts(&root(None, None)), None);
        assert_eq!(domain_is_recent(&root(None, Some(4))), Some(false));
        assert_eq!(domain_is_recent(&root(None, Some(7))), Some(true));
    }

    #[test]
    fn only_hosts_at_or_below_the_suffix_are_in_its_shadow() {
        let suffix = "contoso.cloud.example";
        for name in [
            "cifs/acct1.file.Contoso.cloud.example",
            "HTTP/contoso.cloud.example",
            "MSSQLSvc/db.contoso.cloud.example:1433",
        ] {
            assert!(lies_at_or_below(name, suffix), "{name}");
        }
        for name in [
            "cifs/xcontoso.cloud.example",
            "cifs/cloud.example",
            "contoso.cloud.example",
            "",
        ] {
            assert!(!lies_at_or_below(name, suffix), "{name}");
        }
    }
}
