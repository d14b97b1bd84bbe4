//! Fires and heals the plan's faults on the run's clock: a thread a fault, so that a heal that has
//! to wait delays nobody else.

use super::limits::{InForce, Limits};
use super::{Done, Hit, Injector, Stand, injector, select};
use crate::base::{Nanos, clock};
use crate::fault::{Fault, Trigger, When};
use crate::record::{Event, EventKind, OVER_LIMIT};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How long a heal may be put off while it may not begin (no new leader yet).
const HEAL_WAIT_MAX: Nanos = Nanos::from_secs(15);
/// How often it is asked whether it may.
const HEAL_POLL: Nanos = Nanos::from_millis(10);
/// Before the instant: whatever takes time and changes nothing yet (the journal's fsync).
const AHEAD: Nanos = Nanos::from_millis(200);

/// Asked before each injection: `Err` says why the fault must not be injected.
pub type Permission = Box<dyn Fn(&Fault) -> Result<(), String> + Send + Sync>;

/// The threads that fire the faults. Dropping it stops them, and heals what is in force.
pub struct Chaos {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Chaos {
    /// `epoch` is instant 0 of the run on `CLOCK_MONOTONIC`; `tell` gets an event for each
    /// injection, heal and skip.
    pub fn start(
        faults: Vec<Fault>,
        limits: Limits,
        epoch: Nanos,
        stand: Arc<dyn Stand>,
        permission: Permission,
        tell: impl Fn(Event) + Send + 'static,
    ) -> Chaos {
        let tell: Box<dyn Fn(Event) + Send> = Box::new(tell);
        let (state, tell) = (Mutex::new(State::default()), Mutex::new(tell));
        let changed = Condvar::new();
        let shared = Arc::new(Shared { epoch, stand, permission, limits, tell, state, changed });
        let one = |fault: Fault| {
            let injector = injector(&fault.name, &fault.kind);
            let mut own = Own { shared: shared.clone(), fault, injector, prepared: None };
            std::thread::Builder::new()
                .name("chaos".into())
                .stack_size(256 << 10)
                .spawn(move || own.run())
                .expect("one more thread can be started")
        };
        let threads = faults.into_iter().map(one).collect();
        Chaos { shared, threads }
    }

    /// Takes note of what happened in the run: faults may wait for it.
    pub fn saw(&self, event: &Event) {
        let at = Nanos(event.at_ns);
        let role_of = |node: &str| {
            let nodes = self.shared.stand.nodes();
            nodes.iter().find(|n| n.name == node).map(|n| n.role.to_string())
        };
        let triggers = match event.kind {
            EventKind::BecameLeader => {
                let role = role_of(&event.subject);
                let is_change = |role: &String| self.shared.leads(role, &event.subject);
                role.filter(is_change).map(Trigger::LeaderChanged).into_iter().collect()
            }
            EventKind::MemberDown => {
                let member = event.object.clone();
                let role = role_of(&member);
                role.into_iter().chain([member]).map(Trigger::MemberDown).collect()
            }
            _ => Vec::new(),
        };
        self.shared.happened(triggers, at);
    }

    /// Ends early or after the last heal: nothing is in force when this returns.
    pub fn stop(mut self) {
        self.finish();
    }

    /// Waits for the last heal, without stopping anything.
    #[cfg(test)]
    pub(super) fn join(&mut self) {
        self.threads.drain(..).for_each(|t| t.join().unwrap());
    }

    /// Whether anything has happened that a fault may wait for.
    #[cfg(test)]
    pub(super) fn has_seen_something(&self) -> bool {
        !self.shared.state().happened.is_empty()
    }

    /// What is under way goes no further, and is healed.
    pub(super) fn ask_to_stop(&self) {
        self.shared.state().is_stopped = true;
        self.shared.changed.notify_all();
    }

