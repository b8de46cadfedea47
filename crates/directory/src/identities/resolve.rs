//! SIDs to names and names to SIDs, many at once, for tools that show or change file permissions.

use crate::directory::Directory;
use crate::error::{DirectoryError, Result};
use crate::identities::find::find_identity;
use crate::identities::rows::IdentityInfo;
use crossrealm_kdc::TenantId;
use crossrealm_types::IdentityState;

impl Directory {
    /// The user or group that each text names, in their order: a SID, a UPN, `FLAT\\name` or an account name. `None` if
    /// there is none or a name matches several. A SID finds deleted identities too, since their files remain.
    pub async fn resolve_principals(
        &self,
        tenant: TenantId,
        texts: &[String],
    ) -> Result<Vec<Option<IdentityInfo>>> {
        // One snapshot: a name that moves between identities is not found twice.
        let mut conn = self.snapshot().await?;
        let mut found = Vec::with_capacity(texts.len());
        for text in texts {
            found.push(match find_identity(&mut conn, tenant, text, None).await {
                Ok(info) if info.state == IdentityState::Deleted && !text.starts_with("S-1-") => {
                    None
                }
                Ok(info) => Some(info),
                Err(DirectoryError::NotFound { .. } | DirectoryError::Ambiguous { .. }) => None,
                Err(error) => return Err(error),
            });
        }
        Ok(found)
    }
}
