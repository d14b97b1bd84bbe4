//! Units as types inside, as text with a unit at the edges (`250ms`, `500/s`, `64MiB`).

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::borrow::Cow;
use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A duration, or an instant on a stated clock, in nanoseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    pub const ZERO: Nanos = Nanos(0);
    pub const SECOND: Nanos = Nanos(1_000_000_000);
    pub const MAX: Nanos = Nanos(u64::MAX);

    pub const fn from_millis(ms: u64) -> Self {
        Nanos(ms * 1_000_000)
    }

    pub const fn from_micros(us: u64) -> Self {
        Nanos(us * 1_000)
    }

    pub const fn from_secs(s: u64) -> Self {
        Nanos(s * 1_000_000_000)
    }

    /// Negative and not-a-number become zero.
    pub fn from_secs_f64(s: f64) -> Self {
        Nanos((s * 1e9).round().max(0.0) as u64)
    }

    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    pub const fn saturating_sub(self, other: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(other.0))
    }

    pub const fn duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

impl Add for Nanos {
    type Output = Nanos;
    fn add(self, other: Nanos) -> Nanos {
        Nanos(self.0 + other.0)
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Nanos) {
        self.0 += other.0;
    }
}

impl Sub for Nanos {
    type Output = Nanos;
    /// # Panics
    /// When `other` is later; use `saturating_sub` where that can happen.
    fn sub(self, other: Nanos) -> Nanos {
        assert!(self.0 >= other.0, "{self:?} is before {other:?}");
        Nanos(self.0 - other.0)
    }
}

