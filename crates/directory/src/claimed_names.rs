//! The one rule for the DNS names that a tenant may claim.
//!
//! Clients are configured to ask the tenant's realm for tickets to the hosts of its services, and AD refers every name
//! below its top-level names there. A name is therefore claimed by what answers for it: a host by a service, a
//! suffix by a tenant or its trust, an AD domain by the domain controllers in it. [`claim`] is the only way to a new
//! name of any of these kinds; [`decide`] is the rule, without a database.
//!
//! What was stored before the rule existed is served on. [`unmappable`] finds it, so that no client is configured for
//! it.

use crate::db::columns::{col, col_names, tenant_blob};
use crate::db::statement::sql;
use crate::error::{Refusal, Result};
use crossrealm_kdc::TenantId;
use sqlx::AnyConnection;
use std::collections::HashSet;

/// How many tenants or trusts are read at once.
const BATCH_SIZE: i64 = 500;

/// The DNS names of the installation itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationNames {
    base_domain: String,
    kdc_proxy: String,
}

impl InstallationNames {
    /// The operator's domain, and the host of the KDC proxy.
    pub fn new(base_domain: &str, kdc_proxy: &str) -> Self {
        Self {
            base_domain: base_domain.to_ascii_lowercase(),
            kdc_proxy: kdc_proxy.to_ascii_lowercase(),
        }
    }
}

/// Which names a caller may claim for a tenant. Nobody may claim a name that somebody else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameScope {
    /// Names at or below the tenant's domain and top-level names.
    Own,
    /// Others too, but not below the base domain: a global administrator of the tenant.
    Free,
    /// Names below the base domain too: a global administrator of the installation.
    Installation,
}

/// What a name is claimed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// As the host of a service, or as a domain, realm or top-level name: its tickets come from the tenant's realm.
    Service(NameScope),
    /// As an AD domain or the root of its forest: its tickets come from AD.
    AdDomain,
}

/// What kind of name is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// The domain, the realm or a top-level name of a tenant or of one of its trusts.
    Suffix,
    /// A registered AD domain, or the root of its forest.
    AdDomain,
    /// A host of a service.
    Host,
}

/// A name that a tenant holds.
#[derive(Clone, Debug)]
struct Holding {
    name: String,
    held: Held,
    /// The tenant's name.
    holder: String,
    /// Whether that is the tenant that claims.
    own: bool,
}

/// Refuses a name that the tenant may not claim. Until the transaction ends, no other tenant claims a name.
pub(crate) async fn claim(
    conn: &mut AnyConnection,
    installation: &InstallationNames,
    tenant: TenantId,
    name: &str,
    claim: Claim,
) -> Result<()> {
    lock_claims(conn).await?;
    let name = name.to_ascii_lowercase();
    let wanted = Wanted::of([&name]);
    let mut holdings = suffixes(conn, tenant, &wanted).await?;
    holdings.extend(ad_domains(conn, tenant, &name).await?);
    holdings.extend(host(conn, tenant, &name, claim).await?);
    Ok(decide(installation, &name, claim, &holdings)?)
}

/// The hosts among these that the tenant could not claim now, with the reasons. Hosts that other tenants claim too are
/// not among them: both are of the time before the rule, and neither is the older.
pub(crate) async fn unmappable(
    conn: &mut AnyConnection,
    installation: &InstallationNames,
    tenant: TenantId,
    hosts: &[String],
) -> Result<Vec<(String, Refusal)>> {
    let wanted = Wanted::of(hosts);
    let mut holdings = suffixes(conn, tenant, &wanted).await?;
    holdings.extend(all_ad_domains(conn, tenant, &wanted).await?);
    let claim = Claim::Service(NameScope::Installation);
    let refused = hosts.iter().filter_map(|host| {
        let refusal = decide(installation, host, claim, &holdings).err()?;
        Some((host.clone(), refusal))
    });
    Ok(refused.collect())
}

/// Whether `name` is `suffix` or a subdomain of it; both in lower case.
pub fn is_at_or_below(name: &str, suffix: &str) -> bool {
    name == suffix || lies_below(name, suffix)
}

/// Whether a DNS name is a true subdomain of another; both in lower case.
pub(crate) fn lies_below(name: &str, upper: &str) -> bool {
    name.strip_suffix(upper)
        .is_some_and(|head| head.ends_with('.'))
}

