//! Floor 9: what is typed, what it means, what is printed, and the exit code.
//! stdout is the data, stderr the talk.

mod args;
mod commands;
mod exit;
mod known;
mod load;
mod options;
mod signals;

use crate::fleet;
use crate::generator;
use args::{Cli, Command};
use clap::Parser;
use std::io::Write;
use std::process::ExitCode;

/// The five lines a newcomer needs.
const NEWCOMER: &str = "\
brunt compare                  three shapes of a small stack live one viral evening: which bears it?
brunt load http://HOST/PATH    load one URL        (-c 50 -d 10s, or an open loop: -r 500)
brunt run TARGET -p PROFILE    one target, one situation, faults included
brunt drill TARGET             what breaks, for how long, and does it come back: go or no-go
brunt --help                   everything else
";

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // The keeper is single-threaded and has no use for the rest of the command line.
    if std::env::args().nth(1).as_deref() == Some(fleet::KEEPER_COMMAND) {
        return fleet::keeper::main(fleet::keeper::FD);
    }
    if std::env::args().nth(1).as_deref() == Some(fleet::burner::BURN_COMMAND) {
        return fleet::burner::main();
    }
    if std::env::args().nth(1).as_deref() == Some(generator::WORKER_COMMAND) {
        return generator::child::main();
    }
    let typed: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let is_load = typed.first().is_some_and(|command| command == "load");
    if let Some(hint) = load::foreign::hint_before(&typed).filter(|_| is_load) {
        return end(Err(anyhow::anyhow!(hint)));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if let Some(hint) = load::foreign::hint_after(&error, &typed).filter(|_| is_load) {
                return end(Err(anyhow::anyhow!(hint)));
            }
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::PASS });
        }
    };
    let Some(command) = cli.command else {
        return end(commands::output::say(NEWCOMER).map(|()| exit::PASS));
    };
    end(run(command))
}

fn end(result: anyhow::Result<u8>) -> ExitCode {
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(exit::of_error(&error))
        }
    }
}

fn run(command: Command) -> anyhow::Result<u8> {
    match command {
        Command::Compare(args) => commands::compare::run(&args),
        Command::Gate(args) => commands::gate::run(&args),
        Command::Run(args) => commands::run::run(&args),
        Command::Drill(args) => commands::drill::run(&args),
        Command::Capacity(args) => commands::capacity::run(&args),
        Command::Load(args) => commands::load::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Schema(args) => commands::schema::run(&args),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Up(args) => commands::up::run(&args),
        Command::Report(args) => commands::report::run(&args),
        Command::Heal(args) => commands::heal::run(&args),
        Command::Doctor => commands::doctor::run(),
        Command::Selftest(args) => commands::selftest::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
    }
}
