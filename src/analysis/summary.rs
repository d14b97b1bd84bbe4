//! `summary.json` as a value: the names are the contract's. What did not happen or was not measured
//! is `None`, never 0.

use super::comeback::Comeback;
use super::data::{Linearizability, Loss, Sessions, Staleness};
use super::lateness::Lateness;
use super::recovery::{Failover, Recovery};
use super::validity::{About, Health};
use crate::base::{Histogram, Nanos, Quantile};
use crate::objective::{Objective, Verdict};
use crate::record::Ledger;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A gap must exceed its resolution by this to be called an outage.
const VISIBLE: f64 = 1.5;

/// Version of `summary.json`.
pub const SCHEMA: u32 = 1;

/// One run, in numbers. Covers the measured phases; `ledger_run` the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub schema: u32,
    pub kind: String,
    /// Until `gate` has judged the objectives: what validity alone comes to.
    pub verdict: Verdict,
    pub reasons: Vec<String>,
    pub target: String,
    pub profile: String,
    pub seed: u64,
    pub duration_s: f64,
    pub ledger: Ledger,
    pub ledger_run: Ledger,
    /// Answered correctly within the limit, of the measured requests.
    pub in_time: u64,
    pub rate: RateSummary,
    pub response_time_ns: TimeSummary,
    pub service_time_ns: TimeSummary,
    /// Over the whole run, warm-up included: its histogram is not divided by phase.
    pub connection_wait_ns: TimeSummary,
    /// Over the whole run, warm-up included, likewise.
    pub start_lag_ns: TimeSummary,
    pub phases: Vec<PhaseSummary>,
    pub requests: BTreeMap<String, RequestSummary>,
    pub cpu: CpuSummary,
    pub faults: Vec<FaultSummary>,
    /// Of the injections, from the planned instant; `None` without one.
    #[serde(default)]
    pub injection_lateness_ns: Option<Lateness>,
    /// Whether the hypothesis held again after the last heal; `None` without a fault.
    #[serde(default)]
    pub recovery: Option<Recovery>,
    /// Whether the profile asks for that.
    #[serde(default)]
    pub must_recover: bool,
    /// The same load before the first fault and after the last; `None` without a fault, and where not
    /// all were healed.
    #[serde(default)]
    pub comeback: Option<Comeback>,
    pub data: DataSummary,
    pub objectives: Vec<Objective>,
    pub generator: GeneratorSummary,
    pub validity: Health,
}

impl Summary {
    /// Why what it says of the target may be the machine's doing: its cores were slow for more than
    /// this share of the measured time.
    pub fn slow_machine(&self, share_max: f64) -> Option<&str> {
        let measured = self.phases.iter().filter(|p| p.measured);
        let measured: f64 = measured.map(|p| p.end_s - p.start_s).sum();
        let slow = f64::from(self.validity.slow_seconds?);
        let told = self.validity.doubts.iter().find(|d| d.about == About::Pace)?;
        (slow > measured * share_max).then_some(told.seen.as_str())
    }

    /// From and to when a phase was run, in seconds; `None` where the run ended before it.
    pub fn when_run(&self, phase: &PhaseSummary) -> Option<(f64, f64)> {
        let end_s = phase.end_s.min(self.duration_s);
        (phase.start_s < end_s).then_some((phase.start_s, end_s))
    }

    /// Whether processes were killed in it.
    pub fn has_deaths(&self) -> bool {
        let is_death = |f: &FaultSummary| f.injected_at_s.is_some() && f.assumed_repair_s.is_some();
        self.faults.iter().any(is_death)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RateSummary {
    pub offered_per_s: f64,
    pub sent_per_s: f64,
    /// Answers of any status.
    pub completed_per_s: f64,
}

/// A histogram in a few numbers; a quantile with fewer than ten samples above it is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeSummary {
    pub count: u64,
    pub min: Option<Nanos>,
    pub mean: Option<Nanos>,
    pub p50: Option<Nanos>,
    pub p75: Option<Nanos>,
    pub p90: Option<Nanos>,
    pub p95: Option<Nanos>,
    pub p99: Option<Nanos>,
    pub p999: Option<Nanos>,
    pub p9999: Option<Nanos>,
    pub max: Option<Nanos>,
}

impl TimeSummary {
    pub fn of(h: &Histogram) -> TimeSummary {
        let q = |q| h.quantile(Quantile(q));
        TimeSummary {
            count: h.count(),
            min: h.min(),
            mean: h.mean(),
            p50: q(0.5),
            p75: q(0.75),
            p90: q(0.9),
            p95: q(0.95),
            p99: q(0.99),
            p999: q(0.999),
            p9999: q(0.9999),
            max: h.max(),
        }
    }

