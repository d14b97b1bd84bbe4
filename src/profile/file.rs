//! A profile's document.

use super::expect::{ExpectSpec, Many};
use super::fault::{FaultsSpec, ProfileFault};
use super::feeder::FeederSpec;
use super::rate::RelativeRate;
use super::transport::TransportSpec;
use crate::base::Nanos;
use crate::base::document::DocumentError;
use crate::base::library::LibraryError;
use crate::base::units::duration;
use crate::workload::Shape;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// A situation that a target is put into.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = or_from_base)]
pub struct Profile {
    #[serde(skip)]
    pub name: String,
    #[serde(default)]
    pub about: String,
    /// The profile that top-level keys which are not written come from.
    #[serde(default)]
    pub base: Option<String>,
    /// Answered correctly within this of when the visitor came.
    #[serde(with = "duration")]
    pub in_time: Nanos,
    /// Then the visitor gives up.
    #[serde(default = "timeout", with = "duration")]
    pub timeout: Nanos,
    #[serde(default)]
    pub arrivals: ArrivalKind,
    /// Open connections at most.
    #[serde(default = "connections_max")]
    pub connections_max: u32,
    /// Of a closed loop: virtual users with a connection each.
    #[serde(default)]
    pub connections: Option<u32>,
    /// Of a closed loop: from an answer to the user's next request.
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub think: Option<Nanos>,
    #[serde(default)]
    pub transport: TransportSpec,
    /// Lines that live numbers may not be over for so long, else the run is ended.
    #[serde(default)]
    pub guard: Vec<String>,
    #[serde(default)]
    pub retry: Option<Retry>,
    #[serde(default)]
    pub steady: Steady,
    pub phase: Vec<Phase>,
    pub request: Vec<Request>,
    /// Generators of placeholder values, by name.
    #[serde(default)]
    pub value: BTreeMap<String, ValueSpec>,
    /// Tables of placeholder values, by name.
    #[serde(default)]
    pub feeder: BTreeMap<String, FeederSpec>,
    /// Where visitors come from; without any, from the target's home.
    #[serde(default)]
    pub region: Vec<Region>,
    #[serde(default)]
    pub distance: Distance,
    #[serde(default)]
    pub fault: Vec<ProfileFault>,
    #[serde(default)]
    pub faults: FaultsSpec,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalKind {
    #[default]
    Poisson,
    Constant,
    /// Each of `connections` starts its next request when the one before has ended.
    Closed,
}

/// `[steady]`: the hypothesis that must hold before the first fault.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Steady {
    /// Share of requests in time.
    pub in_time: f64,
    /// Whether it must hold again after the last heal.
    pub must_recover: bool,
}

impl Default for Steady {
    fn default() -> Self {
        Steady { in_time: 0.99, must_recover: false }
    }
}

/// `[retry]`: visitors who got an error or no answer ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Times in all, the first included.
    pub attempts: u8,
    /// From the failure to the next attempt.
    #[serde(with = "duration")]
    pub after: Nanos,
}

/// `[[phase]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    pub name: String,
    #[serde(with = "duration")]
    pub lasts: Nanos,
    /// At its end; over all of it when `from` is not given. Not in a closed loop.
    #[serde(default)]
    pub rate: Option<RelativeRate>,
    /// At its start: the rate goes from this one to `rate`, as the shape says.
    #[serde(default)]
    pub from: Option<RelativeRate>,
    #[serde(default)]
    pub shape: ShapeName,
    /// Of steps: how many.
    #[serde(default)]
    pub levels: Option<u32>,
    /// Of a sine: from one low to the next.
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub period: Option<Nanos>,
    /// Of a spike: after this long, what it is above `from` has fallen to 37 %.
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<duration>")]
    pub decay: Option<Nanos>,
    #[serde(default = "yes")]
    pub measured: bool,
}

/// How the rate of a phase goes from `from` to `rate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShapeName {
    /// Along a line.
    #[default]
    Linear,
    /// In equal stretches of level rates.
    Steps,
    /// Up to `rate` half a period later, and down again.
    Sine,
    /// Jumps to `rate` and falls back to `from`.
    Spike,
}

