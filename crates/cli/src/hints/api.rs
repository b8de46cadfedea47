//! The next step after a refusal of the service, in commands and options of this program.

use crossrealm_api::{ClientError, Code, Refusal};

const ROTATION: &str = "a connector may rotate the trust key of its domain if it was created with `--allow-trust-rotation`";

/// The next step after a failed call of the service, where one is known.
pub(crate) fn of_client_error(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Refused(refusal) => of_refusal(refusal).or_else(|| error.hint()),
        _ => error.hint(),
    }
}

/// The next step after a refusal, by its code and the objects that it names.
pub(crate) fn of_refusal(refusal: &Refusal) -> Option<String> {
    let details = &refusal.details;
    let account = details.account.as_deref().unwrap_or("ACCOUNT");
    let domain = details.domain.as_deref().unwrap_or("DOMAIN");
    let text = match refusal.code {
        Code::Unauthenticated => {
            "sign in with `crossrealm login`, or give a token by `CROSSREALM_TOKEN`; `crossrealm init` left the first one in `admin.token`"
        }
        Code::Forbidden if details.needs_trust_rotation => ROTATION,
        Code::Forbidden => {
            "ask an administrator with that role to do it, or to give you a token with it"
        }
        Code::Overloaded => "try again in a moment",
        Code::TenantNotFound => return list("tenant list"),
        Code::TenantNotEmpty => "delete its storage accounts, service principals and trusts first",
        Code::TrustSidMismatch | Code::DomainSidMismatch => {
            "check that the domain controller is one of the domain that was registered; a domain that was set up anew under the old name needs a new tenant"
        }
        Code::TrustVersionUnknown => {
            "prepare the trust again and confirm the version that it names"
        }
        Code::TrustNotActive => "run `crossrealm kerberos-server set --setup-cloud-trust`",
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
        Code::StorageAccountNotFound => return list("storage-account list"),
        Code::AccountHasShares => {
            "delete its shares first, or all of it by `--force`; files on its hosts stay either way"
        }
        Code::HostLacksKey => {
            let kvno = details.kvno.unwrap_or_default();
            return Some(format!(
                "a host fetches a new key within seconds: try again when `crossrealm storage-account show {account}` shows kvno {kvno} there; a host that has not reported for a minute and a half no longer counts; `--force` rotates now, and new tickets fail there until the host has the key"
            ));
        }
        Code::ShareNotFound | Code::GrantNotFound => {
            return list(&format!("share list {account}"));
        }
        Code::ServicePrincipalNotFound => return list("service-principal list"),
        Code::HostTokenNotFound => {
            return list(&format!("storage-account host-tokens {account}"));
        }
        Code::TooManyHostTokens => "revoke those that no host uses any more",
        Code::TooManyHosts => "hosts that are silent for a week are forgotten",
        Code::SignInRefused => {
            "wait for the authenticator's next code; who has not enrolled yet runs `crossrealm login --enrol`; `crossrealm admin reset UPN` by another administrator lets one enrol again"
        }
        Code::SignInLocked => {
            "another administrator lets the account start afresh with `crossrealm admin reset UPN`"
        }
        Code::AdministratorNotFound => return list("admin list"),
        Code::LastAdministrator => {
            "let another global administrator of the installation enrol first: `crossrealm admin create UPN --role global-administrator`"
        }
        Code::ConnectorNotFound => return list("connector list"),
        Code::ConnectorExists => {
            return Some(format!(
                "`crossrealm connector revoke --domain {domain}` ends it and its token; then make another"
            ));
        }
        Code::TooManyDeletions => {
            let deletions = details.deletions.unwrap_or_default();
            return Some(format!(
                "look at `crossrealm sync plan --domain {domain}`; if it is right, run `crossrealm sync once` with `--accept-deletions {deletions}` or more"
            ));
        }
        Code::LeaseLost => "wait for its end; its lease ends within 300 s if it has died",
        Code::CursorMoved => "start the run anew from the stored cursor",
        Code::EndpointNotFound
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

fn list(command: &str) -> Option<String> {
    Some(format!("`crossrealm {command}` shows those there are"))
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
        of_refusal(&refusal).expect("a hint")
    }

    #[test]
    fn hints_name_the_objects_of_the_refusal() {
        let domain = || ErrorDetails {
            domain: Some("corp.contoso.com".into()),
            deletions: Some(51),
            ..ErrorDetails::default()
        };
        assert!(hint(Code::TooManyDeletions, domain()).contains("--accept-deletions 51"));
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
