//! Writes a run's folder while the run goes on. Every file is opened before the run begins, and
//! every second is flushed, so that a record of a run that died is readable up to its death.

use super::hlog::LogWriter;
use super::output::{Ballast, Output};
use super::pending::{Intervals, Seconds};
use super::{
    Cause, Event, GeneratorUsage, Manifest, NodeRow, Operation, Outcome, RecordError, SeriesRow,
    Snapshot, Tag, history, names,
};
use crate::base::{Histogram, Nanos};
use crate::plan::LoadPlan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Seconds that an interval waits for workers that are behind.
const LATE_SECONDS: u32 = 3;

/// `seal.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Seal {
    pub ended_ns: u64,
    /// Why the record ends before the run was meant to.
    #[serde(default)]
    pub cut_short: Option<String>,
    /// Checked operations that did not fit the workers' buffers.
    pub operations_lost: u64,
    /// Not in records of brunt 0.1.
    #[serde(default)]
    pub generator: Option<GeneratorUsage>,
}

/// The record of a run in the making.
pub struct Recorder {
    folder: PathBuf,
    load: LoadPlan,
    files: Files,
    ballast: Ballast,
    writer: LogWriter,
    intervals: Intervals,
    seconds: Seconds,
    causes: BTreeMap<(Outcome, Cause), u64>,
    /// By worker: the second of its last snapshot, `u32::MAX` when nothing follows.
    reached: BTreeMap<u32, u32>,
    n_workers: u32,
    cut_short: Option<String>,
    operations_lost: u64,
    generator: Option<GeneratorUsage>,
    last_at: Nanos,
    newest_hiccup: u32,
    is_full: bool,
}

struct Files {
    latency: Output,
    series: Output,
    nodes: Output,
    events: Output,
    history: Output,
    causes: Output,
    seal: PathBuf,
}

