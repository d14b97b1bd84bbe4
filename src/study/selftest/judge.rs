//! From what was seen to figures with an error, a tolerance and a word.

use super::experiments::{Experiment, Truth};
use super::measure::Seen;
use super::replay::{Chance, Ideal, replay};
use super::{Figure, Outcome};
use crate::analysis::queueing::{Md1, Mmc, Stalled, anderson_darling_exponential, shifted_share};
use crate::analysis::{About, Level};
use crate::base::{Histogram, Nanos, Quantile};
use crate::record::Tag;
use crate::stack::known::Law;
use crate::study::StudyError;
use std::collections::HashMap;

/// What may be the tool's, as a share of the mean service time, by quantile: the pacer, two
/// passages of loopback and the server's timers. In the tail the machine's own stalls come in.
const MEAN_OFF: f64 = 0.05;
const TOLERANCES: [(f64, f64); 3] = [(0.5, 0.05), (0.99, 0.15), (0.999, 0.5)];
/// Resolution of the histograms, of the value itself.
const RESOLUTION: f64 = 0.002;
/// Of the freeze: against the formula, which is a fluid's, and against the replay.
const STALL_OFF: f64 = 0.05;
const STALL_OFF_EXACT: f64 = 0.01;
/// Of the requests of a second.
const RATE_OFF: f64 = 0.5;
/// Twice the value that exponential gaps exceed once in a hundred (Lancet's rule).
const A2_MAX: f64 = 2.0 * 1.957;
/// Mean gaps under this are too close to the stamps' own scatter to test their law.
const LAW_GAP: f64 = 0.5e-3;
/// Milliseconds from intended to arrived.
const ARRIVES_P50: f64 = 0.1;
const ARRIVES_P99: f64 = 0.25;
/// Start lag, milliseconds.
const LAG_P99: f64 = 0.1;
/// Per cent of the responses that may be off by more than this share of the mean service time.
const SHIFTED: f64 = 2.0;
const SHIFTED_BY: f64 = 0.1;

pub(super) fn judge(experiment: &Experiment, seen: &Seen) -> Result<Outcome, StudyError> {
    let ideal = replay(&seen.schedule, &experiment.behaviour, experiment.timeout);
    let figures = match experiment.truth {
        Truth::Service => service(experiment, seen, &ideal),
        Truth::Md1(_) | Truth::Mmc(..) | Truth::Law => queue(experiment, seen, &ideal)?,
        Truth::Stall => stall(experiment, seen, &ideal),
        Truth::StallClosed => stall_closed(experiment, seen),
        Truth::Arrivals => arrivals(experiment, seen),
        Truth::Ledger => ledger(seen, &ideal),
    };
    let health = &seen.ran.summary.validity;
    Ok(Outcome {
        name: experiment.name.clone(),
        says: experiment.says.into(),
        requests: seen.ran.summary.ledger_run.planned,
        server_late_p50_ns: seen.counters.late_p50_ns,
        server_late_p99_ns: seen.counters.late_p99_ns,
        figures,
        // What was known before is said once, at the end.
        doubts: (health.doubts.iter())
            .filter(|d| d.about != About::Manifest)
            .map(|d| d.seen.clone())
            .collect(),
        is_valid: health.worst() != Some(Level::Invalid),
    })
}

impl Figure {
    /// Compared with `exact` where there is one, and within `band` where there is one.
    fn new(name: &str, unit: &'static str, measured: f64) -> Figure {
        Figure {
            name: name.into(),
            unit,
            theory: None,
            band: None,
            exact: None,
            measured,
            error: None,
            tolerance: None,
            is_ok: true,
        }
    }

    fn theory(self, theory: f64) -> Figure {
        Figure { theory: Some(theory), ..self }
    }

    fn exact(self, exact: f64) -> Figure {
        Figure { exact: Some(exact), ..self }
    }

    fn within(self, band: (f64, f64)) -> Figure {
        Figure { band: Some(band), ..self }
    }

