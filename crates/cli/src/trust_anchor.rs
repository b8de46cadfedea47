//! Which private CA to trust for a service that is met for the first time.

use crate::context::Context;
use crate::failure::Failure;
use crate::prompt;
use crossrealm_api::{Authority, Client, ClientError, Fingerprint};
use std::io::IsTerminal as _;

/// Where the fingerprint can be looked up.
const COMPARE: &str = "compare it with what `crossrealm init` printed, or with `openssl x509 -noout -fingerprint -sha256 -in tls/ca.pem` where the service runs";

/// The option for a private CA.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct FingerprintArgs {
    /// SHA-256 fingerprint of the service's private CA, as `crossrealm init` printed it, in place of `--ca`
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<Fingerprint>,
}

impl FingerprintArgs {
    /// The private CA of the service at `server`, PEM; `None` where the system trusts its certificate. It comes from
    /// `--ca`, else from the service itself if it has the given fingerprint or a person at the terminal confirms its own.
    ///
    /// A connection with this CA was made, so that the certificate is one for the service's name.
    pub(crate) async fn ca_pem(
        self,
        server: &str,
        context: &Context,
    ) -> Result<Option<String>, Failure> {
        if let Some(given) = context.ca_pem()? {
            let pem = String::from_utf8(given);
            let pem = pem.map_err(|_| Failure::new("the CA file is not PEM"))?;
            return verified(server, pem).await.map(Some);
        }
        let expected = match self.fingerprint {
            Some(expected) => Some(expected),
            None => match Client::new(server, None, None)?.live().await {
                Ok(_) => return Ok(None),
                Err(ClientError::Untrusted { .. }) => None,
                Err(error) => return Err(error.into()),
            },
        };
        let authority = Authority::of_server(server).await?.ok_or_else(|| {
            Failure::new(format!("the service at `{server}` has no private CA")).hint(
                "leave out `--fingerprint`; a certificate that the system does not trust either is not the service's",
            )
        })?;
        match expected {
            Some(expected) => compare(server, &authority, expected)?,
            None => confirm(server, &authority)?,
        }
        verified(server, authority.pem).await.map(Some)
    }
}

fn compare(server: &str, authority: &Authority, expected: Fingerprint) -> Result<(), Failure> {
    if authority.fingerprint == expected {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the private CA of `{server}` has the fingerprint {}, not {expected}",
        authority.fingerprint
    ))
    .hint(format!(
        "{COMPARE}; if these two agree, somebody else answers at this address from here"
    )))
}

fn confirm(server: &str, authority: &Authority) -> Result<(), Failure> {
    let fingerprint = authority.fingerprint;
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(format!(
            "the certificate of `{server}` is from a private CA, with the fingerprint {fingerprint}"
        ))
        .hint(format!("{COMPARE}, and give it by `--fingerprint`")));
    }
    let question = format!(
        "The certificate of `{server}` is from a private CA with the SHA-256 fingerprint\n  {fingerprint}\nPlease {COMPARE}.\nType `yes` if they agree: "
    );
    match prompt::is_confirmed(&question) {
        true => Ok(()),
        false => Err(Failure::new(
            "the CA was not confirmed; nothing was changed",
        )),
    }
}

/// The CA, if it issued the certificate that the service presents for its name.
async fn verified(server: &str, pem: String) -> Result<String, Failure> {
    Client::new(server, None, Some(pem.as_bytes()))?
        .live()
        .await?;
    Ok(pem)
}
