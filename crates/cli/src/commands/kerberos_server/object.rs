//! The Kerberos server object of the domain, and the tenant's record of it.

use super::journal::Journal;
use crate::failure::Failure;
use crossrealm_api::{Client, ClientError, Code, KerberosServer, RecordKerberosServer};
use crossrealm_onprem::error::OnpremError;
use crossrealm_onprem::kerberos_server::{self, Object, ObjectRefusal, ObjectStep, User};
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::lsa::DomainInfo;
use crossrealm_onprem::session::Session;

/// The object as it is, and the connection to change it by.
pub(super) struct ObjectRun {
    pub(super) ldap: Ldap,
    pub(super) seen: Object,
    configuration: String,
}

impl ObjectRun {
    /// Reads what AD holds.
    pub(super) async fn open(session: &Session) -> Result<Self, Failure> {
        let configuration = session.dc().root_dse.configuration_naming_context.clone();
        let mut ldap = Ldap::connect(session).await?;
        let seen = kerberos_server::observe(&mut ldap, &configuration).await?;
        Ok(Self {
            ldap,
            seen,
            configuration,
        })
    }

    /// Carries the steps out and reads again what there is then.
    pub(super) async fn apply(
        &mut self,
        steps: &[ObjectStep],
        journal: &Journal<'_>,
    ) -> Result<(), Failure> {
        for step in steps {
            let ldap = &mut self.ldap;
            let work = async {
                let applied = kerberos_server::apply(ldap, step).await;
                applied.map_err(|error| with_right(error, step))
            };
            journal.in_ad(&step.to_string(), work).await?;
        }
        if !steps.is_empty() {
            self.seen = kerberos_server::observe(&mut self.ldap, &self.configuration).await?;
        }
        Ok(())
    }

    /// Tells the tenant what AD holds, unless it knows. Returns whether that changed its record.
    pub(super) async fn record(
        &self,
        client: &Client,
        tenant: &str,
        domain: &DomainInfo,
        known: Option<&KerberosServer>,
        journal: &Journal<'_>,
    ) -> Result<bool, Failure> {
        let Some((user, id)) = self
            .seen
            .user
            .as_ref()
            .and_then(|user| Some((user, user.number?)))
        else {
            return Err(Failure::new(format!(
                "`{}` was made, but the domain controller does not show it",
                self.seen.user_dn
            ))
            .hint("run it again"));
        };
        if known.is_some_and(|known| agrees(user, known) && known.removal_begun_at.is_none()) {
            return Ok(false);
        }
        let seen = RecordKerberosServer {
            flat_name: domain.flat_name.clone(),
            sid: domain.sid.to_string(),
            forest: domain.forest_name.to_lowercase(),
            id,
            display_name: user.account_name.clone(),
            key_version: user.key_version,
            key_updated_at: user.key_updated_at.unwrap_or_default(),
        };
        let name = domain.dns_name.to_lowercase();
        let step = format!(
            "record `{}` with key version {} in the tenant",
            user.account_name, user.key_version
        );
        let told = client.record_kerberos_server(tenant, &name, &seen);
        journal.in_tenant(&step, told).await?;
        Ok(true)
    }
}

/// The failure, naming the right that a refused step needs: whoever has it need not be an administrator.
fn with_right(error: OnpremError, step: &ObjectStep) -> Failure {
    let is_refused = matches!(&error, OnpremError::Ldap(error) if error.is_access_denied());
    let failure = Failure::from(error);
    if !is_refused {
        return failure;
    }
    let right = match step {
        ObjectStep::CreateUser { dn } => format!("`Create User objects` on the parent of `{dn}`"),
        ObjectStep::CreateComputer { dn, .. } => {
            format!(
                "`Create Computer objects` on the parent of `{dn}`, and those of a domain controller's promotion"
            )
        }
        ObjectStep::NewKey { dn } => format!("`Reset Password` on `{dn}`"),
        ObjectStep::DisableUser { dn } => format!("`Write userAccountControl` on `{dn}`"),
        ObjectStep::RepairComputer { dn, what, .. } => {
            format!("`Write {}` on `{dn}`", what.join("`, `Write "))
        }
        ObjectStep::DeleteComputer { dn } | ObjectStep::DeleteUser { dn } => {
            format!("`Delete` on `{dn}`, or `Delete Child` on its parent")
        }
    };
    failure.refused(true).hint(format!(
        "the account needs the right {right}; `docs/guide/trust.md` says how it is delegated"
    ))
}

/// Whether the tenant's record is of this very account and key.
pub(super) fn agrees(user: &User, known: &KerberosServer) -> bool {
    user.number == Some(known.id)
        && user.account_name == known.display_name
        && user.key_version == known.key_version
        && user.key_updated_at.unwrap_or_default() == known.key_updated_at
}

/// The tenant's record of the object, where there is one.
pub(super) async fn known(
    client: &Client,
    tenant: &str,
    domain: &str,
) -> Result<Option<KerberosServer>, Failure> {
    match client.kerberos_server(tenant, domain).await {
        Ok(known) => Ok(Some(known)),
        Err(error) if error.code() == Some(Code::KerberosServerNotFound) => Ok(None),
        Err(error) => Err(ClientError::into(error)),
    }
}

impl From<ObjectRefusal> for Failure {
    fn from(refusal: ObjectRefusal) -> Self {
        Self::new(refusal.to_string()).hint(refusal.hint())
    }
}
