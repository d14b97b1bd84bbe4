//! Small hand-made records: 20 s, a warm-up to 2, quiet (40/s) to 6, a peak (200/s) to 10 and ten
//! more seconds at 200/s in which faults fall.

use super::{Comparison, Run, Summary, compare, summarise};
use crate::base::{Histogram, Nanos};
use crate::fault::{Fault, FaultKind, When};
use crate::plan::{
    Arrivals, HostFacts, LoadPlan, NodePlan, PhasePlan, Plan, RequestPlan, ServerPlan,
};
use crate::record::{
    Event, EventKind, Manifest, NodeRow, Operation, OperationKind, Record, SCHEMA, SeriesRow, Tag,
};
use crate::target::{Role, Settings};
use std::collections::BTreeMap;
use std::ops::Range;

const SECONDS: u32 = 20;

pub struct Builder {
    target: String,
    /// Share in time and share answered, by second.
    shares: Vec<(f64, f64)>,
    faults: Vec<Fault>,
    events: Vec<Event>,
    history: Vec<Operation>,
    lag: Nanos,
    generator_share: f64,
    steal: f64,
    /// How much slower the cores are than at their best, and in which seconds.
    slow: (f64, std::ops::Range<u32>),
    cost: f64,
    base_ms: f64,
}

impl Builder {
    pub fn new(target: &str) -> Builder {
        Builder {
            target: target.into(),
            shares: vec![(1.0, 1.0); SECONDS as usize],
            faults: Vec::new(),
            events: Vec::new(),
            history: Vec::new(),
            lag: Nanos::from_micros(300),
            generator_share: 0.4,
            steal: 0.0,
            slow: (1.0, 0..0),
            cost: 1.77,
            base_ms: if target == "horizontal" { 24.0 } else { 10.0 },
        }
    }

    /// Share in time in these seconds; all are answered.
    pub fn share(mut self, seconds: Range<u32>, in_time: f64) -> Self {
        for s in seconds {
            self.shares[s as usize] = (in_time, 1.0);
        }
        self
    }

    /// Share in time, and the same share answered at all.
    pub fn answered(mut self, seconds: Range<u32>, share: f64) -> Self {
        for s in seconds {
            self.shares[s as usize] = (share, share);
        }
        self
    }

    pub fn overloaded(mut self, seconds: Range<u32>) -> Self {
        for s in seconds {
            self.shares[s as usize] = (0.01, 0.55);
        }
        self
    }

    pub fn all_refused(mut self) -> Self {
        self.shares = vec![(0.0, 0.0); SECONDS as usize];
        self
    }

    pub fn start_lag_ms(mut self, ms: f64) -> Self {
        self.lag = Nanos::from_secs_f64(ms / 1e3);
        self
    }

    pub fn generator_share(mut self, share: f64) -> Self {
        self.generator_share = share;
        self
    }

    pub fn slow(mut self, slowdown: f64, seconds: std::ops::Range<u32>) -> Self {
        self.slow = (slowdown, seconds);
        self
    }

    pub fn steal(mut self, share: f64) -> Self {
        self.steal = share;
        self
    }

    /// CPU that a request really takes; calibrated are 1.77 ms.
    pub fn cost_ms(mut self, ms: f64) -> Self {
        self.cost = ms;
        self
    }

    /// Acknowledged writes on one key, one every `step_ms`.
    pub fn writes(mut self, range_ms: Range<u64>, step_ms: u64) -> Self {
        for at in range_ms.step_by(step_ms as usize) {
            let id = self.history.len() as u64 + 1;
            self.history.push(Operation {
                kind: OperationKind::Acknowledged,
                session: 1,
                key: 1,
                id,
                version: id,
                started: Nanos::from_millis(at),
                ended: Nanos::from_millis(at + 5),
            });
        }
        self
    }

    /// Everything that was acknowledged is found, but for the last `lost`.
    pub fn read_back(mut self, lost: usize) -> Self {
        let ids: Vec<u64> = self.history.iter().map(|o| o.id).collect();
        let kept = ids.len() - lost;
        let op = |kind, id, version| Operation {
            kind,
            session: 0,
            key: 1,
            id,
            version,
            started: Nanos::from_secs(21),
            ended: Nanos::from_secs(21),
        };
        self.history.extend(ids[..kept].iter().map(|id| op(OperationKind::ReadBack, *id, 0)));
        self.history.push(op(OperationKind::ReadBackDone, 0, kept as u64));
        self
    }

