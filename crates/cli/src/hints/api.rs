//! The next step after a refusal of the service, in commands and options of this program.

use super::caller::{self, Caller};
use crossrealm_api::{ClientError, Code, Refusal};

const ROTATION: &str = "a connector may rotate the trust key of its domain if it was created with `--allow-trust-rotation`";

/// The next step after a failed call of the service, where one is known.
pub(crate) fn of_client_error(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Refused(refusal) => {
            of_refusal(refusal, caller::current()).or_else(|| error.hint())
        }
        ClientError::BadUrl { .. } => Some(
            "give it as `https://login.cloud.example`, by `--server` or `CROSSREALM_SERVER`".into(),
        ),
        ClientError::BadCa { .. } => Some(
            "give the `tls/ca.pem` that `crossrealm init` wrote, by `--ca` or `CROSSREALM_CA`".into(),
        ),
        ClientError::Untrusted { .. } => Some(
            "a server with a private CA is trusted by `--ca FILE` or `CROSSREALM_CA`; call it by a name its certificate holds".into(),
        ),
        ClientError::Unreachable { .. } => Some(
            "check that `crossrealm serve` runs there, the name resolves to it, and no firewall is between".into(),
        ),
        _ => error.hint(),
    }
}

/// The next step after a refusal for this caller; where their token does not permit it, who has to take it.
pub(crate) fn of_refusal(refusal: &Refusal, caller: Caller) -> Option<String> {
    match refusal.code {
        Code::Unauthenticated => Some(caller.new_token().to_owned()),
        _ => next_step(refusal).map(|step| caller.addressed(step)),
    }
}

/// The next step after a refusal, by its code and the objects that it names.
fn next_step(refusal: &Refusal) -> Option<String> {
    let details = &refusal.details;
    let account = details.account.as_deref().unwrap_or("ACCOUNT");
    let domain = details.domain.as_deref().unwrap_or("DOMAIN");
    let text = match refusal.code {
        Code::Forbidden if details.needs_trust_rotation => ROTATION,
        Code::Forbidden => {
            "ask an administrator with that role to do it, or to give you a token with it"
        }
        Code::Overloaded => "try again in a moment",
        Code::TenantNotFound => return list("crossrealm tenant list"),
        Code::TenantNotEmpty => "delete its storage accounts, service principals and trusts first",
        Code::TrustSidMismatch | Code::DomainSidMismatch => {
            "check that the domain controller is one of the domain that was registered; a domain that was set up anew under the old name needs a new tenant"
        }
        Code::FlatNameMismatch => {
            return Some(format!(
                "if AD renamed the domain, `crossrealm kerberos-server set --domain {domain}` records its new flat name"
            ));
        }
        Code::TrustVersionUnknown => {
            "prepare the trust again and confirm the version that it names"
        }
        Code::TooManyRealmKeys => {
            "wait until the oldest has ended; keys that were stolen end at once: `crossrealm tenant rotate-key TENANT --compromised`"
        }
        Code::TrustNotActive => {
            return Some(format!(
                "run `crossrealm kerberos-server set --setup-cloud-trust --domain {domain}`"
            ));
        }
        Code::DomainNotFound => {
            return Some(format!(
                "`crossrealm kerberos-server set --domain {domain}` makes it known to the tenant"
            ));
        }
        Code::UserNotFound => return identities("`crossrealm user list` shows"),
        Code::GroupNotFound => return identities("`crossrealm group list` shows"),
        Code::PrincipalNotFound => {
            return identities("`crossrealm user list` and `crossrealm group list` show");
        }
        Code::UserIsHybrid => "delete it in AD; the next sync deletes it here",
        Code::PrincipalAmbiguous => "name it by its UPN or SID",
        Code::StorageAccountNotFound => return list("crossrealm storage-account list"),
        Code::AccountHasShares => {
            "delete its shares first, or all of it by `--force`; files on its hosts stay either way"
        }
        Code::HostLacksKey => {
            let kvno = details.kvno.unwrap_or_default();
            return Some(format!(
                "a host fetches a new key within seconds: try again when `crossrealm storage-account show {account}` shows kvno {kvno} there; a host that has not reported for a minute and a half no longer counts; `--force` rotates now, and new tickets fail there until the host has the key"
            ));
        }
        Code::TooManyAliases => "remove those that no client uses any more",
        Code::AliasNotFound => {
            return Some(format!(
                "`crossrealm storage-account show {account}` shows its aliases"
            ));
        }
        Code::NameReserved | Code::NameOfOtherTenant => {
            "choose a name below the tenant's own domain or top-level names, as `crossrealm tenant show TENANT` shows them"
        }
        Code::NameInAdDomain => {
            "choose a name outside AD's domains: users ask their domain controllers for names at or below those"
        }
        Code::NameOutsideTenant => {
            "choose a name below the tenant's top-level names, or ask a global administrator to add it"
        }
        Code::AdDomainCoversName => return Some(covering(details.name.as_deref())),
        Code::SpnOfStorageAccounts => {
            let host = details.name.as_deref().unwrap_or("HOST");
            return Some(format!(
                "`crossrealm storage-account alias add ACCOUNT {host}` lets a storage account answer at this name"
            ));
        }
        Code::ShareNotFound | Code::GrantNotFound => {
            return list(&format!("crossrealm share list {account}"));
        }
        Code::ServicePrincipalNotFound => return list("crossrealm service-principal list"),
        Code::HostTokenNotFound => {
            return list(&format!("crossrealm storage-account host-tokens {account}"));
        }
        Code::TooManyHostTokens => "revoke those that no host uses any more",
        Code::HostTokenBound => {
            return Some(format!(
                "each host needs a token of its own: `crossrealm storage-account host-token {account} --for HOST`"
            ));
        }
        Code::HostNameTaken => {
            return Some(format!(
                "revoke the token that the host had before: `crossrealm storage-account host-tokens {account}`, `crossrealm storage-account revoke-host-token {account} ID`"
            ));
        }
        Code::TooManyHosts => "hosts that are silent for a week are forgotten",
        Code::SignInRefused => {
            "wait for the authenticator's next code; an administrator of one tenant adds `--only TENANT`; who has not enrolled yet runs `crossrealm login --enrol`; `crossrealm admin reset UPN` by another administrator lets one enrol again"
        }
        Code::SignInLocked => {
            "another administrator lets the account start afresh with `crossrealm admin reset UPN`"
        }
        Code::AdministratorAmbiguous => {
            "name the tenant, as `crossrealm admin list` shows it: `crossrealm admin reset UPN --only TENANT`"
        }
        Code::AdministratorNotFound => return list("crossrealm admin list"),
        Code::LastAdministrator => {
            "let another global administrator of the installation enrol first: `crossrealm admin create UPN --role global-administrator`"
        }
        Code::ConnectorNotFound => return list("crossrealm connector list"),
        Code::ConnectorExists => {
            return Some(format!(
                "`crossrealm connector revoke --domain {domain}` ends it and its token; then make another"
            ));
        }
        Code::TooManyDeletions => {
            let deletions = details.deletions.unwrap_or_default();
            return Some(format!(
                "look at `crossrealm sync plan --domain {domain}`; if it is right, an administrator allows it for one run: `crossrealm sync allow-deletions {deletions} --domain {domain}`"
            ));
        }
        Code::DeletionsNotAllowed => {
            let deletions = details.deletions.unwrap_or_default();
            return Some(format!(
                "leave out `--accept-deletions`; an administrator allows it for one run: `crossrealm sync allow-deletions {deletions} --domain {domain}`"
            ));
        }
        Code::LeaseLost => "wait for its end; its lease ends within 300 s if it has died",
        Code::CursorMoved => "start the run anew from the stored cursor",
        Code::Unauthenticated
        | Code::EndpointNotFound
        | Code::MethodNotAllowed
        | Code::InvalidRequest
        | Code::InvalidName
        | Code::InvalidSid
        | Code::TooLarge
        | Code::RequestTimeout
        | Code::TenantExists
        | Code::TenantRequired
        | Code::TrustNotFound
        | Code::KerberosServerNotFound
        | Code::DomainSidTaken
        | Code::FlatNameTaken
        | Code::UserExists
        | Code::StorageAccountExists
        | Code::ShareExists
        | Code::ServicePrincipalExists
        | Code::BadPassword
        | Code::TooManyAdministrators
        | Code::AdministratorExists
        | Code::TooManyChanges
        | Code::Conflict
        | Code::StoreUnavailable
        | Code::Internal
        | Code::Unknown => return None,
    };
    Some(text.to_owned())
}

