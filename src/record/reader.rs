//! Opens a record's folder, sealed or not. A file that ends in the middle of a line is read up to
//! there; a manifest that cannot be read is an error, because nothing means anything without it.

use super::recorder::Seal;
use super::{
    Event, Heat, Manifest, NodeRow, Outcome, Record, RecordError, SCHEMA, SeriesRow, Tag, history,
    hlog, names,
};
use crate::base::{Histogram, Nanos};
use hdrhistogram::serialization::Deserializer;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

impl Record {
    /// # Errors
    /// When there is no readable manifest, it is of a newer schema, or a file holds something else
    /// than it should before its end.
    pub fn open(folder: &Path) -> Result<Record, RecordError> {
        let manifest = manifest(folder)?;
        let load = &manifest.plan.load;
        let (latency, heat, last_interval) = latency(folder, &names::tags(load))?;
        let series: Vec<SeriesRow> = merged(rows(folder, names::SERIES)?);
        let seal = seal(folder)?;
        let causes: Vec<(Outcome, String, u64)> = rows(folder, names::CAUSES)?;
        let history_path = folder.join(names::HISTORY);
        let history = history::read(&bytes(&history_path)?)
            .map_err(|why| RecordError::Malformed { path: history_path, why })?;
        let last_second = series.iter().map(|r| Nanos::from_secs(u64::from(r.second) + 1)).max();
        let seen = last_interval.max(last_second.unwrap_or(Nanos::ZERO));
        Ok(Record {
            folder: folder.to_path_buf(),
            series,
            nodes: rows::<NodeRow>(folder, names::NODES)?,
            events: rows::<Event>(folder, names::EVENTS)?,
            latency,
            heat,
            causes: causes
                .into_iter()
                .filter_map(|(outcome, cause, n)| Some((outcome, names::cause_of(&cause)?, n)))
                .collect(),
            history,
            operations_lost: seal.as_ref().map_or(0, |s| s.operations_lost),
            is_sealed: seal.is_some(),
            generator: seal.as_ref().and_then(|s| s.generator),
            cut_short: seal.as_ref().and_then(|s| s.cut_short.clone()),
            ended: seal.map_or(seen, |s| Nanos(s.ended_ns)),
            manifest,
        })
    }

    /// Reads the latency log again, interval by interval, since a record in memory holds only what
    /// they add up to: a tag, the second in which most of the interval lies, and its histogram.
    /// Nothing of a record that was never written.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn each_interval(
        &self,
        visit: &mut dyn FnMut(&Tag, u32, &Histogram),
    ) -> Result<(), RecordError> {
        let tags = names::tags(&self.manifest.plan.load);
        each_line(&self.folder, &tags, &mut |tag, line| {
            visit(tag, line.second(), &line.histogram);
        })
    }
}

fn manifest(folder: &Path) -> Result<Manifest, RecordError> {
    let path = folder.join(names::MANIFEST);
    let text =
        std::fs::read(&path).map_err(|cause| RecordError::Read { path: path.clone(), cause })?;
    let malformed =
        |e: serde_json::Error| RecordError::Malformed { path: path.clone(), why: e.to_string() };
    // The schema first: a newer manifest may not be readable as ours.
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(malformed)?;
    let seen = value.get("schema").and_then(serde_json::Value::as_u64).unwrap_or(0) as u32;
    if seen > SCHEMA {
        return Err(RecordError::Schema { path, seen, known: SCHEMA });
    }
    serde_json::from_value(value).map_err(malformed)
}

/// A file's content; nothing where the run died before it was made.
fn bytes(path: &Path) -> Result<Vec<u8>, RecordError> {
    match std::fs::read(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.map_err(|cause| RecordError::Read { path: path.to_path_buf(), cause }),
    }
}

fn seal(folder: &Path) -> Result<Option<Seal>, RecordError> {
    let text = bytes(&folder.join(names::SEAL))?;
    // A seal that was cut off seals nothing.
    Ok(serde_json::from_slice(&text).ok())
}

type Latency = BTreeMap<Tag, Histogram>;

/// Histograms merged by tag, response times by second, and when the last interval ends.
fn latency(
    folder: &Path,
    tags: &BTreeMap<String, Tag>,
) -> Result<(Latency, Heat, Nanos), RecordError> {
    let mut merged = Latency::new();
    let (mut heat, mut end) = (Heat::default(), Nanos::ZERO);
    each_line(folder, tags, &mut |tag, line| {
        if matches!(tag, Tag::Response { .. }) {
            heat.add(line.second(), &line.histogram);
        }
        merged.entry(tag.clone()).or_default().merge(&line.histogram);
        end = end.max(line.start + line.length);
    })?;
    Ok((merged, heat, end))
}

fn each_line(
    folder: &Path,
    tags: &BTreeMap<String, Tag>,
    visit: &mut dyn FnMut(&Tag, &hlog::Line<'_>),
) -> Result<(), RecordError> {
    let text = bytes(&folder.join(names::LATENCY))?;
    let mut deserializer = Deserializer::new();
    for line in text.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok()) {
        let Some(line) = hlog::read_line(&mut deserializer, line) else { continue };
        let Some(tag) = tags.get(line.tag) else { continue };
        visit(tag, &line);
    }
    Ok(())
}

/// The rows of a table; a last line without its end is left out.
fn rows<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<T>, RecordError> {
    let path = folder.join(name);
    let text = bytes(&path)?;
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(&text[..whole]);
    let mut all = Vec::new();
    for row in reader.deserialize() {
        match row {
            Ok(row) => all.push(row),
            // A text with line breaks may have been cut between its quotes.
            Err(_) if reader.is_done() => break,
            Err(e) => return Err(RecordError::Malformed { path, why: e.to_string() }),
        }
    }
    Ok(all)
}

/// A second that changed after it had been written has a second row; they are one.
fn merged(rows: Vec<SeriesRow>) -> Vec<SeriesRow> {
    let mut merged: Vec<SeriesRow> = Vec::with_capacity(rows.len());
    let mut known: BTreeMap<(u32, String, String), usize> = BTreeMap::new();
    for row in rows {
        let key = (row.second, row.phase.clone(), row.request.clone());
        match known.get(&key) {
            Some(at) => add(&mut merged[*at], &row),
            None => {
                known.insert(key, merged.len());
                merged.push(row);
            }
        }
    }
    merged
}

fn add(sum: &mut SeriesRow, row: &SeriesRow) {
    sum.planned += row.planned;
    sum.sent += row.sent;
    sum.ok += row.ok;
    sum.http_error += row.http_error;
    sum.transport_error += row.transport_error;
    sum.timeout += row.timeout;
    sum.unfinished += row.unfinished;
    sum.never_sent += row.never_sent;
    sum.in_time += row.in_time;
    sum.retried += row.retried;
    sum.repeated += row.repeated;
}
