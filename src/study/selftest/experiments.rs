//! What is run: the server's behaviour, the load, and which truth the result is held against.

use crate::base::Nanos;
use crate::plan::Arrivals;
use crate::stack::known::{Behaviour, Law, Slow, Stall};

/// The closed form that an experiment has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Truth {
    /// No queue can form: every response takes one service time, and the rest is the tool's noise.
    Service,
    /// One server, fixed times, Poisson arrivals, at this utilisation.
    Md1(f64),
    /// So many servers, exponential times, at this utilisation.
    Mmc(u32, f64),
    /// No queue: the law of the service times itself.
    Law,
    /// A freeze under an open load.
    Stall,
    /// The same freeze, as a client sees it that waits for every answer.
    StallClosed,
    /// When requests reached the server, against when they were meant to.
    Arrivals,
    /// Every outcome, counted.
    Ledger,
}

#[derive(Clone, Debug)]
pub(super) struct Experiment {
    pub name: String,
    /// What it shows, in a sentence.
    pub says: &'static str,
    pub behaviour: Behaviour,
    pub arrivals: Arrivals,
    pub rate: f64,
    pub lasts: Nanos,
    pub method: &'static str,
    pub timeout: Nanos,
    pub truth: Truth,
    pub seed: u64,
}

/// Two milliseconds: a timer's error of some microseconds is then a small part of it.
const SERVICE: Nanos = Nanos::from_millis(2);

/// All experiments, in order; about two minutes, or half a one when quick.
pub(super) fn list(is_quick: bool, seed: u64) -> Vec<Experiment> {
    let s = |full: f64, quick: f64| Nanos::from_secs_f64(if is_quick { quick } else { full });
    let mut all = queues(&s);
    all.extend(stalls(&s));
    all.extend(schedules(&s));
    for experiment in &mut all {
        experiment.seed = seed;
        experiment.behaviour.seed = seed;
    }
    all
}

fn queues(s: &dyn Fn(f64, f64) -> Nanos) -> Vec<Experiment> {
    let fixed = |workers| Behaviour::new(Law::Fixed(SERVICE), workers);
    let exponential = |workers| Behaviour::new(Law::Exponential(SERVICE), Some(workers));
    let bimodal =
        Law::Bimodal { fast: Nanos::from_millis(1), slow: Nanos::from_millis(20), share: 0.05 };
    let lognormal = Law::Lognormal { mean: SERVICE, sigma: 1.0 };
    let noise = "no queue: what is above the service time is the tool's and the loopback's";
    let queue = "a queue of known length";
    let free = "every request has a worker of its own: the injected law must come back";
    vec![
        new("D/D/1 at ρ 0.5", noise, fixed(Some(1)), 250.0, s(5.0, 4.2), Truth::Service)
            .arriving(Arrivals::Constant),
        new("M/D/1 at ρ 0.5", queue, fixed(Some(1)), 250.0, s(10.0, 3.0), Truth::Md1(0.5)),
        new("M/D/1 at ρ 0.8", queue, fixed(Some(1)), 400.0, s(26.0, 4.0), Truth::Md1(0.8)),
        new("M/M/1 at ρ 0.5", queue, exponential(1), 250.0, s(10.0, 3.0), Truth::Mmc(1, 0.5)),
        new("M/M/4 at ρ 0.8", queue, exponential(4), 1600.0, s(7.0, 3.0), Truth::Mmc(4, 0.8)),
        new("M/G/∞ bimodal", free, Behaviour::new(bimodal, None), 1300.0, s(8.0, 2.0), Truth::Law),
        new(
            "M/G/∞ lognormal",
            free,
            Behaviour::new(lognormal, None),
            1300.0,
            s(8.0, 2.0),
            Truth::Law,
        ),
    ]
}

