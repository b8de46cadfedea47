//! The examples at the end of every `--help` and manual page.

use clap::Command;

/// Complete command lines; each stands at the command that it is of, in this order.
const EXAMPLES: &[&str] = &[
    "crossrealm init --base-domain cloud.example --tenant contoso",
    "crossrealm connect https://login.cloud.example --token-file admin.token",
    "crossrealm connect https://login.cloud.example --tenant contoso --name production",
    "crossrealm context list",
    "crossrealm context use production",
    "crossrealm context remove production",
    "crossrealm login --user ada@contoso.com",
    "crossrealm login --user ada@contoso.com --enrol",
    "crossrealm logout",
    "crossrealm whoami",
    "crossrealm status",
    "crossrealm status -o json",
    "crossrealm admin create ada@contoso.com --role global-administrator",
    "crossrealm admin create bob@contoso.com --role storage-administrator --only contoso",
    "crossrealm admin list",
    "crossrealm admin reset bob@contoso.com",
    "crossrealm admin recover ada@contoso.com",
    "crossrealm admin remove bob@contoso.com --dry-run",
    "crossrealm master-key rotate",
    "crossrealm serve --check",
    "crossrealm serve --config /etc/crossrealm/crossrealm.toml",
    "crossrealm tenant create fabrikam",
    "crossrealm tenant policy contoso",
    "crossrealm tenant rotate-key contoso",
    "crossrealm tenant rotate-key contoso --compromised",
    "crossrealm tenant list",
    "crossrealm tenant show contoso",
    "crossrealm tenant delete fabrikam --dry-run",
    "crossrealm kerberos-server get --domain corp.contoso.com --domain-user administrator@corp.contoso.com",
    "crossrealm kerberos-server set --domain corp.contoso.com --domain-user administrator@corp.contoso.com --setup-cloud-trust --dry-run",
    "crossrealm kerberos-server set --domain corp.contoso.com --domain-user administrator@corp.contoso.com --setup-cloud-trust",
    "crossrealm kerberos-server remove --domain corp.contoso.com --domain-user administrator@corp.contoso.com",
    "crossrealm trusted-domain-object remove --domain corp.contoso.com --domain-user administrator@corp.contoso.com",
    "crossrealm sync once --domain corp.contoso.com --domain-user reader@corp.contoso.com",
    "crossrealm sync run --join sync.join --domain-user svc-sync@corp.contoso.com --domain-password-file svc-sync.password",
    "crossrealm sync plan --domain corp.contoso.com --domain-user reader@corp.contoso.com",
    "crossrealm sync allow-deletions 250 --domain corp.contoso.com --expires 1h",
    "crossrealm sync status --domain corp.contoso.com",
    "crossrealm connector create --domain corp.contoso.com --join sync.join",
    "crossrealm connector list",
    "crossrealm connector revoke --domain corp.contoso.com",
    "crossrealm user create carol@contoso.cloud.example",
    "crossrealm user delete carol@contoso.cloud.example --dry-run",
    "crossrealm user list",
    "crossrealm user show alice@corp.contoso.com",
    "crossrealm group list",
    "crossrealm group show Sales",
    "crossrealm storage-account create acct1 --join acct1.join",
    "crossrealm storage-account list",
    "crossrealm storage-account show acct1",
    "crossrealm storage-account alias add acct1 files.contoso.com",
    "crossrealm storage-account alias remove acct1 files.contoso.com",
    "crossrealm storage-account delete acct1 --dry-run",
    "crossrealm storage-account rotate-key acct1 --key kerb2",
    "crossrealm storage-account keytab acct1 --out acct1.keytab",
    "crossrealm storage-account hosts acct1",
    "crossrealm storage-account host-token acct1 --for fs1 --join acct1.join",
    "crossrealm storage-account host-tokens acct1",
    "crossrealm storage-account revoke-host-token acct1 00000000-0000-0000-0000-000000000001",
    "crossrealm service-principal create host/ssh1.contoso.cloud.example",
    "crossrealm service-principal list",
    "crossrealm service-principal show host/ssh1.contoso.cloud.example",
    "crossrealm service-principal delete host/ssh1.contoso.cloud.example --dry-run",
    "crossrealm service-principal rotate-key host/ssh1.contoso.cloud.example --key kerb2",
    "crossrealm service-principal keytab host/ssh1.contoso.cloud.example --out krb5.keytab",
    "crossrealm share create acct1/projects --to Sales --role contributor",
    "crossrealm share create acct1/projects --quota 100GiB",
    "crossrealm share set-quota acct1/projects --quota 200GiB",
    "crossrealm share list acct1",
    "crossrealm share show acct1/projects",
    "crossrealm share delete acct1/projects --dry-run",
    "crossrealm share grant acct1/projects --to Sales --role contributor",
    "crossrealm share revoke acct1/projects --from Sales",
    "crossrealm share access acct1/projects --user alice@corp.contoso.com --path /reports/q3.xlsx",
    "crossrealm share acl acct1/projects",
    "crossrealm share acl acct1/projects /reports --grant Sales:modify --propagate",
    "crossrealm share default-permission acct1 --role reader",
    "crossrealm access list --user alice@corp.contoso.com",
    "crossrealm access list acct1/projects",
    "crossrealm files serve --join acct1.join --data /srv/files",
    "crossrealm files serve --join acct1.join --listen 10.0.0.5 --join acct2.join --listen 10.0.0.6",
    "crossrealm client config --install --server https://login.cloud.example --tenant contoso",
    "crossrealm client config --format reg --out crossrealm.reg",
    "crossrealm client deploy-gpo --domain corp.contoso.com --domain-user administrator@corp.contoso.com --dry-run",
    "crossrealm doctor --share acct1/projects",
    "crossrealm doctor --domain corp.contoso.com --domain-user administrator@corp.contoso.com",
    "crossrealm events --since 15m --user alice@corp.contoso.com",
    "crossrealm completions bash",
    "crossrealm man --out /usr/local/share/man/man1",
];

