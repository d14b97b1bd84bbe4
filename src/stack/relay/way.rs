//! One direction of one connection: which rules are for it, and what they want together. Delays
//! add up, the lowest bandwidth wins, one that silences silences.

use super::link::Met;
use super::rule::Rule;
use crate::base::Nanos;
use crate::base::random::{self, Stream};
use crate::fault::{Direction, LinkEffect};
use rand_xoshiro::rand_core::Rng;
use std::sync::{Arc, PoisonError};
use tokio::sync::watch;

pub struct Way {
    direction: Direction,
    draw: f64,
    met: Met,
    rules: watch::Receiver<Arc<Vec<Rule>>>,
    own: Vec<Own>,
    draws: Stream,
}

/// A rule that is for this direction of this connection.
struct Own {
    rule: Rule,
    /// Bytes that came out since it is in force.
    passed: u64,
}

impl Own {
    fn effect(&self) -> &LinkEffect {
        &self.rule.rule.effect
    }

    fn is_silent(&self) -> bool {
        matches!(self.effect(), LinkEffect::Stall | LinkEffect::Partition)
    }
}

impl Way {
    pub fn new(
        direction: Direction,
        draw: f64,
        met: Met,
        mut rules: watch::Receiver<Arc<Vec<Rule>>>,
        draws: Stream,
    ) -> Way {
        rules.mark_changed();
        let mut way = Way { direction, draw, met, rules, own: Vec::new(), draws };
        way.look(0);
        way
    }

    /// Takes note of the rules as they are now; whether they have changed. `inside` are the bytes
    /// that are under way.
    pub fn look(&mut self, inside: usize) -> bool {
        if !self.rules.has_changed().unwrap_or(false) {
            return false;
        }
        let all = self.rules.borrow_and_update().clone();
        let mut before = std::mem::take(&mut self.own);
        let mut keep = |rule: &Rule| {
            let known = before.iter().position(|own| own.rule.is(rule));
            known.map(|at| before.swap_remove(at)).unwrap_or_else(|| self.met(rule, inside))
        };
        let own = all.iter().filter(|rule| self.is_mine(rule)).map(&mut keep).collect();
        self.own = own;
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.retain(|m| all.iter().any(|rule| rule.is(m)));
        true
    }

    /// There is no reset of one direction.
    fn is_mine(&self, rule: &Rule) -> bool {
        let direction = rule.rule.direction;
        let is_direction = direction == Direction::Both
            || direction == self.direction
            || rule.rule.effect == LinkEffect::Reset;
        is_direction && self.draw < rule.rule.share
    }

    fn met(&self, rule: &Rule, inside: usize) -> Own {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        if !met.iter().any(|m| m.is(rule)) {
            met.push(rule.clone());
            rule.did.connections.add(1);
        }
        let own = Own { rule: rule.clone(), passed: 0 };
        if own.is_silent() {
            rule.did.held.add(inside);
        }
        own
    }

    /// Returns when the rules have changed; `look` tells how.
    pub async fn changed(&mut self) {
        if self.rules.changed().await.is_err() {
            // The link lives as long as its connections.
            std::future::pending::<()>().await;
        }
        // `look` is to see it as well.
        self.rules.mark_changed();
    }

    fn effects(&self) -> impl Iterator<Item = &LinkEffect> {
        self.own.iter().map(Own::effect)
    }

    /// Whether nothing comes out.
    pub fn is_silent(&self) -> bool {
        self.own.iter().any(Own::is_silent)
    }

    /// Whether the cable is pulled.
    pub fn is_parted(&self) -> bool {
        self.effects().any(|e| *e == LinkEffect::Partition)
    }

    /// The rule by which the connection is to be reset now.
    pub fn reset(&self) -> Option<&Rule> {
        let is_due = |own: &&Own| match own.effect() {
            LinkEffect::Reset => true,
            LinkEffect::Cut { after } => own.passed >= after.0,
            _ => false,
        };
        self.own.iter().find(is_due).map(|own| &own.rule)
    }

    /// Drawn anew for each piece.
    pub fn latency(&mut self) -> Nanos {
        let mut total = Nanos::ZERO;
        for own in &self.own {
            if let LinkEffect::Latency { delay, jitter } = *own.effect() {
                // Uniform in delay ± jitter, and not before it was sent.
                let spread = 2.0 * jitter.0 as f64 * random::unit(self.draws.next_u64());
                total += (delay + Nanos(spread as u64)).saturating_sub(jitter);
            }
        }
        total
    }

    /// How much later the end of the stream is passed on.
    pub fn slow_close(&self) -> Nanos {
        let delay = |e: &LinkEffect| match e {
            LinkEffect::SlowClose { delay } => *delay,
            _ => Nanos::ZERO,
        };
        self.effects().map(delay).fold(Nanos::ZERO, |sum, one| sum + one)
    }

    /// Bytes per second.
    pub fn rate(&self) -> Option<u64> {
        let rate = |e: &LinkEffect| match e {
            LinkEffect::Bandwidth { rate } => Some(rate.0),
            _ => None,
        };
        self.effects().filter_map(rate).min()
    }

    /// Bytes that may still pass before the connection is cut.
    pub fn until_cut(&self) -> Option<u64> {
        let left = |own: &Own| match own.effect() {
            LinkEffect::Cut { after } => Some(after.0.saturating_sub(own.passed)),
            _ => None,
        };
        self.own.iter().filter_map(left).min()
    }

    /// Bytes have come in.
    pub fn came(&self, n: usize) {
        self.own.iter().filter(|own| own.is_silent()).for_each(|own| own.rule.did.held.add(n));
    }

    /// Bytes have come out.
    pub fn passed(&mut self, n: usize) {
        for own in &mut self.own {
            own.passed += n as u64;
            own.rule.did.passed.add(n);
        }
    }

    /// Bytes have to wait for their turn, because of the lowest rate.
    pub fn waits(&self) {
        let rate = self.rate();
        let is_it = |own: &&Own| match own.effect() {
            LinkEffect::Bandwidth { rate: own } => Some(own.0) == rate,
            _ => false,
        };
        self.own.iter().filter(is_it).for_each(|own| own.rule.did.waits.add(1));
    }

    /// The end of the stream has come out.
    pub fn ended(&self) {
        let slow = |own: &&Own| matches!(own.effect(), LinkEffect::SlowClose { .. });
        self.own.iter().filter(slow).for_each(|own| own.rule.did.ends.add(1));
    }
}
