//! The recorder and the reader together.

use super::*;
use crate::base::{Histogram, Nanos};
use crate::plan::{Arrivals, HostFacts, LoadPlan, PhasePlan, Plan, RequestPlan, RoutePlan};
use std::path::Path;

fn load() -> LoadPlan {
    let phase = PhasePlan::level("peak, late", Nanos::ZERO, Nanos::from_secs(4), 10.0);
    let requests = ["feed", "video"].map(|name| RequestPlan::get(name, "test", "/")).to_vec();
    let route = RoutePlan::Fixed("127.0.0.1:1".parse().unwrap());
    LoadPlan {
        timeout: Nanos::SECOND,
        in_time: Nanos::from_millis(100),
        ..LoadPlan::new(Arrivals::Poisson, vec![phase], requests, vec![route])
    }
}

pub(crate) fn manifest_of(load: LoadPlan, workers: u32) -> Manifest {
    Manifest {
        schema: SCHEMA,
        brunt_version: "0.0.0".into(),
        run_id: "test".into(),
        plan: Plan {
            target: "t".into(),
            profile: "p".into(),
            seed: 1,
            host: HostFacts::default(),
            servers: Vec::new(),
            nodes: Vec::new(),
            links: Vec::new(),
            load,
            faults: Vec::new(),
            fault_limits: Default::default(),
            needs: Default::default(),
            hypothesis_in_time: 0.9,
            must_recover: false,
            is_bundled: false,
            cost_per_request: Nanos::ZERO,
            expected_capacity_per_s: 0.0,
            thresholds: Vec::new(),
            abort_on_fail: false,
            guards: Vec::new(),
        },
        started_wall_ns: 1_700_000_000_000_000_000,
        started_monotonic_ns: 5,
        workers,
        doubts: Vec::new(),
    }
}

/// What a worker says at the end of a second: 20 requests of each kind, all answered.
fn snapshot(worker: u32, second: u32, is_last: bool) -> Snapshot {
    let ledger = Ledger { planned: 20, ok: 19, timeout: 1, ..Ledger::default() };
    let cell = |request| Cell {
        second,
        phase: 0,
        request,
        ledger,
        sent: 20,
        in_time: 18,
        retried: 1,
        repeated: 0,
    };
    let mut histogram = Histogram::new();
    (1..=20).for_each(|i| histogram.record(Nanos::from_millis(i)));
    let late = Nanos::from_micros(300 * u64::from(worker));
    Snapshot {
        worker,
        at: Nanos::from_secs(u64::from(second) + 1) + late,
        cells: vec![cell(0), cell(1)],
        histograms: vec![
            (Tag::Response { request: 0, phase: 0 }, histogram.clone()),
            (Tag::Response { request: 1, phase: 0 }, histogram),
        ],
        causes: vec![(Outcome::Timeout, Cause::TimeoutResponse, 2)],
        operations: vec![Operation {
            kind: OperationKind::Read,
            session: 1,
            key: 1,
            id: 0,
            version: u64::from(second),
            started: Nanos(1),
            ended: Nanos(2),
        }],
        in_flight: 3,
        is_last,
        ..Snapshot::default()
    }
}

fn event() -> Event {
    Event {
        at_ns: 7,
        kind: EventKind::FaultInjected,
        subject: "kill".into(),
        object: "app-1".into(),
        lateness_ns: None,
        detail: "mechanism=pidfd; proof=\"gone\",\nreally".into(),
    }
}

fn write(folder: &Path, seconds: u32) -> Recorder {
    let mut recorder = Recorder::create(folder, &manifest_of(load(), 2)).unwrap();
    recorder.event(&event()).unwrap();
    recorder.nodes(&[NodeRow { node: "app-1".into(), ..NodeRow::default() }]).unwrap();
    for second in 0..seconds {
        let mut hiccup = Histogram::new();
        hiccup.record(Nanos(50));
        recorder.hiccup(second, &hiccup).unwrap();
        for worker in 0..2 {
            recorder.snapshot(&snapshot(worker, second, false)).unwrap();
        }
    }
    recorder
}

fn sum(record: &Record) -> Ledger {
    let mut sum = Ledger::default();
    record.series.iter().for_each(|row| sum.add(&row.ledger()));
    sum
}

