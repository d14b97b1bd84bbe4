//! Several capacities as sizes of one target: what each added server or unit brings, and the laws
//! that the data carry.

use super::answer::{Answer, GroupSize};
use crate::analysis::stats::scaling::{
    Estimate, Prediction, SIZES_FOR_AMDAHL, SIZES_FOR_USL, sizes_missing,
};
use crate::analysis::stats::{Model, ScalingFit, choose};
use serde::{Deserialize, Serialize};

/// In what the sizes differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Axis {
    /// More servers of one group.
    Servers {
        group: String,
    },
    /// Bigger servers of one group.
    Units {
        group: String,
    },
    Cores {
        group: String,
    },
}

impl Axis {
    pub fn group(&self) -> &str {
        let (Axis::Servers { group } | Axis::Units { group } | Axis::Cores { group }) = self;
        group
    }
}

/// The measured sizes and how they scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    pub axis: Axis,
    pub points: Vec<ScalePoint>,
    /// `None` with too few sizes.
    pub fit: Option<FitRow>,
    /// Sizes that are missing until a peak may be spoken of.
    pub sizes_missing: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScalePoint {
    pub target: String,
    /// Servers, or units or cores of one.
    pub size: f64,
    pub rate_per_s: f64,
    /// What planning may rely on: the lower end of the interval.
    pub reckoned_per_s: f64,
    /// Rate per size over that of the smallest size.
    pub efficiency: f64,
}

/// A fitted law; each parameter with its 95 % interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitRow {
    pub model: String,
    pub per_one_per_s: [f64; 3],
    pub contention: [f64; 3],
    pub coherency: [f64; 3],
    /// Where more brings no more; `None` where the data predict no such size.
    pub peak_size: Option<f64>,
}

impl FitRow {
    /// What the law says of a size.
    pub fn rate_per_s(&self, size: f64) -> f64 {
        let [gamma, alpha, beta] =
            [self.per_one_per_s, self.contention, self.coherency].map(|parameter| parameter[0]);
        gamma * size / (1.0 + alpha * (size - 1.0) + beta * size * (size - 1.0))
    }
}

impl Answer {
    /// What planning may rely on: the lower end of the interval, or where it is unknown the highest
    /// rate that held.
    pub fn reckoned_per_s(&self) -> Option<f64> {
        use super::search::Outcome;
        let held = match &self.outcome {
            Outcome::Found { held_per_s, .. } | Outcome::AboveMaximum { held_per_s } => {
                Some(*held_per_s)
            }
            _ => None,
        };
        self.capacity.map_or(held, |c| c.low_per_s.or(held))
    }
}

/// The axis and the points, when the answers are at least two sizes of one target. With a fault in
/// force is another matter, and no size.
///
/// # Errors
/// Why they are not.
pub fn scaling(answers: &[Answer]) -> Result<Scaling, String> {
    let whole: Vec<&Answer> = answers.iter().filter(|a| a.fault.is_none()).collect();
    let axis = axis(&whole)?;
    let mut points: Vec<ScalePoint> = whole
        .iter()
        .filter_map(|a| {
            Some(ScalePoint {
                target: a.target.clone(),
                size: size_on(&axis, &a.servers)?,
                rate_per_s: a.rate_per_s()?,
                reckoned_per_s: a.reckoned_per_s()?,
                efficiency: 1.0,
            })
        })
        .collect();
    points.sort_by(|a, b| a.size.total_cmp(&b.size));
    let Some(first) = points.first().map(|p| p.rate_per_s / p.size) else {
        return Err("none of the searches found a capacity".into());
    };
    points.iter_mut().for_each(|p| p.efficiency = p.rate_per_s / p.size / first);
    let pairs: Vec<(f64, f64)> = points.iter().map(|p| (p.size, p.rate_per_s)).collect();
    let fit = law(&pairs).map(|fit| row(&fit));
    Ok(Scaling { axis, points, fit, sizes_missing: sizes_missing(&pairs) })
}

/// The law that the data carry; fewer sizes than Amdahl's needs carry none.
fn law(pairs: &[(f64, f64)]) -> Option<ScalingFit> {
    let missing = SIZES_FOR_USL - SIZES_FOR_AMDAHL;
    (sizes_missing(pairs) <= missing).then(|| choose(pairs).ok()).flatten()
}

/// What a size carries, of what the points are reckoned with.
pub struct Reckoning {
    points: Vec<(f64, f64)>,
    law: Option<ScalingFit>,
}

/// What is known of a size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    PerSecond(f64),
    /// Not from these data; a measurement from this size on would tell.
    NotMeasured {
        measure_at_least: f64,
    },
}

impl Reckoning {
    pub fn new(points: &[ScalePoint]) -> Reckoning {
        let pairs: Vec<(f64, f64)> = points.iter().map(|p| (p.size, p.reckoned_per_s)).collect();
        Reckoning { law: law(&pairs), points: pairs }
    }