/// Frozen for two fifths of the time, on a server that the load uses for a tenth.
fn stalls(s: &dyn Fn(f64, f64) -> Nanos) -> Vec<Experiment> {
    let window = s(5.0, 2.5);
    let mut behaviour = Behaviour::new(Law::Fixed(Nanos::from_micros(200)), Some(1));
    let part = |share: f64| Nanos::from_secs_f64(window.as_secs_f64() * share);
    behaviour.stall = Some(Stall { at: part(0.2), lasts: part(0.4) });
    let open = "the server stands still: every request that was due meanwhile counts";
    let closed = "the same freeze as wrk, ab and hey would show it: ten requests noticed";
    vec![
        new("stall, open loop", open, behaviour.clone(), 500.0, window, Truth::Stall)
            .arriving(Arrivals::Constant),
        new("stall, closed loop of 10", closed, behaviour, 0.0, window, Truth::StallClosed)
            .arriving(Arrivals::Closed { connections: 10, think: Nanos::ZERO }),
    ]
}

fn schedules(s: &dyn Fn(f64, f64) -> Nanos) -> Vec<Experiment> {
    let quick_answer = Behaviour::new(Law::Fixed(Nanos::from_millis(1)), None);
    let stamped = "when requests came, by the server's stamps";
    let mut ledger = Behaviour::new(Law::Fixed(Nanos::from_millis(1)), None);
    (ledger.drop_share, ledger.error_share) = (0.05, 0.05);
    // Six tenths of a second, more than the time-out below.
    ledger.slow = Some(Slow { share: 0.05, pieces: 3, every: Nanos::from_millis(300) });
    let mut slow = Behaviour::new(Law::Fixed(SERVICE), None);
    slow.slow = Some(Slow { share: 1.0, pieces: 4, every: Nanos::from_millis(5) });
    let counted = "closed, failed and late answers: the ledger against the server's own counters";
    let bodies = "a body in four pieces, 5 ms apart: an answer ends with its last byte";
    // POST, so that nothing is sent twice and the server's counts are the requests.
    let counted = Experiment {
        method: "POST",
        timeout: Nanos::from_millis(250),
        ..new("outcomes", counted, ledger, 500.0, s(4.0, 2.0), Truth::Ledger)
    };
    vec![
        new("arrivals, 1000/s", stamped, quick_answer.clone(), 1e3, s(6.0, 2.0), Truth::Arrivals),
        new("arrivals, 10000/s", stamped, quick_answer, 1e4, s(4.0, 2.0), Truth::Arrivals),
        counted,
        new("slow bodies", bodies, slow, 200.0, s(3.0, 1.0), Truth::Service)
            .arriving(Arrivals::Constant),
    ]
}

fn new(
    name: &str,
    says: &'static str,
    behaviour: Behaviour,
    rate: f64,
    lasts: Nanos,
    truth: Truth,
) -> Experiment {
    Experiment {
        name: name.into(),
        says,
        behaviour,
        arrivals: Arrivals::Poisson,
        rate,
        lasts,
        method: "GET",
        timeout: Nanos::from_secs(10),
        truth,
        seed: 1,
    }
}

impl Experiment {
    fn arriving(self, arrivals: Arrivals) -> Experiment {
        Experiment { arrivals, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_laws_make_the_utilisation_that_is_named() {
        for e in list(false, 1).iter().chain(&list(true, 1)) {
            let busy = e.rate * e.behaviour.law.mean().as_secs_f64();
            match e.truth {
                Truth::Md1(rho) => assert!((busy - rho).abs() < 1e-9, "{}", e.name),
                Truth::Mmc(workers, rho) => {
                    assert_eq!(e.behaviour.workers, Some(workers), "{}", e.name);
                    assert!((busy / f64::from(workers) - rho).abs() < 1e-9, "{}", e.name);
                }
                Truth::Service => assert!(e.behaviour.workers.is_none() || busy < 1.0),
                _ => {}
            }
        }
        let seconds = |quick| list(quick, 1).iter().map(|e| e.lasts.as_secs_f64()).sum::<f64>();
        assert!(seconds(false) < 115.0 && seconds(true) < 34.0);
    }
}