    pub fn event(mut self, at_s: f64, kind: EventKind, subject: &str, object: &str) -> Self {
        let detail = match kind {
            EventKind::FaultInjected => "mechanism=freezer; proof=frozen".into(),
            _ => String::new(),
        };
        self.events.push(Event {
            at_ns: Nanos::from_secs_f64(at_s).0,
            kind,
            subject: subject.into(),
            object: object.into(),
            lateness_ns: None,
            detail,
        });
        self
    }

    pub fn fault(mut self, name: &str, kind: FaultKind, on: &str, at_s: f64, node: &str) -> Self {
        self.faults.push(Fault {
            name: name.into(),
            series: name.into(),
            kind,
            on: on.parse().unwrap(),
            when: When::At { at: Nanos::from_secs_f64(at_s) },
            lasts: Nanos::from_secs(5),
        });
        self.event(at_s, EventKind::FaultInjected, name, node).event(
            at_s + 5.0,
            EventKind::FaultHealed,
            name,
            node,
        )
    }

    pub fn leader_killed_at(self, at_s: f64, failover_s: f64) -> Self {
        self.fault("lose-leader", FaultKind::Kill, "database/leader", at_s, "database-1").event(
            at_s + failover_s,
            EventKind::BecameLeader,
            "database-2",
            "2",
        )
    }

    pub fn build(self) -> Record {
        let plan = self.plan();
        let mut record = Record {
            folder: "reports/test".into(),
            manifest: Manifest {
                schema: SCHEMA,
                brunt_version: "0.1.0".into(),
                run_id: "test".into(),
                plan,
                started_wall_ns: 1_780_000_000_000_000_000,
                started_monotonic_ns: 5,
                workers: 1,
                doubts: Vec::new(),
            },
            series: Vec::new(),
            nodes: Vec::new(),
            events: self.events.clone(),
            latency: BTreeMap::new(),
            heat: Default::default(),
            causes: Vec::new(),
            history: self.history.clone(),
            operations_lost: 0,
            is_sealed: true,
            generator: None,
            cut_short: None,
            ended: Nanos::from_secs(SECONDS.into()),
        };
        record.events.sort_by_key(|e| e.at_ns);
        for second in 0..SECONDS {
            self.add_second(&mut record, second);
        }
        record
    }

    fn plan(&self) -> Plan {
        let (servers, nodes) = servers_of(&self.target);
        let cores: f64 = servers.iter().map(|s| s.cores).sum();
        Plan {
            target: self.target.clone(),
            profile: "campaign".into(),
            seed: 1,
            host: HostFacts {
                cores: 2,
                brunt_cpus: vec![0],
                stack_cpus: vec![1],
                unit_cores: 0.1,
                period: Nanos::from_millis(20),
                iterations_per_ms: 1e6,
                quota_mechanism: "cgroup v1".into(),
                quota_stall: Nanos::from_millis(17),
                ..HostFacts::default()
            },
            servers,
            nodes,
            links: Vec::new(),
            load: load(),
            faults: self.faults.clone(),
            fault_limits: Default::default(),
            needs: Default::default(),
            hypothesis_in_time: 0.99,
            must_recover: false,
            is_bundled: true,
            cost_per_request: Nanos::from_micros(1770),
            expected_capacity_per_s: match self.target.as_str() {
                "horizontal" => 364.0,
                _ => cores / 0.00177,
            },
            thresholds: Vec::new(),
            abort_on_fail: false,
            guards: Vec::new(),
        }
    }

