//! What to buy for an audience: which measured targets carry it, the smallest size and the smallest
//! count, with servers lost, and what a million requests cost.

use super::answer::{Answer, GroupSize};
use super::scale::{Axis, Known, Reckoning, Scaling, scaling};
use crate::audience::{self, Forecast, Supply, cost_per_million, smallest_count};
use serde::{Deserialize, Serialize};

/// More servers than this are not looked at.
const MOST: u32 = 10_000;
const DAY_S: f64 = 86_400.0;

/// What an hour costs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prices {
    /// Of each unit of CPU, where its group has no price of its own.
    pub per_unit: Option<f64>,
    /// Of each server of a group.
    pub per_server: Vec<(String, f64)>,
}

/// The answer, with everything that it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sizing {
    pub audience: String,
    pub sessions_per_s: f64,
    /// Mean of the busiest stretch, and its worst second, as foreseen.
    pub peak_per_s: f64,
    pub worst_second_per_s: f64,
    /// Over the first day.
    pub mean_per_s: f64,
    /// With growth and retries: what must be carried.
    pub design_per_s: f64,
    /// Servers that may be lost at the same time.
    pub lost: u32,
    pub assumptions: Vec<Assumed>,
    /// Each target that was measured.
    pub candidates: Vec<Candidate>,
    /// Bigger servers: of an axis of units or cores, or single servers of any kind.
    pub vertical: Option<Buy>,
    /// More servers: of an axis of counts.
    pub horizontal: Option<Buy>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assumed {
    pub key: String,
    pub what: String,
    pub value: f64,
    pub source: String,
}

/// A measured target against the audience.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub target: String,
    /// What it may be relied on for; `None` where no capacity was found.
    pub reckoned_per_s: Option<f64>,
    pub carries: bool,
    /// The same with a fault in force, where that was searched.
    pub with_fault: Option<f64>,
    pub cost: Option<Cost>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    pub per_hour: f64,
    pub per_million_at_peak: Option<f64>,
    pub per_million_at_mean: Option<f64>,
}

/// What to buy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Buy {
    /// This size, and what is left of it with so many lost; a single server leaves nothing.
    Enough {
        group: String,
        size: f64,
        #[serde(default)]
        kind: SizeKind,
        left_per_s: f64,
        cost: Option<Cost>,
    },
    /// A measured target of this name.
    Target {
        target: String,
        /// Its size, in the one or the other; with neither it has all of the target's cores.
        #[serde(default)]
        units: Option<f64>,
        #[serde(default)]
        cores: Option<f64>,
        reckoned_per_s: f64,
        cost: Option<Cost>,
    },
    NotMeasured {
        group: String,
        measure_at_least: f64,
        kind: SizeKind,
    },
    /// The best server has all of the target's cores, so how much more it would take is not known.
    NoSize {
        target: String,
        group: String,
        reckoned_per_s: f64,
    },
    /// Nothing helps: the best size, and what is left of it.
    Never {
        group: String,
        best: f64,
        left_per_s: f64,
    },
}

/// What a size counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SizeKind {
    #[default]
    Servers,
    Units,
    Cores,
}

impl SizeKind {
    pub fn words(self) -> &'static str {
        match self {
            SizeKind::Servers => "servers of",
            SizeKind::Units => "units of CPU for",
            SizeKind::Cores => "cores for",
        }
    }
}

pub fn size(forecast: &Forecast, lost: u32, answers: &[Answer], prices: &Prices) -> Sizing {
    let demand = forecast.audience.demand();
    let mean_per_s = forecast.audience.requests_in_day() / DAY_S;
    let load = Load { peak_per_s: demand.requests_per_s, mean_per_s };
    let design_per_s = forecast.design_per_s();
    let axis = scaling(answers).ok();
    Sizing {
        audience: forecast.text.clone(),
        sessions_per_s: demand.sessions_per_s,
        peak_per_s: demand.requests_per_s,
        worst_second_per_s: demand.worst_second_per_s,
        mean_per_s,
        design_per_s,
        lost,
        assumptions: forecast.assumptions().iter().map(assumed).collect(),
        candidates: candidates(answers, design_per_s, load, prices),
        vertical: vertical(answers, axis.as_ref(), design_per_s, load, prices),
        horizontal: horizontal(answers, axis.as_ref(), design_per_s, lost, load, prices),
    }
}

