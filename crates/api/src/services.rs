//! Service principals: any Kerberos service of the tenant that is not a storage account.

use crate::KerberosKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A new service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicePrincipalCreate {
    /// Its name, `class/host`, such as `postgres/db1.contoso.cloud.example`.
    pub spn: String,
}

/// A service principal. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServicePrincipal {
    /// Its name, `class/host`, lower case.
    pub spn: String,
    /// Its keys, the one that encrypts new tickets first.
    pub keys: Vec<KerberosKey>,
    /// When it was created.
    pub created_at: i64,
}