    fn add_second(&self, record: &mut Record, second: u32) {
        let phase_index = record.manifest.plan.load.phase_at(Nanos::from_secs(second.into()));
        let phase = record.manifest.plan.load.phases[phase_index].clone();
        let planned = phase.rate_from as u64;
        let (in_time_share, ok_share) = self.shares[second as usize];
        let ok = (planned as f64 * ok_share).round() as u64;
        let in_time = (planned as f64 * in_time_share).round() as u64;
        self.add_times(record, phase_index as u16, second, (in_time, ok, planned));
        record.series.push(SeriesRow {
            second,
            phase: phase.name,
            request: "feed".into(),
            planned,
            sent: planned,
            ok,
            timeout: planned - ok,
            in_time,
            in_flight: if ok_share < 0.9 { 100 + second * 10 } else { 3 },
            p50_ns: Some((self.base_ms * 1e6) as u64),
            p99_ns: Some((self.base_ms * if in_time < ok { 60.0 } else { 3.0 } * 1e6) as u64),
            ..SeriesRow::default()
        });
        self.add_nodes(record, second, ok, in_time_share < 0.5 && ok_share > 0.5);
    }

    fn add_times(&self, record: &mut Record, phase: u16, second: u32, n: (u64, u64, u64)) {
        let (in_time, ok, planned) = n;
        let mut add = |tag, ms: f64| {
            let h: &mut Histogram = record.latency.entry(tag).or_default();
            h.record(Nanos::from_secs_f64(ms / 1e3));
        };
        for i in 0..planned {
            let spread = ((i * 37 + u64::from(second) * 11) % 100) as f64 / 100.0;
            let service = self.base_ms * (1.0 + 2.0 * spread.powi(4));
            let response = match i {
                _ if i < in_time => service * 1.02,
                _ if i < ok => 600.0 + 1300.0 * spread,
                _ => 2000.0,
            };
            add(Tag::Response { request: 0, phase }, response);
            add(Tag::Service { request: 0, phase }, service);
            add(Tag::StartLag, self.lag.as_millis_f64());
        }
    }

    fn add_nodes(&self, record: &mut Record, second: u32, ok: u64, is_busy: bool) {
        let servers = record.manifest.plan.servers.clone();
        let all: f64 = servers.iter().map(|s| s.cores).sum();
        for server in &servers {
            let share = ok as f64 * self.cost * 1e6 * server.cores / all;
            let cpu = if is_busy { server.cores * 0.98e9 } else { share };
            for node in &server.nodes {
                record.nodes.push(NodeRow {
                    second,
                    node: node.clone(),
                    server: server.name.clone(),
                    role: node.rsplit_once('-').unwrap().0.into(),
                    alive: true,
                    cpu_ns: cpu as u64 / server.nodes.len() as u64,
                    server_cpu_ns: cpu as u64,
                    ..NodeRow::default()
                });
            }
        }
        record.nodes.push(NodeRow {
            second,
            node: "brunt".into(),
            role: "generator".into(),
            alive: true,
            cpu_ns: (self.generator_share * 1e9) as u64,
            server_cpu_ns: (self.generator_share * 1e9) as u64,
            steal_share: Some(self.steal),
            slowdown: Some(if self.slow.1.contains(&second) { self.slow.0 } else { 1.0 }),
            rss_bytes: 30 << 20,
            ..NodeRow::default()
        });
    }
}

fn servers_of(target: &str) -> (Vec<ServerPlan>, Vec<NodePlan>) {
    let unit = 0.1;
    let list: Vec<(&str, f64, Vec<&str>)> = match target {
        "horizontal" => vec![
            ("app-1", 1.0, vec!["app-1"]),
            ("app-2", 1.0, vec!["app-2"]),
            ("app-3", 1.0, vec!["app-3"]),
            ("app-4", 1.0, vec!["app-4"]),
            ("database-1", 1.0, vec!["database-1"]),
            ("database-2", 1.0, vec!["database-2"]),
            ("database-3", 1.0, vec!["database-3"]),
            ("balancer-1", 0.8, vec!["balancer-1"]),
            ("cache-1", 0.4, vec!["cache-1"]),
            ("cdn-1", 0.4, vec!["cdn-1"]),
            ("cdn-2", 0.4, vec!["cdn-2"]),
        ],
        "garage" => vec![("main-1", 2.0, vec!["app-1", "database-1"])],
        _ => vec![("main-1", 9.0, vec!["app-1", "database-1"])],
    };
    let nodes = list.iter().flat_map(|(server, _, nodes)| nodes.iter().map(|n| node(n, server)));
    let nodes = nodes.collect();
    let server = |(name, units, nodes): &(&str, f64, Vec<&str>)| ServerPlan {
        name: (*name).into(),
        group: name.rsplit_once('-').unwrap().0.into(),
        units: *units,
        cores: units * unit,
        restart_after: Nanos::from_secs(5),
        nodes: nodes.iter().map(|n| (*n).into()).collect(),
    };
    (list.iter().map(server).collect(), nodes)
}

