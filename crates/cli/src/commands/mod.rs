//! One module for each noun of the command line: its arguments, and `async fn run(args, &Context) -> Result<(), Failure>`.

pub mod events;
pub mod group;
pub mod kerberos_server;
pub mod service_principal;
pub mod share;
pub mod storage_account;
pub mod tenant;
pub mod user;