    /// The highest of p99, p95, p90 and p50 that has enough samples, with its name.
    pub fn highest(&self) -> Option<(&'static str, Nanos)> {
        [("p99", self.p99), ("p95", self.p95), ("p90", self.p90), ("p50", self.p50)]
            .into_iter()
            .find_map(|(name, value)| value.map(|v| (name, v)))
    }

    pub fn named(&self, name: &str) -> Option<Nanos> {
        match name {
            "p50" => self.p50,
            "p75" => self.p75,
            "p90" => self.p90,
            "p95" => self.p95,
            "p99" => self.p99,
            "p999" => self.p999,
            "p9999" => self.p9999,
            _ => None,
        }
    }
}

/// A phase of the load. All of them are listed; only the measured ones are in the totals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseSummary {
    pub name: String,
    pub measured: bool,
    pub start_s: f64,
    pub end_s: f64,
    pub ledger: Ledger,
    pub in_time: u64,
    pub response_time_ns: TimeSummary,
    pub service_time_ns: TimeSummary,
    /// No fault was injected or in force in it, and its rate was level.
    pub is_calm: bool,
    /// More came than the target could answer: percentiles are then a function of the run's length.
    pub is_overloaded: bool,
    /// The busiest server of the phase.
    pub busiest: Option<ServerLoad>,
}

impl PhaseSummary {
    pub fn in_time_share(&self) -> Option<f64> {
        super::timeline::share(self.in_time, self.ledger.planned)
    }

    pub fn ok_share(&self) -> Option<f64> {
        super::timeline::share(self.ledger.ok, self.ledger.planned)
    }
}

/// How much of its CPU a server used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServerLoad {
    pub server: String,
    pub cores: f64,
    /// Used ÷ given.
    pub cpu_share: f64,
    /// Share of the time in which at least one of its threads was held back by the quota.
    pub throttled_share: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestSummary {
    pub ledger: Ledger,
    pub in_time: u64,
    pub response_time_ns: TimeSummary,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CpuSummary {
    pub unit_cores: Option<f64>,
    pub given_cores: Option<f64>,
    /// Over the measured phases, all servers.
    pub used_s: Option<f64>,
    pub per_1000_ok_s: Option<f64>,
    /// One average request without any cache, by calibration.
    pub calibrated_ms: Option<f64>,
    /// CPU per answered request in the calm phases that were not overloaded.
    pub observed_ms: Option<f64>,
    pub expected_capacity_per_s: Option<f64>,
}

/// One fault and what it did. Times in seconds; instants since the start of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultSummary {
    pub name: String,
    pub kind: String,
    pub node: String,
    pub mechanism: String,
    pub proof: String,
    /// `None` where it waits for something that did not happen.
    pub planned_at_s: Option<f64>,
    pub injected_at_s: Option<f64>,
    pub healed_at_s: Option<f64>,
    /// When a balancer or directory took a hit node out; `None` where nobody reports that.
    pub detected_after_s: Option<f64>,
    /// When another node became the leader, stamped at that node.
    pub failed_over_after_s: Option<f64>,
    /// To the first whole second from which the hypothesis held for good: an upper bound, in steps
    /// of one second. 0 when it held throughout.
    pub recovery_time_s: Option<f64>,
    /// In the same steps.
    pub recovery_after_heal_s: Option<f64>,
    pub assumed_repair_s: Option<f64>,
    /// The hypothesis held before the injection.
    pub attributable: bool,
    pub not_in_time: u64,
    pub failed_requests: u64,
    /// Why it was not injected.
    pub skipped: Option<String>,
    /// Planned from the injection to the next fault, or to the end of the load.
    pub requests_until_next: u64,
    /// Share in time in the whole seconds in which it was in force; in the seconds that it
    /// touched, where none is whole.
    pub in_time_share: Option<f64>,
    /// Roles of the nodes that were hit.
    pub roles: Vec<String>,
    pub write_outage: Option<Outage>,
    pub read_outage: Option<Outage>,
    /// Answered, but not in time.
    #[serde(default)]
    pub late_requests: u64,
    /// Visitors who would have been answered in time at the share of the calm seconds before it, and
    /// were not; `None` where no second was calm.
    #[serde(default)]
    pub lost_goodput: Option<u64>,
    #[serde(default)]
    pub budget: Option<BudgetSpent>,
    /// By the settings alone: a balancer or directory has noticed, another node leads. `None` where
    /// nothing follows from them for this fault.
    #[serde(default)]
    pub detection_bound_s: Option<f64>,
    #[serde(default)]
    pub election_bound_s: Option<f64>,
    /// Of a fault that hits a database.
    #[serde(default)]
    pub failover: Option<Failover>,
    /// Acknowledged writes that are gone, of which this fault is the nearest; `None` where nothing was
    /// read back.
    #[serde(default)]
    pub lost_writes: Option<u64>,
    /// From the acknowledgement of the oldest of them to the injection.
    #[serde(default)]
    pub rpo_s: Option<f64>,
    /// What it did while it was in force, and how things are after it, as seen when it was healed;
    /// `proof` is what was seen when it was injected.
    #[serde(default)]
    pub heal_proof: Option<String>,
    /// Nothing was seen of it on anything that it was done to: not survived, not tested.
    #[serde(default)]
    pub had_no_effect: bool,
    /// Why it was not healed, or not in full.
    #[serde(default)]
    pub heal_failed: Option<String>,
}

