//! A busy neighbour: a process that burns so many cores, if it gets them. It does not catch up on
//! what it did not get.

use crate::base::{Nanos, clock, work};
use crate::host::heal::RUN_VARIABLE;
use std::process::ExitCode;

/// The hidden command; the keeper gives it the number of cores.
pub const BURN_COMMAND: &str = "__burn";

const SLICE: Nanos = Nanos::from_millis(5);
/// Some microseconds.
const ITERATIONS: u64 = 2_000;

/// Burns until the keeper that started it is gone, or kills it.
pub fn main() -> ExitCode {
    let cores = std::env::args().nth(2).and_then(|text| text.parse::<f64>().ok());
    let is_ours = std::env::var_os(RUN_VARIABLE).is_some();
    let Some(cores) = cores.filter(|cores| is_ours && *cores > 0.0) else {
        eprintln!("burn: brunt's keeper starts this by itself; it is not for use by hand");
        return ExitCode::FAILURE;
    };
    let keeper = rustix::process::getppid();
    std::thread::scope(|scope| {
        for share in shares(cores) {
            scope.spawn(move || {
                while rustix::process::getppid() == keeper {
                    burn_slice(share);
                }
            });
        }
    });
    ExitCode::SUCCESS
}

/// A thread for each whole core and one for the rest.
fn shares(cores: f64) -> Vec<f64> {
    let rest = cores.fract();
    let whole = std::iter::repeat_n(1.0, cores as usize);
    whole.chain((rest > 0.0).then_some(rest)).collect()
}

fn burn_slice(share: f64) {
    let ends = clock::now() + SLICE;
    let enough = clock::thread_cpu() + Nanos((SLICE.0 as f64 * share) as u64);
    while clock::thread_cpu() < enough {
        work::burn(ITERATIONS);
    }
    std::thread::sleep(ends.saturating_sub(clock::now()).duration());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_for_each_core_and_one_for_the_rest() {
        assert_eq!(shares(2.0), [1.0, 1.0]);
        assert_eq!(shares(1.25), [1.0, 0.25]);
        assert_eq!(shares(0.5), [0.5]);
    }

    #[test]
    fn a_slice_takes_its_share_of_the_cpu() {
        let before = clock::thread_cpu();
        burn_slice(0.5);
        assert!(clock::thread_cpu() - before >= Nanos(SLICE.0 / 2));
    }
}
