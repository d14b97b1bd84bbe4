//! The latency histogram: HdrHistogram, nanoseconds, three significant digits, 1 ns to one hour.
//!
//! Memory is fixed at creation (about 0.25 MiB), recording allocates nothing. What exceeds an hour
//! is counted at an hour, and how often that happened is kept.

use super::{Nanos, Quantile};
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::{Deserializer as V2Reader, Serializer as _, V2Serializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// Longest time that is told apart; wrk2's and Hyperfoil's shorter caps are known complaints.
pub const MAX_NS: u64 = 3_600_000_000_000;

#[derive(Clone, Debug)]
pub struct Histogram {
    hdr: Hdr<u64>,
    saturated: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    pub fn new() -> Self {
        let hdr = Hdr::new_with_bounds(1, MAX_NS, 3).expect("the bounds are constants that fit");
        Histogram { hdr, saturated: 0 }
    }

    #[inline]
    pub fn record(&mut self, value: Nanos) {
        if value.0 > MAX_NS {
            self.saturated += 1;
        }
        self.hdr.saturating_record(value.0);
    }

    /// Records `n` equal values.
    pub fn record_n(&mut self, value: Nanos, n: u64) {
        if value.0 > MAX_NS {
            self.saturated += n;
        }
        self.hdr.saturating_record_n(value.0, n);
    }

    /// The smallest value that is not told apart from this one.
    pub fn lowest_equivalent(&self, value: Nanos) -> Nanos {
        Nanos(self.hdr.lowest_equivalent(value.0.min(MAX_NS)))
    }

    /// Adds every count of `other`.
    pub fn merge(&mut self, other: &Histogram) {
        self.hdr.add(&other.hdr).expect("all histograms have the same bounds");
        self.saturated += other.saturated;
    }

    pub fn reset(&mut self) {
        self.hdr.reset();
        self.saturated = 0;
    }

    pub fn count(&self) -> u64 {
        self.hdr.len()
    }

    pub fn is_empty(&self) -> bool {
        self.hdr.is_empty()
    }

    /// Values above [`MAX_NS`], counted there.
    pub fn saturated(&self) -> u64 {
        self.saturated
    }

    /// The value at a quantile, or `None` while it has fewer than ten samples above it.
    pub fn quantile(&self, q: Quantile) -> Option<Nanos> {
        (self.count() >= q.samples_needed()).then(|| Nanos(self.hdr.value_at_quantile(q.0)))
    }

    /// How many values lie above this one, as far as they are told apart from it.
    pub fn count_above(&self, value: Nanos) -> u64 {
        self.count() - self.hdr.count_between(0, value.0.min(MAX_NS))
    }

    pub fn min(&self) -> Option<Nanos> {
        (!self.is_empty()).then(|| Nanos(self.hdr.min()))
    }

    pub fn max(&self) -> Option<Nanos> {
        (!self.is_empty()).then(|| Nanos(self.hdr.max()))
    }

    pub fn mean(&self) -> Option<Nanos> {
        (!self.is_empty()).then(|| Nanos(self.hdr.mean().round() as u64))
    }

    /// The wrapped histogram, for serialisation and plots.
    pub fn hdr(&self) -> &Hdr<u64> {
        &self.hdr
    }

    /// Takes over a histogram that was read from a file.
    ///
    /// # Errors
    /// When it holds values beyond this histogram's bounds.
    pub fn from_hdr(hdr: &Hdr<u64>) -> Result<Self, hdrhistogram::AdditionError> {
        let mut own = Self::new();
        own.hdr.add(hdr)?;
        Ok(own)
    }
}

/// As what was saturated, and HdrHistogram's V2 encoding of the counts: nothing is lost.
impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&self.hdr, &mut bytes).map_err(ser::Error::custom)?;
        (self.saturated, bytes).serialize(out)
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (saturated, bytes) = <(u64, Vec<u8>)>::deserialize(from)?;
        let hdr: Hdr<u64> =
            V2Reader::new().deserialize(&mut bytes.as_slice()).map_err(de::Error::custom)?;
        let own = Histogram::from_hdr(&hdr).map_err(de::Error::custom)?;
        Ok(Histogram { saturated, ..own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_adds_counts_and_few_samples_give_no_percentile() {
        let mut a = Histogram::new();
        let mut b = Histogram::new();
        for i in 1..=10 {
            a.record(Nanos::from_millis(i));
            b.record(Nanos::from_millis(10 + i));
        }
        assert_eq!(a.quantile(Quantile(0.5)), None);
        a.merge(&b);
        assert_eq!(a.count(), 20);
        let median = a.quantile(Quantile(0.5)).unwrap().as_millis_f64();
        assert!((median - 10.0).abs() < 0.02, "{median}");
        assert_eq!(a.quantile(Quantile(0.99)), None);
        a.record(Nanos(MAX_NS + 1));
        assert_eq!(a.saturated(), 1);
    }
}
