//! Administrators: who they are, how they enrol, how they sign in.

use crate::SecretText;
use crossrealm_types::{AdministratorRole, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A new administrator, who then enrols.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdministratorCreate {
    /// The name to sign in with, `name@domain`; at most 256 characters, unique in the tenant or among the administrators of the
    /// installation.
    pub upn: String,
    /// What they may do.
    pub role: AdministratorRole,
    /// The only tenant they may administer, by name, domain or id; absent for all tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Administrator {
    /// The name to sign in with.
    pub upn: String,
    /// What they may do.
    pub role: AdministratorRole,
    /// The only tenant they may administer; absent for all tenants.
    #[serde(default)]
    pub tenant: Option<Uuid>,
    /// Its name.
    #[serde(default)]
    pub tenant_name: Option<String>,
    /// When they were created, Unix seconds.
    pub created_at: Timestamp,
    /// When they enrolled, Unix seconds; absent until they do.
    #[serde(default)]
    pub enrolled_at: Option<Timestamp>,
    /// Until when their enrolment code can be used, Unix seconds; absent once they enrolled.
    #[serde(default)]
    pub code_expires_at: Option<Timestamp>,
    /// When they signed in last, Unix seconds.
    #[serde(default)]
    pub signed_in_at: Option<Timestamp>,
}

/// Which administrator of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdministratorQuery {
    /// Their tenant, by name, domain or id; absent for an administrator of the installation, or where no other has the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

/// An administrator with a new enrolment code. The code is returned once and stored as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdministratorEnrolment {
    /// The administrator.
    pub administrator: Administrator,
    /// The one-time code that lets them enrol until `administrator.code_expires_at`.
    pub enrolment_code: SecretText,
}

/// Begins an enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentBegin {
    /// Who enrols.
    pub upn: String,
    /// The only tenant that they administer, by name, domain or id; absent for an administrator of the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The one-time code.
    pub enrolment_code: SecretText,
}

/// The answer to [`EnrolmentBegin`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnrolmentBegun {
    /// What an authenticator app reads: an `otpauth` URI with the secret. Each enrolment that is begun generates another; the last one is valid.
    pub otpauth_uri: SecretText,
}

/// Ends an enrolment; answered with a [`Session`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentFinish {
    /// Who enrols.
    pub upn: String,
    /// The only tenant that they administer, by name, domain or id; absent for an administrator of the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The one-time code.
    pub enrolment_code: SecretText,
    /// The new password: 12 characters to 256 bytes.
    pub password: SecretText,
    /// The authenticator's current code: it shows that the secret arrived.
    pub code: SecretText,
}

/// Password and one-time code, both or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Who signs in.
    pub upn: String,
    /// The only tenant that they administer, by name, domain or id; absent for an administrator of the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The password.
    pub password: SecretText,
    /// The authenticator's current code, which is good once.
    pub code: SecretText,
}

/// A session that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// The bearer token, returned once and stored as a hash.
    pub token: SecretText,
    /// Who signed in.
    pub upn: String,
    /// What they may do.
    pub role: AdministratorRole,
    /// The only tenant they may administer; absent for all tenants.
    #[serde(default)]
    pub tenant: Option<Uuid>,
    /// When the session ends, Unix seconds.
    pub expires_at: Timestamp,
}