/// Whether the names are equal or one is a subdomain of the other. A host above a domain counts: MIT's clients ask the
/// realm of `contoso.com` for `dc1.corp.contoso.com` where nothing nearer is mapped.
fn overlap(a: &str, b: &str) -> bool {
    is_at_or_below(a, b) || lies_below(b, a)
}

/// The rule.
fn decide(
    installation: &InstallationNames,
    name: &str,
    claim: Claim,
    holdings: &[Holding],
) -> std::result::Result<(), Refusal> {
    let reserved = |reason| {
        let name = name.to_owned();
        Err(Refusal::NameReserved { name, reason })
    };
    if !name.contains('.') {
        return reserved("a single label is the name of a host in every domain");
    }
    if overlap(name, &installation.kdc_proxy) {
        return reserved("the KDC proxy of the installation answers at it, above it or below it");
    }
    let met = || holdings.iter().filter(|held| overlap(name, &held.name));
    let scope = match claim {
        Claim::Service(scope) => scope,
        Claim::AdDomain => {
            return match met().find(|held| held.held != Held::AdDomain) {
                Some(held) => Err(covers(name, held)),
                None => Ok(()),
            };
        }
    };
    if is_at_or_below(&installation.base_domain, name) {
        return reserved("the base domain of the installation is at it or below it");
    }
    // The name belongs to the tenant with the longest suffix that contains it.
    let nearest = |own: bool| {
        let containing = met().filter(move |held| {
            held.held == Held::Suffix && held.own == own && is_at_or_below(name, &held.name)
        });
        containing.map(|held| held.name.len()).max()
    };
    let (own, foreign) = (nearest(true), nearest(false));
    let taken = |held: &&Holding| match held.held {
        Held::Suffix if held.own => false,
        Held::Suffix => foreign > own || lies_below(&held.name, name),
        // Nobody else's claim counts below the tenant's own suffix.
        Held::AdDomain => held.own || own <= foreign,
        Held::Host => !held.own && own <= foreign,
    };
    if let Some(held) = met().find(taken) {
        return Err(taken_by(name, held, scope));
    }
    let below_base = lies_below(name, &installation.base_domain);
    let enough = match scope {
        _ if own.is_some() => true,
        NameScope::Own => false,
        NameScope::Free => !below_base,
        NameScope::Installation => true,
    };
    match enough {
        true => Ok(()),
        false => Err(Refusal::NameOutsideTenant {
            name: name.to_owned(),
            installation: below_base,
        }),
    }
}

/// The refusal of an AD domain that would take a held name away.
fn covers(domain: &str, held: &Holding) -> Refusal {
    Refusal::AdDomainCoversName {
        domain: domain.to_owned(),
        // Another tenant's names are nothing that this one may learn.
        name: held.own.then(|| held.name.clone()),
    }
}

fn taken_by(name: &str, held: &Holding, scope: NameScope) -> Refusal {
    let name = name.to_owned();
    let shown = held.own || scope == NameScope::Installation;
    match held.held {
        Held::AdDomain => Refusal::NameInAdDomain {
            name,
            domain: shown.then(|| held.name.clone()),
        },
        Held::Suffix | Held::Host => Refusal::NameOfOtherTenant {
            name,
            tenant: shown.then(|| held.holder.clone()),
        },
    }
}

/// Names, with all their parents, to find what overlaps them.
struct Wanted<'a> {
    names: HashSet<&'a str>,
    at_or_above: HashSet<&'a str>,
}

impl<'a> Wanted<'a> {
    fn of(names: impl IntoIterator<Item = &'a String>) -> Self {
        let names: HashSet<&str> = names.into_iter().map(String::as_str).collect();
        let at_or_above = names.iter().copied().flat_map(parents).collect();
        Self { names, at_or_above }
    }

    /// Whether one of the names is at, above or below this one.
    fn overlap(&self, name: &str) -> bool {
        self.at_or_above.contains(name) || parents(name).any(|upper| self.names.contains(upper))
    }
}

/// The name, and every name above it.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        name.split_once('.').map(|(_, rest)| rest)
    })
}

/// Serializes the claims of all tenants. Comes behind the lock of the tenant, so that no two transactions wait for each
/// other.
async fn lock_claims(conn: &mut AnyConnection) -> Result<()> {
    sql("INSERT INTO meta (name, value) VALUES ('claimed_names', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value")
    .bind(Vec::<u8>::new())
    .execute(conn)
    .await?;
    Ok(())
}

