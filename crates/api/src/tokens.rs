//! Tokens and connectors.

use crate::SecretText;
use crossrealm_types::{AdministratorRole, Connector, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// A person, with a role.
    Administrator,
    /// A sync agent; writes the identities of its own AD domain, and may have the right to rotate its trust key.
    Connector,
    /// An SMB host; reads the host state of its own storage account and nothing else.
    Host,
}

/// What the server knows of the token that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmI {
    /// What the token stands for.
    pub kind: TokenKind,
    /// Its owner.
    pub name: String,
    /// The role of an administrator; absent for connectors and hosts.
    #[serde(default)]
    pub role: Option<AdministratorRole>,
    /// The only tenant it is valid for; absent where it is valid for all.
    #[serde(default)]
    pub tenant: Option<Uuid>,
    /// When it ends; absent where it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The only AD domain a connector may write.
    #[serde(default)]
    pub domain: Option<String>,
    /// Whether a connector may also rotate the trust of its domain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rotate_trust: bool,
    /// The only storage account a host may serve.
    #[serde(default)]
    pub account: Option<String>,
}

/// Registers the sync agent of an AD domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectorCreate {
    /// The DNS name of the AD domain. The tenant must know it: prepare its trust first.
    pub domain: String,
    /// Whether it may also rotate the trust of that domain.
    #[serde(default)]
    pub rotate_trust: bool,
}

/// The answer to [`ConnectorCreate`]. The token is returned once and stored as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectorCreated {
    /// The connector.
    pub connector: Connector,
    /// Its bearer token.
    pub token: SecretText,
}
