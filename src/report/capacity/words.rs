//! The sentences that text and Markdown share.

use crate::analysis::capacity::{
    Answer, Axis, Buy, CapacityReport, Cost, FitRow, Flaw, Interval, Outcome, Purpose, Recovery,
    Scaling, Sizing, Trial, TrialRow,
};
use crate::base::Nanos;

pub const HEAD: [&str; 9] =
    ["trial", "rate /s", "for", "why", "result", "broke it", "p50", "p99", "busiest server"];

/// From this share on requests queue for a CPU that is not used up.
const MUCH: f64 = 0.5;
/// Rates that differ by less were meant to be one.
const SAME_RATE: f64 = 1e-6;

/// `garage`, `horizontal with lose-server`.
pub fn subject(answer: &Answer) -> String {
    match &answer.fault {
        Some(fault) => format!("{} with {fault}", answer.target),
        None => answer.target.clone(),
    }
}

/// The one sentence that is the answer.
pub fn headline(answer: &Answer) -> String {
    let subject = subject(answer);
    match (&answer.outcome, answer.capacity) {
        (Outcome::Found { .. }, Some(capacity)) => {
            format!("{subject}: {}", interval(&capacity))
        }
        (Outcome::Found { held_per_s, failed_per_s, .. }, None) => format!(
            "{subject}: between {held_per_s:.1}/s, which held, and {failed_per_s:.1}/s, which did \
             not; the trials together do not say more"
        ),
        (Outcome::FirstFails { rate_per_s, .. }, _) => format!(
            "{subject}: not even the first rate holds, {rate_per_s:.1}/s; begin lower with --from"
        ),
        (Outcome::AboveMaximum { held_per_s }, _) => format!(
            "{subject}: at least {held_per_s:.1}/s, the highest rate allowed; go higher with --to"
        ),
        (Outcome::GeneratorLimited { at_per_s, held_per_s, reason }, _) => format!(
            "{subject}: brunt itself was the limit at {at_per_s:.1}/s, so the target's capacity is \
             not known; {}: {reason}",
            held(*held_per_s)
        ),
        (Outcome::Invalid { at_per_s, reason }, _) => {
            format!("{subject}: the trial at {at_per_s:.1}/s may not be believed: {reason}")
        }
        (Outcome::OutOfTrials { trials, held_per_s }, _) => {
            format!("{subject}: no end after {trials} trials; {}", held(*held_per_s))
        }
        (Outcome::Stopped { why, held_per_s }, _) => {
            format!("{subject}: the search was ended early ({why}); {}", held(*held_per_s))
        }
    }
}

fn held(held_per_s: Option<f64>) -> String {
    match held_per_s {
        Some(rate) => format!("{rate:.1}/s held"),
        None => "no rate is known to hold".into(),
    }
}

pub fn interval(capacity: &Interval) -> String {
    match (capacity.low_per_s, capacity.high_per_s) {
        (Some(low), Some(high)) => {
            format!("{:.1}/s (95 % interval {low:.1} to {high:.1})", capacity.rate_per_s)
        }
        _ => format!("{:.1}/s (too few trials for an interval)", capacity.rate_per_s),
    }
}

/// What else is to be said of it.
pub fn details(answer: &Answer) -> Vec<String> {
    let mut all = Vec::new();
    if let (Some(capacity), Some(expected)) = (answer.capacity, answer.expected_per_s) {
        all.push(format!(
            "by arithmetic its CPU could do {expected:.1}/s without any cache or queue: measured is \
             {:.0} % of that",
            capacity.rate_per_s / expected * 100.0
        ));
    }
    if let Some(limiting) = &answer.limiting {
        all.push(format!("what breaks first: {limiting}"));
    }
    if let Outcome::Found { confirmed_per_s, recovery, held_per_s, .. } = &answer.outcome {
        all.push(exhausted(answer));
        all.push(match confirmed_per_s {
            Some(rate) => format!("confirmed: {rate:.1}/s held in every confirmation"),
            None if !tries(answer, Purpose::Confirm) => {
                "not confirmed: no confirmation was asked for; \
                                                         reckon with the lower end of the interval"
                    .into()
            }
            None => format!(
                "not confirmed: no rate from {held_per_s:.1}/s down held in every confirmation; \
                 reckon with the lower end of the interval"
            ),
        });
        all.push(match recovery {
            Recovery::After { seconds } => {
                format!("after an overload the objectives held again within {seconds:.0} s")
            }
            Recovery::Metastable => "METASTABLE: after an overload the objectives did not hold \
                                     again, at a rate that it carried before"
                .into(),
            Recovery::NotMeasured => format!(
                "whether it comes back from an overload was not measured: {}",
                not_measured(answer)
            ),
        });
    } else if let Outcome::FirstFails { .. } = &answer.outcome {
        all.push(exhausted(answer));
    }
    all
}

