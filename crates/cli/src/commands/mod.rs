//! One module for each noun of the command line: its arguments, and `async fn run(args, &Context) -> Result<(), Failure>`.

pub(crate) mod access;
pub(crate) mod admin;
pub(crate) mod client;
pub(crate) mod connect;
pub(crate) mod connector;
pub(crate) mod context;
pub(crate) mod deploy_gpo;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod group;
pub(crate) mod init;
pub(crate) mod kerberos_server;
pub(crate) mod login;
pub(crate) mod serve;
pub(crate) mod service_principal;
pub(crate) mod share;
pub(crate) mod status;
pub(crate) mod storage_account;
pub(crate) mod sync;
pub(crate) mod tenant;
pub(crate) mod trust_output;
pub(crate) mod trusted_domain_object;
pub(crate) mod user;
pub(crate) mod whoami;