impl From<Duration> for Nanos {
    fn from(d: Duration) -> Self {
        Nanos(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Nanos {
    /// Three significant digits in the unit a person would choose: `0`, `85 ns`, `1.25 ms`, `48 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ns = self.0 as f64;
        let (value, unit) = match self.0 {
            0 => return f.pad("0"),
            1..1_000 => (ns, "ns"),
            1_000..1_000_000 => (ns / 1e3, "µs"),
            1_000_000..1_000_000_000 => (ns / 1e6, "ms"),
            _ => (ns / 1e9, "s"),
        };
        let text = if value >= 99.95 {
            format!("{value:.0} {unit}")
        } else if value >= 9.995 {
            format!("{value:.1} {unit}")
        } else {
            format!("{value:.2} {unit}")
        };
        f.pad(&text)
    }
}

/// Events per second; finite and not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub f64);

/// A quantile in `[0, 1]`; `p99.9` exists only where it is printed.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantile(pub f64);

impl Quantile {
    /// Samples needed before this quantile may be printed: at least ten above it (invariant 5).
    pub fn samples_needed(self) -> u64 {
        if self.0 >= 1.0 { 1 } else { (10.0 / (1.0 - self.0) - 1e-6).ceil() as u64 }
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// Parses `250ms`, `1.5s`, `2m30s`, `100us`. A bare number is refused.
///
/// # Errors
/// A sentence that says what was seen and what is expected.
pub fn parse_duration(text: &str) -> Result<Nanos, String> {
    let text = text.trim();
    let expected = "write a duration with its unit, like 250ms, 1.5s or 2m";
    if text == "0" {
        return Ok(Nanos::ZERO);
    }
    if text.parse::<f64>().is_ok() {
        return Err(format!("`{text}` has no unit; {expected}"));
    }
    if let Some(split) = text.find(|c: char| c.is_ascii_alphabetic() || c == 'µ') {
        let scale = match &text[split..] {
            "ns" => Some(1),
            "us" | "µs" => Some(1_000),
            "ms" => Some(1_000_000),
            "s" | "sec" => Some(1_000_000_000),
            "m" | "min" => Some(60_000_000_000),
            "h" => Some(3_600_000_000_000),
            _ => None,
        };
        let number = text[..split].trim();
        // A whole number is not a fraction: not all of them up to 2^64 are one.
        if let (Some(scale), Ok(value)) = (scale, number.parse::<u64>())
            && let Some(nanos) = value.checked_mul(scale)
        {
            return Ok(Nanos(nanos));
        }
        if let (Some(scale), Ok(value)) = (scale.map(|n| n as f64), number.parse::<f64>())
            && value.is_finite()
            && value >= 0.0
            && value * scale < 1e18
        {
            return Ok(Nanos((value * scale).round() as u64));
        }
    }
    humantime::parse_duration(text)
        .map(Nanos::from)
        .map_err(|_| format!("`{text}` is not a duration; {expected}"))
}

/// Writes a duration so that [`parse_duration`] reads the same value back.
pub fn duration_text(d: Nanos) -> String {
    let ns = d.0;
    match ns {
        0 => "0s".into(),
        _ if ns.is_multiple_of(1_000_000_000) => format!("{}s", ns / 1_000_000_000),
        _ if ns.is_multiple_of(1_000_000) => format!("{}ms", ns / 1_000_000),
        _ if ns.is_multiple_of(1_000) => format!("{}us", ns / 1_000),
        _ => format!("{ns}ns"),
    }
}

/// Parses `500`, `500/s`, `30/m`, `10k`, `1.5k/s`.
///
/// # Errors
/// A sentence that says what was seen and what is expected.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("`{text}` is not a rate; write it like 500, 500/s, 30/m or 10k");
    let trimmed = text.trim();
    let (number, per) = trimmed.split_once('/').unwrap_or((trimmed, "s"));
    let seconds = match per.trim() {
        "s" | "1s" => 1.0,
        "m" | "min" | "1m" => 60.0,
        "h" | "1h" => 3600.0,
        _ => return Err(wrong()),
    };
    Ok(Rate(parse_scaled(number).ok_or_else(wrong)? / seconds))
}

/// Parses a count with an optional `k`, `M` suffix.
fn parse_scaled(text: &str) -> Option<f64> {
    let text = text.trim();
    let (digits, scale) = match text.chars().last()? {
        'k' | 'K' => (&text[..text.len() - 1], 1e3),
        'm' | 'M' => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    let value = digits.parse::<f64>().ok()? * scale;
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// Parses a count such as `1000`, `10k`, `2M`.
///
/// # Errors
/// A sentence that says what was seen and what is expected.
pub fn parse_count(text: &str) -> Result<u64, String> {
    parse_scaled(text)
        .filter(|v| v.fract() == 0.0)
        .map(|v| v as u64)
        .ok_or_else(|| format!("`{text}` is not a count; write it like 1000, 10k or 2M"))
}

/// `#[serde(with = "duration")]`: a [`Nanos`] as text with a unit, in TOML and JSON alike. A type and
/// not a module, so that the JSON Schema of such a field is found by the same name.
#[allow(non_camel_case_types)]
#[derive(Debug)]
pub enum duration {}

impl duration {
    pub fn serialize<S: Serializer>(d: &Nanos, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&duration_text(*d))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Nanos, D::Error> {
        let text = String::deserialize(d).map_err(|e| {
            let seen = e.to_string();
            let seen = seen.trim().trim_end_matches(|c: char| c == ';' || c.is_whitespace());
            D::Error::custom(format!("{seen}; a duration is text with a unit, like \"250ms\""))
        })?;
        parse_duration(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration with its unit, like 250ms, 1.5s or 2m",
            "pattern": "[a-zA-Zµ]|^ *0 *$",
        })
    }
}

/// Parses `64MiB`, `1.5MB`, `512B`. A bare number is refused, `0` apart.
///
/// # Errors
/// A sentence that says what was seen and what is expected.
pub fn parse_size(text: &str) -> Result<Bytes, String> {
    let text = text.trim();
    let expected = "write a size with its unit, like 64MiB, 1.5MB or 512B";
    if text == "0" {
        return Ok(Bytes(0));
    }
    let Some(split) = text.find(|c: char| c.is_ascii_alphabetic()) else {
        return Err(format!("`{text}` has no unit; {expected}"));
    };
    let scale = match &text[split..] {
        "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("`{text}` is not a size; {expected}")),
    };
    match text[..split].trim().parse::<f64>() {
        Ok(n) if n >= 0.0 && n.is_finite() => Ok(Bytes((n * scale).round() as u64)),
        _ => Err(format!("`{text}` is not a size; {expected}")),
    }
}

/// A size as it can be typed, exactly: in the largest binary unit that divides it.
pub fn size_text(size: Bytes) -> String {
    for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
        if size.0 > 0 && size.0.trailing_zeros() >= shift {
            return format!("{}{unit}", size.0 >> shift);
        }
    }
    format!("{}B", size.0)
}

/// For `#[serde(with = "size")]`: text with a unit; a type for the same reason as [`duration`].
#[allow(non_camel_case_types)]
#[derive(Debug)]
pub enum size {}

impl size {
    pub fn serialize<S: Serializer>(size: &Bytes, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&size_text(*size))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
        parse_size(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A size with its unit, like 64MiB, 1.5MB or 512B",
            "pattern": "[a-zA-Z]|^ *0 *$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back() {
        for (text, bytes) in [("64MiB", 64 << 20), ("1KiB", 1024), ("1500B", 1500)] {
            assert_eq!(parse_size(text).unwrap(), Bytes(bytes));
            assert_eq!(size_text(Bytes(bytes)), text);
        }
        assert_eq!(parse_size("1.5MB").unwrap(), Bytes(1_500_000));
        for text in ["64", "x", "-1MB", "1Mb", "MiB"] {
            assert!(parse_size(text).unwrap_err().contains("64MiB"), "{text}");
        }
    }

    #[test]
    fn durations_read_back() {
        for (text, ns) in [
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("100us", 100_000),
            ("2m", 120_000_000_000),
            ("0", 0),
        ] {
            let d = parse_duration(text).unwrap();
            assert_eq!(d.0, ns, "{text}");
            assert_eq!(parse_duration(&duration_text(d)).unwrap(), d, "{text}");
        }
        assert!(parse_duration("250").unwrap_err().contains("no unit"));
        assert!(parse_duration("soon").unwrap_err().contains("not a duration"));
        assert!(parse_duration("-3s").is_err());
    }

    #[test]
    fn a_duration_without_quotes_is_refused_in_a_sentence() {
        #[derive(Debug, Deserialize)]
        struct Timed {
            #[serde(with = "duration")]
            _lasts: Nanos,
        }
        let error = toml::from_str::<Timed>("_lasts = 3").unwrap_err();
        let text = error.message();
        assert!(
            text.ends_with("expected a string; a duration is text with a unit, like \"250ms\""),
            "{text}"
        );
    }

    #[test]
    fn rates_and_counts() {
        for (text, rate) in
            [("500", 500.0), ("500/s", 500.0), ("30/m", 0.5), ("10k", 10_000.0), ("1.5k/s", 1500.0)]
        {
            assert_eq!(parse_rate(text).unwrap().0, rate, "{text}");
        }
        assert!(parse_rate("fast").is_err());
        assert!(parse_rate("-1").is_err());
        assert_eq!(parse_count("2M").unwrap(), 2_000_000);
        assert!(parse_count("1.5").is_err());
    }

    #[test]
    fn a_quantile_needs_ten_samples_above_it() {
        assert_eq!(Quantile(0.5).samples_needed(), 20);
        assert_eq!(Quantile(0.99).samples_needed(), 1000);
        assert_eq!(Quantile(0.999).samples_needed(), 10_000);
    }

    #[test]
    fn nanos_print_like_a_person_would() {
        for (ns, text) in [
            (0, "0"),
            (85, "85.0 ns"),
            (1_250_000, "1.25 ms"),
            (48_000_000_000, "48.0 s"),
            (999_999_999, "1000 ms"),
        ] {
            assert_eq!(Nanos(ns).to_string(), text);
        }
    }
}
