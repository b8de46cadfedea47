//! Which names may be mapped to the realm of a tenant, as AD's side sees it.
//!
//! A computer with a mapping asks that realm for tickets to the host, even where AD would refer it elsewhere. The names come from the service, so
//! the tools of AD's administrator check them against AD before a computer is configured.

use super::names::{is_at_or_below, overlap};

/// The names that AD answers for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdNames {
    /// The DNS names of AD domains: those of the forest, where it was read.
    pub domains: Vec<String>,
    /// The UPN suffixes of the forest.
    pub upn_suffixes: Vec<String>,
}

/// Why a name is not mapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingRefusal {
    /// A name of one label.
    #[error("`{0}` is a single label, the name of a host in every domain")]
    SingleLabel(String),
    /// A name of AD, or one whose mapping would cover AD's names.
    #[error("`{name}` is at, above or below AD domain `{domain}`")]
    OfAd {
        /// The name.
        name: String,
        /// The domain.
        domain: String,
    },
    /// A name at or above a UPN suffix.
    #[error("`{name}` is at or above `{suffix}`, a UPN suffix of the AD forest")]
    UpnSuffix {
        /// The name.
        name: String,
        /// The suffix.
        suffix: String,
    },
}

impl AdNames {
    /// Why this host or suffix must not be mapped; `None` if it may. A name above a domain counts: MIT's clients use the
    /// mapping of `contoso.com` for `dc1.corp.contoso.com` where nothing nearer is mapped.
    pub fn refusal(&self, name: &str) -> Option<MappingRefusal> {
        let text = name.to_owned();
        if !name.contains('.') {
            return Some(MappingRefusal::SingleLabel(text));
        }
        if let Some(domain) = self.domains.iter().find(|domain| overlap(name, domain)) {
            return Some(MappingRefusal::OfAd {
                name: text,
                domain: domain.clone(),
            });
        }
        // Hosts below a UPN suffix need not be AD's: it is often the organization's public domain.
        let suffix = self.upn_suffixes.iter().find(|s| is_at_or_below(s, name))?;
        Some(MappingRefusal::UpnSuffix {
            name: text,
            suffix: suffix.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S1: the tools of AD's administrator refuse names of AD by themselves, whichever the service offers.
    #[test]
    fn names_of_ad_are_not_mapped() {
        let ad = AdNames {
            domains: vec!["corp.contoso.com".into(), "tree.example".into()],
            upn_suffixes: vec!["mail.contoso.com".into()],
        };
        for bad in [
            "corp.contoso.com",
            "dc1.corp.contoso.com",
            "DC1.Corp.Contoso.COM",
            "contoso.com",
            "a.b.tree.example",
            "mail.contoso.com",
            "dc1",
            "com",
        ] {
            assert!(ad.refusal(bad).is_some(), "{bad}");
        }
        for good in [
            "files.contoso.com",
            "xcorp.contoso.com",
            "a.mail.contoso.com",
            "acct1.file.contoso.cloud.example",
        ] {
            assert_eq!(ad.refusal(good), None, "{good}");
        }
    }
}
