//! Who is in the pool and who may be given a request: a value, moved by heartbeats, by the outcome
//! of requests and by time. No sockets and no clock in here; every method is told the instant.
//!
//! Two signals, kept apart. *Silence* (heartbeats missed) says that a member is gone, and only
//! [`Members::tick`] decides it. *Failures* in a row say that a member answers badly; they eject it
//! for a while that doubles, never the last one, and never more than half of those that beat: what
//! fails everywhere at once lies behind the members, and ejecting them would not mend it.

use crate::base::Nanos;
use crate::target::BalancerSettings;

/// The part of the settings that decides who is eligible.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub heartbeat: Nanos,
    pub missed: u32,
    pub failures: u32,
    pub ejection: Nanos,
    pub ejection_max: Nanos,
}

impl Rules {
    pub fn of(settings: &BalancerSettings) -> Rules {
        Rules {
            heartbeat: settings.heartbeat,
            missed: settings.missed.max(1),
            failures: settings.failures.max(1),
            ejection: settings.ejection,
            ejection_max: settings.ejection_max,
        }
    }

    /// After so long without a heartbeat a member is silent.
    pub fn silence(&self) -> Nanos {
        Nanos(self.heartbeat.0.saturating_mul(u64::from(self.missed)))
    }

    fn ejection_after(&self, earlier: u32) -> Nanos {
        let doubled = self.ejection.0.saturating_mul(1u64 << earlier.min(32));
        Nanos(doubled.min(self.ejection_max.0))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No heartbeat yet.
    Waiting,
    Up,
    Silent,
    /// Beats, but asked for nothing new.
    Draining,
    Ejected,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Up => "up",
            State::Silent => "silent",
            State::Draining => "draining",
            State::Ejected => "ejected",
        }
    }
}

/// What is known of one member.
#[derive(Clone, Debug)]
pub struct Member {
    pub state: State,
    /// Why it is in this state, for people.
    pub why: String,
    pub heard: Option<Nanos>,
    /// Failures in a row.
    pub failures: u32,
    pub ejected_until: Nanos,
    /// Ejections whose back-off still counts.
    pub ejections: u32,
}

/// A member's state is now another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub member: usize,
    pub from: State,
    pub to: State,
    pub why: String,
}

/// What a failure led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    Nothing,
    Ejected(Change),
    /// It had failed often enough, but ejecting it would have left too few.
    Kept,
}

/// What the passing of time led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    pub changes: Vec<Change>,
    /// The balancer itself stood still for so long; every member was given one more heartbeat.
    pub stalled: Option<Nanos>,
}

#[derive(Debug)]
pub struct Members {
    rules: Rules,
    all: Vec<Member>,
}

impl Members {
    pub fn new(rules: Rules, count: usize) -> Self {
        let unheard = Member {
            state: State::Waiting,
            why: "no heartbeat yet".into(),
            heard: None,
            failures: 0,
            ejected_until: Nanos::ZERO,
            ejections: 0,
        };
        Members { rules, all: vec![unheard; count] }
    }

    pub fn all(&self) -> &[Member] {
        &self.all
    }

    /// A member says that it lives.
    pub fn heartbeat(&mut self, index: usize, is_draining: bool, now: Nanos) -> Vec<Change> {
        let member = &mut self.all[index];
        member.heard = Some(now);
        let next = match (member.state, is_draining) {
            (State::Draining, true) | (State::Up | State::Ejected, false) => return Vec::new(),
            (_, true) => Some((State::Draining, "asked to be drained")),
            (State::Waiting, false) => Some((State::Up, "first heartbeat")),
            (State::Silent, false) => Some((State::Up, "heartbeat after silence")),
            (State::Draining, false) => Some((State::Up, "no longer draining")),
        };
        let mut changes = Vec::new();
        if let Some((state, why)) = next {
            changes.push(self.turn(index, state, why.into()));
        }
        changes.extend(self.release_when_none(now));
        changes
    }

    /// A member answered as it should.
    pub fn success(&mut self, index: usize) {
        self.all[index].failures = 0;
    }

    /// A member refused, broke off, kept silent for too long or answered that it is broken.
    pub fn failure(&mut self, index: usize, now: Nanos) -> Judgement {
        let rules = self.rules;
        let may_go = self.may_eject_one_more();
        let member = &mut self.all[index];
        if member.state != State::Up {
            return Judgement::Nothing;
        }
        member.failures = member.failures.saturating_add(1);
        if member.failures < rules.failures {
            return Judgement::Nothing;
        }
        if !may_go {
            return Judgement::Kept;
        }
        if now.saturating_sub(member.ejected_until) >= rules.ejection_max {
            member.ejections = 0;
        }
        let length = rules.ejection_after(member.ejections);
        member.ejections += 1;
        member.ejected_until = now + length;
        let why = format!("{} failures in a row, ejected for {length}", member.failures);
        member.failures = 0;
        Judgement::Ejected(self.turn(index, State::Ejected, why))
    }