fn tries(answer: &Answer, purpose: Purpose) -> bool {
    answer.trials.iter().any(|row| row.trial.purpose == purpose)
}

fn not_measured(answer: &Answer) -> String {
    let overload = answer.trials.iter().rfind(|row| row.trial.purpose == Purpose::Overload);
    match overload.and_then(|row| row.trial.flaw.as_ref()) {
        Some(Flaw::Generator(why)) => format!("brunt could not send that much: {why}"),
        Some(Flaw::Other(why)) => format!("that trial may not be believed: {why}"),
        None => "it was not watched for long enough".into(),
    }
}

fn exhausted(answer: &Answer) -> String {
    if let Some(what) = &answer.exhausted {
        return format!("what was used up there: {what}");
    }
    match broken_at(answer).and_then(|row| row.busiest.as_ref()) {
        Some(load) if load.cpu_share >= MUCH => format!(
            "no CPU was used up where it broke, but {:.0} % of that of {}, the busiest server: \
             requests that wait for it may be the limit, as arrivals come in bursts",
            load.cpu_share * 100.0,
            load.server
        ),
        Some(load) => format!(
            "no CPU was used up where it broke: the busiest server, {}, used {:.0} % of its share; \
             look for a lock, a pool of connections, a disk or a limit of its own",
            load.server,
            load.cpu_share * 100.0
        ),
        None => "what was used up is not known: brunt did not start the target, or did not give \
                 it a share of CPU"
            .into(),
    }
}

/// The last trial at the lowest rate that failed for good. An overload is meant to fail.
fn broken_at(answer: &Answer) -> Option<&TrialRow> {
    let failed_per_s = match answer.outcome {
        Outcome::Found { failed_per_s, .. } => failed_per_s,
        Outcome::FirstFails { rate_per_s, .. } => rate_per_s,
        _ => return None,
    };
    answer.trials.iter().rfind(|row| {
        let is_there = (row.trial.rate_per_s / failed_per_s - 1.0).abs() < SAME_RATE;
        is_there && row.trial.purpose != Purpose::Overload && row.trial.flaw.is_none()
    })
}

/// `trial-03`.
pub fn name(row: &TrialRow) -> String {
    row.folder.rsplit('/').next().unwrap_or_default().to_string()
}

/// How a trial ended, in a word or two.
pub fn result(trial: &Trial) -> String {
    match (&trial.flaw, trial.purpose, trial.recovered_after_s) {
        (Some(_), ..) => "not believed".into(),
        (None, Purpose::Overload, Some(s)) => format!("back in {s:.0} s"),
        (None, Purpose::Overload, None) => "not back".into(),
        _ if trial.holds() => "holds".into(),
        _ => "fails".to_string(),
    }
}

/// The name of a fitted law.
pub fn law(fit: &FitRow) -> &'static str {
    match fit.model.as_str() {
        "usl" => "Universal Scalability Law",
        "amdahl" => "Amdahl's law",
        _ => "fitted line",
    }
}

pub fn cells(row: &TrialRow) -> [String; 9] {
    let trial = &row.trial;
    let time = |ns: Option<Nanos>| ns.map_or("-".into(), |ns| ns.to_string());
    let broke = trial.worst().map_or("-".into(), |worst| {
        format!("{:.2} % of {}", worst.share() * 100.0, worst.arrivals)
    });
    [
        name(row),
        format!("{:.1}", trial.rate_per_s),
        format!("{:.0} s", trial.seconds),
        purpose(trial.purpose).into(),
        result(trial),
        broke,
        time(row.p50),
        time(row.p99),
        row.busiest.as_ref().map_or("-".into(), |load| {
            format!("{} {:.0} % CPU", load.server, load.cpu_share * 100.0)
        }),
    ]
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Grow => "doubling",
        Purpose::Again => "once more",
        Purpose::Narrow => "halving",
        Purpose::Extend => "longer",
        Purpose::Confirm => "confirming",
        Purpose::Overload => "overload",
    }
}

/// N−1 beside N, where the same target was searched both ways.
pub fn losses(answers: &[Answer]) -> Vec<String> {
    let with_fault = answers.iter().filter(|a| a.fault.is_some());
    with_fault
        .filter_map(|faulted| {
            let whole = answers.iter().find(|a| a.fault.is_none() && a.target == faulted.target)?;
            let (n, less) = (whole.rate_per_s()?, faulted.rate_per_s()?);
            Some(format!(
                "{}: with {} it carries {less:.1}/s of {n:.1}/s, {:.0} %",
                whole.target,
                faulted.fault.as_deref().unwrap_or_default(),
                less / n * 100.0
            ))
        })
        .collect()
}