    fn finish(&mut self) {
        self.ask_to_stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What the faults' threads have in common.
struct Shared {
    epoch: Nanos,
    stand: Arc<dyn Stand>,
    permission: Permission,
    limits: Limits,
    tell: Mutex<Box<dyn Fn(Event) + Send>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_stopped: bool,
    in_force: InForce,
    /// Who led a role last, by role.
    leaders: BTreeMap<String, String>,
    /// What has happened that a fault may wait for; the first time of each.
    happened: Vec<(Trigger, Nanos)>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Nanos {
        clock::now().saturating_sub(self.epoch)
    }

    fn happened(&self, triggers: Vec<Trigger>, at: Nanos) {
        let mut state = self.state();
        for trigger in triggers {
            if state.happened.iter().all(|(before, _)| *before != trigger) {
                state.happened.push((trigger, at));
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Whether another node led this role before. The first leader of all is no change, nor is one
    /// that leads again in a later term.
    fn leads(&self, role: &str, node: &str) -> bool {
        let before = self.state().leaders.insert(role.into(), node.into());
        before.is_some_and(|before| before != node)
    }

    /// Waits until an instant of the run; false when the run was stopped before.
    fn reached(&self, at: Nanos) -> bool {
        let mut state = self.state();
        loop {
            let left = (self.epoch + at).saturating_sub(clock::now());
            if state.is_stopped || left.0 == 0 {
                return !state.is_stopped;
            }
            let waited = self.changed.wait_timeout(state, left.duration());
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// When the trigger happened; `None` when the run was stopped before.
    fn await_trigger(&self, trigger: &Trigger) -> Option<Nanos> {
        let mut state = self.state();
        loop {
            if state.is_stopped {
                return None;
            }
            if let Some((_, at)) = state.happened.iter().find(|(known, _)| known == trigger) {
                return Some(*at);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One fault and its thread.
struct Own {
    shared: Arc<Shared>,
    fault: Fault,
    injector: Box<dyn Injector>,
    /// Whom it was prepared for, ahead of the instant.
    prepared: Option<Hit>,
}

impl Own {
    fn run(&mut self) {
        // What may be due as soon as something has happened is prepared before it has.
        if let When::After { wait, .. } = &self.fault.when
            && *wait < AHEAD
        {
            self.prepare_ahead();
        }
        let due = self.due().filter(|due| self.shared.reached(due.saturating_sub(AHEAD)));
        let Some(due) = due else { return self.unprepare() };
        self.prepare_ahead();
        if !self.shared.reached(due) {
            return self.unprepare();
        }
        match self.choose().and_then(|hit| self.prepare(hit)).and_then(|hit| self.enter(hit)) {
            Ok(hit) => self.inject(&hit, due),
            Err(why) => {
                self.unprepare();
                self.event(EventKind::FaultSkipped, String::new(), self.shared.now(), due, why);
            }
        }
    }

    fn due(&self) -> Option<Nanos> {
        match &self.fault.when {
            When::At { at } => Some(*at),
            When::After { after, wait } => Some(self.shared.await_trigger(after)? + *wait),
        }
    }

    /// Whoever it turns out to be, and whether it is allowed: that is for the instant itself.
    fn prepare_ahead(&mut self) {
        let hit = select::resolve(&self.fault.on, self.shared.stand.as_ref());
        let _ = hit.and_then(|hit| self.prepare(hit));
    }

    fn choose(&self) -> Result<Hit, String> {
        (self.shared.permission)(&self.fault)?;
        select::resolve(&self.fault.on, self.shared.stand.as_ref())
    }

    fn prepare(&mut self, hit: Hit) -> Result<Hit, String> {
        if self.prepared.as_ref() != Some(&hit) {
            self.unprepare();
            self.injector.prepare(&hit, self.shared.stand.as_ref())?;
            self.prepared = Some(hit.clone());
        }
        Ok(hit)
    }

    /// What was prepared for somebody who is not hit after all.
    fn unprepare(&mut self) {
        if let Some(hit) = self.prepared.take() {
            let _ = self.injector.heal_prepared(&hit, self.shared.stand.as_ref());
        }
    }

    /// One more fault in force, if the limits allow it.
    fn enter(&self, hit: Hit) -> Result<Hit, String> {
        let nodes = self.shared.stand.nodes();
        let mut state = self.shared.state();
        let allowed = self.shared.limits.allow(&state.in_force, &self.fault, &hit, &nodes);
        allowed.map_err(|why| format!("{OVER_LIMIT}{why}"))?;
        state.in_force.insert(self.fault.name.clone(), (self.fault.kind.clone(), hit.clone()));
        Ok(hit)
    }

    fn leave(&self) {
        self.shared.state().in_force.remove(&self.fault.name);
    }

    fn inject(&mut self, hit: &Hit, due: Nanos) {
        let is_stopped = || self.shared.state().is_stopped;
        match self.injector.inject(hit, self.shared.stand.as_ref(), &is_stopped) {
            Ok(done) => {
                let injected = self.since_start(done.began);
                self.done(EventKind::FaultInjected, hit, injected, due, &done);
                self.tell_triggers(Trigger::Injected, injected);
                let heal_at = injected + self.fault.lasts;
                self.shared.reached(heal_at);
                self.await_permission_to_heal(hit, heal_at);
                self.heal(hit, heal_at);
            }
            // It may have been done in part: what was hit is healed at once.
            Err(why) => {
                let text = format!("could not be injected: {why}");
                self.event(EventKind::FaultSkipped, hit.object(), self.shared.now(), due, text);
                let _ = self.injector.heal(hit, self.shared.stand.as_ref());
            }
        }
        self.leave();
    }

    fn await_permission_to_heal(&self, hit: &Hit, heal_at: Nanos) {
        let stand = self.shared.stand.as_ref();
        let mut look_at = heal_at;
        while !self.injector.may_heal(hit, stand) && self.shared.now() < heal_at + HEAL_WAIT_MAX {
            look_at = look_at.max(self.shared.now()) + HEAL_POLL;
            if !self.shared.reached(look_at) {
                return;
            }
        }
    }

    fn heal(&self, hit: &Hit, planned: Nanos) {
        match self.injector.heal(hit, self.shared.stand.as_ref()) {
            Ok(done) => {
                let healed = self.since_start(done.ended);
                self.done(EventKind::FaultHealed, hit, healed, planned, &done);
                self.tell_triggers(Trigger::Healed, healed);
            }
            Err(why) => {
                let now = self.shared.now();
                self.event(EventKind::HealFailed, hit.object(), now, planned, why);
            }
        }
    }

    fn tell_triggers(&self, trigger: fn(String) -> Trigger, at: Nanos) {
        let names = [self.fault.name.clone(), self.fault.series.clone()];
        self.shared.happened(names.map(trigger).into(), at);
    }

    fn done(&self, kind: EventKind, hit: &Hit, at: Nanos, planned: Nanos, done: &Done) {
        let detail = format!("mechanism={}; proof={}", done.mechanism, done.proof);
        self.event(kind, hit.object(), at, planned, detail);
    }

    fn event(&self, kind: EventKind, object: String, at: Nanos, planned: Nanos, detail: String) {
        let lateness_ns = Some(at.saturating_sub(planned).0);
        let subject = self.fault.name.clone();
        let event = Event { at_ns: at.0, kind, subject, object, lateness_ns, detail };
        (self.shared.tell.lock().unwrap_or_else(PoisonError::into_inner))(event);
    }

    fn since_start(&self, at: Nanos) -> Nanos {
        at.saturating_sub(self.shared.epoch)
    }
}