/// What is really asked of it, which costs are spread over.
#[derive(Clone, Copy)]
struct Load {
    peak_per_s: f64,
    mean_per_s: f64,
}

fn assumed(a: &audience::Assumption) -> Assumed {
    Assumed { key: a.key.into(), what: a.what.into(), value: a.value, source: a.source.into() }
}

fn candidates(answers: &[Answer], design: f64, load: Load, prices: &Prices) -> Vec<Candidate> {
    let whole = answers.iter().filter(|a| a.fault.is_none());
    whole
        .map(|answer| {
            let reckoned = answer.reckoned_per_s();
            let faulted = answers.iter().find(|a| a.fault.is_some() && a.target == answer.target);
            Candidate {
                target: answer.target.clone(),
                reckoned_per_s: reckoned,
                carries: reckoned.is_some_and(|rate| rate >= design),
                with_fault: faulted.and_then(Answer::reckoned_per_s),
                cost: prices.cost(&answer.servers, load),
            }
        })
        .collect()
}

/// The smallest measured target with one server that carries it, or else the smallest size of an
/// axis of units or cores, in whole ones: what can be bought comes in steps.
fn vertical(
    answers: &[Answer],
    axis: Option<&Scaling>,
    design: f64,
    load: Load,
    prices: &Prices,
) -> Option<Buy> {
    let singles: Vec<Single<'_>> =
        answers.iter().filter(|a| a.fault.is_none()).filter_map(Single::of).collect();
    let carrying = singles.iter().filter(|s| s.reckoned_per_s >= design);
    if let Some(single) = carrying.min_by(|a, b| a.cores().total_cmp(&b.cores())) {
        return Some(Buy::Target {
            target: single.answer.target.clone(),
            units: single.size.units,
            cores: single.size.cores,
            reckoned_per_s: single.reckoned_per_s,
            cost: prices.cost(&single.answer.servers, load),
        });
    }
    let kind = match axis.map(|scaling| &scaling.axis) {
        Some(Axis::Units { .. }) => SizeKind::Units,
        Some(Axis::Cores { .. }) => SizeKind::Cores,
        _ => {
            let largest = singles.iter().max_by(|a, b| a.cores().total_cmp(&b.cores()))?;
            return Some(largest.halved(design));
        }
    };
    let change = |g: &mut GroupSize, size: u32| match kind {
        SizeKind::Cores => g.cores = Some(f64::from(size)),
        _ => g.units = Some(f64::from(size)),
    };
    along(axis?, answers, kind, change, Wanted { design, lost: 0 }, load, prices)
}

fn horizontal(
    answers: &[Answer],
    axis: Option<&Scaling>,
    design: f64,
    lost: u32,
    load: Load,
    prices: &Prices,
) -> Option<Buy> {
    let scaling = axis.filter(|s| matches!(s.axis, Axis::Servers { .. }))?;
    let change = |g: &mut GroupSize, count: u32| g.count = count;
    let wanted = Wanted { design, lost };
    along(scaling, answers, SizeKind::Servers, change, wanted, load, prices)
}

struct Wanted {
    design: f64,
    lost: u32,
}

/// The smallest size of an axis that carries it.
fn along(
    scaling: &Scaling,
    answers: &[Answer],
    kind: SizeKind,
    change: impl Fn(&mut GroupSize, u32),
    Wanted { design, lost }: Wanted,
    load: Load,
    prices: &Prices,
) -> Option<Buy> {
    let group = scaling.axis.group().to_string();
    let reckoning = Reckoning::new(&scaling.points);
    Some(match smallest_count(design, lost, MOST, |n| supply(&reckoning, n)) {
        audience::Answer::Enough { count, left_per_s } => {
            let servers = resized(answers, &group, |g| change(g, count));
            let cost = servers.and_then(|servers| prices.cost(&servers, load));
            Buy::Enough { group, size: f64::from(count), kind, left_per_s, cost }
        }
        other => not_enough(other, group, kind, &reckoning, design, lost),
    })
}

/// A measured target with one server.
struct Single<'a> {
    answer: &'a Answer,
    size: &'a GroupSize,
    reckoned_per_s: f64,
}

