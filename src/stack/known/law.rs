//! How long a request takes: a law with a closed form, drawn by inversion or transformation from
//! words that belong to the request alone.

use crate::base::random::{mix, unit};
use crate::base::units::{duration_text, parse_duration};
use crate::base::{Nanos, random};
use std::fmt;
use std::str::FromStr;

/// The law of the service times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    Fixed(Nanos),
    /// With this mean.
    Exponential(Nanos),
    /// `slow` with this probability, else `fast`.
    Bimodal {
        fast: Nanos,
        slow: Nanos,
        share: f64,
    },
    /// With this mean; `sigma` is the standard deviation of the logarithm.
    Lognormal {
        mean: Nanos,
        sigma: f64,
    },
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error(
    "`{seen}` is no service law: {why}; write fixed:2ms, exponential:2ms, bimodal:1ms,20ms,0.05 \
     (fast, slow, share of slow) or lognormal:2ms,1 (mean, sigma)"
)]
pub struct LawError {
    seen: String,
    why: String,
}

/// Purposes of a request's words.
const FIRST: u64 = 1;
const SECOND: u64 = 2;

/// Quantiles of the standard normal law.
const NORMAL: [(f64, f64); 4] = [
    (0.5, 0.0),
    (0.9, 1.281_551_565_544_6),
    (0.99, 2.326_347_874_040_8),
    (0.999, 3.090_232_306_167_8),
];

impl Law {
    /// The service time of the request with this number, under this seed.
    pub fn draw(&self, seed: u64, id: u64) -> Nanos {
        let word = |purpose: u64| unit(mix(mix(seed ^ purpose.rotate_left(32)) ^ random::mix(id)));
        match *self {
            Law::Fixed(time) => time,
            // The argument of the logarithm is in (0, 1].
            Law::Exponential(mean) => scaled(mean, -(1.0 - word(FIRST)).ln()),
            Law::Bimodal { fast, slow, share } => {
                if word(FIRST) < share {
                    slow
                } else {
                    fast
                }
            }
            Law::Lognormal { mean, sigma } => {
                let normal = box_muller(word(FIRST), word(SECOND));
                scaled(mean, (sigma * normal - sigma * sigma / 2.0).exp())
            }
        }
    }

    /// The quantile in units of the mean; `None` for a lognormal one that is not tabulated here.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        match *self {
            Law::Fixed(_) => Some(1.0),
            Law::Exponential(_) => Some(-(1.0 - q).ln()),
            Law::Bimodal { fast, slow, share } => {
                let time = if q <= 1.0 - share { fast } else { slow };
                Some(time.0 as f64 / self.mean().0 as f64)
            }
            Law::Lognormal { sigma, .. } => {
                let (_, z) = NORMAL.into_iter().find(|(known, _)| (known - q).abs() < 1e-9)?;
                Some((sigma * z - sigma * sigma / 2.0).exp())
            }
        }
    }

    pub fn mean(&self) -> Nanos {
        match *self {
            Law::Fixed(time) | Law::Exponential(time) => time,
            Law::Bimodal { fast, slow, share } => {
                let mean = fast.0 as f64 * (1.0 - share) + slow.0 as f64 * share;
                Nanos(mean.round() as u64)
            }
            Law::Lognormal { mean, .. } => mean,
        }
    }
}

fn scaled(mean: Nanos, by: f64) -> Nanos {
    Nanos((mean.0 as f64 * by).round().max(0.0) as u64)
}

/// A standard normal number from two uniform ones in [0, 1) (Box and Muller, 1958).
fn box_muller(u: f64, v: f64) -> f64 {
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

impl FromStr for Law {
    type Err = LawError;

    fn from_str(text: &str) -> Result<Law, LawError> {
        let wrong = |why: String| LawError { seen: text.to_string(), why };
        let (name, rest) = text.split_once(':').ok_or_else(|| wrong("it has no `:`".into()))?;
        let parts: Vec<&str> = rest.split(',').collect();
        let time = |index: usize| {
            let time = parse_duration(parts[index]).map_err(&wrong)?;
            let is_usable = time.0 > 0 && time <= Nanos::from_secs(60);
            is_usable
                .then_some(time)
                .ok_or_else(|| wrong("a time must be above 0, up to 60s".into()))
        };
        let number = |index: usize, max: f64| {
            let value: Option<f64> = parts[index].trim().parse().ok();
            let value = value.filter(|v| *v >= 0.0 && *v <= max);
            value.ok_or_else(|| wrong(format!("`{}` is not in 0 to {max}", parts[index])))
        };
        match (name, parts.len()) {
            ("fixed", 1) => Ok(Law::Fixed(time(0)?)),
            ("exponential", 1) => Ok(Law::Exponential(time(0)?)),
            ("bimodal", 3) => {
                Ok(Law::Bimodal { fast: time(0)?, slow: time(1)?, share: number(2, 1.0)? })
            }
            ("lognormal", 2) => Ok(Law::Lognormal { mean: time(0)?, sigma: number(1, 3.0)? }),
            _ => Err(wrong("the name or the number of values is wrong".into())),
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Law::Fixed(time) => write!(f, "fixed:{}", duration_text(time)),
            Law::Exponential(mean) => write!(f, "exponential:{}", duration_text(mean)),
            Law::Bimodal { fast, slow, share } => {
                write!(f, "bimodal:{},{},{share}", duration_text(fast), duration_text(slow))
            }
            Law::Lognormal { mean, sigma } => {
                write!(f, "lognormal:{},{sigma}", duration_text(mean))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laws_read_back_and_wrong_ones_say_what_is_expected() {
        for text in ["fixed:2ms", "exponential:500us", "bimodal:1ms,20ms,0.05", "lognormal:2ms,1.5"]
        {
            assert_eq!(text.parse::<Law>().unwrap().to_string(), text);
        }
        for text in
            ["fixed", "fixed:2", "fixed:0s", "bimodal:1ms,2ms", "bimodal:1ms,2ms,1.5", "x:1s"]
        {
            let error = text.parse::<Law>().unwrap_err().to_string();
            assert!(error.contains("lognormal:2ms,1"), "{error}");
        }
    }

    #[test]
    fn draws_are_pure_and_have_the_laws_mean_and_spread() {
        // Squared coefficients of variation: 1 for exponential, e^σ² − 1 for lognormal.
        let bimodal_cv2 = 0.95 * 0.05 * 19.0f64.powi(2) / 1.95f64.powi(2);
        for (text, cv2) in [
            ("fixed:2ms", 0.0),
            ("exponential:2ms", 1.0),
            ("bimodal:1ms,20ms,0.05", bimodal_cv2),
            ("lognormal:2ms,0.8", (0.64f64).exp() - 1.0),
        ] {
            let law: Law = text.parse().unwrap();
            let n = 200_000;
            let times: Vec<f64> = (0..n).map(|id| law.draw(7, id).0 as f64).collect();
            let mean = times.iter().sum::<f64>() / n as f64;
            let expected = law.mean().0 as f64;
            assert!((mean / expected - 1.0).abs() < 0.012, "{text}: {mean}");
            let variance = times.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / n as f64;
            assert!((variance / mean.powi(2) - cv2).abs() < 0.05 * (cv2 + 0.001), "{text}");
            assert_eq!(law.draw(7, 11), law.draw(7, 11));
        }
        let law: Law = "exponential:2ms".parse().unwrap();
        assert_ne!(law.draw(7, 11), law.draw(8, 11));
    }
}