    /// Time passes; `planned` is the instant this call was meant for. When it comes later than that
    /// by more than one heartbeat, this process stood still and heartbeats may lie unread: nobody
    /// is judged before one more heartbeat could be read.
    pub fn tick(&mut self, now: Nanos, planned: Nanos) -> Tick {
        let late = now.saturating_sub(planned);
        let stalled = (late > self.rules.heartbeat).then_some(late);
        if stalled.is_some() {
            self.grant_one_heartbeat(now);
        }
        let mut changes = Vec::new();
        for index in 0..self.all.len() {
            if let Some((state, why)) = self.due_change(index, now) {
                changes.push(self.turn(index, state, why));
            }
        }
        changes.extend(self.release_when_none(now));
        Tick { changes, stalled }
    }

    /// When [`Members::tick`] has something to do, unless something else happens before.
    pub fn next_deadline(&self) -> Option<Nanos> {
        let deadlines = self.all.iter().filter_map(|m| {
            let silent_at = m.heard.map(|heard| heard + self.rules.silence());
            match m.state {
                State::Waiting | State::Silent => None,
                State::Up | State::Draining => silent_at,
                State::Ejected => silent_at.map(|s| s.min(m.ejected_until)),
            }
        });
        deadlines.min()
    }

    fn due_change(&self, index: usize, now: Nanos) -> Option<(State, String)> {
        let member = &self.all[index];
        let heard = member.heard?;
        if matches!(member.state, State::Waiting | State::Silent) {
            return None;
        }
        if now >= heard + self.rules.silence() {
            let silent = now - heard;
            return Some((State::Silent, format!("no heartbeat for {silent}")));
        }
        let is_over = member.state == State::Ejected && now >= member.ejected_until;
        is_over.then(|| (State::Up, "ejection over".into()))
    }

    fn turn(&mut self, index: usize, to: State, why: String) -> Change {
        let member = &mut self.all[index];
        let from = std::mem::replace(&mut member.state, to);
        member.why.clone_from(&why);
        if to == State::Silent {
            // Whoever comes back from silence is likely another process: it starts with a clean sheet.
            member.failures = 0;
            member.ejections = 0;
            member.ejected_until = Nanos::ZERO;
        }
        Change { member: index, from, to, why }
    }

    fn count(&self, state: State) -> usize {
        self.all.iter().filter(|m| m.state == state).count()
    }

    fn may_eject_one_more(&self) -> bool {
        let (up, ejected) = (self.count(State::Up), self.count(State::Ejected));
        up > 1 && ejected < ((up + ejected) / 2).max(1)
    }

    /// An ejected member that still beats is better than none.
    fn release_when_none(&mut self, now: Nanos) -> Option<Change> {
        if self.count(State::Up) > 0 {
            return None;
        }
        let ejected = self.all.iter().enumerate().filter(|(_, m)| m.state == State::Ejected);
        let (index, _) = ejected.min_by_key(|(_, m)| m.ejected_until)?;
        self.all[index].ejected_until = now;
        Some(self.turn(index, State::Up, "ejection cut short: no other member is eligible".into()))
    }

