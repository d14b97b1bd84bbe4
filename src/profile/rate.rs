//! Rates of a profile: absolute (`500/s`) or relative to the target's work (`3.5 units`).

use crate::base::units::parse_rate;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error};
use std::borrow::Cow;

/// `3.5 units` is the rate whose uncached cost keeps 3.5 units busy, so that 2 cores and 64 live
/// the same story.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RelativeRate {
    PerSecond(f64),
    Units(f64),
}

impl RelativeRate {
    /// Requests per second, given the cores of a unit and the uncached CPU-seconds of a request.
    /// Relative rates need both to be above 0.
    pub fn resolve(self, unit_cores: f64, cost_s: f64) -> Option<f64> {
        match self {
            RelativeRate::PerSecond(rate) => Some(rate),
            RelativeRate::Units(units) => {
                (unit_cores > 0.0 && cost_s > 0.0).then(|| units * unit_cores / cost_s)
            }
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        if let Some(number) = trimmed.strip_suffix("units").or(trimmed.strip_suffix("unit")) {
            return match number.trim().parse::<f64>() {
                Ok(units) if units.is_finite() && units >= 0.0 => Ok(RelativeRate::Units(units)),
                _ => Err(format!("`{text}` is not a rate; write it like \"3.5 units\"")),
            };
        }
        match parse_rate(trimmed) {
            Ok(rate) => Ok(RelativeRate::PerSecond(rate.0)),
            Err(problem) => Err(format!("{problem}, or \"3.5 units\"")),
        }
    }
}

impl<'de> Deserialize<'de> for RelativeRate {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        RelativeRate::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for RelativeRate {
    fn schema_name() -> Cow<'static, str> {
        "Rate".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A rate: 500/s, 30/m or 10k; or, relative to the target's work, 3.5 units",
            "pattern": "[0-9]",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_rates_follow_the_machine() {
        let peak = RelativeRate::parse("3.5 units").unwrap();
        // The worked figures of the default comparison: 0.1 core, 1.77 ms.
        let rate = peak.resolve(0.1, 0.00177).unwrap();
        assert!((rate - 197.7).abs() < 0.1, "{rate}");
        assert_eq!(peak.resolve(0.0, 0.00177), None);
        assert_eq!(RelativeRate::parse("10k/s").unwrap(), RelativeRate::PerSecond(10_000.0));
        assert!(RelativeRate::parse("lots").unwrap_err().contains("3.5 units"));
        assert!(RelativeRate::parse("-1 units").is_err());
    }
}
