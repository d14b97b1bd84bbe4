//! Fires and heals the plan's faults on the run's clock, in one thread.

use super::{Done, Hit, Injector, Stand, injector, select};
use crate::base::{Nanos, clock};
use crate::fault::Fault;
use crate::record::{Event, EventKind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// How long a heal may be put off while it may not begin (no new leader yet).
const HEAL_WAIT_MAX: Nanos = Nanos::from_secs(15);
/// How often it is asked whether it may.
const HEAL_POLL: Nanos = Nanos::from_millis(10);

/// Asked before each injection: `Err` says why the fault must not be injected.
pub type Permission = Box<dyn Fn(&Fault) -> Result<(), String> + Send>;

/// The thread that fires the faults. Dropping it stops it, and heals what is in force.
pub struct Chaos {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Chaos {
    /// `epoch` is instant 0 of the run on `CLOCK_MONOTONIC`; `tell` gets an event for each
    /// injection, heal and skip.
    pub fn start(
        faults: Vec<Fault>,
        epoch: Nanos,
        stand: Arc<dyn Stand>,
        permission: Permission,
        tell: impl Fn(Event) + Send + 'static,
    ) -> Chaos {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let waiter = stop.clone();
        let thread = std::thread::Builder::new()
            .name("chaos".into())
            .spawn(move || {
                let agenda = Agenda::new(faults);
                Runner { epoch, stand, permission, tell: Box::new(tell), stop: waiter, agenda }
                    .run();
            })
            .expect("one more thread can be started");
        Chaos { stop, thread: Some(thread) }
    }

    /// Ends early or after the last heal: nothing is in force when this returns.
    pub fn stop(mut self) {
        self.finish();
    }

    fn finish(&mut self) {
        *self.stop.0.lock().expect("the chaos thread does not panic") = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What is still to be done: injections by time, and what is in force.
struct Agenda {
    /// Earliest last.
    injections: Vec<Fault>,
    in_force: Vec<InForce>,
}

struct InForce {
    fault: Fault,
    injector: Box<dyn Injector>,
    hit: Hit,
    /// Since the start of the run.
    heal_at: Nanos,
    planned_heal: Nanos,
}

enum Next {
    Inject(Nanos),
    Heal(usize, Nanos),
    Nothing,
}

impl Agenda {
    fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|f| std::cmp::Reverse(f.at));
        Agenda { injections: faults, in_force: Vec::new() }
    }

    fn next(&self) -> Next {
        let heal = self.in_force.iter().enumerate().min_by_key(|(_, f)| f.heal_at);
        match (self.injections.last(), heal) {
            (Some(fault), Some((index, f))) if f.heal_at <= fault.at => {
                Next::Heal(index, f.heal_at)
            }
            (Some(fault), _) => Next::Inject(fault.at),
            (None, Some((index, f))) => Next::Heal(index, f.heal_at),
            (None, None) => Next::Nothing,
        }
    }
}

struct Runner {
    epoch: Nanos,
    stand: Arc<dyn Stand>,
    permission: Permission,
    tell: Box<dyn Fn(Event) + Send>,
    stop: Arc<(Mutex<bool>, Condvar)>,
    agenda: Agenda,
}

impl Runner {
    fn run(mut self) {
        loop {
            match self.agenda.next() {
                Next::Nothing => return,
                Next::Inject(at) => {
                    if self.stopped_before(at) {
                        break;
                    }
                    self.inject();
                }
                Next::Heal(index, at) => {
                    if self.stopped_before(at) {
                        break;
                    }
                    self.heal_when_allowed(index);
                }
            }
        }
        while let Some(in_force) = self.agenda.in_force.pop() {
            self.heal(in_force);
        }
    }

    /// Waits until an instant of the run; true when the run was stopped meanwhile.
    fn stopped_before(&self, at: Nanos) -> bool {
        let mut stopped = self.stop.0.lock().expect("no panic while holding the flag");
        loop {
            let left = (self.epoch + at).saturating_sub(clock::now());
            if *stopped || left.0 == 0 {
                return *stopped;
            }
            stopped = self
                .stop
                .1
                .wait_timeout(stopped, left.duration())
                .expect("no panic while holding the flag")
                .0;
        }
    }

    fn inject(&mut self) {
        let Some(fault) = self.agenda.injections.pop() else { return };
        let hit = match (self.permission)(&fault)
            .and_then(|()| select::resolve(&fault.on, self.stand.as_ref()))
        {
            Ok(hit) => hit,
            Err(why) => {
                let at = self.now();
                return self.event(
                    EventKind::FaultSkipped,
                    &fault,
                    String::new(),
                    at,
                    fault.at,
                    why,
                );
            }
        };
        let injector = injector(&fault.kind);
        match injector.inject(&hit, self.stand.as_ref()) {
            Ok(done) => {
                self.done(EventKind::FaultInjected, &fault, &hit, fault.at, &done);
                let heal_at = self.since_start(done.began) + fault.lasts;
                self.agenda.in_force.push(InForce {
                    fault,
                    injector,
                    hit,
                    heal_at,
                    planned_heal: heal_at,
                });
            }
            // It may have been done in part: what was hit is healed at once.
            Err(why) => {
                let at = self.now();
                let text = format!("could not be injected: {why}");
                self.event(EventKind::FaultSkipped, &fault, hit.object(), at, fault.at, text);
                let _ = injector.heal(&hit, self.stand.as_ref());
            }
        }
    }

    fn heal_when_allowed(&mut self, index: usize) {
        let now = self.now();
        let waiting = &mut self.agenda.in_force[index];
        let is_overdue = now > waiting.planned_heal + HEAL_WAIT_MAX;
        if !is_overdue && !waiting.injector.may_heal(&waiting.hit, self.stand.as_ref()) {
            waiting.heal_at = now + HEAL_POLL;
            return;
        }
        let in_force = self.agenda.in_force.swap_remove(index);
        self.heal(in_force);
    }

    fn heal(&self, f: InForce) {
        match f.injector.heal(&f.hit, self.stand.as_ref()) {
            Ok(done) => self.done(EventKind::FaultHealed, &f.fault, &f.hit, f.planned_heal, &done),
            Err(why) => {
                let at = self.now();
                self.event(
                    EventKind::HealFailed,
                    &f.fault,
                    f.hit.object(),
                    at,
                    f.planned_heal,
                    why,
                );
            }
        }
    }

    fn done(&self, kind: EventKind, fault: &Fault, hit: &Hit, planned: Nanos, done: &Done) {
        let detail = format!("mechanism={}; proof={}", done.mechanism, done.proof);
        let at = if kind == EventKind::FaultInjected { done.began } else { done.ended };
        self.event(kind, fault, hit.object(), self.since_start(at), planned, detail);
    }

    fn event(
        &self,
        kind: EventKind,
        fault: &Fault,
        object: String,
        at: Nanos,
        planned: Nanos,
        detail: String,
    ) {
        let lateness_ns = Some(at.saturating_sub(planned).0);
        let subject = fault.name.clone();
        (self.tell)(Event { at_ns: at.0, kind, subject, object, lateness_ns, detail });
    }

    fn now(&self) -> Nanos {
        self.since_start(clock::now())
    }

    fn since_start(&self, at: Nanos) -> Nanos {
        at.saturating_sub(self.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::NodeView;
    use super::*;
    use crate::fault::FaultKind;
    use std::sync::mpsc;

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
        fn pause_node(&self, n: &str) -> Result<Done, String> {
            self.call("pause", n)
        }
        fn resume_node(&self, n: &str) -> Result<Done, String> {
            self.call("resume", n)
        }
        fn freeze_server(&self, s: &str) -> Result<Done, String> {
            self.call("freeze", s)
        }
        fn thaw_server(&self, s: &str) -> Result<Done, String> {
            self.call("thaw", s)
        }
        fn kill_server(&self, s: &str) -> Result<Done, String> {
            self.call("kill-server", s)
        }
        fn start_server(&self, s: &str) -> Result<Done, String> {
            self.call("start-server", s)
        }
        fn set_server_share(&self, s: &str, share: f64) -> Result<Done, String> {
            self.call("share", &format!("{s} {share}"))
        }
        fn set_server_cores(&self, s: &str, share: f64) -> Result<Done, String> {
            self.call("cores", &format!("{s} {share}"))
        }
    }

    fn fault(name: &str, kind: FaultKind, on: &str, at_ms: u64, lasts_ms: u64) -> Fault {
        Fault {
            name: name.into(),
            kind,
            on: on.parse().unwrap(),
            at: Nanos::from_millis(at_ms),
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
        let mut chaos =
            Chaos::start(faults, clock::now(), stand, allow, move |e| tell.send(e).unwrap());
        chaos.thread.take().unwrap().join().unwrap();
        let calls = fake.calls.lock().unwrap().clone();
        (calls, told.try_iter().collect())
    }

    #[test]
    fn every_fault_is_healed_in_the_order_of_time() {
        let (calls, events) = run(
            vec![
                fault("b", FaultKind::Kill, "app-2", 5, 10),
                fault("a", FaultKind::PowerOff, "server:app-1", 1, 8),
            ],
            None,
        );
        let expected = [
            "freeze small-1",
            "kill app-2",
            "kill-server small-1",
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
        let chaos =
            Chaos::start(faults, clock::now(), stand, allow, move |e| tell.send(e).unwrap());
        assert_eq!(told.recv().unwrap().kind, EventKind::FaultInjected);
        chaos.stop();
        assert_eq!(told.recv().unwrap().kind, EventKind::FaultHealed);
        assert_eq!(fake.calls.lock().unwrap().len(), 4);
    }
}