/// The command line with its examples: each at its command, and above it the first of each command below.
pub(crate) fn added_to(command: Command) -> Command {
    let name = command.get_name().to_owned();
    below(command, &name)
}

fn below(command: Command, path: &str) -> Command {
    let names = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned());
    let names: Vec<String> = names.collect();
    let examples = match names.is_empty() {
        true => of(path).collect(),
        // The root has them all below it: too many to help anybody.
        false if !path.contains(' ') => Vec::new(),
        false => {
            let first = |name: &String| of(&format!("{path} {name}")).next();
            names.iter().filter_map(first).collect::<Vec<_>>()
        }
    };
    let command = match examples.is_empty() {
        true => command,
        false => command.after_help(format!("Examples:\n  {}", examples.join("\n  "))),
    };
    names.iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |sub| below(sub, &path))
    })
}

/// The examples of this command and of those below it.
fn of(path: &str) -> impl Iterator<Item = &'static str> {
    let begin = format!("{path} ");
    let all = EXAMPLES.iter().copied();
    all.filter(move |line| line.starts_with(&begin) || *line == begin.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::{CommandFactory as _, Parser as _};

    fn leaves(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
        let mut has_commands = false;
        let shown = |sub: &&Command| !sub.is_hide_set() && sub.get_name() != "help";
        for sub in command.get_subcommands().filter(shown) {
            has_commands = true;
            leaves(sub, &format!("{path} {}", sub.get_name()), found);
        }
        if !has_commands {
            let help = command.get_after_help().map(ToString::to_string);
            found.push((path.to_owned(), help.unwrap_or_default()));
        }
    }

    #[test]
    fn every_command_has_an_example() {
        let mut found = Vec::new();
        leaves(&added_to(Cli::command()), "crossrealm", &mut found);
        assert!(found.len() > 60, "{}", found.len());
        for (path, help) in found {
            assert!(help.contains(&path), "`{path}` has no example");
        }
        let all = added_to(Cli::command());
        let share = all.find_subcommand("share").unwrap();
        let help = share.get_after_help().unwrap().to_string();
        assert!(help.contains("share create") && help.contains("share grant"));
    }

    #[test]
    fn every_example_is_accepted() {
        for example in EXAMPLES {
            if let Err(error) = Cli::try_parse_from(example.split(' ')) {
                panic!("`{example}`\n{error}");
            }
        }
    }
}