impl Single<'_> {
    fn of(answer: &Answer) -> Option<Single<'_>> {
        let (size, reckoned_per_s) = (answer.single()?, answer.reckoned_per_s()?);
        Some(Single { answer, size, reckoned_per_s })
    }

    /// To order them by; without a share of its own it has all, which is the most. Where it is not
    /// known what a unit was, no server was in cores.
    fn cores(&self) -> f64 {
        let units = |units: f64| units * self.answer.unit_cores.unwrap_or(1.0);
        self.size.cores.or(self.size.units.map(units)).unwrap_or(f64::INFINITY)
    }

    /// Half of the units or cores that it takes when each brings as much as these do.
    fn halved(&self, design: f64) -> Buy {
        let group = self.size.group.clone();
        let (size, kind) = match (self.size.units, self.size.cores) {
            (Some(units), _) => (units, SizeKind::Units),
            (None, Some(cores)) => (cores, SizeKind::Cores),
            (None, None) => {
                let (target, reckoned_per_s) = (self.answer.target.clone(), self.reckoned_per_s);
                return Buy::NoSize { target, group, reckoned_per_s };
            }
        };
        let half = (design / (self.reckoned_per_s / size) / 2.0).ceil();
        Buy::NotMeasured { group, measure_at_least: half.max((size + 1.0).floor()), kind }
    }
}

fn supply(reckoning: &Reckoning, size: u32) -> Supply {
    match reckoning.at(f64::from(size)) {
        Known::PerSecond(rate) => Supply::PerSecond(rate),
        Known::NotMeasured { measure_at_least } => {
            Supply::NotMeasured { measure_at_least: measure_at_least.ceil() as u32 }
        }
    }
}

/// The data end before the answer begins: were each further one as good as the best so far, it
/// would take N of them, and half of that many is what must have been measured to say so.
fn not_enough(
    answer: audience::Answer,
    group: String,
    kind: SizeKind,
    reckoning: &Reckoning,
    design: f64,
    lost: u32,
) -> Buy {
    match answer {
        audience::Answer::NotMeasured { measure_at_least } => {
            let optimistic = (design / reckoning.best_per_one()).ceil() + f64::from(lost);
            let half = (optimistic / 2.0).ceil();
            Buy::NotMeasured {
                group,
                measure_at_least: half.max(f64::from(measure_at_least)),
                kind,
            }
        }
        audience::Answer::Never { best, left_per_s }
        | audience::Answer::Enough { count: best, left_per_s } => {
            Buy::Never { group, best: f64::from(best), left_per_s }
        }
    }
}

/// The servers of the first answer with another size of one group.
fn resized(
    answers: &[Answer],
    group: &str,
    change: impl Fn(&mut GroupSize),
) -> Option<Vec<GroupSize>> {
    let mut servers = answers.first()?.servers.clone();
    servers.iter_mut().filter(|s| s.group == group).for_each(change);
    Some(servers)
}

impl Prices {
    pub fn is_empty(&self) -> bool {
        self.per_unit.is_none() && self.per_server.is_empty()
    }

    /// Of all servers for an hour; `None` when one of them has no price.
    pub fn per_hour(&self, servers: &[GroupSize]) -> Option<f64> {
        let of_group = |s: &GroupSize| {
            let own = self.per_server.iter().find(|(group, _)| *group == s.group).map(|(_, p)| *p);
            let each = own.or_else(|| Some(self.per_unit? * s.units?))?;
            Some(each * f64::from(s.count))
        };
        match servers {
            [] => None,
            some => some.iter().map(of_group).sum(),
        }
    }