fn covering(name: Option<&str>) -> String {
    match name {
        Some(name) => format!(
            "AD would answer for `{name}`: remove the alias or service principal that has it, then register the domain"
        ),
        None => "an administrator of the installation must have the other tenant release the name"
            .to_owned(),
    }
}

fn list(command: &str) -> Option<String> {
    Some(format!("`{command}` shows those there are"))
}

fn identities(lists: &str) -> Option<String> {
    Some(format!(
        "{lists} those there are; one that is new in AD comes with the next sync"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_api::ErrorDetails;

    fn hint(code: Code, details: ErrorDetails) -> String {
        let refusal = Refusal {
            status: code.status(),
            code,
            message: String::new(),
            details,
            request_id: None,
        };
        of_refusal(&refusal, Caller::Administrator).expect("a hint")
    }

    #[test]
    fn hints_name_the_objects_of_the_refusal() {
        let domain = || ErrorDetails {
            domain: Some("corp.contoso.com".into()),
            deletions: Some(51),
            ..ErrorDetails::default()
        };
        assert!(hint(Code::TooManyDeletions, domain()).contains("allow-deletions 51"));
        let unknown = hint(Code::DomainNotFound, domain());
        assert!(unknown.contains("kerberos-server set --domain corp.contoso.com"));
        let account = || ErrorDetails {
            account: Some("acct1".into()),
            kvno: Some(3),
            ..ErrorDetails::default()
        };
        assert!(hint(Code::ShareNotFound, account()).contains("share list acct1"));
        let lacking = hint(Code::HostLacksKey, account());
        assert!(lacking.contains("kvno 3") && lacking.contains("--force"));
        let named = || ErrorDetails {
            name: Some("files.contoso.com".into()),
            ..ErrorDetails::default()
        };
        let smb = hint(Code::SpnOfStorageAccounts, named());
        assert!(smb.contains("storage-account alias add ACCOUNT files.contoso.com"));
        let covered = hint(Code::AdDomainCoversName, named());
        assert!(covered.contains("`files.contoso.com`"));
    }

    #[test]
    fn a_connector_without_the_right_gets_the_hint_to_allow_it() {
        let details = ErrorDetails {
            needs_trust_rotation: true,
            ..ErrorDetails::default()
        };
        assert!(hint(Code::Forbidden, details).contains("`--allow-trust-rotation`"));
        assert!(hint(Code::Forbidden, ErrorDetails::default()).contains("ask an administrator"));
    }
}
