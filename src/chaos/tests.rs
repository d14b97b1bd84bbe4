//! Faults on a target that only notes what is done to it.

use super::limits::Limits;
use super::*;
use crate::base::clock;
use crate::fault::{Fault, FaultLimits, Trigger, When};
use crate::record::{Event, EventKind};
use std::sync::{Arc, Mutex, mpsc};

/// A target that notes what is done to it.
#[derive(Default)]
struct Fake {
    calls: Mutex<Vec<String>>,
    leader: Mutex<Option<String>>,
}

impl Fake {
    fn call(&self, what: &str, whom: &str) -> Result<Done, String> {
        self.calls.lock().unwrap().push(format!("{what} {whom}"));
        if what == "kill" {
            *self.leader.lock().unwrap() = Some("database-2".into());
        }
        let now = clock::now();
        Ok(Done { began: now, ended: now, mechanism: "fake".into(), proof: "seen".into() })
    }
}

impl Stand for Fake {
    fn nodes(&self) -> Vec<NodeView> {
        let node = |name: &str, role, server: &str| NodeView {
            name: name.into(),
            role,
            server: server.into(),
            is_alive: true,
        };
        vec![
            node("app-1", "app", "small-1"),
            node("app-2", "app", "small-2"),
            node("database-1", "database", "db-1"),
            node("database-2", "database", "db-2"),
        ]
    }
    fn leader(&self, _: &str) -> Option<String> {
        self.leader.lock().unwrap().clone()
    }
    fn kill_node(&self, n: &str) -> Result<Done, String> {
        self.call("kill", n)
    }
    fn terminate_node(&self, n: &str) -> Result<Done, String> {
        self.call("terminate", n)
    }
    fn start_node(&self, n: &str) -> Result<Done, String> {
        self.call("start", n)
    }
    fn kill_server(&self, s: &str) -> Result<Done, String> {
        self.call("kill-server", s)
    }
    fn start_server(&self, s: &str) -> Result<Done, String> {
        self.call("start-server", s)
    }
    fn await_ready(&self, n: &str) -> Result<(), String> {
        self.call("ready", n).map(drop)
    }
    fn links(&self) -> Vec<LinkView> {
        let link = |from: &str, to: &str| LinkView { from: from.into(), to: to.into() };
        vec![link("app-1", "database-1"), link("app-2", "database-1"), link("app-1", "database-2")]
    }
    fn prepare(&self, _: &str, _: &Lever) -> Result<(), String> {
        Ok(())
    }
    fn hold(&self, hold: &str, _: &Lever) -> Result<Done, String> {
        self.call("hold", hold)
    }
    fn release(&self, hold: &str) -> Result<Done, String> {
        self.call("release", hold)
    }
}

fn fault(name: &str, kind: FaultKind, on: &str, at_ms: u64, lasts_ms: u64) -> Fault {
    Fault {
        name: name.into(),
        series: name.into(),
        kind,
        on: on.parse().unwrap(),
        when: When::At { at: Nanos::from_millis(at_ms) },
        lasts: Nanos::from_millis(lasts_ms),
    }
}

/// Runs the faults to their end; the calls made and the events told.
fn run(faults: Vec<Fault>, leader: Option<&str>) -> (Vec<String>, Vec<Event>) {
    let fake = Arc::new(Fake::default());
    *fake.leader.lock().unwrap() = leader.map(str::to_string);
    let (tell, told) = mpsc::channel();
    let stand: Arc<dyn Stand> = fake.clone();
    let allow: Permission = Box::new(|_| Ok(()));
    let mut chaos = Chaos::start(faults, Limits::default(), clock::now(), stand, allow, move |e| {
        tell.send(e).unwrap();
    });
    chaos.join();
    let calls = fake.calls.lock().unwrap().clone();
    (calls, told.try_iter().collect())
}

#[test]
fn every_fault_is_healed_in_the_order_of_time() {
    let (calls, events) = run(
        vec![
            fault("b", FaultKind::Kill, "app-2", 40, 120),
            fault("a", FaultKind::PowerOff, "server:app-1", 1, 80),
        ],
        None,
    );
    let expected = [
        "hold a@small-1",
        "kill app-2",
        "kill-server small-1",
        "release a@small-1",
        "start-server small-1",
        "start app-2",
    ];
    assert_eq!(calls, expected);
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|e| e.detail.contains("proof=seen")), "{events:?}");
    assert_eq!(events[0].object, "small-1");
}

