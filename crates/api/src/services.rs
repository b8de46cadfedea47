//! Service principals: any Kerberos service of the tenant that is not a storage account.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A new service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServicePrincipalCreate {
    /// Its name, `class/host`, such as `postgres/db1.contoso.cloud.example`.
    pub spn: String,
}
