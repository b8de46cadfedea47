//! One module for each noun of the command line: its arguments, and `async fn run(args, &Context) -> Result<(), Failure>`.

pub mod admin;
pub mod client;
pub mod connector;
pub mod deploy_gpo;
pub mod doctor;
pub mod events;
pub mod files;
pub mod group;
pub mod init;
pub mod kerberos_server;
pub mod login;
pub mod serve;
pub mod service_principal;
pub mod share;
pub mod storage_account;
pub mod sync;
pub mod tenant;
pub mod trust_output;
pub mod trusted_domain_object;
pub mod user;