fn node(name: &str, server: &str) -> NodePlan {
    NodePlan {
        start: crate::plan::StartPlan::Bundled,
        name: name.into(),
        role: Role::parse(name.rsplit_once('-').unwrap().0).unwrap(),
        server: server.into(),
        region: "eu".into(),
        listen: "127.0.0.1:1".parse().unwrap(),
        admin: "127.0.0.1:2".parse().unwrap(),
        peers: Vec::new(),
        data_folder: None,
        threads: 1,
        iterations_per_ms: 1e6,
        seed: 1,
        settings: Settings::default(),
    }
}

fn load() -> LoadPlan {
    let phase = |name: &str, from: u64, to: u64, rate: f64, measured: bool| {
        let (start, lasts) = (Nanos::from_secs(from), Nanos::from_secs(to - from));
        PhasePlan { measured, ..PhasePlan::level(name, start, lasts, rate) }
    };
    let phases = vec![
        phase("warm-up", 0, 2, 40.0, false),
        phase("quiet", 2, 6, 40.0, true),
        phase("peak", 6, 10, 200.0, true),
        phase("server lost", 10, 20, 200.0, true),
    ];
    let request = RequestPlan::get("feed", "brunt", "/api/feed?page={page}");
    LoadPlan {
        regions: Vec::new(),
        timeout: Nanos::from_secs(2),
        in_time: Nanos::from_millis(250),
        connections_max: 256,
        waiting_max: 1024,
        ..LoadPlan::new(Arrivals::Poisson, phases, vec![request], Vec::new())
    }
}

/// A server falls silent at 10.25 s: half of that second's requests fail, some of the next are late.
pub fn power_off_story() -> Builder {
    Builder::new("horizontal")
        .fault("lose-app", FaultKind::PowerOff, "server:app-1", 10.25, "app-1")
        .event(11.0, EventKind::MemberDown, "balancer-1", "app-1")
        .answered(10..11, 0.5)
        .share(11..12, 0.7)
}

/// As by `brunt load -n`: the plan goes on for a day, the run ends with its requests.
pub fn planned_for_a_day(mut record: Record) -> Record {
    let phases = &mut record.manifest.plan.load.phases;
    phases.last_mut().unwrap().end = Nanos::from_secs(86_400);
    record
}

/// The default comparison in small: garage, vertical, horizontal.
pub fn trio() -> Vec<Record> {
    let lose =
        |b: Builder, node| b.fault("lose-app", FaultKind::PowerOff, "server:app-1", 10.25, node);
    vec![
        lose(Builder::new("garage").overloaded(6..20), "main-1").build(),
        lose(Builder::new("vertical").answered(10..16, 0.0), "main-1")
            .writes(0..10_000, 50)
            .writes(16_000..20_000, 50)
            .read_back(0)
            .build(),
        lose(Builder::new("horizontal").answered(10..11, 0.8), "app-1")
            .event(11.0, EventKind::MemberDown, "balancer-1", "app-1")
            .writes(0..20_000, 50)
            .read_back(0)
            .build(),
    ]
}

/// Hands over the small default comparison with what it was made of.
pub fn with_trio(see: impl FnOnce(&Comparison, &[Run<'_>])) {
    let records = trio();
    let summaries: Vec<Summary> = records.iter().map(summarise).collect();
    let runs: Vec<Run<'_>> =
        (records.iter().zip(&summaries)).map(|(record, summary)| Run { record, summary }).collect();
    see(&compare(&runs), &runs);
}

pub fn compared_trio() -> Comparison {
    let mut found = None;
    with_trio(|c, _| found = Some(c.clone()));
    found.unwrap()
}
