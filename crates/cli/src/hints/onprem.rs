//! The next step after a failure in AD.

use crossrealm_onprem::ccache::CacheError;
use crossrealm_onprem::error::{CredentialsError, OnpremError};
use crossrealm_onprem::gpo::GpoError;
use crossrealm_onprem::lsa::LsaError;
use crossrealm_onprem::nrpc::NetlogonError;
use crossrealm_onprem::nt_status::NtStatus;
use crossrealm_onprem::smb::SmbError;
use crossrealm_onprem::sync::{ScopeError, SkipReason};
use crossrealm_onprem::trust::{ApplyError, TrustRefusal};

/// After a failure of DNS, Kerberos or LDAP.
pub(crate) fn of_onprem(error: &OnpremError) -> Option<String> {
    let text = match error {
        OnpremError::BadDomain(_) => "give the AD domain as in `--domain corp.contoso.com`",
        OnpremError::NoController { .. } => {
            "use the domain's DNS servers on this computer, or name a domain controller with `--dc HOST`"
        }
        OnpremError::OtherDomain { found, .. } => {
            return Some(format!("give `--domain {found}` or another `--dc HOST`"));
        }
        OnpremError::Credentials(
            CredentialsError::Cache(CacheError::NoTickets(_)) | CredentialsError::NoTgt(_),
        ) => {
            "sign in with `kinit`, or give `--domain-user user@corp.contoso.com` or `--domain-keytab FILE`; if `klist` shows tickets, set `KRB5CCNAME` to the cache that it names"
        }
        other => other.hint()?,
    };
    Some(text.to_owned())
}

/// After options of a scope that cannot be used.
pub(crate) fn of_scope(error: &ScopeError) -> Option<String> {
    match error {
        ScopeError::Computed(name) if name.eq_ignore_ascii_case("memberOf") => {
            Some("use `--scope-group NAME`, which also sees nested members".to_owned())
        }
        _ => None,
    }
}

/// The option by which an object that was left out is taken, to stand behind the reason.
pub(crate) fn of_skip(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Privileged => "; `--include-privileged` takes it",
        SkipReason::NoMappedUpn => "; `--upn-attribute` names it",
        _ => "",
    }
}

pub(super) fn of_gpo(error: &GpoError) -> Option<String> {
    let text = match error {
        GpoError::Directory(error) => return of_onprem(error),
        GpoError::Sysvol(error) => of_smb(error)?,
        GpoError::NoTarget(_) => {
            "give the DN of the domain or of an organisational unit, e.g. `--link \"OU=Workstations,DC=corp,DC=contoso,DC=com\"`"
        }
        GpoError::Damaged(_) | GpoError::NoVersionLeft => {
            "`crossrealm client deploy-gpo --remove` takes it away; then deploy it anew"
        }
    };
    Some(text.to_owned())
}

pub(super) fn of_lsa(error: &LsaError) -> Option<&'static str> {
    match error {
        LsaError::Status { status, .. } => of_status(*status),
        LsaError::Smb(error) => of_smb(error),
        LsaError::Request(_) | LsaError::Malformed(_) => None,
    }
}

pub(super) fn of_netlogon(error: &NetlogonError) -> Option<&'static str> {
    match error {
        NetlogonError::Smb(error) => of_smb(error),
        NetlogonError::Status { .. } => {
            Some("compare the two sides with `crossrealm kerberos-server get`")
        }
        NetlogonError::Weak(_) => {
            Some("the domain controller must allow AES for its secure channel")
        }
        _ => None,
    }
}

pub(super) fn of_trust_step(error: &ApplyError) -> Option<&'static str> {
    match error {
        ApplyError::Lsa(error) => of_lsa(error),
        ApplyError::Collision { .. } => Some(
            "choose other `--top-level-names`; every tenant on one AD needs a domain of its own",
        ),
    }
}

pub(super) fn of_trust_refusal(refusal: &TrustRefusal) -> String {
    let text = match refusal {
        TrustRefusal::NotForestRoot { forest, .. } => {
            return format!(
                "run it with `--domain {forest} --setup-cloud-trust`, and in the child domain `set` without `--setup-cloud-trust`; users of child domains arrive through the root's trust"
            );
        }
        TrustRefusal::NotPrimary { .. } => "name the PDC emulator with `--dc HOST`",
        // The flat name is made from the tenant's name.
        TrustRefusal::BadFlatName(_)
        | TrustRefusal::OwnFlatName(_)
        | TrustRefusal::FlatNameTaken { .. } => {
            "create a tenant of another name: its flat name differs"
        }
        TrustRefusal::OwnRealm(_) => "create the tenant with another `--realm`",
        TrustRefusal::BadSid(_) | TrustRefusal::SidTaken { .. } => {
            "create the tenant anew; its SID is chosen at random"
        }
        TrustRefusal::ForeignTrust { realm, .. } => {
            return format!(
                "if nothing uses the trust with `{realm}`, remove it in AD; else create the tenant with another `--realm`"
            );
        }
        TrustRefusal::Name(_) => {
            "give suffixes separated by commas: `--top-level-names contoso.cloud.example`"
        }
        TrustRefusal::OwnName { .. } | TrustRefusal::NameTaken { .. } => {
            "choose `--top-level-names` that neither lie below nor above other names; every tenant on one AD needs a domain of its own"
        }
    };
    text.to_owned()
}

fn of_smb(error: &SmbError) -> Option<&'static str> {
    match error {
        SmbError::Unreachable { .. } | SmbError::TimedOut(_) => {
            Some("check `--dc`, and that a firewall lets port 445 of the domain controller through")
        }
        SmbError::Refused { status, .. } => of_status(*status),
        other => other.hint(),
    }
}

fn of_status(status: NtStatus) -> Option<&'static str> {
    match status {
        NtStatus::INVALID_DOMAIN_STATE => Some(
            "run `crossrealm kerberos-server set --setup-cloud-trust` against the forest's root domain; in a child domain run `set` without it",
        ),
        NtStatus::INVALID_DOMAIN_ROLE => Some("name the PDC emulator with `--dc HOST`"),
        NtStatus::LOGON_FAILURE => Some("check `--domain-user` and the password"),
        other => other.hint(),
    }
}