impl Phase {
    /// The shape with its number.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn shape(&self) -> Result<Shape, (&'static str, &'static str)> {
        let is_given = [
            self.levels.is_some(),
            self.period.is_some(),
            self.decay.is_some(),
            self.from.is_some(),
        ];
        let (belongs, needs) = match self.shape {
            ShapeName::Linear => (Shape::Linear, [false, false, false, is_given[3]]),
            ShapeName::Steps => {
                (Shape::Steps { levels: self.levels.unwrap_or(0) }, [true, false, false, true])
            }
            ShapeName::Sine => (
                Shape::Sine { period: self.period.unwrap_or_default() },
                [false, true, false, true],
            ),
            ShapeName::Spike => {
                (Shape::Spike { decay: self.decay.unwrap_or_default() }, [false, false, true, true])
            }
        };
        let keys = [
            ("levels", "is needed by the shape `steps`, and only by it"),
            ("period", "is needed by the shape `sine`, and only by it"),
            ("decay", "is needed by the shape `spike`, and only by it"),
            ("from", "is needed by this shape: the other one of its two rates"),
        ];
        for ((wrong, given), needed) in keys.into_iter().zip(is_given).zip(needs) {
            if given != needed {
                return Err(wrong);
            }
        }
        match belongs {
            Shape::Steps { levels: 0 | 1 } => Err(("levels", "use 2 levels or more")),
            Shape::Sine { period: Nanos::ZERO } => Err(("period", "must be above 0")),
            Shape::Spike { decay: Nanos::ZERO } => Err(("decay", "must be above 0")),
            shape => Ok(shape),
        }
    }
}

/// `[[request]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub name: String,
    pub weight: f64,
    #[serde(default = "get")]
    pub method: String,
    pub path: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<String>,
    /// A file instead of `body`, relative to the profile's file.
    #[serde(default)]
    pub body_file: Option<String>,
    /// The body file's bytes when they are not text.
    #[serde(skip)]
    pub body_base64: Option<String>,
    /// What an answer must be to be ok.
    #[serde(default)]
    pub expect: Many<ExpectSpec>,
    /// Key in `[app.cost]` and `[database.cost]`: what it costs the bundled stack.
    #[serde(default)]
    pub costs: Option<String>,
    /// Served by a CDN edge where the target has edges.
    #[serde(default)]
    pub edge: bool,
    /// Keeps its operations for the data check: `read` or `write`.
    #[serde(default)]
    pub check: Option<CheckSpec>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckSpec {
    Read,
    Write,
}

/// `[value.NAME]`: exactly one of these.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ValueSpec {
    Zipf {
        n: u64,
        exponent: f64,
    },
    Uniform {
        n: u64,
    },
    Choice {
        of: Vec<String>,
    },
    WriteId {},
    Sequence {
        #[serde(default = "one")]
        from: u64,
    },
    Uuid {},
}

/// `[[region]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    pub name: String,
    pub weight: f64,
}

/// `[distance]`: the round trip between two different regions; within one it is nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distance {
    #[serde(default, with = "duration")]
    pub between_regions: Nanos,
}

/// A duration where there may be none.
pub(super) fn some_duration<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Nanos>, D::Error> {
    duration::deserialize(d).map(Some)
}

/// What a profile does not write itself its base may have.
fn or_from_base(schema: &mut Schema) {
    let required = schema.remove("required").unwrap_or_default();
    let ways = serde_json::json!([{ "required": ["base"] }, { "required": required }]);
    schema.insert("anyOf".into(), ways);
}

fn one() -> u64 {
    1
}

fn timeout() -> Nanos {
    Nanos::from_secs(10)
}

fn connections_max() -> u32 {
    4096
}

fn yes() -> bool {
    true
}

fn get() -> String {
    "GET".into()
}

#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error(transparent)]
    Library(#[from] LibraryError),
    #[error(transparent)]
    Document(DocumentError),
    #[error("{0}")]
    Variant(String),
    #[error("{file}: `{key}`: {problem}")]
    Impossible { file: String, key: String, problem: String },
}