    pub fn largest(&self) -> f64 {
        self.points.iter().map(|p| p.0).fold(0.0, f64::max)
    }

    /// The best that any size brought for each of its servers or units.
    pub fn best_per_one(&self) -> f64 {
        self.points.iter().map(|(size, rate)| rate / size).fold(0.0, f64::max)
    }

    /// Measured, or on the line between two that were: it lies below a curve that flattens. Smaller
    /// than the smallest is not shown to carry anything. Larger than the largest only the law says,
    /// up to twice, and of that the lower end of what a measurement may find; without a law nobody
    /// does.
    pub fn at(&self, size: f64) -> Known {
        let above = self.points.iter().find(|p| p.0 >= size);
        let below = self.points.iter().rev().find(|p| p.0 <= size);
        match (below, above) {
            (Some(low), Some(high)) if high.0 > low.0 => {
                let share = (size - low.0) / (high.0 - low.0);
                Known::PerSecond(low.1 + share * (high.1 - low.1))
            }
            (Some(point), Some(_)) => Known::PerSecond(point.1),
            (None, _) => Known::PerSecond(0.0),
            (Some(_), None) => match self.law.as_ref().map(|law| law.predict(size)) {
                Some(Prediction::Rate { low, .. }) => Known::PerSecond(low),
                Some(Prediction::NotMeasured { measure_at_least }) => {
                    Known::NotMeasured { measure_at_least }
                }
                None => Known::NotMeasured {
                    measure_at_least: if size > 2.0 * self.largest() { size / 2.0 } else { size },
                },
            },
        }
    }
}

fn row(fit: &ScalingFit) -> FitRow {
    let triple = |e: &Estimate| [e.value, e.low, e.high];
    let model = match fit.model {
        Model::Linear => "linear",
        Model::Amdahl => "amdahl",
        Model::Usl => "usl",
    };
    FitRow {
        model: model.into(),
        per_one_per_s: triple(&fit.gamma),
        contention: triple(&fit.alpha),
        coherency: triple(&fit.beta),
        peak_size: fit.peak().map(|(size, _)| size),
    }
}

fn axis(answers: &[&Answer]) -> Result<Axis, String> {
    let [first, rest @ ..] = answers else { return Err("nothing was searched".into()) };
    let groups = |a: &Answer| a.servers.iter().map(|s| s.group.clone()).collect::<Vec<_>>();
    if rest.is_empty() {
        return Err(
            "one size was searched: give several, like 'horizontal[server.app.count=2]' and \
                    'horizontal[server.app.count=4]'"
                .into(),
        );
    }
    if rest.iter().any(|a| groups(a) != groups(first)) {
        return Err(
            "the targets are not sizes of one: they have different groups of servers".into()
        );
    }
    let differs = |what: fn(&GroupSize) -> Option<f64>| -> Vec<usize> {
        (0..first.servers.len())
            .filter(|i| rest.iter().any(|a| what(&a.servers[*i]) != what(&first.servers[*i])))
            .collect()
    };
    let group = |i: usize| first.servers[i].group.clone();
    let given = |i: usize, what: fn(&GroupSize) -> Option<f64>| {
        answers.iter().all(|a| what(&a.servers[i]).is_some())
    };
    let counts = differs(|s| Some(f64::from(s.count)));
    let mut shares = [differs(|s| s.units), differs(|s| s.cores)].concat();
    shares.sort_unstable();
    shares.dedup();
    match (counts.as_slice(), shares.as_slice()) {
        ([one], []) => Ok(Axis::Servers { group: group(*one) }),
        ([], [one]) if given(*one, |s| s.units) => Ok(Axis::Units { group: group(*one) }),
        ([], [one]) if given(*one, |s| s.cores) => Ok(Axis::Cores { group: group(*one) }),
        ([], [one]) => Err(format!(
            "the servers of {} have units in one target and cores in another, or neither, which is all \
             of the target's cores and no size; give each of them units, or each cores",
            group(*one)
        )),
        ([], []) => Err("the targets are all of one size".into()),
        _ => Err(
            "the targets differ in more than one size: change the count, the units or the cores \
                  of one group of servers"
                .into(),
        ),
    }
}

