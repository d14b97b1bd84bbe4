//! What an ideal tool would have shown: the planned starts fed to the server's own arithmetic,
//! request by request, without a machine in between.

use crate::base::{Histogram, Nanos};
use crate::generator;
use crate::plan::LoadPlan;
use crate::record::{Ledger, Outcome};
use crate::stack::known::{Behaviour, Desk, Fate};
use crate::study::StudyError;
use crate::workload::Draws;

/// Simulated runs from which the range that chance allows is taken.
const REPEATS: u64 = 100;
/// Standard deviations on either side: by chance, one figure in ten thousand is outside.
const DEVIATIONS: f64 = 4.0;

/// A request as it was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub id: u64,
    pub intended: Nanos,
}

/// All requests of an open load, in the order of their intended starts.
pub(super) fn schedule(load: &LoadPlan) -> Result<Vec<Planned>, StudyError> {
    let mut agenda = generator::schedule(load).map_err(|e| StudyError::Refused(e.to_string()))?;
    Ok(std::iter::from_fn(|| agenda.take(Nanos::MAX))
        .map(|due| Planned {
            id: Draws::new(load.seed, due.slot, due.index).id(),
            intended: due.intended,
        })
        .collect())
}

/// What an ideal tool shows.
pub(super) struct Ideal {
    pub response: Histogram,
    pub ledger: Ledger,
}

/// Every request reaches the server when it is meant to, and its answer is seen when it is given.
pub(super) fn replay(schedule: &[Planned], behaviour: &Behaviour, timeout: Nanos) -> Ideal {
    let mut desk = Desk::new(behaviour.clone());
    let mut ideal = Ideal { response: Histogram::new(), ledger: Ledger::default() };
    for request in schedule {
        let (outcome, response) = meet(&mut desk, *request, timeout);
        ideal.ledger.planned += 1;
        ideal.ledger.count(outcome);
        if matches!(outcome, Outcome::Ok | Outcome::Timeout) {
            ideal.response.record(response);
        }
    }
    ideal
}

fn meet(desk: &mut Desk, request: Planned, timeout: Nanos) -> (Outcome, Nanos) {
    let Planned { id, intended } = request;
    desk.begin(intended);
    let fate = desk.behaviour().fate(id);
    if fate == Fate::Drop {
        return (Outcome::TransportError, Nanos::ZERO);
    }
    let ends = desk.answer_at(id, intended) + desk.behaviour().body_time(fate);
    let response = ends - intended;
    match fate {
        _ if response > timeout => (Outcome::Timeout, timeout),
        Fate::Error => (Outcome::HttpError, response),
        _ => (Outcome::Ok, response),
    }
}

/// Where a figure of an ideal run of this length lies, for other seeds than this one.
pub(super) struct Chance {
    runs: Vec<Histogram>,
}

impl Chance {
    pub fn of(load: &LoadPlan, behaviour: &Behaviour) -> Result<Chance, StudyError> {
        let run = |repeat: u64| {
            let seed = load.seed.wrapping_add(0x5eed_0000).wrapping_add(repeat);
            let load = LoadPlan { seed, ..load.clone() };
            let behaviour = Behaviour { seed, ..behaviour.clone() };
            Ok(replay(&schedule(&load)?, &behaviour, load.timeout).response)
        };
        Ok(Chance { runs: (0..REPEATS).map(run).collect::<Result<_, StudyError>>()? })
    }

    pub fn band(&self, figure: impl Fn(&Histogram) -> f64) -> (f64, f64) {
        let n = self.runs.len() as f64;
        let all: Vec<f64> = self.runs.iter().map(figure).collect();
        let mean = all.iter().sum::<f64>() / n;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let reach = DEVIATIONS * variance.sqrt();
        (mean - reach, mean + reach)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{experiments, measure};
    use super::*;
    use crate::analysis::queueing::{Md1, Mmc};
    use crate::stack::known::Law;

    fn ideal(name: &str, seed: u64, lasts: u64) -> Histogram {
        let list = experiments::list(false, seed);
        let mut experiment = list.into_iter().find(|e| e.name == name).unwrap();
        experiment.lasts = Nanos::from_secs(lasts);
        let load = measure::load(&experiment, "127.0.0.1:1".parse().unwrap());
        let schedule = schedule(&load).unwrap();
        replay(&schedule, &experiment.behaviour, load.timeout).response
    }

    #[test]
    fn long_replays_meet_the_closed_forms() {
        // Half an hour each; times in units of the service time of 2 ms.
        let check = |name: &str, quantile: &dyn Fn(f64) -> f64, mean: f64| {
            let seen = ideal(name, 3, 1800);
            let unit = |ns: u64| ns as f64 / 2e6;
            assert!((seen.hdr().mean() / 2e6 / mean - 1.0).abs() < 0.03, "{name} mean");
            for q in [0.5, 0.9, 0.99] {
                let (seen, theory) = (unit(seen.hdr().value_at_quantile(q)), quantile(q));
                assert!((seen / theory - 1.0).abs() < 0.05, "{name} {q}: {seen}, not {theory}");
            }
        };
        let md1 = Md1::new(0.8);
        check("M/D/1 at ρ 0.8", &|q| md1.response_quantile(q), md1.mean_response());
        for (name, servers, rho) in [("M/M/1 at ρ 0.5", 1, 0.5), ("M/M/4 at ρ 0.8", 4, 0.8)] {
            let mmc = Mmc::new(servers, rho);
            check(name, &|q| mmc.response_quantile(q), mmc.mean_response());
        }
    }

    #[test]
    fn outcomes_are_counted_as_they_must_end() {
        let mut behaviour = Behaviour::new(Law::Fixed(Nanos(10)), None);
        behaviour.drop_share = 0.3;
        let schedule: Vec<Planned> =
            (0..1000).map(|id| Planned { id, intended: Nanos(id * 5) }).collect();
        let ideal = replay(&schedule, &behaviour, Nanos(100));
        assert!(ideal.ledger.is_closed());
        assert_eq!(ideal.ledger.ok + ideal.ledger.transport_error, 1000);
        assert_eq!(ideal.response.count(), ideal.ledger.ok);
        assert_eq!(replay(&schedule, &behaviour, Nanos(9)).ledger.timeout, ideal.ledger.ok);
    }
}
