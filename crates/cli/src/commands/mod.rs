//! One module for each noun of the command line: its arguments, and `async fn run(args, &Context) -> Result<(), Failure>`.