    fn cost(&self, servers: &[GroupSize], load: Load) -> Option<Cost> {
        let per_hour = self.per_hour(servers)?;
        Some(Cost {
            per_hour,
            per_million_at_peak: cost_per_million(per_hour, load.peak_per_s),
            per_million_at_mean: cost_per_million(per_hour, load.mean_per_s),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::scale::tests::{answer, of_cores};
    use super::*;

    fn forecast(design: f64) -> Forecast {
        // One request a visit, all within a second, nothing added.
        let text = format!("drop[visitors={design},within=1s,pages=1,requests=1,burst=1,growth=0]");
        let forecast = Forecast::parse(&text).unwrap();
        assert!((forecast.design_per_s() - design).abs() < 1e-9);
        forecast
    }

    fn scaled(n: f64) -> f64 {
        1000.0 * n / (1.0 + 0.02 * (n - 1.0) + 0.0005 * n * (n - 1.0))
    }

    fn measured(counts: &[u32]) -> Vec<Answer> {
        counts.iter().map(|n| answer(*n, 1.0, scaled(f64::from(*n)))).collect()
    }

    #[test]
    fn the_worked_example_with_servers_lost() {
        let answers = measured(&[1, 2, 3, 4, 6, 8]);
        for (lost, expected) in [(0, 7.0), (1, 8.0), (2, 9.0)] {
            let seen = size(&forecast(6000.0), lost, &answers, &Prices::default());
            let Some(Buy::Enough { size, left_per_s, .. }) = seen.horizontal else {
                panic!("{:?}", seen.horizontal)
            };
            assert_eq!(size, expected, "{lost}");
            assert!((6000.0..6200.0).contains(&left_per_s), "{left_per_s}");
        }
    }

    #[test]
    fn beyond_twice_the_measured_there_is_an_instruction_and_no_number() {
        let answers = measured(&[1, 2, 3, 4, 5, 6]);
        let seen = size(&forecast(12_000.0), 1, &answers, &Prices::default());
        let Some(Buy::NotMeasured { measure_at_least, .. }) = seen.horizontal else {
            panic!("{:?}", seen.horizontal)
        };
        assert_eq!(measure_at_least, 7.0);
        let far = size(&forecast(40_000.0), 1, &answers, &Prices::default());
        let Some(Buy::NotMeasured { measure_at_least, .. }) = far.horizontal else { panic!() };
        assert_eq!(measure_at_least, 21.0, "41 at least were needed if nothing were lost");
        let single = size(&forecast(6000.0), 1, &measured(&[1]), &Prices::default());
        assert_eq!(single.horizontal, None);
    }

    #[test]
    fn a_bigger_server_from_units() {
        let mut answers = vec![answer(1, 1.0, 100.0), answer(1, 2.0, 195.0), answer(1, 4.0, 380.0)];
        for a in &mut answers {
            a.servers.pop();
            a.target = format!("u{}", a.servers[0].units.unwrap());
        }
        let price = Prices { per_unit: Some(0.36), per_server: vec![] };
        let seen = size(&forecast(150.0), 1, &answers, &price);
        let Some(Buy::Target { target, cost, .. }) = seen.vertical else { panic!() };
        assert_eq!(target, "u2");
        // 0.72 an hour for 150/s: 0.72 · 10⁶ / (3600 · 150).
        let at_peak = cost.unwrap().per_million_at_peak.unwrap();
        assert!((at_peak - 4.0 / 3.0).abs() < 1e-9, "{at_peak}");
        assert!(!seen.candidates[0].carries && seen.candidates[1].carries);
        let far = size(&forecast(2000.0), 1, &answers, &price);
        let Some(Buy::NotMeasured { measure_at_least, .. }) = far.vertical else { panic!() };
        assert_eq!(measure_at_least, 10.0);
        assert_eq!(seen.horizontal, None);
    }

    #[test]
    fn a_bigger_server_from_cores_and_none_from_a_server_with_all_of_them() {
        let bought = |design: f64, answers: &[Answer]| {
            size(&forecast(design), 1, answers, &Prices::default()).vertical
        };
        let answers =
            [of_cores(None, 400.0), of_cores(Some(2.0), 190.0), of_cores(Some(1.0), 100.0)];
        let target = |design| match bought(design, &answers) {
            Some(Buy::Target { target, units: None, cores, .. }) => (target, cores),
            other => panic!("{other:?}"),
        };
        assert_eq!(target(90.0), ("web-1".into(), Some(1.0)), "whichever was typed first");
        assert_eq!(target(300.0), ("web".into(), None));
        let Some(Buy::NoSize { group, .. }) = bought(500.0, &answers) else { panic!() };
        assert_eq!(group, "web");
        let Some(Buy::NotMeasured { measure_at_least, kind, .. }) = bought(500.0, &answers[1..])
        else {
            panic!()
        };
        assert_eq!((measure_at_least, kind), (3.0, SizeKind::Cores));
    }

    #[test]
    fn a_price_is_of_a_unit_or_of_a_group() {
        let servers = answer(4, 1.0, 1.0).servers;
        let unit = Prices { per_unit: Some(0.02), per_server: vec![] };
        assert!((unit.per_hour(&servers).unwrap() - 0.10).abs() < 1e-12);
        let own = Prices { per_server: vec![("app".into(), 0.05)], ..unit };
        assert!((own.per_hour(&servers).unwrap() - 0.22).abs() < 1e-12);
        let partly = Prices { per_unit: None, ..own };
        assert_eq!(partly.per_hour(&servers), None, "a database without a price");
        assert_eq!(Prices::default().per_hour(&[]), None);
    }
}
