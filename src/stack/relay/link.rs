//! A link and the rules that faults have put on it: which connections they are for, and what each of
//! them has done so far.

use crate::base::random::{self, Stream};
use crate::base::units::{duration_text, size_text};
use crate::base::{Bytes, Nanos};
use crate::fault::{Direction, LinkEffect, LinkRule};
use rand_xoshiro::rand_core::Rng;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// From one node, or region of visitors, to another node; its service and its admin side alike.
pub struct Link {
    pub from: String,
    pub to: String,
    seed: u64,
    connections: AtomicU64,
    open: AtomicU64,
    rules: watch::Sender<Arc<Vec<Rule>>>,
}

/// One rule in force.
#[derive(Clone)]
pub struct Rule {
    pub hold: String,
    pub rule: LinkRule,
    pub did: Arc<Did>,
}

/// What a rule has done. Connections are counted once each.
#[derive(Default)]
pub struct Did {
    pub connections: AtomicU64,
    pub bytes: AtomicU64,
    pub resets: AtomicU64,
}

impl Link {
    pub fn new(from: &str, to: &str, seed: u64) -> Link {
        Link {
            from: from.into(),
            to: to.into(),
            seed,
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
            rules: watch::Sender::new(Arc::default()),
        }
    }

    pub fn put(&self, hold: &str, rule: LinkRule) -> String {
        let did = Arc::default();
        self.rules.send_modify(|rules| {
            let mut all: Vec<Rule> = rules.iter().filter(|r| r.hold != hold).cloned().collect();
            all.push(Rule { hold: hold.into(), rule, did });
            *rules = Arc::new(all);
        });
        format!("in force, {} connections open", self.open.load(Ordering::Relaxed))
    }

    /// What it did, when it was there.
    pub fn delete(&self, hold: &str) -> Option<String> {
        let found = self.rules.borrow().iter().find(|r| r.hold == hold).cloned()?;
        self.rules.send_modify(|rules| {
            *rules = Arc::new(rules.iter().filter(|r| r.hold != hold).cloned().collect());
        });
        Some(found.words())
    }

    pub fn rules(&self) -> Arc<Vec<Rule>> {
        self.rules.borrow().clone()
    }

    pub fn counts(&self) -> (u64, u64) {
        (self.connections.load(Ordering::Relaxed), self.open.load(Ordering::Relaxed))
    }

    /// A new connection's own view of the rules.
    pub fn connect(self: &Arc<Link>) -> Connection {
        let index = self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Connection { link: self.clone(), index, met: Arc::default() }
    }

    /// Returns when the whole link is not partitioned towards the dialled end.
    pub async fn is_reachable(&self) {
        let mut rules = self.rules.subscribe();
        let is_cut_off = |rules: &[Rule]| {
            rules.iter().any(|r| {
                r.rule.effect == LinkEffect::Partition
                    && r.rule.share >= 1.0
                    && r.rule.direction != Direction::Back
            })
        };
        // The link keeps the sender, so the wait only ends by what it waits for.
        let _ = rules.wait_for(|rules| !is_cut_off(rules)).await;
    }
}

/// One connection of a link. Whether a rule is for it is drawn once, from the seed.
pub struct Connection {
    link: Arc<Link>,
    index: u64,
    met: Met,
}

/// The rules that have met this connection, by what they did to it, so that each counts it once,
/// whichever of its ways is first.
type Met = Arc<Mutex<HashSet<(String, &'static str)>>>;

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// One direction of it.
    pub fn way(&self, direction: Direction) -> Way {
        let name = format!("{}->{} {direction:?}", self.link.from, self.link.to);
        let mut way = Way {
            seed: self.link.seed,
            index: self.index,
            met: self.met.clone(),
            direction,
            rules: self.link.rules.subscribe(),
            own: Vec::new(),
            draws: random::stream(self.link.seed, &name, self.index),
        };
        way.look();
        way
    }
}

/// One direction of one connection, and the rules that are for it.
pub struct Way {
    seed: u64,
    index: u64,
    met: Met,
    direction: Direction,
    rules: watch::Receiver<Arc<Vec<Rule>>>,
    own: Vec<Own>,
    draws: Stream,
}

/// A rule that is for this connection and direction.
struct Own {
    rule: Rule,
    /// Bytes that were passed on since it is in force.
    passed: u64,
}

/// How many connections of a share are hit: the first draw of a stream of its own.
pub fn is_for(seed: u64, hold: &str, index: u64, share: f64) -> bool {
    share >= 1.0 || random::unit(random::stream(seed, hold, index).next_u64()) < share
}

impl Way {
    /// Whether anything is to be thought of.
    pub fn is_free(&self) -> bool {
        self.own.is_empty() && !self.rules.has_changed().unwrap_or(false)
    }