impl Recorder {
    /// Makes the folder, writes the manifest and opens every file.
    ///
    /// # Errors
    /// When any of it cannot be written, before anything has been measured.
    pub fn create(folder: &Path, manifest: &Manifest) -> Result<Recorder, RecordError> {
        let wrap = |file| move |cause| RecordError::Write { file, cause };
        std::fs::create_dir_all(folder).map_err(wrap("the folder"))?;
        let text = serde_json::to_vec_pretty(manifest)
            .map_err(|e| RecordError::Write { file: names::MANIFEST, cause: e.into() })?;
        std::fs::write(folder.join(names::MANIFEST), text).map_err(wrap(names::MANIFEST))?;
        let open = |name: &'static str| Output::create(&folder.join(name)).map_err(wrap(name));
        let mut files = Files {
            latency: open(names::LATENCY)?,
            series: open(names::SERIES)?,
            nodes: open(names::NODES)?,
            events: open(names::EVENTS)?,
            history: open(names::HISTORY)?,
            causes: open(names::CAUSES)?,
            seal: folder.join(names::SEAL),
        };
        // A record that is written again is not sealed until it is.
        let _ = std::fs::remove_file(&files.seal);
        LogWriter::header(files.latency.buffer(), Nanos(manifest.started_wall_ns));
        history::write_header(files.history.buffer());
        let ballast = Ballast::reserve(folder).map_err(wrap("the reserve"))?;
        let mut recorder = Recorder {
            folder: folder.to_path_buf(),
            load: manifest.plan.load.clone(),
            files,
            ballast,
            writer: LogWriter::new(),
            intervals: Intervals::default(),
            seconds: Seconds::default(),
            causes: BTreeMap::new(),
            reached: BTreeMap::new(),
            n_workers: manifest.workers.max(1),
            cut_short: None,
            operations_lost: 0,
            generator: None,
            last_at: Nanos::ZERO,
            newest_hiccup: 0,
            is_full: false,
        };
        recorder.write_csv_headers();
        recorder.flush()?;
        Ok(recorder)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes a worker's differences; writes the seconds that nothing can change any more.
    ///
    /// # Errors
    /// [`RecordError::Full`] once, any other failure each time.
    pub fn snapshot(&mut self, snapshot: &Snapshot) -> Result<(), RecordError> {
        if self.is_full {
            return Ok(());
        }
        let second = interval_of(snapshot);
        for (tag, histogram) in &snapshot.histograms {
            self.intervals.add(second, tag.clone(), histogram);
        }
        self.seconds.add(second, snapshot);
        for (outcome, cause, count) in &snapshot.causes {
            *self.causes.entry((*outcome, *cause)).or_default() += count;
        }
        self.append_operations(&snapshot.operations);
        self.operations_lost += snapshot.operations_lost;
        self.last_at = self.last_at.max(snapshot.at);
        let reached = if snapshot.is_last { u32::MAX } else { second };
        self.reached.insert(snapshot.worker, reached);
        self.write_settled();
        self.flush()
    }

    /// # Errors
    /// As [`Recorder::snapshot`].
    pub fn event(&mut self, event: &Event) -> Result<(), RecordError> {
        if !self.is_full {
            append_row(self.files.events.buffer(), event);
        }
        self.flush()
    }

    /// # Errors
    /// As [`Recorder::snapshot`].
    pub fn nodes(&mut self, rows: &[NodeRow]) -> Result<(), RecordError> {
        if !self.is_full {
            rows.iter().for_each(|row| append_row(self.files.nodes.buffer(), row));
        }
        self.flush()
    }

    /// The hiccup meter's second; written with the snapshots of that second, or alone when the
    /// load has not begun or is over.
    ///
    /// # Errors
    /// As [`Recorder::snapshot`].
    pub fn hiccup(&mut self, second: u32, histogram: &Histogram) -> Result<(), RecordError> {
        if !self.is_full {
            self.intervals.add(second, Tag::Hiccup, histogram);
            self.newest_hiccup = self.newest_hiccup.max(second);
            self.write_settled();
        }
        self.flush()
    }

    /// Operations that did not come with a snapshot: the read-back after the load.
    ///
    /// # Errors
    /// As [`Recorder::snapshot`].
    pub fn operations(&mut self, operations: &[Operation]) -> Result<(), RecordError> {
        if !self.is_full {
            self.append_operations(operations);
        }
        self.flush()
    }

    /// Says why the run ends before it was meant to; the first reason stays.
    pub fn cut_short(&mut self, why: &str) {
        self.cut_short.get_or_insert_with(|| why.to_string());
    }

    /// What the generator took over the whole run.
    pub fn generator(&mut self, usage: GeneratorUsage) {
        self.generator = Some(usage);
    }

    /// Writes everything that is left and says when the load ended.
    ///
    /// # Errors
    /// [`RecordError::Full`] when the disk fills up now and had not before; other failures.
    pub fn seal(mut self, ended: Nanos) -> Result<(), RecordError> {
        if self.is_full {
            return self.write_seal(ended);
        }
        self.write_rest();
        self.flush()?;
        self.write_seal(ended)
    }

    /// Lets a file take nothing more, as on a full disk.
    #[cfg(test)]
    pub(super) fn pretend_full(&mut self, name: &str) {
        let full = Output::append(Path::new("/dev/full")).expect("Linux has /dev/full");
        for (known, out) in self.files.each() {
            if known == name {
                *out = full;
                return;
            }
        }
    }

    fn append_operations(&mut self, operations: &[Operation]) {
        let out = self.files.history.buffer();
        operations.iter().for_each(|operation| history::write(out, operation));
    }

    /// The first second that can still change in the latency log: the last one that every worker
    /// has reached, or one that a worker far behind is not waited for.
    fn settled(&self) -> u32 {
        let newest = self.reached.values().filter(|s| **s < u32::MAX).max().copied();
        let all = match self.reached.len() as u32 >= self.n_workers {
            true => self.reached.values().min().copied().unwrap_or(0),
            false => 0,
        };
        // Once all have ended, the rest is written when the record is sealed.
        let all = if all == u32::MAX { self.second_of_last() } else { all };
        let newest = newest.unwrap_or(0).max(self.newest_hiccup);
        all.max(newest.saturating_sub(LATE_SECONDS))
    }

    fn second_of_last(&self) -> u32 {
        (self.last_at.0 / Nanos::SECOND.0) as u32
    }

    fn write_settled(&mut self) {
        let settled = self.settled();
        self.write_intervals(settled);
        // A request ends at the latest one time-out after it became due.
        let timeout = self.load.timeout.0.div_ceil(Nanos::SECOND.0) as u32;
        self.write_series(settled.saturating_sub(timeout + 2));
    }

    fn write_intervals(&mut self, limit: u32) {
        while let Some((second, tags)) = self.intervals.take_before(limit) {
            let start = Nanos::from_secs(u64::from(second));
            for (tag, histogram) in &tags {
                self.seconds.digest(second, tag, histogram);
                let name = names::tag_name(tag, &self.load);
                let out = self.files.latency.buffer();
                self.writer
                    .line(out, &name, start, Nanos::SECOND, histogram)
                    .expect("brunt's histograms are within the encoding's bounds");
            }
        }
    }

    fn write_series(&mut self, limit: u32) {
        let rows = self.seconds.take_before(limit, &self.load);
        rows.iter().for_each(|row| append_row(self.files.series.buffer(), row));
    }

    /// Everything that was waiting for more.
    fn write_rest(&mut self) {
        self.write_intervals(u32::MAX);
        self.write_series(u32::MAX);
        for ((outcome, cause), count) in std::mem::take(&mut self.causes) {
            let row = (outcome, names::cause_name(cause), count);
            append_row(self.files.causes.buffer(), &row);
        }
    }

    fn write_csv_headers(&mut self) {
        let columns = |out: &mut Vec<u8>, names: &[u8]| out.extend_from_slice(names);
        columns(self.files.series.buffer(), &header_of(&SeriesRow::default()));
        columns(self.files.nodes.buffer(), &header_of(&NodeRow::default()));
        columns(self.files.events.buffer(), b"at_ns,kind,subject,object,lateness_ns,detail\n");
        columns(self.files.causes.buffer(), b"outcome,cause,count\n");
    }

    /// Writes what has been appended. On a full disk: gives the reserve back, writes what fits of
    /// everything known, and records nothing more.
    fn flush(&mut self) -> Result<(), RecordError> {
        if self.is_full {
            return Ok(());
        }
        match self.files.flush_all() {
            Ok(()) => Ok(()),
            Err((file, cause)) if cause.kind() == io::ErrorKind::StorageFull => {
                self.is_full = true;
                self.ballast.release();
                self.write_rest();
                self.files.flush_what_fits();
                let _ = self.write_seal(self.last_at);
                Err(RecordError::Full { file })
            }
            Err((file, cause)) => Err(RecordError::Write { file, cause }),
        }
    }

    fn write_seal(&mut self, ended: Nanos) -> Result<(), RecordError> {
        let wrap = |cause| RecordError::Write { file: names::SEAL, cause };
        self.files.sync_all().map_err(wrap)?;
        self.ballast.release();
        if self.is_full {
            self.cut_short("the disk was full: what came later is missing");
        }
        let seal = Seal {
            ended_ns: ended.0,
            cut_short: self.cut_short.clone(),
            operations_lost: self.operations_lost,
            generator: self.generator,
        };
        let text = serde_json::to_vec_pretty(&seal)
            .map_err(|e| RecordError::Write { file: names::SEAL, cause: e.into() })?;
        std::fs::write(&self.files.seal, text).map_err(wrap)
    }
}

impl Files {
    fn each(&mut self) -> [(&'static str, &mut Output); 6] {
        [
            (names::LATENCY, &mut self.latency),
            (names::SERIES, &mut self.series),
            (names::CAUSES, &mut self.causes),
            (names::EVENTS, &mut self.events),
            (names::NODES, &mut self.nodes),
            (names::HISTORY, &mut self.history),
        ]
    }

    fn flush_all(&mut self) -> Result<(), (&'static str, io::Error)> {
        self.each().into_iter().try_for_each(|(name, out)| out.flush().map_err(|e| (name, e)))
    }

    /// The small and important files first; what does not fit is dropped.
    fn flush_what_fits(&mut self) {
        for (_, out) in self.each() {
            if out.flush().is_err() {
                out.give_up();
            }
        }
    }

    fn sync_all(&mut self) -> io::Result<()> {
        // A device that cannot be synchronised (a pipe, /dev/full) holds nothing to lose.
        self.each().into_iter().try_for_each(|(_, out)| match out.sync() {
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
            other => other,
        })
    }
}

/// The second that a snapshot covers. One comes shortly after each full second, the last one
/// within a second.
fn interval_of(snapshot: &Snapshot) -> u32 {
    let second = Nanos::SECOND.0;
    let interval = match snapshot.is_last {
        true => snapshot.at.0 / second,
        false => ((snapshot.at.0 + second / 2) / second).saturating_sub(1),
    };
    interval as u32
}

fn append_row<T: Serialize>(out: &mut Vec<u8>, row: &T) {
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(out);
    writer.serialize(row).expect("rows are flat, and writing to a vector does not fail");
    writer.flush().expect("writing to a vector does not fail");
}

/// The header line of a row type.
fn header_of<T: Serialize>(row: &T) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = csv::WriterBuilder::new().from_writer(&mut out);
    writer.serialize(row).expect("rows are flat, and writing to a vector does not fail");
    writer.flush().expect("writing to a vector does not fail");
    drop(writer);
    let end = out.iter().position(|b| *b == b'\n').map_or(out.len(), |at| at + 1);
    out.truncate(end);
    out
}