pub const SCALE_HEAD: [&str; 4] = ["size", "target", "capacity /s", "efficiency"];
pub const ASSUMED_HEAD: [&str; 4] = ["key", "value", "assumed", "from"];
pub const CANDIDATE_HEAD: [&str; 5] =
    ["measured", "relied on /s", "carries it", "with the fault /s", "cost"];

/// How it scales, or why nothing can be said.
pub fn scaling(report: &CapacityReport) -> Vec<String> {
    let Some(scaling) = &report.scaling else {
        let why = report.no_scaling.iter();
        return why.map(|why| format!("no scaling: {why}")).collect();
    };
    let mut all = vec![format!("scaling by {}", axis(&scaling.axis))];
    match &scaling.fit {
        Some(fit) => {
            let with_interval =
                |[value, low, high]: [f64; 3]| format!("{value:.4} ({low:.4} to {high:.4})");
            all.push(format!(
                "fitted law: {}; of one {:.1}/s, contention {}, coherency {}",
                fit.model,
                fit.per_one_per_s[0],
                with_interval(fit.contention),
                with_interval(fit.coherency)
            ));
            all.push(match fit.peak_size {
                Some(peak) => format!("more than {peak:.0} bring no more"),
                None => "no size is predicted from which more brings no more".into(),
            });
        }
        None => all.push("no law is fitted: the sizes are too few".into()),
    }
    if scaling.sizes_missing > 0 {
        all.push(format!(
            "for the Universal Scalability Law {} more different sizes are missing",
            scaling.sizes_missing
        ));
    }
    all
}

fn axis(axis: &Axis) -> String {
    match axis {
        Axis::Servers { group } => format!("the number of servers in the group {group}"),
        Axis::Units { group } => format!("the units of CPU of a server in the group {group}"),
        Axis::Cores { group } => format!("the cores of a server in the group {group}"),
    }
}

pub fn scale_rows(scaling: &Scaling) -> Vec<[String; 4]> {
    let row = |p: &crate::analysis::capacity::ScalePoint| {
        [
            number(p.size),
            p.target.clone(),
            format!("{:.1}", p.rate_per_s),
            format!("{:.0} %", p.efficiency * 100.0),
        ]
    };
    scaling.points.iter().map(row).collect()
}

/// From the audience to a rate.
pub fn demand(sizing: &Sizing) -> Vec<String> {
    vec![
        format!("for {}:", sizing.audience),
        format!(
            "at its busiest {} visits a second, {} requests a second, {} in the worst second; {}/s \
             over the first day",
            number(sizing.sessions_per_s),
            number(sizing.peak_per_s),
            number(sizing.worst_second_per_s),
            number(sizing.mean_per_s)
        ),
        format!(
            "to be carried, with growth and retries: {}/s in the worst second",
            number(sizing.design_per_s)
        ),
    ]
}

pub fn assumed(sizing: &Sizing) -> Vec<[String; 4]> {
    let row = |a: &crate::analysis::capacity::Assumed| {
        // As it would be typed.
        [a.key.clone(), a.value.to_string(), a.what.clone(), a.source.clone()]
    };
    sizing.assumptions.iter().map(row).collect()
}

pub fn candidates(sizing: &Sizing) -> Vec<[String; 5]> {
    let rate = |rate: Option<f64>| rate.map_or("-".into(), |r| format!("{r:.1}"));
    (sizing.candidates.iter())
        .map(|c| {
            [
                c.target.clone(),
                rate(c.reckoned_per_s),
                if c.carries { "yes" } else { "no" }.into(),
                rate(c.with_fault),
                c.cost.as_ref().map_or("-".into(), cost),
            ]
        })
        .collect()
}

/// What to buy, in a sentence each way.
pub fn buy(sizing: &Sizing, is_measured: bool) -> Vec<String> {
    if !is_measured {
        return vec![
            "what carries it is not measured: add targets, like brunt capacity garage vertical \
             --audience …, or the folder of an earlier search"
                .into(),
        ];
    }
    let mut all = vec![
        "relied on is the lower end of each interval; the rate is that of the measured mix of \
         requests"
            .to_string(),
    ];
    all.push(match &sizing.vertical {
        Some(answer) => format!("a bigger server: {}", answer_text(answer, 0)),
        None => "a bigger server: no capacity of a target with one server is known".into(),
    });
    if sizing.vertical.is_some() && sizing.lost > 0 {
        all.push(
            "one server has no survivor: while it is lost nothing is served, for as long as it \
             takes to start again"
                .into(),
        );
    }
    all.push(match &sizing.horizontal {
        Some(answer) => format!("more servers: {}", answer_text(answer, sizing.lost)),
        None => "more servers: not measured; give several counts of one target, like \
                 'horizontal[server.app.count=2]' and 'horizontal[server.app.count=4]'"
            .into(),
    });
    all
}

