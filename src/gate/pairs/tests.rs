use super::*;
use crate::analysis::testing::Builder;
use crate::analysis::{Doubt, summarise};
use crate::base::Nanos;

/// A sound run with these values, of so many answers.
pub fn run(cpu: f64, errors: f64, p50_ms: f64, tail_ms: f64, answers: u64) -> Summary {
    thread_local! {
        static SOUND: Summary = summarise(&Builder::new("vertical").build());
    }
    let mut s = SOUND.with(Summary::clone);
    let failed = (errors * answers as f64).round() as u64;
    s.ledger.planned = answers;
    s.ledger.ok = answers - failed;
    s.ledger.http_error = failed;
    s.rate.offered_per_s = answers as f64 / 10.0;
    s.cpu.per_1000_ok_s = Some(cpu);
    let times = &mut s.response_time_ns;
    times.count = answers;
    let ms = |ms: f64| Some(Nanos::from_secs_f64(ms / 1e3));
    (times.p50, times.p90, times.p95, times.p99) =
        (ms(p50_ms), ms(tail_ms), ms(tail_ms), ms(tail_ms));
    s
}

fn wiggle(i: usize, by: f64) -> f64 {
    1.0 + by * ((i * 7 % 5) as f64 - 2.0) / 2.0
}

struct Runs(Vec<(Summary, Summary)>);

impl Runs {
    /// Nine pairs; B costs `cpu` and answers `time` times what A does.
    fn new(cpu: f64, time: f64, noise: f64) -> Runs {
        let a = |i| run(1.8 * wiggle(i, 0.01), 0.0, 10.0 * wiggle(i, 0.01), 30.0, 1000);
        let b = |i| {
            let tail = 30.0 * time * wiggle(i, noise);
            run(1.8 * cpu * wiggle(i + 2, 0.01), 0.0, 10.0 * time * wiggle(i + 1, 0.01), tail, 1000)
        };
        Runs((0..9).map(|i| (a(i), b(i))).collect())
    }

    fn judged_by(&self, rule: &GateRule) -> PairGate {
        let pairs: Vec<Pair<'_>> =
            (self.0.iter().enumerate()).map(|(i, (a, b))| Pair { number: i + 1, a, b }).collect();
        judge_pair_runs(&pairs, rule)
    }

    fn judged(&self) -> PairGate {
        self.judged_by(&GateRule::new(1))
    }

    fn spoil(&mut self, pair: usize) {
        self.0[pair].1.validity.doubts.push(Doubt {
            about: About::StartLag,
            level: Level::Invalid,
            seen: "the generator was late".into(),
            remedy: String::new(),
        });
    }
}

fn of(gate: &PairGate, measure: Measure) -> &MeasureResult {
    gate.measures.iter().find(|m| m.measure == measure).unwrap()
}

#[test]
fn the_same_passes_and_more_work_fails() {
    let same = Runs::new(1.0, 1.0, 0.01).judged();
    assert_eq!((same.verdict, same.reasons.len()), (Verdict::Pass, 0), "{same:?}");
    let names: Vec<&str> = same.measures.iter().map(|m| m.measure.name()).collect();
    assert_eq!(
        names,
        ["cpu", "errors", "throughput", "p50", "p90"],
        "the order that survives noise"
    );
    let worse = Runs::new(1.2, 1.0, 0.01).judged();
    assert_eq!(worse.verdict, Verdict::Fail);
    assert!(worse.reasons[0].starts_with("CPU per 1000 ok is worse: +20."), "{:?}", worse.reasons);
    let cpu = of(&worse, Measure::Cpu);
    assert!((cpu.change - 0.2).abs() < 0.01 && cpu.low < 0.2 && cpu.high > 0.2, "{cpu:?}");
    assert!((cpu.b / cpu.a - 1.2).abs() < 0.01);
    assert_eq!(Runs::new(0.8, 0.8, 0.01).judged().verdict, Verdict::Pass);
}

#[test]
fn a_small_change_is_below_the_margin_and_a_given_margin_makes_it_matter() {
    let runs = Runs::new(1.03, 1.0, 0.01);
    assert_eq!(runs.judged().verdict, Verdict::Pass);
    let mut rule = GateRule::new(1);
    rule.margins.insert(Measure::Cpu, 0.02);
    assert_eq!(runs.judged_by(&rule).verdict, Verdict::Fail);
}

#[test]
fn noisy_times_do_not_decide_unless_they_are_named_or_alone() {
    let runs = Runs::new(1.0, 1.04, 0.6);
    let gate = runs.judged();
    assert_eq!(of(&gate, Measure::P90).result, PairVerdict::Inconclusive, "{gate:?}");
    assert_eq!(gate.verdict, Verdict::Pass, "{:?}", gate.reasons);
    assert!(!of(&gate, Measure::P90).can_detect(0.1));
    let mut rule = GateRule::new(1);
    rule.margins.insert(Measure::P90, 0.1);
    let named = runs.judged_by(&rule);
    assert_eq!(named.verdict, Verdict::Inconclusive);
    assert!(named.reasons[0].contains("pairs would show it"), "{:?}", named.reasons);
    let mut of_url = Runs::new(1.0, 1.04, 0.6);
    of_url.0.iter_mut().for_each(|(a, b)| {
        (a.cpu.per_1000_ok_s, b.cpu.per_1000_ok_s) = (None, None);
    });
    let gate = of_url.judged();
    assert_eq!((gate.verdict, gate.not_judged[0].measure), (Verdict::Inconclusive, Measure::Cpu));
}