/// The suffixes of all tenants that overlap the wanted names.
async fn suffixes(
    conn: &mut AnyConnection,
    tenant: TenantId,
    wanted: &Wanted<'_>,
) -> Result<Vec<Holding>> {
    const TENANTS: &str =
        "SELECT id, id AS tenant_id, name, domain, realm, top_level_names FROM tenants
        WHERE id > $1 ORDER BY id LIMIT $2";
    const TRUSTS: &str =
        "SELECT t.id, t.tenant_id, n.name, '' AS domain, '' AS realm, t.top_level_names
        FROM trusts t JOIN tenants n ON n.id = t.tenant_id WHERE t.id > $1 ORDER BY t.id LIMIT $2";
    let mut found = Vec::new();
    for text in [TENANTS, TRUSTS] {
        let mut after = Vec::new();
        loop {
            let rows = sql(text)
                .bind(after.clone())
                .bind(BATCH_SIZE)
                .fetch_all(&mut *conn)
                .await?;
            for row in &rows {
                let mut names = col_names(row, "top_level_names")?;
                names.push(col(row, "domain")?);
                names.push(col::<String>(row, "realm")?.to_ascii_lowercase());
                let holder: String = col(row, "name")?;
                let own = col::<Vec<u8>>(row, "tenant_id")? == tenant.as_bytes();
                names.retain(|name| wanted.overlap(name));
                found.extend(names.into_iter().map(|name| Holding {
                    name,
                    held: Held::Suffix,
                    holder: holder.clone(),
                    own,
                }));
            }
            match rows.last() {
                Some(row) => after = col(row, "id")?,
                None => break,
            }
        }
    }
    Ok(found)
}

/// AD domains and roots of forests that overlap the name: one of the tenant's own, or else one of another's.
async fn ad_domains(
    conn: &mut AnyConnection,
    tenant: TenantId,
    name: &str,
) -> Result<Vec<Holding>> {
    let rows = sql("SELECT ad.name, ad.own, t.name AS holder FROM (
           SELECT dns_name AS name, tenant_id, CASE WHEN tenant_id = $1 THEN 1 ELSE 0 END AS own FROM domains
           UNION SELECT forest_root, tenant_id, CASE WHEN tenant_id = $1 THEN 1 ELSE 0 END FROM domains) ad
         JOIN tenants t ON t.id = ad.tenant_id
         WHERE ad.name = $2
           OR substr(ad.name, length(ad.name) - length($2)) = '.' || $2
           OR substr($2, length($2) - length(ad.name)) = '.' || ad.name
         ORDER BY ad.own DESC, ad.name LIMIT 1")
    .bind(tenant_blob(tenant))
    .bind(name)
    .fetch_all(conn)
    .await?;
    let holding = |row| {
        Ok(Holding {
            name: col(row, "name")?,
            held: Held::AdDomain,
            holder: col(row, "holder")?,
            own: col::<i64>(row, "own")? != 0,
        })
    };
    rows.iter().map(holding).collect()
}