#[test]
fn without_a_leader_the_fault_is_skipped_and_never_turned_on_another() {
    let (calls, events) = run(vec![fault("k", FaultKind::Kill, "database/leader", 1, 1)], None);
    assert!(calls.is_empty(), "{calls:?}");
    assert_eq!(events[0].kind, EventKind::FaultSkipped);
    assert!(events[0].detail.contains("no node leads"), "{events:?}");
}

#[test]
fn a_killed_leader_returns_after_the_new_one_leads() {
    let kill = fault("k", FaultKind::Kill, "database/leader", 1, 1);
    let (calls, _) = run(vec![kill], Some("database-1"));
    assert_eq!(calls, ["kill database-1", "start database-1"]);
}

#[test]
fn stopping_heals_what_is_in_force() {
    let fake = Arc::new(Fake::default());
    let (tell, told) = mpsc::channel();
    let faults = vec![fault("p", FaultKind::Pause, "app", 0, 3_600_000)];
    let stand: Arc<dyn Stand> = fake.clone();
    let allow: Permission = Box::new(|_| Ok(()));
    let chaos = Chaos::start(faults, Limits::default(), clock::now(), stand, allow, move |e| {
        tell.send(e).unwrap();
    });
    assert_eq!(told.recv().unwrap().kind, EventKind::FaultInjected);
    chaos.stop();
    assert_eq!(told.recv().unwrap().kind, EventKind::FaultHealed);
    assert_eq!(fake.calls.lock().unwrap().len(), 4);
}

#[test]
fn a_link_is_named_by_its_ends() {
    let slow = FaultKind::Stall { link: Default::default() };
    let (calls, _) = run(vec![fault("s", slow, "app->database/leader", 1, 1)], Some("database-1"));
    let expected =
        ["hold s@app-1->database-1", "hold s@app-2->database-1"].map(str::to_string).to_vec();
    assert_eq!(calls[..2], expected);
    assert_eq!(calls.len(), 4);
}

#[test]
fn a_fault_may_wait_for_another_ones_heal() {
    let first = fault("first", FaultKind::Kill, "app-1", 1, 1);
    let when = When::After { after: Trigger::Healed("first".into()), wait: Nanos::from_millis(5) };
    let second = Fault { when, ..fault("second", FaultKind::Pause, "app-2", 0, 1) };
    let (calls, events) = run(vec![second, first], None);
    assert_eq!(calls, ["kill app-1", "start app-1", "hold second@app-2", "release second@app-2"]);
    assert!(events[2].at_ns >= events[1].at_ns + 5_000_000, "{events:?}");
}

#[test]
fn a_rolling_restart_waits_for_each_to_be_ready() {
    let (calls, _) = run(vec![fault("r", FaultKind::Restart, "app", 1, 0)], None);
    let expected = [
        "terminate app-1",
        "start app-1",
        "ready app-1",
        "terminate app-2",
        "start app-2",
        "ready app-2",
    ];
    assert_eq!(calls, expected);
}

#[test]
fn no_more_is_broken_at_once_than_allowed() {
    let nodes = Fake::default().nodes();
    let hit = |name: &str| Hit {
        nodes: vec![name.into()],
        servers: Vec::new(),
        links: Vec::new(),
        is_server_wide: false,
        leader_of: None,
    };
    let kill = |name: &str| fault(name, FaultKind::Kill, "app-1", 0, 1);
    let in_force = [("a".to_string(), (FaultKind::Kill, hit("app-1")))].into();
    let limits = |at_most, keep_quorum: Option<&str>| {
        Limits(FaultLimits { at_most, keep_quorum: keep_quorum.map(str::to_string) })
    };
    let allow = |limits: Limits, whom| limits.allow(&in_force, &kill("b"), &hit(whom), &nodes);
    assert!(allow(limits(Some(2), None), "app-2").is_ok());
    assert!(allow(limits(Some(1), None), "app-2").unwrap_err().contains("at most 1"));
    let error = allow(limits(None, Some("database")), "database-1").unwrap_err();
    assert_eq!(error, "1 of 2 nodes of `database` would be left, 2 are a majority");
    assert!(allow(limits(None, Some("database")), "app-2").is_ok());
}