fn answer_text(answer: &Buy, lost: u32) -> String {
    let costs = |c: &Option<Cost>| c.as_ref().map_or(String::new(), |c| format!("; {}", cost(c)));
    match answer {
        Buy::Enough { group, size, kind, left_per_s, cost } => {
            let left = match lost {
                0 => String::new(),
                n => format!(" with {n} lost"),
            };
            format!(
                "{} {} {group}, which carry {left_per_s:.1}/s{left}{}",
                number(*size),
                kind.words(),
                costs(cost)
            )
        }
        Buy::Target { target, units, cores, reckoned_per_s, cost } => {
            let size = match (units, cores) {
                (Some(units), _) => format!("{} units", number(*units)),
                (None, Some(cores)) => format!("{} cores", number(*cores)),
                (None, None) => "with all of the target's cores".into(),
            };
            format!("{target}, {size}, which carries {reckoned_per_s:.1}/s{}", costs(cost))
        }
        Buy::NoSize { target, group, reckoned_per_s } => format!(
            "not known: {target} carries {reckoned_per_s:.1}/s with all of the target's cores, which is \
             no size; give it one, like '{target}[server.{group}.cores=1]'"
        ),
        Buy::NotMeasured { group, measure_at_least, kind } => format!(
            "not measured: run capacity with at least {} {} {group}",
            number(*measure_at_least),
            kind.words()
        ),
        Buy::Never { group, best, .. } if *best == 0.0 => {
            format!("no number of {group} that was looked at carries anything with {lost} lost")
        }
        Buy::Never { group, best, left_per_s } => format!(
            "no number of {group} does: the most is {left_per_s:.1}/s, with {}; more bring less",
            number(*best)
        ),
    }
}

fn cost(cost: &Cost) -> String {
    let million = |rate: Option<f64>| rate.map_or("-".into(), |r| format!("{r:.2}"));
    format!(
        "{:.2} an hour, {} a million requests at the peak, {} over the first day",
        cost.per_hour,
        million(cost.per_million_at_peak),
        million(cost.per_million_at_mean)
    )
}

/// With as many digits as it has to say something.
fn number(value: f64) -> String {
    match value.abs() {
        v if v == v.round() && v < 1e15 => format!("{value:.0}"),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.1}"),
        v => format!("{value:.0$}", (2.0 - v.log10().floor()) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::tests::answer;
    use super::*;
    use crate::analysis::ServerLoad;

    /// Broke at 104/s, and was sent 150/s at last.
    fn found(cpu_share: f64, confirmed_per_s: Option<f64>, flaw: Option<Flaw>) -> String {
        let mut answer = answer(2, 100.0, None);
        answer.exhausted = None;
        let Outcome::Found { confirmed_per_s: confirmed, recovery, .. } = &mut answer.outcome
        else {
            panic!()
        };
        (*confirmed, *recovery) = (confirmed_per_s, Recovery::NotMeasured);
        let mut row = |rate_per_s, purpose, cpu_share| {
            let mut row = answer.trials[0].clone();
            (row.trial.rate_per_s, row.trial.purpose) = (rate_per_s, purpose);
            row.trial.readings[0].violations = 900;
            row.busiest = Some(ServerLoad {
                server: "app-1".into(),
                cores: 1.0,
                cpu_share,
                throttled_share: 0.0,
            });
            answer.trials.push(row);
        };
        row(104.0, Purpose::Narrow, cpu_share);
        row(150.0, Purpose::Overload, 1.0);
        answer.trials.last_mut().unwrap().trial.flaw = flaw;
        details(&answer).join("\n")
    }

    #[test]
    fn what_was_used_is_told_of_the_rate_at_which_it_broke() {
        let much = found(0.7, None, None);
        assert!(much.contains("70 % of that of app-1") && !much.contains("lock"), "{much}");
        let little = found(0.2, None, None);
        assert!(little.contains("app-1, used 20 %") && little.contains("a lock"), "{little}");
    }

    #[test]
    fn more_lost_than_there_are_says_so() {
        let never = Buy::Never { group: "app".into(), best: 0.0, left_per_s: 0.0 };
        let text = answer_text(&never, 10_000);
        assert!(text.ends_with("carries anything with 10000 lost"), "{text}");
    }

    #[test]
    fn what_was_not_measured_says_why() {
        let none = found(0.2, None, Some(Flaw::Other("the cores were slow".into())));
        for part in ["no confirmation was asked for", "may not be believed: the cores were slow"] {
            assert!(none.contains(part), "{part}: {none}");
        }
        let late = found(0.2, Some(100.0), Some(Flaw::Generator("start lag".into())));
        assert!(late.contains("brunt could not send that much: start lag"), "{late}");
        assert!(found(0.2, None, None).contains("not watched for long enough"));
    }
}