/// All AD domains and roots of forests that overlap the wanted names.
async fn all_ad_domains(
    conn: &mut AnyConnection,
    tenant: TenantId,
    wanted: &Wanted<'_>,
) -> Result<Vec<Holding>> {
    let mut found = Vec::new();
    let mut after = (Vec::new(), String::new());
    loop {
        let rows = sql("SELECT tenant_id, dns_name, forest_root FROM domains
             WHERE tenant_id > $1 OR tenant_id = $1 AND dns_name > $2 ORDER BY tenant_id, dns_name LIMIT $3")
        .bind(after.0.clone())
        .bind(after.1.clone())
        .bind(BATCH_SIZE)
        .fetch_all(&mut *conn)
        .await?;
        for row in &rows {
            let names: [String; 2] = [col(row, "dns_name")?, col(row, "forest_root")?];
            let own = col::<Vec<u8>>(row, "tenant_id")? == tenant.as_bytes();
            let names = names.into_iter().filter(|name| wanted.overlap(name));
            found.extend(names.map(|name| Holding {
                name,
                held: Held::AdDomain,
                holder: String::new(),
                own,
            }));
        }
        match rows.last() {
            Some(row) => after = (col(row, "tenant_id")?, col(row, "dns_name")?),
            None => return Ok(found),
        }
    }
}

/// A host that overlaps the name and stands against the claim, where there is one. A tenant's own hosts do so only for
/// an AD domain.
async fn host(
    conn: &mut AnyConnection,
    tenant: TenantId,
    name: &str,
    claim: Claim,
) -> Result<Option<Holding>> {
    let row = sql(
        "SELECT n.host, t.name AS holder, CASE WHEN n.tenant_id = $1 THEN 1 ELSE 0 END AS own
         FROM service_names n JOIN tenants t ON t.id = n.tenant_id
         WHERE (n.tenant_id <> $1 OR $3 <> 0)
           AND (n.host = $2
             OR substr(n.host, length(n.host) - length($2)) = '.' || $2
             OR substr($2, length($2) - length(n.host)) = '.' || n.host)
         ORDER BY own DESC, n.host LIMIT 1",
    )
    .bind(tenant_blob(tenant))
    .bind(name)
    .bind(i64::from(claim == Claim::AdDomain))
    .fetch_optional(conn)
    .await?;
    let holding = |row| {
        Ok(Holding {
            name: col(&row, "host")?,
            held: Held::Host,
            holder: col(&row, "holder")?,
            own: col::<i64>(&row, "own")? != 0,
        })
    };
    row.map(holding).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn installation() -> InstallationNames {
        InstallationNames::new("cloud.example", "login.cloud.example")
    }

    fn holding(name: &str, held: Held, own: bool) -> Holding {
        Holding {
            name: name.to_owned(),
            held,
            holder: if own { "contoso" } else { "fabrikam" }.to_owned(),
            own,
        }
    }

    /// A tenant with its domain, a top-level name, an AD domain and an alias; another one likewise.
    fn world() -> Vec<Holding> {
        vec![
            holding("contoso.cloud.example", Held::Suffix, true),
            holding("kerberos.contoso.cloud.example", Held::Suffix, true),
            holding("storage.contoso.net", Held::Suffix, true),
            holding("corp.contoso.com", Held::AdDomain, true),
            holding("files.contoso.com", Held::Host, true),
            holding("fabrikam.cloud.example", Held::Suffix, false),
            holding("ad.fabrikam.com", Held::AdDomain, false),
            holding("share.fabrikam.com", Held::Host, false),
        ]
    }

    /// What becomes of a claim in [`world`]: the code of the refusal, or nothing.
    fn outcome(name: &str, claim: Claim) -> &'static str {
        let decided = decide(&installation(), name, claim, &world());
        decided.map_or_else(|refusal| refusal.code(), |()| "")
    }

    /// S1: for each name, what an administrator of storage, a global one of the tenant, and one of the installation get.
    #[test]
    fn each_claim_of_a_service_has_its_answer() {
        const ALL: [&str; 3] = [""; 3];
        const OUTSIDE: &str = "name_outside_tenant";
        let table = [
            ("acct1.file.contoso.cloud.example", ALL),
            ("contoso.cloud.example", ALL),
            ("a.storage.contoso.net", ALL),
            ("other.contoso.com", [OUTSIDE, "", ""]),
            ("x.files.contoso.com", [OUTSIDE, "", ""]),
            ("free.cloud.example", [OUTSIDE, OUTSIDE, ""]),
            ("dc1", ["name_reserved"; 3]),
            ("cloud.example", ["name_reserved"; 3]),
            ("example", ["name_reserved"; 3]),
            ("login.cloud.example", ["name_reserved"; 3]),
            ("x.login.cloud.example", ["name_reserved"; 3]),
            ("corp.contoso.com", ["name_in_ad_domain"; 3]),
            ("dc1.corp.contoso.com", ["name_in_ad_domain"; 3]),
            ("contoso.com", ["name_in_ad_domain"; 3]),
            ("dc.ad.fabrikam.com", ["name_in_ad_domain"; 3]),
            ("fabrikam.com", ["name_in_ad_domain"; 3]),
            ("share.fabrikam.com", ["name_of_other_tenant"; 3]),
            ("x.share.fabrikam.com", ["name_of_other_tenant"; 3]),
            ("fabrikam.cloud.example", ["name_of_other_tenant"; 3]),
            ("a.file.fabrikam.cloud.example", ["name_of_other_tenant"; 3]),
        ];
        for (name, expected) in table {
            let scopes = [NameScope::Own, NameScope::Free, NameScope::Installation];
            let got = scopes.map(|scope| outcome(name, Claim::Service(scope)));
            assert_eq!(got, expected, "{name}");
        }
    }

    /// S1, the other way: an AD domain cannot take over what a service answers at.
    #[test]
    fn each_claim_of_an_ad_domain_has_its_answer() {
        for (name, expected) in [
            ("emea.corp.contoso.com", ""),
            ("ad.fabrikam.com", ""),
            ("tree.example", ""),
            ("dc1", "name_reserved"),
            ("login.cloud.example", "name_reserved"),
            ("cloud.example", "name_reserved"),
            ("contoso.com", "ad_domain_covers_name"),
            ("files.contoso.com", "ad_domain_covers_name"),
            ("x.files.contoso.com", "ad_domain_covers_name"),
            ("ad.contoso.cloud.example", "ad_domain_covers_name"),
            ("contoso.net", "ad_domain_covers_name"),
            ("fabrikam.com", "ad_domain_covers_name"),
            ("fabrikam.cloud.example", "ad_domain_covers_name"),
        ] {
            assert_eq!(outcome(name, Claim::AdDomain), expected, "{name}");
        }
    }

    /// Names of another tenant are not shown to one that may not know of it.
    #[test]
    fn a_refusal_names_another_tenant_to_the_installation_alone() {
        for (name, holder) in [
            ("share.fabrikam.com", "`fabrikam`"),
            ("dc.ad.fabrikam.com", "`ad.fabrikam.com`"),
        ] {
            let text = |scope| {
                let decided = decide(&installation(), name, Claim::Service(scope), &world());
                decided.unwrap_err().to_string()
            };
            assert!(text(NameScope::Installation).contains(holder));
            for scope in [NameScope::Own, NameScope::Free] {
                assert!(!text(scope).contains(holder), "{}", text(scope));
            }
        }
        let domain = decide(&installation(), "fabrikam.com", Claim::AdDomain, &world());
        assert!(!domain.unwrap_err().to_string().contains("share."));
    }

    /// Claims of an earlier version by others do not count below the tenant's own suffix.
    #[test]
    fn a_tenant_keeps_its_own_suffix() {
        let mut world = world();
        world.push(holding("x.contoso.cloud.example", Held::Host, false));
        world.push(holding("contoso.cloud.example", Held::AdDomain, false));
        let own = Claim::Service(NameScope::Own);
        let decided = decide(&installation(), "x.contoso.cloud.example", own, &world);
        assert_eq!(decided, Ok(()));
    }

    fn name() -> impl Strategy<Value = String> {
        let label = prop::sample::select(vec!["a", "b", "login", "cloud", "example"]);
        prop::collection::vec(label, 1..5).prop_map(|labels| labels.join("."))
    }

    fn any_claim() -> impl Strategy<Value = (u8, Claim, Held, String)> {
        let service = Claim::Service;
        let kinds = vec![
            (service(NameScope::Own), Held::Host),
            (service(NameScope::Free), Held::Host),
            (service(NameScope::Installation), Held::Host),
            (service(NameScope::Installation), Held::Suffix),
            (Claim::AdDomain, Held::AdDomain),
        ];
        (0..3_u8, prop::sample::select(kinds), name())
            .prop_map(|(tenant, (claim, held), name)| (tenant, claim, held, name))
    }

    proptest! {
        /// S1: after any claims in any order, no name of a service overlaps an AD domain, a name of another
        /// tenant, or a name of the installation.
        #[test]
        fn accepted_claims_never_overlap(claims in prop::collection::vec(any_claim(), 1..40)) {
            let mut accepted: Vec<(u8, Held, String)> = Vec::new();
            for (tenant, claim, held, name) in claims {
                let holdings: Vec<Holding> = accepted
                    .iter()
                    .map(|(holder, held, name)| holding(name, *held, *holder == tenant))
                    .collect();
                if decide(&installation(), &name, claim, &holdings).is_ok() {
                    accepted.push((tenant, held, name));
                }
            }
            for (index, (tenant, held, name)) in accepted.iter().enumerate() {
                prop_assert!(name.contains('.') && !overlap(name, "login.cloud.example"), "{name}");
                prop_assert!(name != "cloud.example");
                for (other, other_held, other_name) in accepted.iter().skip(index + 1) {
                    let ad = [held, other_held].iter().filter(|h| ***h == Held::AdDomain).count();
                    let apart = ad == 1 || ad == 0 && tenant != other;
                    prop_assert!(!apart || !overlap(name, other_name), "{name} and {other_name}");
                }
            }
        }
    }
}
