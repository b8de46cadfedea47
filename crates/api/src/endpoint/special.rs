//! The client's methods that are more than one request and its answer.

use super::table::{Health, ShowHostState};
use crate::client::{Client, ClientError};
use crate::{HostState, HostStateQuery, MAX_PAGE, PageQuery};
use crossrealm_types::SyncedIdentity;

/// The answer to a request for the host state.
#[derive(Clone, Debug)]
pub enum HostStateAnswer {
    /// Nothing changed since the entity tag that was sent.
    Unchanged,
    /// The state, and the entity tag to send next time.
    State {
        /// The entity tag.
        etag: Option<String>,
        /// The state.
        state: Box<HostState>,
    },
}

impl Client {
    /// The server's clock in Unix seconds, where its answer carries it. Needs no token.
    pub async fn clock(&self) -> Result<Option<i64>, ClientError> {
        Ok(self.call::<Health>(&[]).send().await?.sent_at())
    }

    /// What the SMB host of an account serves by. With an entity tag, waits up to `wait_s` (at most 25) for a change.
    pub async fn host_state(
        &self,
        tenant: &str,
        account: &str,
        etag: Option<&str>,
        wait_s: u64,
    ) -> Result<HostStateAnswer, ClientError> {
        let answer = self
            .call::<ShowHostState>(&[tenant, account])
            .query(&HostStateQuery { wait_s })?
            .if_none_match(etag)
            .extend_limit(wait_s)
            .send()
            .await?;
        if answer.status == 304 {
            return Ok(HostStateAnswer::Unchanged);
        }
        let state = Box::new(answer.read()?);
        let etag = answer.etag;
        Ok(HostStateAnswer::State { etag, state })
    }

    /// Reads the members of a group that did not fit into the answer with the group.
    pub async fn complete_members(
        &self,
        tenant: &str,
        domain: &str,
        group: &mut SyncedIdentity,
    ) -> Result<(), ClientError> {
        while group.more_members {
            let query = PageQuery {
                after: group.members.last().map(ToString::to_string),
                limit: Some(MAX_PAGE),
            };
            let page = self
                .domain_members(tenant, domain, &group.object_guid.to_string(), &query)
                .await?;
            group.more_members = page.next.is_some() && !page.items.is_empty();
            group.members.extend(page.items);
        }
        Ok(())
    }
}