/// What a fault spent of the error budget; `docs/judging.md` has the formulas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BudgetSpent {
    /// The share in time that is held to be good enough: the hypothesis.
    pub slo: f64,
    /// Not in time.
    pub requests: u64,
    /// Of the budget of the measured load; 1 is all of it. `None` where there is no budget.
    pub of_load: Option<f64>,
    /// The same loss as minutes without any good answer.
    pub minutes: f64,
    /// Such minutes that 30 days have room for, and the share of them that it took.
    pub minutes_in_30_days: f64,
    pub of_30_days: Option<f64>,
}

/// The longest time without a success of one kind, from a fault's injection to the next one's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outage {
    pub longest_s: f64,
    /// Gaps up to this long come about by chance at this rate.
    pub resolution_s: f64,
    /// No success followed before the observation ended; it is a lower bound.
    pub is_open: bool,
    /// Between two successes at the rate at which they were asked for.
    #[serde(default)]
    pub expected_gap_s: Option<f64>,
    /// The unavailability window: the longest gap beyond the expected one.
    #[serde(default)]
    pub unavailable_s: Option<f64>,
    /// From and to when, since the injection.
    #[serde(default)]
    pub from_s: Option<f64>,
    #[serde(default)]
    pub until_s: Option<f64>,
}

impl Outage {
    /// Above the resolution by as much as two runs may differ anyway: one gap in twenty passes the
    /// resolution itself by chance, and a comparison looks at nine.
    pub fn is_visible(&self) -> bool {
        self.longest_s > self.resolution_s * VISIBLE
    }

    /// What can be said of its length; where it is not visible, an upper bound.
    pub fn known_s(&self) -> f64 {
        self.longest_s.max(self.resolution_s)
    }
}

/// The data check. `None`: not known, because nothing was read back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DataSummary {
    pub acknowledged: u64,
    pub read_back: Option<u64>,
    pub lost: Option<u64>,
    pub duplicated: Option<u64>,
    pub indeterminate: u64,
    /// Reads that began after a write of their key had been acknowledged, and answered an older
    /// version.
    pub stale_reads: Option<u64>,
    /// Reads that began after another read of their key had ended, and answered an older version
    /// than that one. A read may be both.
    #[serde(default)]
    pub backward_reads: Option<u64>,
    /// Acknowledged writes under keys that were not read back: neither found nor lost.
    pub unchecked: u64,
    /// Operations that did not fit the generator's buffers: nothing is known about them.
    #[serde(default)]
    pub not_recorded: u64,
    /// Found although certainly refused, or never sent.
    pub unexpected: Option<u64>,
    /// Indeterminate, and found.
    #[serde(default)]
    pub recovered: Option<u64>,
    /// What is gone; `None` when nothing is, or nothing was read back.
    #[serde(default)]
    pub loss: Option<Loss>,
    /// The rest is `None` where answers name no versions.
    #[serde(default)]
    pub staleness: Option<Staleness>,
    /// `None` too where nobody told whose operations they were.
    #[serde(default)]
    pub sessions: Option<Sessions>,
    /// `None` too where reads may go to replicas.
    #[serde(default)]
    pub linearizability: Option<Linearizability>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorSummary {
    /// Of brunt's own process and of the worker processes.
    pub cpu_s: Option<f64>,
    pub rss_max_bytes: Option<u64>,
    /// Each process's largest proportional set size, added up, brunt's own included.
    #[serde(default)]
    pub pss_max_bytes: Option<u64>,
    pub workers: u32,
    /// Processes that generated load; 1 when brunt's own threads did.
    #[serde(default)]
    pub processes: Option<u32>,
    /// The most connections that were open at one time; in a record of brunt 0.1 those of a closed
    /// loop.
    pub connections: Option<u32>,
    /// The most requests that were sent and not completed at one time, over all workers; in a
    /// record of brunt 0.1 the highest of the samples at the ends of the seconds.
    pub in_flight_max: Option<u32>,
}
