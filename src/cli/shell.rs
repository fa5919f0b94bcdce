use std::ffi::{OsStr, OsString};
use std::path::Path;

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

/// A command line, with its checkpoints in `dir`, continuing from there.
pub fn resuming(command: &[OsString], dir: &Path) -> String {
    let mut words = Vec::new();
    let mut said = command.iter();
    while let Some(word) = said.next() {
        if word == "--resume" {
            said.next();
        } else if !word.to_string_lossy().starts_with("--resume=") {
            words.push(quoted(word));
        }
    }
    words.extend(["--resume".into(), quoted(dir.as_os_str())]);
    words.join(" ")
}

/// A word as a shell takes it.
pub fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let is_plain = |c: char| c.is_alphanumeric() || "_-./=,:+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        for (word, shown) in [
            ("stars.csv", "stars.csv"),
            ("", "''"),
            ("my stars.csv", "'my stars.csv'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(quoted(word.as_ref()), shown);
        }
    }

    #[test]
    fn the_resuming_command_names_the_newest_directory() {
        let words = "couplet train my+rows.csv --resume old --resume=older";
        let words: Vec<OsString> = words
            .split(' ')
            .map(|it| it.replace('+', " ").into())
            .collect();
        let command = resuming(&words, "it's new".as_ref());
        assert_eq!(
            command,
            r"couplet train 'my rows.csv' --resume 'it'\''s new'"
        );
    }
}
