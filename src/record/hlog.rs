//! `latency.hlog`: the HdrHistogram interval log, version 1.3, V2 deflate, one line per tag and
//! second, times relative to the run's start.
//!
//! Both `BaseTime` and `StartTime` are written: with one of them the Java readers guess. The
//! interval's maximum is in milliseconds by the format's convention.

use crate::base::{Histogram, Nanos};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::serialization::{
    Deserializer, Serializer, V2DeflateSerializeError, V2DeflateSerializer,
};
use std::io::Write;

/// Writes lines; keeps the serialiser's buffers.
pub(super) struct LogWriter {
    serializer: V2DeflateSerializer,
    encoded: Vec<u8>,
}

/// One line that was read.
pub(super) struct Line<'a> {
    pub tag: &'a str,
    pub start: Nanos,
    pub length: Nanos,
    pub histogram: Histogram,
}

impl Line<'_> {
    /// In which most of the interval lies: snapshots come a little after the second they close.
    pub(super) fn second(&self) -> u32 {
        ((self.start.0 + self.length.0 / 2) / Nanos::SECOND.0) as u32
    }
}

impl LogWriter {
    pub fn new() -> LogWriter {
        LogWriter { serializer: V2DeflateSerializer::new(), encoded: Vec::new() }
    }

    /// The lines that every log begins with.
    pub fn header(out: &mut Vec<u8>, started_wall: Nanos) {
        let seconds = started_wall.as_secs_f64();
        let lines = format!(
            "#[brunt: times in nanoseconds]\n#[Histogram log format version 1.3]\n\
             #[BaseTime: {seconds:.3} (seconds since epoch)]\n\
             #[StartTime: {seconds:.3} (seconds since epoch)]\n\
             \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\
             \"Interval_Compressed_Histogram\"\n"
        );
        out.extend_from_slice(lines.as_bytes());
    }

    /// Appends the line of one tag and interval.
    ///
    /// # Errors
    /// When the histogram does not fit the encoding, which these bounds exclude.
    pub fn line(
        &mut self,
        out: &mut Vec<u8>,
        tag: &str,
        start: Nanos,
        length: Nanos,
        histogram: &Histogram,
    ) -> Result<(), V2DeflateSerializeError> {
        self.encoded.clear();
        self.serializer.serialize(histogram.hdr(), &mut self.encoded)?;
        let (start, length) = (start.as_secs_f64(), length.as_secs_f64());
        let max = histogram.hdr().max() as f64 / 1e6;
        let text = STANDARD.encode(&self.encoded);
        writeln!(out, "Tag={tag},{start:.3},{length:.3},{max:.3},{text}")
            .expect("writing to a vector does not fail");
        Ok(())
    }
}

/// Reads one line; `None` for a comment, the legend, or a line that was cut off.
pub(super) fn read_line<'a>(deserializer: &mut Deserializer, line: &'a str) -> Option<Line<'a>> {
    let (tag, rest) = line.strip_prefix("Tag=")?.split_once(',')?;
    let mut fields = rest.split(',');
    let start = seconds(fields.next()?)?;
    let length = seconds(fields.next()?)?;
    let _max = fields.next()?;
    let bytes = STANDARD.decode(fields.next()?.trim_end()).ok()?;
    let hdr: hdrhistogram::Histogram<u64> = deserializer.deserialize(&mut &bytes[..]).ok()?;
    let histogram = Histogram::from_hdr(&hdr).ok()?;
    Some(Line { tag, start, length, histogram })
}

fn seconds(text: &str) -> Option<Nanos> {
    text.parse::<f64>().ok().filter(|s| s.is_finite()).map(Nanos::from_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    #[test]
    fn the_log_is_read_back_by_the_crates_own_reader_and_by_ours() {
        let mut histogram = Histogram::new();
        for i in 1..5000u64 {
            histogram.record(Nanos(i * i * 100));
        }
        let mut out = Vec::new();
        LogWriter::header(&mut out, Nanos::from_millis(1_700_000_000_123));
        let mut writer = LogWriter::new();
        writer
            .line(&mut out, "response.a@b", Nanos::from_secs(3), Nanos::SECOND, &histogram)
            .unwrap();
        let text = String::from_utf8(out.clone()).unwrap();
        assert!(text.contains(",HISTFA"), "{text}");

        let entries: Vec<_> = IntervalLogIterator::new(&out).collect::<Result<_, _>>().unwrap();
        let found = entries.iter().find_map(|entry| match entry {
            LogEntry::Interval(interval) => Some(interval),
            _ => None,
        });
        let interval = found.unwrap();
        assert_eq!(interval.tag().unwrap().as_str(), "response.a@b");
        assert_eq!(interval.start_timestamp().as_secs(), 3);
        let bytes = STANDARD.decode(interval.encoded_histogram()).unwrap();
        let hdr: hdrhistogram::Histogram<u64> =
            Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!(&hdr, histogram.hdr());

        let last = text.lines().last().unwrap();
        let line = read_line(&mut Deserializer::new(), last).unwrap();
        assert_eq!(
            (line.tag, line.start, line.length),
            ("response.a@b", Nanos::from_secs(3), Nanos::SECOND)
        );
        assert_eq!(line.histogram.count(), 4999);
        let cut = &last[..last.len() / 2];
        assert!(read_line(&mut Deserializer::new(), cut).is_none());
    }
}
