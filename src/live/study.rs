//! Where a study of several runs stands: a line that stays for each run, and parts of the block.

use crate::base::Nanos;
use crate::run::{Progress, Runs, StudyNow};

/// Less is told in seconds.
const MINUTES_FROM: f64 = 100.0;

/// `run 3 of about 14: garage at 508.5/s for 20 s: doubling`.
pub(super) fn begins(study: &StudyNow) -> String {
    format!("{}: {}", which(study), study.what)
}

/// Which run of how many, the time left over all of them, and what they have shown.
pub(super) fn parts(study: &StudyNow, run: &Progress) -> Vec<String> {
    let left = study.after + run.total.saturating_sub(run.elapsed);
    let left = match (study.after, study.runs) {
        (Nanos::ZERO, _) => None,
        (_, Runs::Known(_)) => Some(format!("{} left in all", time(left))),
        (_, Runs::About(_)) => Some(format!("about {} left in all", time(left))),
    };
    [which(study)].into_iter().chain(left).chain(study.so_far.iter().cloned()).collect()
}

/// What a log is told of the time, once a run: nothing rewrites it.
pub(super) fn then(study: &StudyNow) -> Option<String> {
    (study.after > Nanos::ZERO).then(|| format!("the runs after it: about {}", time(study.after)))
}

fn which(study: &StudyNow) -> String {
    match study.runs {
        Runs::Known(all) => format!("run {} of {all}", study.run),
        Runs::About(all) => format!("run {} of about {all}", study.run),
    }
}

/// `85 s`, `18 min`.
pub(super) fn time(time: Nanos) -> String {
    match time.as_secs_f64() {
        s if s < MINUTES_FROM => format!("{:.0} s", s.ceil()),
        s => format!("{:.0} min", s / 60.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_all_runs() {
        let study = StudyNow {
            run: 3,
            runs: Runs::About(14),
            what: "garage at 508.5/s for 20 s: doubling".into(),
            so_far: vec!["holds at 254.2/s".into()],
            after: Nanos::from_secs(290),
        };
        let run = Progress {
            elapsed: Nanos::from_secs(3),
            total: Nanos::from_secs(23),
            ..Progress::default()
        };
        let expected = ["run 3 of about 14", "about 5 min left in all", "holds at 254.2/s"];
        assert_eq!(parts(&study, &run), expected);
        assert_eq!(begins(&study), "run 3 of about 14: garage at 508.5/s for 20 s: doubling");
        let short = StudyNow { runs: Runs::Known(4), after: Nanos::from_secs(30), ..study };
        assert_eq!(parts(&short, &run)[..2], ["run 3 of 4", "50 s left in all"]);
        let last = StudyNow { after: Nanos::ZERO, ..short };
        assert_eq!(parts(&last, &run), ["run 3 of 4", "holds at 254.2/s"]);
    }
}