    /// Takes note of the rules as they are now.
    pub fn look(&mut self) {
        let all = self.rules.borrow_and_update().clone();
        let is_mine = |rule: &&Rule| {
            let direction = rule.rule.direction;
            (direction == Direction::Both || direction == self.direction)
                && is_for(self.seed, &rule.hold, self.index, rule.rule.share)
        };
        let mut own: Vec<Own> = Vec::new();
        for rule in all.iter().filter(is_mine) {
            let before = self.own.iter().find(|o| Arc::ptr_eq(&o.rule.did, &rule.did));
            if self.is_first(rule, "met") {
                rule.did.connections.fetch_add(1, Ordering::Relaxed);
            }
            own.push(Own { rule: rule.clone(), passed: before.map_or(0, |o| o.passed) });
        }
        self.own = own;
    }

    fn is_first(&self, rule: &Rule, what: &'static str) -> bool {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.insert((rule.hold.clone(), what))
    }

    /// Returns when the rules have changed, and has taken note of them.
    pub async fn changed(&mut self) {
        if self.rules.changed().await.is_err() {
            // The link lives as long as the process.
            std::future::pending::<()>().await;
        }
        self.look();
    }

    fn effects(&self) -> impl Iterator<Item = &LinkEffect> {
        self.own.iter().map(|o| &o.rule.rule.effect)
    }

    pub fn is_silent(&self) -> bool {
        self.effects().any(|e| matches!(e, LinkEffect::Stall | LinkEffect::Partition))
    }

    /// Whether the connection is to be reset now; counted when it is.
    pub fn is_reset(&self) -> bool {
        let reset = self.own.iter().find(|o| o.rule.rule.effect == LinkEffect::Reset);
        if let Some(own) = reset
            && self.is_first(&own.rule, "reset")
        {
            own.rule.did.resets.fetch_add(1, Ordering::Relaxed);
        }
        reset.is_some()
    }

    /// Drawn anew for each piece: latencies add up.
    pub fn latency(&mut self) -> Nanos {
        let mut total = 0.0;
        for own in &self.own {
            if let LinkEffect::Latency { delay, jitter } = own.rule.rule.effect {
                let spread = jitter.0 as f64 * (2.0 * random::unit(self.draws.next_u64()) - 1.0);
                total += (delay.0 as f64 + spread).max(0.0);
            }
        }
        Nanos(total as u64)
    }

    pub fn slow_close(&self) -> Nanos {
        let delay = |e: &LinkEffect| match e {
            LinkEffect::SlowClose { delay } => *delay,
            _ => Nanos::ZERO,
        };
        self.effects().map(delay).fold(Nanos::ZERO, |sum, one| sum + one)
    }

    /// Bytes per second; the lowest of several.
    pub fn rate(&self) -> Option<u64> {
        let rate = |e: &LinkEffect| match e {
            LinkEffect::Bandwidth { rate } => Some(rate.0.max(1)),
            _ => None,
        };
        self.effects().filter_map(rate).min()
    }

    /// Bytes that may still pass before the connection is cut.
    pub fn until_cut(&self) -> Option<u64> {
        let left = |o: &Own| match o.rule.rule.effect {
            LinkEffect::Cut { after } => Some(after.0.saturating_sub(o.passed)),
            _ => None,
        };
        self.own.iter().filter_map(left).min()
    }

    /// Bytes were passed on.
    pub fn passed(&mut self, n: usize) {
        for own in &mut self.own {
            own.passed += n as u64;
            own.rule.did.bytes.fetch_add(n as u64, Ordering::Relaxed);
        }
    }

    /// The connection is cut by a rule.
    pub fn cut(&self) {
        for own in &self.own {
            if let LinkEffect::Cut { .. } = own.rule.rule.effect {
                own.rule.did.resets.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Rule {
    /// What it did, for the proof.
    fn words(&self) -> String {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let (connections, resets) = (read(&self.did.connections), read(&self.did.resets));
        let bytes = size_text(Bytes(read(&self.did.bytes)));
        if connections == 0 {
            return "no effect: no connection met it".into();
        }
        let what = match self.rule.effect {
            LinkEffect::Latency { delay, .. } => format!("{bytes} {} later", duration_text(delay)),
            LinkEffect::Bandwidth { rate } => format!("{bytes} at {}/s", size_text(rate)),
            LinkEffect::Stall | LinkEffect::Partition => format!("silent, {bytes} passed"),
            LinkEffect::Reset => format!("{resets} reset"),
            LinkEffect::SlowClose { delay } => format!("ends {} later", duration_text(delay)),
            LinkEffect::Cut { .. } => format!("{resets} cut after {bytes} in all"),
        };
        format!("{connections} connections: {what}")
    }
}
