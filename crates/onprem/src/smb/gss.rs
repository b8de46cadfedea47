//! Our Kerberos initiator, as the SMB library's [`AuthProvider`].

use crossrealm_krb::credential::Credential;
use crossrealm_krb::gss::{ContextStep, GssError, Initiator, Mechanism};
use crossrealm_os::clock::since_epoch;
use smolder_core::auth::{AuthError, AuthProvider};
use smolder_proto::smb::smb2::NegotiateResponse;
use zeroize::Zeroizing;

/// Signs in with a ticket for `cifs/HOST`, by SPNEGO with Kerberos as its only mechanism.
pub(super) struct KerberosAuth {
    initiator: Initiator,
    session_key: Option<Zeroizing<Vec<u8>>>,
}

impl KerberosAuth {
    /// Authenticates with the ticket of `credential`.
    pub(super) fn new(credential: Credential) -> Self {
        Self {
            initiator: Initiator::new(credential, Mechanism::Spnego),
            session_key: None,
        }
    }

    fn step(&mut self, incoming: &[u8]) -> Result<ContextStep, AuthError> {
        let backend = |error: GssError| AuthError::Backend(error.to_string());
        let now = since_epoch();
        // The initiator needs a confounder, a subkey and a sequence number at most.
        let mut failed = false;
        let mut random = |bytes: &mut [u8]| failed |= getrandom::fill(bytes).is_err();
        let step = self.initiator.step(incoming, now, &mut random);
        if failed {
            return Err(AuthError::Backend("no randomness".to_owned()));
        }
        let step = step.map_err(backend)?;
        self.session_key = self
            .initiator
            .context()
            .map(|context| context.smb_session_key());
        Ok(step)
    }
}

impl AuthProvider for KerberosAuth {
    fn initial_token(&mut self, _negotiate: &NegotiateResponse) -> Result<Vec<u8>, AuthError> {
        self.next_token(&[])
    }

    fn next_token(&mut self, incoming: &[u8]) -> Result<Vec<u8>, AuthError> {
        match self.step(incoming)? {
            ContextStep::Continue(token) | ContextStep::Done(Some(token)) => Ok(token),
            ContextStep::Done(None) => Err(AuthError::InvalidState(
                "the server continues after the end of the sign-in",
            )),
        }
    }

    fn finish(&mut self, incoming: &[u8]) -> Result<(), AuthError> {
        // A server message behind our last token proves nothing; the signature of the SMB message does.
        if self.initiator.context().is_some() {
            return Ok(());
        }
        match self.step(incoming)? {
            ContextStep::Done(None) => Ok(()),
            ContextStep::Done(Some(_)) | ContextStep::Continue(_) => Err(AuthError::InvalidState(
                "the server ended before the sign-in was complete",
            )),
        }
    }

    fn session_key(&self) -> Option<&[u8]> {
        self.session_key.as_ref().map(|key| key.as_slice())
    }
}
