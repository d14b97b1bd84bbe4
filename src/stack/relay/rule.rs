//! A rule that a fault has put on a link, and what it has done so far.

use crate::base::units::{duration_text, size_text};
use crate::base::{Bytes, Nanos};
use crate::fault::{LinkEffect, LinkRule};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One rule in force; a clone is the same rule.
#[derive(Clone)]
pub struct Rule {
    pub hold: String,
    pub rule: LinkRule,
    pub did: Arc<Did>,
}

/// What a rule has done, in the terms of its effect.
#[derive(Default)]
pub struct Did {
    /// Connections that it was for, once each.
    pub connections: Count,
    /// Bytes that came out under it.
    pub passed: Count,
    /// Bytes that it has kept inside.
    pub held: Count,
    /// Times that bytes had to wait for their turn.
    pub waits: Count,
    /// Ends of streams that it has made late.
    pub ends: Count,
    /// Connections that it has reset.
    pub resets: Count,
}

/// A number that only grows.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Rule {
    pub fn new(hold: &str, rule: LinkRule) -> Rule {
        Rule { hold: hold.into(), rule, did: Arc::default() }
    }

    pub fn is(&self, other: &Rule) -> bool {
        Arc::ptr_eq(&self.did, &other.did)
    }

    /// Whether it is a pulled cable for every connection of the link.
    pub fn parts_all(&self) -> bool {
        self.rule.effect == LinkEffect::Partition && self.rule.share >= 1.0
    }

    /// What it did, for the proof.
    pub fn words(&self) -> String {
        let did = &self.did;
        let size = |count: &Count| size_text(Bytes(count.get()));
        let late = |delay: Nanos| duration_text(delay);
        let met = counted(did.connections.get(), "connection");
        let is_nothing = did.connections.get() == 0;
        let (passed, ends, resets) = (size(&did.passed), did.ends.get(), did.resets.get());
        match self.rule.effect {
            LinkEffect::Partition if is_nothing && self.parts_all() => {
                "no connection was open, none could be made".into()
            }
            _ if is_nothing => "no effect: no connection met it".into(),
            LinkEffect::Latency { .. } if did.passed.get() == 0 => {
                format!("no effect: nothing passed on {met}")
            }
            LinkEffect::Latency { delay, jitter: Nanos::ZERO } => {
                format!("{passed} {} later on {met}", late(delay))
            }
            LinkEffect::Latency { delay, jitter } => {
                format!("{passed} {} ± {} later on {met}", late(delay), late(jitter))
            }
            LinkEffect::Bandwidth { rate } if did.waits.get() == 0 => {
                format!("no effect: {passed} on {met} never had to wait for {}/s", size_text(rate))
            }
            LinkEffect::Bandwidth { rate } => {
                let waits = counted(did.waits.get(), "time");
                format!("{passed} on {met} at {}/s each, had to wait {waits}", size_text(rate))
            }
            LinkEffect::Stall => format!("{met} silent, {} held", size(&did.held)),
            LinkEffect::Partition => format!("{met} cut off, {} held", size(&did.held)),
            LinkEffect::Reset => format!("{} reset", counted(resets, "connection")),
            LinkEffect::SlowClose { .. } if ends == 0 => {
                format!("no effect: no stream of {met} ended")
            }
            LinkEffect::SlowClose { delay } => {
                format!("{} {} later on {met}", counted(ends, "end"), late(delay))
            }
            LinkEffect::Cut { .. } if resets == 0 => {
                format!("no effect: {passed} on {met} were not enough")
            }
            LinkEffect::Cut { after } => {
                format!("{} cut after {}", counted(resets, "connection"), size_text(after))
            }
        }
    }
}

pub fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
