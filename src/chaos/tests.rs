//! Faults on a target that only notes what is done to it.

use super::limits::Limits;
use super::*;
use crate::base::clock;
use crate::fault::{Fault, FaultLimits, OnLink, Trigger, When};
use crate::record::{Event, EventKind};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, mpsc};

/// A target that notes what is done to it.
#[derive(Default)]
struct Fake {
    calls: Mutex<Vec<String>>,
    leader: Mutex<Option<String>>,
    down: Mutex<BTreeSet<String>>,
    /// Calls that fail, as they are noted.
    failing: Mutex<Vec<String>>,
    prepared: Mutex<Option<mpsc::Sender<String>>>,
    /// Told of each call before it is done.
    seen: Mutex<Option<mpsc::SyncSender<String>>>,
}

impl Fake {
    fn call(&self, what: &str, whom: &str) -> Result<Done, String> {
        let call = format!("{what} {whom}");
        if let Some(seen) = &*self.seen.lock().unwrap() {
            let _ = seen.send(call.clone());
        }
        self.calls.lock().unwrap().push(call.clone());
        if self.failing.lock().unwrap().contains(&call) {
            return Err(format!("{call} failed"));
        }
        match what {
            "kill" | "terminate" => drop(self.down.lock().unwrap().insert(whom.into())),
            "start" => drop(self.down.lock().unwrap().remove(whom)),
            _ => {}
        }
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
            is_alive: !self.down.lock().unwrap().contains(name),
        };
        vec![
            node("app-1", "app", "small-1"),
            node("app-2", "app", "small-2"),
            node("database-1", "database", "db-1"),
            node("database-2", "database", "db-2"),
            node("cache-1", "cache", "small-2"),
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
    fn prepare(&self, hold: &str, _: &Lever) -> Result<(), String> {
        if let Some(prepared) = &*self.prepared.lock().unwrap() {
            let _ = prepared.send(hold.to_string());
        }
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
    run_on(Fake::default(), faults, leader)
}

fn run_on(fake: Fake, faults: Vec<Fault>, leader: Option<&str>) -> (Vec<String>, Vec<Event>) {
    let fake = Arc::new(fake);
    *fake.leader.lock().unwrap() = leader.map(str::to_string);
    let (mut chaos, told) = start(&fake, faults);
    chaos.join();
    let calls = fake.calls.lock().unwrap().clone();
    (calls, told.try_iter().collect())
}

fn start(fake: &Arc<Fake>, faults: Vec<Fault>) -> (Chaos, mpsc::Receiver<Event>) {
    let (tell, told) = mpsc::channel();
    let stand: Arc<dyn Stand> = fake.clone();
    let allow: Permission = Box::new(|_| Ok(()));
    let chaos = Chaos::start(faults, Limits::default(), clock::now(), stand, allow, move |e| {
        let _ = tell.send(e);
    });
    (chaos, told)
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
    let (chaos, told) = start(&fake, vec![fault("p", FaultKind::Pause, "app", 0, 3_600_000)]);
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

#[test]
fn a_heal_that_fails_on_one_is_done_on_the_others() {
    let fake = Fake { failing: Mutex::new(vec!["release p@app-1".into()]), ..Fake::default() };
    let (calls, events) = run_on(fake, vec![fault("p", FaultKind::Pause, "app", 1, 1)], None);
    assert_eq!(calls[2..], ["release p@app-1", "release p@app-2"]);
    assert_eq!(events[1].kind, EventKind::HealFailed);
    assert_eq!(events[1].detail, "release p@app-1 failed");
}

#[test]
fn a_rolling_restart_ends_with_the_run() {
    let fake = Arc::new(Fake::default());
    let (seen, calls) = mpsc::sync_channel(0);
    *fake.seen.lock().unwrap() = Some(seen);
    let (chaos, told) = start(&fake, vec![fault("r", FaultKind::Restart, "app", 1, 0)]);
    assert_eq!(calls.recv().unwrap(), "terminate app-1");
    chaos.ask_to_stop();
    let rest: Vec<String> = calls.iter().take(2).collect();
    assert_eq!(rest, ["start app-1", "ready app-1"]);
    drop(calls);
    chaos.stop();
    assert_eq!(fake.calls.lock().unwrap().len(), 3, "nothing more is done");
    let injected = told.recv().unwrap();
    assert_eq!(injected.kind, EventKind::FaultInjected);
    assert!(injected.detail.contains("the run was stopped before app-2"), "{injected:?}");
    assert_eq!(told.recv().unwrap().kind, EventKind::FaultHealed);
}

#[test]
fn a_rolling_restart_that_fails_leaves_nobody_down() {
    for failing in ["start app-1", "terminate app-2"] {
        let fake = Fake { failing: Mutex::new(vec![failing.into()]), ..Fake::default() };
        let faults = vec![fault("r", FaultKind::Restart, "app", 1, 0)];
        let (calls, events) = run_on(fake, faults, None);
        assert_eq!(events[0].kind, EventKind::FaultSkipped, "{failing}");
        match failing {
            // Tried once more: what is down is started, whoever of them it is.
            "start app-1" => assert_eq!(calls, ["terminate app-1", failing, failing]),
            _ => assert_eq!(calls[3..], ["terminate app-2"]),
        }
    }
}

#[test]
fn a_server_is_terminated_with_all_that_it_holds() {
    let on_server = fault("t", FaultKind::Terminate, "server:app-2", 1, 1);
    let (calls, events) = run(vec![on_server], None);
    assert_eq!(calls, ["terminate app-2", "terminate cache-1", "start-server small-2"]);
    assert_eq!(events[0].object, "small-2");
}

#[test]
fn only_another_leader_is_a_change_of_leader() {
    let fake = Arc::new(Fake::default());
    let after = Trigger::LeaderChanged("database".into());
    let when = When::After { after, wait: Nanos::ZERO };
    let waiting = Fault { when, ..fault("w", FaultKind::Kill, "app-1", 0, 1) };
    let (mut chaos, told) = start(&fake, vec![waiting]);
    let leads = |node: &str, at_ns| Event {
        at_ns,
        kind: EventKind::BecameLeader,
        subject: node.into(),
        object: String::new(),
        lateness_ns: None,
        detail: String::new(),
    };
    chaos.saw(&leads("database-1", 0));
    chaos.saw(&leads("database-1", 1));
    assert!(!chaos.has_seen_something(), "the same node in a later term");
    chaos.saw(&leads("database-2", 2));
    chaos.join();
    assert_eq!(told.recv().unwrap().kind, EventKind::FaultInjected);
}

#[test]
fn what_waits_for_something_is_in_the_journal_before_it_happens() {
    let fake = Arc::new(Fake::default());
    let (prepared, ahead) = mpsc::channel();
    *fake.prepared.lock().unwrap() = Some(prepared);
    let when = When::After { after: Trigger::MemberDown("app".into()), wait: Nanos::ZERO };
    let waiting = Fault { when, ..fault("w", FaultKind::Pause, "app-2", 0, 1) };
    let (chaos, _told) = start(&fake, vec![waiting]);
    assert_eq!(ahead.recv().unwrap(), "w@app-2");
    chaos.stop();
    // It never happened: what was prepared is taken back.
    assert_eq!(*fake.calls.lock().unwrap(), ["release w@app-2"]);
}

#[test]
fn a_fault_of_the_first_moments_is_prepared_before_it_is_allowed() {
    let fake = Arc::new(Fake::default());
    let (prepared, ahead) = mpsc::channel();
    *fake.prepared.lock().unwrap() = Some(prepared);
    let stand: Arc<dyn Stand> = fake.clone();
    let refuse: Permission = Box::new(|_| Err("nothing was measured".into()));
    let faults = vec![fault("p", FaultKind::Pause, "app-1", 1, 1)];
    let (tell, told) = mpsc::channel();
    let mut chaos =
        Chaos::start(faults, Limits::default(), clock::now(), stand, refuse, move |e| {
            let _ = tell.send(e);
        });
    chaos.join();
    assert_eq!(ahead.try_iter().collect::<Vec<_>>(), ["p@app-1"]);
    assert_eq!(told.recv().unwrap().kind, EventKind::FaultSkipped);
    assert_eq!(*fake.calls.lock().unwrap(), ["release p@app-1"]);
}

#[test]
fn a_quorum_is_lost_with_a_whole_server_and_behind_a_cut_link_too() {
    let node = |name: &str, server: &str| NodeView {
        name: name.into(),
        role: "database",
        server: server.into(),
        is_alive: true,
    };
    let nodes = [node("database-1", "db-1"), node("database-2", "db-2"), node("database-3", "a")];
    let link = |to: &str| LinkView { from: "app-1".into(), to: to.into() };
    let hit = |names: &[&str], servers: &[&str], links: Vec<LinkView>| Hit {
        nodes: names.iter().map(|n| (*n).into()).collect(),
        servers: servers.iter().map(|s| (*s).into()).collect(),
        links,
        is_server_wide: false,
        leader_of: None,
    };
    let on_database_1 = hit(&["database-1"], &["db-1"], Vec::new());
    let in_force: limits::InForce = [("k".to_string(), (FaultKind::Kill, on_database_1))].into();
    let limits = Limits(FaultLimits { keep_quorum: Some("database".into()), at_most: None });
    let allow = |kind: FaultKind, hit: &Hit| {
        limits.allow(&in_force, &fault("b", kind, "app-1", 0, 1), hit, &nodes)
    };
    // The database beside the application goes with its server.
    assert!(allow(FaultKind::PowerOff, &hit(&["app-1"], &["a"], Vec::new())).is_err());
    assert!(allow(FaultKind::Kill, &hit(&["app-1"], &["a"], Vec::new())).is_ok());
    let whole = OnLink::default();
    let some = OnLink { share: 0.5, ..whole };
    let to_2 = hit(&["database-2"], &["db-2"], vec![link("database-2")]);
    let to_1 = hit(&["database-1"], &["db-1"], vec![link("database-1")]);
    for full in [FaultKind::Partition { link: whole }, FaultKind::Stall { link: whole }] {
        assert!(allow(full.clone(), &to_2).is_err());
        assert!(allow(full, &to_1).is_ok(), "it is down already");
    }
    assert!(allow(FaultKind::Partition { link: some }, &to_2).is_ok());
    assert!(allow(FaultKind::Reset { link: whole }, &to_2).is_ok());
}