#[test]
fn slower_answers_fail_although_times_do_not_decide() {
    let gate = Runs::new(1.0, 1.3, 0.01).judged();
    assert_eq!(gate.verdict, Verdict::Fail);
    assert!(gate.reasons.iter().any(|r| r.contains("p50")), "{:?}", gate.reasons);
}

#[test]
fn more_errors_fail() {
    let mut runs = Runs::new(1.0, 1.0, 0.01);
    for (i, (_, b)) in runs.0.iter_mut().enumerate() {
        *b = run(1.8 * wiggle(i, 0.01), 0.01, 10.0 * wiggle(i, 0.01), 30.0, 1000);
    }
    let gate = runs.judged();
    assert_eq!(gate.verdict, Verdict::Fail);
    assert!(gate.reasons[0].contains("errors is worse: +1.0 pp"), "{:?}", gate.reasons);
}

#[test]
fn a_run_that_may_not_be_believed_takes_its_pair_with_it() {
    let mut runs = Runs::new(1.0, 1.0, 0.01);
    runs.spoil(3);
    let gate = runs.judged();
    assert_eq!((gate.verdict, gate.pairs, gate.left_out[0].pair), (Verdict::Pass, 8, 4));
    runs.spoil(5);
    let gate = runs.judged();
    assert_eq!((gate.verdict, gate.pairs), (Verdict::Inconclusive, 7), "7 pairs show nothing of 5");
    assert!(gate.reasons[0].contains("from 8 pairs on"), "{:?}", gate.reasons);
    runs.spoil(6);
    let gate = runs.judged();
    assert_eq!(gate.verdict, Verdict::Invalid);
    assert!(gate.reasons[0].contains("3 of 9 pairs"), "{:?}", gate.reasons);
    let mut starved = Runs::new(1.5, 1.5, 0.01);
    (0..9).for_each(|pair| starved.spoil(pair));
    assert_eq!(starved.judged().verdict, Verdict::Invalid, "never a regression");
}

#[test]
fn no_data_is_never_a_pass() {
    assert_eq!(judge_pair_runs(&[], &GateRule::new(1)).verdict, Verdict::Invalid);
    let mut runs = Runs::new(1.0, 1.0, 0.01);
    runs.0.truncate(2);
    assert_eq!(runs.judged().verdict, Verdict::Inconclusive);
    runs.0.truncate(1);
    assert_eq!(runs.judged().verdict, Verdict::Invalid);
}

#[test]
fn the_tail_is_the_highest_that_the_answers_carry() {
    let tail = |answers| {
        let a = |i| run(1.8 * wiggle(i, 0.01), 0.0, 10.0, 30.0 * wiggle(i, 0.01), answers);
        let runs = Runs((0..8).map(|i| (a(i), a(i + 1))).collect());
        let gate = runs.judged();
        gate.measures.last().unwrap().measure
    };
    assert_eq!(tail(10_000), Measure::P99);
    assert_eq!(tail(2_000), Measure::P95);
    assert_eq!(tail(1_000), Measure::P90);
    assert_eq!(tail(900), Measure::P50);
    let mut rule = GateRule::new(1);
    rule.margins.insert(Measure::P99, 0.1);
    let gate = Runs::new(1.0, 1.0, 0.01).judged_by(&rule);
    assert_eq!(gate.verdict, Verdict::Inconclusive);
    assert!(gate.reasons[0].contains("p99 needs 10000"), "{:?}", gate.reasons);
}

#[test]
fn an_invalid_pair_is_run_again_but_not_for_ever() {
    assert!(wants_another(8, 0, 0) && wants_another(8, 8, 7) && wants_another(8, 9, 7));
    assert!(!wants_another(8, 8, 8) && !wants_another(8, 10, 8));
    assert!(wants_another(8, 2, 0) && !wants_another(8, 3, 0), "it can only become invalid");
}

#[test]
fn a_decision_is_read_back() {
    let gate = Runs::new(1.2, 1.0, 0.01).judged();
    let text = serde_json::to_string(&gate).unwrap();
    let read: PairGate = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (read.verdict, &read.reasons, &read.rule),
        (gate.verdict, &gate.reasons, &gate.rule)
    );
    let results =
        |g: &PairGate| g.measures.iter().map(|m| (m.measure, m.result)).collect::<Vec<_>>();
    assert_eq!(results(&read), results(&gate));
    assert!(text.contains("\"result\":\"regression\""), "{text}");
}