fn size_on(axis: &Axis, servers: &[GroupSize]) -> Option<f64> {
    let of_group = servers.iter().find(|s| s.group == axis.group())?;
    match axis {
        Axis::Servers { .. } => Some(f64::from(of_group.count)),
        Axis::Units { .. } => of_group.units,
        Axis::Cores { .. } => of_group.cores,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::answer::Interval;
    use super::super::search::{Outcome, Recovery};
    use super::*;

    /// A target of so many app servers, which carries exactly this.
    pub fn answer(count: u32, units: f64, rate: f64) -> Answer {
        let outcome = Outcome::Found {
            held_per_s: rate,
            failed_per_s: rate,
            confirmed_per_s: Some(rate),
            recovery: Recovery::NotMeasured,
            limiting: None,
            exhausted: None,
        };
        let group = |group: &str, count, units| GroupSize {
            group: group.into(),
            count,
            units: Some(units),
            cores: None,
        };
        let servers = vec![group("app", count, units), group("database", 1, 1.0)];
        let mut answer = Answer::new(format!("x{count}"), None, servers, outcome, vec![], 1);
        let exact = Some(rate);
        answer.capacity = Some(Interval { rate_per_s: rate, low_per_s: exact, high_per_s: exact });
        answer
    }

    /// A target with one server of a group, which has so many cores, or no share of its own.
    pub fn of_cores(cores: Option<f64>, rate: f64) -> Answer {
        let mut answer = answer(1, 1.0, rate);
        answer.servers = vec![GroupSize { group: "web".into(), count: 1, units: None, cores }];
        answer.target = cores.map_or("web".into(), |cores| format!("web-{cores}"));
        answer
    }

    fn law_of(n: f64) -> f64 {
        1000.0 * n / (1.0 + 0.02 * (n - 1.0) + 0.0005 * n * (n - 1.0))
    }

    #[test]
    fn sizes_on_one_axis_have_efficiencies_and_with_six_of_them_a_law() {
        let counts = [1, 2, 4, 8, 16, 32, 64];
        let answers: Vec<Answer> =
            counts.iter().map(|n| answer(*n, 1.0, law_of(f64::from(*n)))).collect();
        let seen = scaling(&answers).unwrap();
        assert_eq!(seen.axis, Axis::Servers { group: "app".into() });
        assert!((seen.points[1].efficiency - law_of(2.0) / 2000.0).abs() < 1e-12);
        let fit = seen.fit.unwrap();
        assert_eq!(fit.model, "usl");
        assert!((fit.contention[0] - 0.02).abs() < 1e-6 && (fit.coherency[0] - 5e-4).abs() < 1e-8);
        assert!((fit.rate_per_s(16.0) / law_of(16.0) - 1.0).abs() < 1e-6);
        assert!((fit.peak_size.unwrap() - 44.27).abs() < 0.01, "{fit:?}");
        assert_eq!(seen.sizes_missing, 0);
        let two = scaling(&answers[..2]).unwrap();
        assert_eq!((two.fit, two.sizes_missing), (None, 4));
    }

    #[test]
    fn what_is_no_size_of_one_target_is_told() {
        let error = |answers: &[Answer]| scaling(answers).unwrap_err();
        assert!(error(&[answer(1, 1.0, 9.0)]).contains("one size"));
        assert!(error(&[answer(1, 1.0, 9.0), answer(1, 1.0, 9.0)]).contains("all of one size"));
        assert!(error(&[answer(1, 1.0, 9.0), answer(2, 2.0, 9.0)]).contains("more than one size"));
        let mut other = answer(2, 1.0, 9.0);
        other.servers.pop();
        assert!(error(&[answer(1, 1.0, 9.0), other]).contains("different groups"));
        let units = scaling(&[answer(1, 2.0, 9.0), answer(1, 1.0, 5.0)]).unwrap();
        assert_eq!(units.axis, Axis::Units { group: "app".into() });
        assert_eq!(units.points[0].size, 1.0, "the smallest first");
        let cores = scaling(&[of_cores(Some(2.0), 9.0), of_cores(Some(0.5), 5.0)]).unwrap();
        assert_eq!(cores.axis, Axis::Cores { group: "web".into() });
        assert_eq!(cores.points[0].size, 0.5);
        let all_cores = error(&[of_cores(Some(2.0), 9.0), of_cores(None, 9.0)]);
        assert!(all_cores.contains("no size; give each of them units, or each cores"));
    }

    #[test]
    fn between_two_sizes_a_line_and_beyond_them_only_a_law() {
        let of = |counts: &[u32]| {
            let all: Vec<Answer> =
                counts.iter().map(|n| answer(*n, 1.0, law_of(f64::from(*n)))).collect();
            Reckoning::new(&scaling(&all).unwrap().points)
        };
        let few = of(&[2, 4]);
        assert_eq!(few.at(3.0), Known::PerSecond((law_of(2.0) + law_of(4.0)) / 2.0));
        assert_eq!(few.at(1.0), Known::PerSecond(0.0));
        assert_eq!(few.at(5.0), Known::NotMeasured { measure_at_least: 5.0 });
        assert_eq!(few.at(20.0), Known::NotMeasured { measure_at_least: 10.0 });
        let many = of(&[1, 2, 3, 4, 6, 8]);
        let Known::PerSecond(rate) = many.at(16.0) else { panic!() };
        assert!((rate / law_of(16.0) - 1.0).abs() < 1e-6, "{rate}");
        assert_eq!(many.at(17.0), Known::NotMeasured { measure_at_least: 9.0 });
    }
}
