//! Exit codes: the documented constants, and which one an ending or an error gets.

pub use crate::gate::exit_code::{GUARD, INTERNAL, INTERRUPTED, INVALID, PASS, TERMINATED, USAGE};

/// The code of a run that a signal ended.
pub fn of_signal(signal: i32) -> u8 {
    if signal == nix::libc::SIGINT { INTERRUPTED } else { TERMINATED }
}

/// brunt's own failures are 1; everything else is about what was asked for, or a target that did
/// not become ready.
pub fn of_error(error: &anyhow::Error) -> u8 {
    use crate::run::RunError;
    use crate::study::StudyError;
    let is_internal = error.chain().any(|cause| {
        cause.is::<super::commands::output::StdoutError>()
            || matches!(
                cause.downcast_ref(),
                Some(StudyError::Calibrate(_) | StudyError::Run(RunError::KeeperLost { .. }))
            )
    });
    if is_internal { INTERNAL } else { USAGE }
}
