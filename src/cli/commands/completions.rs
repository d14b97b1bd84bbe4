//! `brunt completions bash|zsh|fish`

use super::output;
use crate::cli::args::Cli;
use crate::cli::exit;
use anyhow::Result;
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::shells;

#[derive(Debug, Args)]
#[command(after_help = "\
bash: brunt completions bash > ~/.local/share/bash-completion/completions/brunt
zsh:  brunt completions zsh > a folder of $fpath, as the file _brunt
fish: brunt completions fish > ~/.config/fish/completions/brunt.fish")]
pub struct CompletionsArgs {
    pub shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub fn run(args: &CompletionsArgs) -> Result<u8> {
    output::say(&script(args.shell))?;
    Ok(exit::PASS)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    let mut command = Cli::command();
    match shell {
        Shell::Bash => clap_complete::generate(shells::Bash, &mut command, "brunt", &mut script),
        Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, "brunt", &mut script),
        Shell::Fish => clap_complete::generate(shells::Fish, &mut command, "brunt", &mut script),
    }
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_its_flags_are_in_every_script() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell:?}: {}", command.get_name());
                let flags = command.get_arguments().filter_map(clap::Arg::get_long);
                for flag in flags.filter(|flag| *flag != "help") {
                    assert!(script.contains(flag), "{shell:?}: --{flag}");
                }
            }
        }
    }
}