#[test]
fn a_sealed_record_reads_back_as_it_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = write(folder.path(), 10);
    for worker in 0..2 {
        recorder.snapshot(&snapshot(worker, 10, true)).unwrap();
    }
    recorder.seal(Nanos::from_secs(11)).unwrap();
    let record = Record::open(folder.path()).unwrap();
    assert!(record.is_sealed);
    assert_eq!(record.ended, Nanos::from_secs(11));
    assert_eq!(record.manifest, manifest_of(load(), 2));
    assert_eq!(record.events, [event()]);
    assert_eq!(record.nodes.len(), 1);
    assert_eq!(record.history.len(), 22);
    assert_eq!(record.causes, [(Outcome::Timeout, Cause::TimeoutResponse, 44)]);
    let ledger = sum(&record);
    assert!(ledger.is_closed());
    assert_eq!(ledger.planned, 11 * 2 * 2 * 20);
    assert_eq!(record.latency[&Tag::Response { request: 1, phase: 0 }].count(), 11 * 2 * 20);
    assert_eq!(record.latency[&Tag::Hiccup].count(), 10);
    let row = record.series.iter().find(|r| r.second == 4 && r.request == "video").unwrap();
    assert_eq!((row.planned, row.in_flight, row.in_time, row.retried), (40, 6, 36, 2));
    assert_eq!(row.phase, "peak, late");
    assert!(row.p50_ns.is_some() && row.p99_ns.is_none());
    assert!(!folder.path().join(".reserve").exists());
}

#[test]
fn the_log_has_one_line_per_tag_and_second_in_order() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 6).seal(Nanos::from_secs(6)).unwrap();
    let text = std::fs::read_to_string(folder.path().join("latency.hlog")).unwrap();
    let starts: Vec<(String, String)> = text
        .lines()
        .filter(|line| line.starts_with("Tag="))
        .map(|line| {
            let mut fields = line.split(',');
            (fields.next().unwrap().to_string(), fields.next().unwrap().to_string())
        })
        .collect();
    assert_eq!(starts.len(), 6 * 3);
    let unique: std::collections::BTreeSet<_> = starts.iter().collect();
    assert_eq!(unique.len(), starts.len());
    assert!(starts.is_sorted_by_key(|(_, at)| at.parse::<f64>().unwrap() as u64));
    assert!(text.contains("Tag=response.feed@peak__late,"));
}

#[test]
fn an_unsealed_record_reads_up_to_where_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    drop(write(folder.path(), 10));
    let record = Record::open(folder.path()).unwrap();
    assert!(!record.is_sealed);
    assert!(record.ended >= Nanos::from_secs(6), "{}", record.ended);
    assert!(sum(&record).planned > 0 && sum(&record).is_closed());
    assert_eq!(record.history.len(), 20);
}

#[test]
fn files_cut_off_anywhere_still_open() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 10).seal(Nanos::from_secs(10)).unwrap();
    for name in
        ["latency.hlog", "series.csv", "nodes.csv", "events.csv", "history.bin", "seal.json"]
    {
        let path = folder.path().join(name);
        let whole = std::fs::read(&path).unwrap();
        for cut in (0..9).map(|i| whole.len() * i / 9) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            if let Err(e) = Record::open(folder.path()) {
                panic!("{name} cut at {cut} of {}: {e}", whole.len());
            }
        }
        std::fs::write(&path, whole).unwrap();
    }
    assert!(Record::open(folder.path()).unwrap().is_sealed);
}

#[test]
fn a_full_disk_is_said_once_and_the_rest_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorder = Recorder::create(folder.path(), &manifest_of(load(), 1)).unwrap();
    recorder.pretend_full(super::names::NODES);
    recorder.snapshot(&snapshot(0, 0, false)).unwrap();
    recorder.snapshot(&snapshot(0, 1, false)).unwrap();
    let rows = [NodeRow::default()];
    assert!(matches!(recorder.nodes(&rows), Err(RecordError::Full { file: "nodes.csv" })));
    assert!(recorder.nodes(&rows).is_ok());
    assert!(recorder.snapshot(&snapshot(0, 2, false)).is_ok());
    recorder.seal(Nanos::from_secs(3)).unwrap();
    let record = Record::open(folder.path()).unwrap();
    assert!(record.is_sealed && record.cut_short.unwrap().contains("disk was full"));
    let record = Record::open(folder.path()).unwrap();
    assert_eq!(sum(&record).planned, 80);
    assert_eq!(record.latency[&Tag::Response { request: 0, phase: 0 }].count(), 40);
}

#[test]
fn a_record_of_a_newer_brunt_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{{\"schema\":{}}}", SCHEMA + 1);
    std::fs::write(folder.path().join("manifest.json"), text).unwrap();
    assert!(matches!(Record::open(folder.path()), Err(RecordError::Schema { .. })));
}