    /// Judged: off when the error or what lies outside the band is more than this.
    fn judged(mut self, tolerance: f64) -> Figure {
        self.tolerance = Some(tolerance);
        self.error = self.exact.or(self.theory).map(|truth| self.measured - truth);
        let is_near = self.error.is_none_or(|e| e.abs() <= tolerance);
        let is_inside = self.band.is_none_or(|(low, high)| {
            self.measured >= low - tolerance && self.measured <= high + tolerance
        });
        self.is_ok = self.measured.is_finite() && is_near && is_inside;
        self
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

fn at(histogram: &Histogram, q: f64) -> f64 {
    ms(histogram.hdr().value_at_quantile(q))
}

/// `p50`, `p99`, `p99.9`.
fn quantile_name(q: f64) -> String {
    format!("p{}", (q * 1e5).round() / 1e3)
}

/// Those of the judged quantiles that this many samples can name.
fn quantiles(count: u64) -> impl Iterator<Item = (f64, f64)> {
    TOLERANCES.into_iter().filter(move |(q, _)| count >= Quantile(*q).samples_needed())
}

fn service(experiment: &Experiment, seen: &Seen, ideal: &Ideal) -> Vec<Figure> {
    let mean = ms(experiment.behaviour.law.mean().0);
    let figure = |(q, off): (f64, f64)| {
        let exact = at(&ideal.response, q);
        Figure::new(&quantile_name(q), "ms", at(&seen.response, q))
            .theory(exact)
            .exact(exact)
            .judged(off * mean + RESOLUTION * exact)
    };
    quantiles(seen.response.count()).map(figure).collect()
}

fn queue(experiment: &Experiment, seen: &Seen, ideal: &Ideal) -> Result<Vec<Figure>, StudyError> {
    let law = experiment.behaviour.law;
    let mean = ms(law.mean().0);
    let chance = Chance::of(&seen.load, &experiment.behaviour)?;
    let mean_of = |h: &Histogram| h.hdr().mean() / 1e6;
    let exact = mean_of(&ideal.response);
    let mut figures = vec![
        Figure::new("mean", "ms", mean_of(&seen.response))
            .theory(theory_mean(experiment) * mean)
            .exact(exact)
            .within(chance.band(mean_of))
            .judged(MEAN_OFF * mean),
    ];
    for (q, off) in quantiles(seen.response.count()) {
        let exact = at(&ideal.response, q);
        let figure = Figure::new(&quantile_name(q), "ms", at(&seen.response, q)).exact(exact);
        let figure = match theory_quantile(experiment, q) {
            Some(theory) => figure.theory(theory * mean),
            None => figure,
        };
        let figure = match has_atom(law, experiment.truth) {
            // A quantile that sits on a jump has no standard deviation to speak of.
            true => figure,
            false => figure.within(chance.band(|h| at(h, q))),
        };
        figures.push(figure.judged(off * mean + RESOLUTION * exact));
    }
    figures.push(shifted(seen, ideal, mean));
    Ok(figures)
}

/// However requests and answers belong together, this share is off by more.
fn shifted(seen: &Seen, ideal: &Ideal, mean: f64) -> Figure {
    let slack = Nanos((SHIFTED_BY * mean * 1e6) as u64);
    let share = shifted_share(&ideal.response, &seen.response, slack);
    Figure::new(&format!("off by > {slack}"), "%", share * 100.0).exact(0.0).judged(SHIFTED)
}

fn has_atom(law: Law, truth: Truth) -> bool {
    truth == Truth::Law && matches!(law, Law::Bimodal { .. })
}

/// In units of the mean service time.
fn theory_mean(experiment: &Experiment) -> f64 {
    match experiment.truth {
        Truth::Md1(rho) => Md1::new(rho).mean_response(),
        Truth::Mmc(servers, rho) => Mmc::new(servers, rho).mean_response(),
        _ => 1.0,
    }
}

/// In units of the mean service time.
fn theory_quantile(experiment: &Experiment, q: f64) -> Option<f64> {
    match experiment.truth {
        Truth::Md1(rho) => Some(Md1::new(rho).response_quantile(q)),
        Truth::Mmc(servers, rho) => Some(Mmc::new(servers, rho).response_quantile(q)),
        Truth::Law => experiment.behaviour.law.quantile(q),
        _ => None,
    }
}

fn stall(experiment: &Experiment, seen: &Seen, ideal: &Ideal) -> Vec<Figure> {
    let Some(stalled) = stalled(experiment) else { return Vec::new() };
    let baseline = ms(experiment.behaviour.law.mean().0);
    let lasts = stalled.lasts * 1e3;
    let figure = |name: &str, q: f64, measured: f64, exact: f64| {
        let theory = baseline + stalled.excess_quantile(q) * 1e3;
        let reach = (STALL_OFF - STALL_OFF_EXACT) * lasts;
        Figure::new(name, "ms", measured)
            .theory(theory)
            .exact(exact)
            .within((theory - reach, theory + reach))
            .judged(STALL_OFF_EXACT * lasts)
    };
    let max = |h: &Histogram| ms(h.max().unwrap_or(Nanos::ZERO).0);
    let mut figures: Vec<Figure> = [0.5, 0.75, 0.9]
        .into_iter()
        .map(|q| figure(&quantile_name(q), q, at(&seen.response, q), at(&ideal.response, q)))
        .collect();
    figures.push(figure("max", 1.0, max(&seen.response), max(&ideal.response)));
    figures
}

fn stalled(experiment: &Experiment) -> Option<Stalled> {
    Some(Stalled {
        lasts: experiment.behaviour.stall?.lasts.as_secs_f64(),
        window: experiment.lasts.as_secs_f64(),
        rho: experiment.rate * experiment.behaviour.law.mean().as_secs_f64(),
    })
}

/// Ten requests wait for the freeze, and thousands come before and after: every quantile that one
/// looks at is that of a calm run.
fn stall_closed(experiment: &Experiment, seen: &Seen) -> Vec<Figure> {
    let lasts = stalled(experiment).map_or(0.0, |s| s.lasts) * 1e3;
    let service = ms(experiment.behaviour.law.mean().0);
    let calm = 10.0 * service;
    let figure = |q: f64| Figure::new(&quantile_name(q), "ms", at(&seen.response, q)).theory(calm);
    let max = ms(seen.response.max().unwrap_or(Nanos::ZERO).0);
    vec![
        figure(0.5),
        figure(0.75),
        figure(0.9),
        figure(0.99).judged(STALL_OFF * lasts),
        Figure::new("max", "ms", max).theory(calm + lasts).judged(STALL_OFF * lasts),
    ]
}

/// By the server's stamps, not by brunt's own clock readings: what left late or was held up on the
/// way is in them. Each arrival is matched with its intended start by the request's number.
fn arrivals(experiment: &Experiment, seen: &Seen) -> Vec<Figure> {
    let came: HashMap<u64, Nanos> = seen.arrivals.iter().map(|a| (a.id, a.at)).collect();
    let mut delays = Histogram::new();
    for planned in &seen.schedule {
        if let Some(at) = came.get(&planned.id) {
            delays.record(at.saturating_sub(planned.intended));
        }
    }
    let meant: Vec<Nanos> = seen.schedule.iter().map(|p| p.intended).collect();
    let came: Vec<Nanos> = seen.arrivals.iter().map(|a| a.at).collect();
    let total = (came.len() as f64 / meant.len().max(1) as f64 - 1.0) * 100.0;
    let worst = worst_second(&meant, &came, experiment.lasts);
    let mut figures = vec![
        Figure::new("rate error", "%", total).theory(0.0).judged(RATE_OFF),
        Figure::new("rate error, worst second", "%", worst).theory(0.0).judged(RATE_OFF),
    ];
    let law = |at: &[Nanos]| anderson_darling_exponential(&gaps(at));
    if 1.0 / experiment.rate >= LAW_GAP {
        let measured = Figure::new("A² of the gaps", "", law(&came)).within((0.0, A2_MAX));
        let measured = measured.judged(0.0);
        // The planned gaps have an A² of their own, by chance; it is shown, not demanded.
        figures.push(measured.exact(law(&meant)));
    }
    let gap_off = Nanos(200_000.max((1e8 / experiment.rate) as u64));
    let share = shifted_share(&in_histogram(&meant), &in_histogram(&came), gap_off);
    figures.push(
        Figure::new(&format!("gaps off by > {gap_off}"), "%", share * 100.0)
            .theory(0.0)
            .judged(SHIFTED),
    );
    let lag = seen.ran.record.latency.get(&Tag::StartLag);
    figures.push(Figure::new("start lag p50", "ms", lag.map_or(0.0, |h| at(h, 0.5))));
    figures.push(
        Figure::new("start lag p99", "ms", lag.map_or(f64::NAN, |h| at(h, 0.99)))
            .theory(0.0)
            .judged(LAG_P99),
    );
    for (q, limit) in [(0.5, ARRIVES_P50), (0.99, ARRIVES_P99)] {
        let name = format!("late at the server, {}", quantile_name(q));
        figures.push(Figure::new(&name, "ms", at(&delays, q)).theory(0.0).judged(limit));
    }
    figures
}

fn gaps(at: &[Nanos]) -> Vec<f64> {
    at.windows(2).map(|w| w[1].saturating_sub(w[0]).as_secs_f64()).collect()
}

fn in_histogram(at: &[Nanos]) -> Histogram {
    let mut histogram = Histogram::new();
    at.windows(2).for_each(|w| histogram.record(w[1].saturating_sub(w[0])));
    histogram
}

/// The relative difference, in per cent, of what came in a whole second to what was meant to; of
/// the second in which it is largest.
fn worst_second(meant: &[Nanos], came: &[Nanos], lasts: Nanos) -> f64 {
    let seconds = (lasts.0 / Nanos::SECOND.0) as usize;
    let count = |at: &[Nanos]| {
        let mut counts = vec![0.0f64; seconds + 1];
        for t in at {
            counts[((t.0 / Nanos::SECOND.0) as usize).min(seconds)] += 1.0;
        }
        counts
    };
    let off = |(came, meant): (&f64, &f64)| (came - meant) / meant.max(1.0) * 100.0;
    let (meant, came) = (count(meant), count(came));
    let all = came.iter().zip(&meant).take(seconds).map(off);
    all.fold(0.0, |worst: f64, e| if e.abs() > worst.abs() { e } else { worst })
}

/// Three counts of each outcome must be one: brunt's, the server's, and what the seed decides.
fn ledger(seen: &Seen, ideal: &Ideal) -> Vec<Figure> {
    let (ledger, counted) = (&seen.ran.summary.ledger_run, &seen.counters);
    let figure = |name: &str, brunt: u64, server: u64, exact: u64| {
        Figure::new(name, "", brunt as f64)
            .theory(server as f64)
            .exact(exact as f64)
            .within((server as f64, server as f64))
            .judged(0.0)
    };
    let meant = &ideal.ledger;
    // The server has begun a slow answer that brunt gave up on.
    vec![
        figure("planned", ledger.planned, counted.requests, meant.planned),
        figure("ok", ledger.ok, counted.answered, meant.ok),
        figure("http_error", ledger.http_error, counted.errors, meant.http_error),
        figure("transport_error", ledger.transport_error, counted.dropped, meant.transport_error),
        figure("timeout", ledger.timeout, counted.slowed, meant.timeout),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_off_when_either_truth_is_missed() {
        let figure = |measured| {
            Figure::new("p50", "ms", measured).exact(10.0).within((8.0, 12.0)).judged(1.0).is_ok
        };
        assert!(figure(10.9) && figure(9.1));
        assert!(!figure(11.1) && !figure(8.9) && !figure(f64::NAN));
        let banded =
            |measured| Figure::new("A²", "", measured).within((0.0, 3.9)).judged(0.0).is_ok;
        assert!(banded(3.8) && !banded(4.0));
        assert_eq!(quantile_name(0.999), "p99.9");
    }

    #[test]
    fn the_worst_second_is_found_with_its_sign() {
        let at = |ms: &[u64]| ms.iter().map(|m| Nanos::from_millis(*m)).collect::<Vec<_>>();
        let meant = at(&[100, 200, 1100, 1200, 1300, 1400]);
        let came = at(&[101, 201, 1101, 1201, 1301, 2001]);
        assert_eq!(worst_second(&meant, &came, Nanos::from_secs(2)), -25.0);
        assert_eq!(worst_second(&meant, &meant, Nanos::from_secs(2)), 0.0);
    }
}