    fn grant_one_heartbeat(&mut self, now: Nanos) {
        let spared = self.rules.silence().saturating_sub(self.rules.heartbeat);
        let not_before = now.saturating_sub(spared);
        for member in self.all.iter_mut().filter(|m| m.state != State::Silent) {
            member.heard = member.heard.map(|heard| heard.max(not_before));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Nanos = Nanos::from_millis;

    fn members(count: usize) -> Members {
        let mut members = Members::new(Rules::of(&BalancerSettings::default()), count);
        for index in 0..count {
            let changes = members.heartbeat(index, false, MS(1000));
            assert_eq!(changes[0].to, State::Up);
        }
        members
    }

    fn fail(members: &mut Members, index: usize, times: u32, now: Nanos) -> Judgement {
        (0..times).map(|_| members.failure(index, now)).last().unwrap()
    }

    #[test]
    fn nobody_is_eligible_before_the_first_heartbeat() {
        let mut members = Members::new(Rules::of(&BalancerSettings::default()), 1);
        assert_eq!(members.all()[0].state, State::Waiting);
        assert_eq!(members.next_deadline(), None);
        assert_eq!(members.tick(MS(60_000), MS(60_000)), Tick::default());
        assert_eq!(members.heartbeat(0, false, MS(60_000))[0].why, "first heartbeat");
        assert!(members.heartbeat(0, false, MS(60_250)).is_empty());
    }

    #[test]
    fn silence_is_found_at_the_third_missed_heartbeat_and_not_before() {
        let mut members = members(2);
        assert!(members.heartbeat(1, false, MS(1250)).is_empty());
        let due = members.next_deadline().unwrap();
        assert_eq!(due, MS(1750));
        assert!(members.tick(Nanos(due.0 - 1), due).changes.is_empty());
        let changes = members.tick(due, due).changes;
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].member, changes[0].to), (0, State::Silent));
        assert_eq!(changes[0].why, "no heartbeat for 750 ms");
        assert_eq!(members.next_deadline(), Some(MS(2000)));
        assert_eq!(members.heartbeat(0, false, MS(1900))[0].to, State::Up);
    }

    #[test]
    fn a_balancer_that_stood_still_gives_one_more_heartbeat() {
        let mut members = members(2);
        let tick = members.tick(MS(4000), MS(1750));
        assert_eq!(tick.stalled, Some(MS(2250)));
        assert!(tick.changes.is_empty());
        assert_eq!(members.next_deadline(), Some(MS(4250)));
        members.heartbeat(0, false, MS(4010));
        let tick = members.tick(MS(4250), MS(4250));
        assert_eq!(tick.stalled, None);
        assert_eq!((tick.changes.len(), tick.changes[0].member), (1, 1));
    }

    #[test]
    fn ejection_backs_off_doubling_up_to_its_maximum_and_is_forgotten() {
        let mut members = members(2);
        let mut now = MS(1000);
        let mut lengths = Vec::new();
        for _ in 0..7 {
            let Judgement::Ejected(change) = fail(&mut members, 0, 5, now) else { panic!() };
            assert_eq!(change.to, State::Ejected);
            let until = members.all()[0].ejected_until;
            lengths.push((until - now).0 / 1_000_000_000);
            now = until;
            members.heartbeat(0, false, now);
            members.heartbeat(1, false, now);
            let changes = members.tick(now, now).changes;
            assert_eq!((changes[0].to, changes[0].why.as_str()), (State::Up, "ejection over"));
        }
        assert_eq!(lengths, [1, 2, 4, 8, 16, 30, 30]);
        now += MS(30_000);
        fail(&mut members, 0, 5, now);
        assert_eq!(members.all()[0].ejected_until - now, Nanos::SECOND);
    }

    #[test]
    fn a_success_breaks_the_row() {
        let mut members = members(2);
        assert_eq!(fail(&mut members, 0, 4, MS(1000)), Judgement::Nothing);
        members.success(0);
        assert_eq!(fail(&mut members, 0, 4, MS(1000)), Judgement::Nothing);
    }

    #[test]
    fn the_last_one_is_never_ejected_nor_more_than_half() {
        let mut pair = members(2);
        assert!(matches!(fail(&mut pair, 0, 5, MS(1000)), Judgement::Ejected(_)));
        assert_eq!(fail(&mut pair, 1, 50, MS(1000)), Judgement::Kept);
        let mut alone = members(1);
        assert_eq!(fail(&mut alone, 0, 50, MS(1000)), Judgement::Kept);
        let mut four = members(4);
        assert!(matches!(fail(&mut four, 0, 5, MS(1000)), Judgement::Ejected(_)));
        assert!(matches!(fail(&mut four, 1, 5, MS(1000)), Judgement::Ejected(_)));
        assert_eq!(fail(&mut four, 2, 5, MS(1000)), Judgement::Kept);
    }

    #[test]
    fn an_ejected_member_is_released_when_the_others_fall_silent() {
        let mut members = members(2);
        members.heartbeat(0, false, MS(1500));
        fail(&mut members, 0, 5, MS(1600));
        let changes = members.tick(MS(1750), MS(1750)).changes;
        let states: Vec<_> = changes.iter().map(|c| (c.member, c.to)).collect();
        assert_eq!(states, [(1, State::Silent), (0, State::Up)]);
    }

    #[test]
    fn draining_is_asked_for_and_taken_back() {
        let mut members = members(2);
        assert_eq!(members.heartbeat(0, true, MS(1250))[0].to, State::Draining);
        assert_eq!(fail(&mut members, 0, 9, MS(1250)), Judgement::Nothing);
        assert_eq!(members.heartbeat(0, false, MS(1500))[0].to, State::Up);
    }
}
