//! The Kerberos server object of the domain, and the tenant's record of it.

use crate::error::AgentError;
use crate::journal::Journal;
use crossrealm_api::{Client, RecordKerberosServer};
use crossrealm_onprem::error::OnpremError;
use crossrealm_onprem::kerberos_server::{self, Object, ObjectStep, User};
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::lsa::DomainInfo;
use crossrealm_onprem::session::Session;
use crossrealm_types::{AdObject, KerberosServer, Timestamp};

/// The object as it is, and the connection to change it by.
pub(crate) struct ObjectSetup {
    pub(crate) ldap: Ldap,
    pub(crate) seen: Object,
    configuration: String,
    known: Option<KerberosServer>,
}

impl ObjectSetup {
    /// Reads what AD holds; `known` is the tenant's record of it.
    pub(crate) async fn open(
        session: &Session,
        known: Option<KerberosServer>,
    ) -> Result<Self, AgentError> {
        let configuration = session.dc().root_dse.configuration_naming_context.clone();
        let mut ldap = session.ldap().await?;
        let seen = kerberos_server::observe(&mut ldap, &configuration, known.as_ref()).await?;
        Ok(Self {
            ldap,
            seen,
            configuration,
            known,
        })
    }

    /// Carries the steps out, then reads again what AD holds.
    pub(crate) async fn apply(
        &mut self,
        steps: &[ObjectStep],
        journal: &Journal<'_>,
    ) -> Result<(), AgentError> {
        for step in steps {
            let ldap = &mut self.ldap;
            let work = async {
                let applied = kerberos_server::apply(ldap, step).await;
                applied.map_err(|error| with_right(error, step))
            };
            journal.in_ad(&step.to_string(), work).await?;
        }
        if !steps.is_empty() {
            let known = self.known.as_ref();
            self.seen =
                kerberos_server::observe(&mut self.ldap, &self.configuration, known).await?;
        }
        Ok(())
    }

    /// Records in the tenant what AD holds, unless it is recorded. Returns whether that changed its record.
    pub(crate) async fn record(
        &self,
        client: &Client,
        tenant: &str,
        domain: &DomainInfo,
        journal: &Journal<'_>,
    ) -> Result<bool, AgentError> {
        let Some((user, id)) = self
            .seen
            .user
            .as_ref()
            .and_then(|user| Some((user, user.number?)))
        else {
            let dn = self.seen.user_dn.clone();
            return Err(AgentError::ObjectNotVisible { dn });
        };
        let known = self.known.as_ref();
        if known.is_some_and(|known| self.is_recorded_by(known)) {
            return Ok(false);
        }
        let seen = RecordKerberosServer {
            flat_name: domain.flat_name.clone(),
            sid: domain.sid.clone(),
            forest: domain.forest_name.to_lowercase(),
            id,
            display_name: user.account_name.clone(),
            key_version: user.key_version,
            key_updated_at: updated_at(user),
            account: Some(user.object.clone()),
            computer: self.computer(),
        };
        let name = domain.dns_name.to_lowercase();
        let step = format!(
            "record `{}` with key version {} in the tenant",
            user.account_name, user.key_version
        );
        let recorded = client.record_kerberos_server(tenant, &name, &seen);
        journal.in_tenant(&step, recorded).await?;
        Ok(true)
    }

    fn computer(&self) -> Option<AdObject> {
        Some(self.seen.computer.as_ref()?.object.clone())
    }

    /// Whether the tenant has recorded these very objects and this key.
    fn is_recorded_by(&self, known: &KerberosServer) -> bool {
        let Some(user) = &self.seen.user else {
            return false;
        };
        agrees(user, known)
            && known.removal_begun_at.is_none()
            && known.account.as_ref() == Some(&user.object)
            && known.computer == self.computer()
    }
}

/// The error, with the right that a refused step needs: an account that has it need not be an administrator.
fn with_right(error: OnpremError, step: &ObjectStep) -> AgentError {
    let is_refused = matches!(&error, OnpremError::Ldap(error) if error.is_access_denied());
    if !is_refused {
        return error.into();
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
    AgentError::MissingRight {
        source: error,
        right,
    }
}

/// Whether the tenant's record is of this very account and key.
pub(crate) fn agrees(user: &User, known: &KerberosServer) -> bool {
    user.number == Some(known.id)
        && user.account_name == known.display_name
        && user.key_version == known.key_version
        && updated_at(user) == known.key_updated_at
}

fn updated_at(user: &User) -> Timestamp {
    Timestamp::from_unix(user.key_updated_at.unwrap_or_default())
}
