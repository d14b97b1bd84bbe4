//! Floor 9: what is typed, what it means, and the exit code.

use std::process::ExitCode;

/// Temporary while the modules are being built: `brunt serve ROLE` with a NodePlan on stdin.
pub fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(crate::fleet::KEEPER_COMMAND) {
        return crate::fleet::keeper::main(crate::fleet::keeper::FD);
    }
    let plan = std::io::read_to_string(std::io::stdin()).expect("stdin");
    let plan = serde_json::from_str(&plan).expect("a NodePlan");
    match crate::stack::serve(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
