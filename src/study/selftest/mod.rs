//! brunt measured: short experiments against a server of known behaviour, the whole pipeline from
//! the schedule to the summary, and how far the result is from the truth.
//!
//! Two truths are held against each other. *Theory* is the closed form, which a run of finite
//! length meets only within chance. *Exact* is what an ideal tool would have shown in this very
//! run: the schedule is a pure function of the plan and the server's draws are seeded, so the
//! response time of every single request can be computed. brunt's error is measured against exact.

mod experiments;
mod judge;
mod measure;
mod replay;
mod server;
mod table;

pub use table::table;

use super::setup::{Setup, StudyError, prepare};
use crate::run::End;
use experiments::Experiment;
use measure::Seen;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// What this cannot tell; printed under every table.
pub const UNSEEN: &str = "\
Not seen: a network, a network card and their drivers, and clocks of other machines. Everything \
here went over loopback on one clock; TLS and HTTP/2 are not part of it.";

pub struct SelfTestOptions {
    /// About a quarter of the time, with as much less to say about tails.
    pub is_quick: bool,
    pub seed: u64,
    /// The server polls all the time. Exact, but a machine with other work holds back who does.
    pub spins: bool,
    /// The brunt that serves; this program itself.
    pub program: PathBuf,
    /// Records are made here, and removed.
    pub folder: PathBuf,
    pub signal: Arc<AtomicI32>,
}

/// One figure of an experiment. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    pub name: String,
    pub unit: &'static str,
    /// The closed form; for counts, what the server itself counted.
    pub theory: Option<f64>,
    /// Where an ideal tool's run of this length lies: the mean of simulated runs ± 4 standard
    /// deviations, or a stated band around theory.
    pub band: Option<(f64, f64)>,
    /// What an ideal tool would have shown in this run.
    pub exact: Option<f64>,
    pub measured: f64,
    /// `measured − exact`, or `measured − theory` where exact is not defined.
    pub error: Option<f64>,
    /// `None`: shown for contrast, not judged.
    pub tolerance: Option<f64>,
    pub is_ok: bool,
}

/// One experiment and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    pub name: String,
    pub says: String,
    pub requests: u64,
    /// How late the server's own timers were: part of every error here, and not brunt's.
    pub server_late_p50_ns: u64,
    pub server_late_p99_ns: u64,
    pub figures: Vec<Figure>,
    /// brunt's doubts about its own run.
    pub doubts: Vec<String>,
    pub is_valid: bool,
}

impl Outcome {
    pub fn is_ok(&self) -> bool {
        self.is_valid && self.figures.iter().all(|f| f.is_ok)
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct SelfTest {
    pub schema: u32,
    pub kind: &'static str,
    pub seed: u64,
    pub is_quick: bool,
    pub is_ok: bool,
    pub experiments: Vec<Outcome>,
    /// About the machine.
    pub doubts: Vec<String>,
    pub unseen: &'static str,
    /// A signal's number when one ended it early.
    pub interrupted: Option<i32>,
}

/// Of an experiment whose machine was slow, so many runs are made in all.
const RUNS_AT_MOST: usize = 4;

/// Measures once more where a core was slow meanwhile: chosen by that alone.
fn undisturbed(
    experiment: &Experiment,
    setup: &Setup,
    options: &SelfTestOptions,
    tell: &mut dyn FnMut(&str),
) -> Result<Seen, StudyError> {
    for _ in 1..RUNS_AT_MOST {
        let seen = measure::measure(experiment, setup, options)?;
        let Some(why) = seen.ran.disturbed() else { return Ok(seen) };
        tell(&format!("once more: {why}"));
    }
    measure::measure(experiment, setup, options)
}

/// Runs all experiments; `tell` hears of each before it begins.
///
/// # Errors
/// When the server cannot be started or a run not be carried through.
pub fn selftest(
    options: &SelfTestOptions,
    tell: &mut dyn FnMut(&str),
) -> Result<SelfTest, StudyError> {
    let setup = prepare(&[], None)?;
    let list = experiments::list(options.is_quick, options.seed);
    let mut result = SelfTest {
        schema: SCHEMA,
        kind: "selftest",
        seed: options.seed,
        is_quick: options.is_quick,
        is_ok: true,
        experiments: Vec::new(),
        doubts: setup.doubts.clone(),
        unseen: UNSEEN,
        interrupted: None,
    };
    for (number, experiment) in list.iter().enumerate() {
        tell(&format!(
            "{}/{} {}, {} s",
            number + 1,
            list.len(),
            experiment.name,
            experiment.lasts.as_secs_f64()
        ));
        let seen = undisturbed(experiment, &setup, options, tell)?;
        if let End::Interrupted(signal) = seen.ran.end {
            result.interrupted = Some(signal);
            break;
        }
        let outcome = judge::judge(experiment, &seen)?;
        result.is_ok &= outcome.is_ok();
        result.experiments.push(outcome);
    }
    result.is_ok &= result.interrupted.is_none();
    Ok(result)
}
