//! Calls about the installation's own people and rules.

use super::error::ClientError;
use super::transport::Client;
use crate::{
    Administrator, AdministratorCreate, AdministratorEnrolment, EnrolmentBegin, EnrolmentBegun,
    EnrolmentFinish, Event, EventQuery, Page, Session, SignIn, Tenant, TenantPolicy,
};
use reqwest::Method;

/// What a tenant allows.
impl Client {
    /// Changes what a tenant allows.
    pub async fn set_tenant_policy(
        &self,
        tenant: &str,
        policy: &TenantPolicy,
    ) -> Result<Tenant, ClientError> {
        self.call(Method::PUT, &["tenants", tenant, "policy"])
            .json(policy)?
            .fetch()
            .await
    }
}

/// Administrators.
impl Client {
    /// Makes an administrator; the answer holds the code to enrol with.
    pub async fn create_administrator(
        &self,
        wanted: &AdministratorCreate,
    ) -> Result<AdministratorEnrolment, ClientError> {
        self.call(Method::POST, &["administrators"])
            .json(wanted)?
            .fetch()
            .await
    }

    /// The administrators that the token may know of, by name.
    pub async fn administrators(&self) -> Result<Vec<Administrator>, ClientError> {
        self.call(Method::GET, &["administrators"])
            .fetch_all()
            .await
    }

    /// Takes password, authenticator and sessions from an administrator; the answer holds the code to enrol again with.
    pub async fn reset_administrator(
        &self,
        upn: &str,
    ) -> Result<AdministratorEnrolment, ClientError> {
        self.call(Method::POST, &["administrators", upn, "reset"])
            .fetch()
            .await
    }

    /// Removes an administrator and ends their sessions.
    pub async fn remove_administrator(&self, upn: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &["administrators", upn])
            .done()
            .await
    }

    /// The events of no tenant, such as sign-ins and changes of administrators, oldest first.
    pub async fn installation_events(&self, query: &EventQuery) -> Result<Vec<Event>, ClientError> {
        let text = |number: Option<i64>| number.map(|n| n.to_string());
        let page: Page<Event> = self
            .call(Method::GET, &["events"])
            .query("after", text(query.after).as_deref())
            .query("since_ms", text(query.since_ms).as_deref())
            .query("user", query.user.as_deref())
            .query("limit", text(query.limit.map(i64::from)).as_deref())
            .fetch()
            .await?;
        Ok(page.items)
    }
}

/// Signing in. All but [`Client::sign_out`] need no token.
impl Client {
    /// Begins an enrolment.
    pub async fn begin_enrolment(
        &self,
        wanted: &EnrolmentBegin,
    ) -> Result<EnrolmentBegun, ClientError> {
        self.call(Method::POST, &["sign-in", "enrolment"])
            .json(wanted)?
            .fetch()
            .await
    }

    /// Ends an enrolment, and begins a session.
    pub async fn finish_enrolment(&self, wanted: &EnrolmentFinish) -> Result<Session, ClientError> {
        self.call(Method::POST, &["sign-in", "enrolment", "finish"])
            .json(wanted)?
            .fetch()
            .await
    }

    /// Begins a session.
    pub async fn sign_in(&self, wanted: &SignIn) -> Result<Session, ClientError> {
        self.call(Method::POST, &["sign-in"])
            .json(wanted)?
            .fetch()
            .await
    }

    /// Ends the client's token for good, before its time.
    pub async fn sign_out(&self) -> Result<(), ClientError> {
        self.call(Method::POST, &["sign-out"]).done().await
    }
}
