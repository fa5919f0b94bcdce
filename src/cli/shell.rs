use clap::CommandFactory;
use clap_complete::Shell;

use super::output::print;
use super::{Cli, Failure, Result};

#[derive(clap::Args)]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_enum, hide_possible_values = true)]
    shell: Shell,
}

#[derive(clap::Args)]
pub struct ManArgs {
    /// A command of couplet's [default: couplet itself]
    command: Option<String>,
}

/// Prints a script that has a shell complete commands and flags.
pub fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "couplet", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints a page for `man`.
pub fn man(args: &ManArgs) -> Result<()> {
    let mut all = Cli::command();
    all.build();
    let command = match &args.command {
        None => all,
        Some(name) => {
            let known: Vec<String> = all
                .get_subcommands()
                .map(|it| it.get_name().into())
                .collect();
            let found = all.find_subcommand(name).cloned();
            found.ok_or_else(|| {
                Failure::usage(format!(
                    "man {}: there is no such command; there are {}",
                    name.escape_debug(),
                    known.join(", ")
                ))
            })?
        }
    };
    let mut page = Vec::new();
    // Writing to a vector does not fail.
    let _ = clap_mangen::Man::new(command).render(&mut page);
    print(&String::from_utf8_lossy(&page))
}
