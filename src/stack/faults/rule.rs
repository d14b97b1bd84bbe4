//! One rule in force at a node: its draws, out of the node's seed, and what it has done.

use super::MISSING_BYTES;
use crate::base::Nanos;
use crate::base::random::{self, Stream};
use crate::base::units::duration_text;
use crate::fault::NodeRule;
use rand_xoshiro::rand_core::Rng;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

pub struct Rule {
    pub hold: String,
    pub rule: NodeRule,
    seed: u64,
    /// Names the rule's streams.
    name: String,
    /// What it could have been for, and what it was for.
    met: AtomicU64,
    did: AtomicU64,
    off: watch::Sender<bool>,
}

impl Rule {
    pub fn new(node: &str, seed: u64, hold: &str, rule: NodeRule) -> Rule {
        Rule {
            hold: hold.into(),
            rule,
            seed,
            name: stream_name(node, hold),
            met: AtomicU64::new(0),
            did: AtomicU64::new(0),
            off: watch::Sender::new(false),
        }
    }

    /// The next request's or answer's own stream, when the rule is for it. What others are under way
    /// does not matter: of any first thousand, the same number is hit.
    pub fn draw(&self) -> Option<Stream> {
        let mut draws = random::stream(self.seed, &self.name, self.met());
        (random::unit(draws.next_u64()) < self.share()).then_some(draws)
    }

    /// Counts one more that it could be for.
    pub fn met(&self) -> u64 {
        self.met.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts one that it was for.
    pub fn did(&self) {
        self.did.fetch_add(1, Ordering::Relaxed);
    }

    fn share(&self) -> f64 {
        match self.rule {
            NodeRule::Errors { share, .. }
            | NodeRule::Delay { share, .. }
            | NodeRule::WrongLength { share } => share,
            NodeRule::SlowSync { .. } => 1.0,
        }
    }

    pub fn turn_off(&self) {
        self.off.send_replace(true);
    }

    pub fn is_off(&self) -> bool {
        *self.off.borrow()
    }

    /// Returns when the rule is no longer in force.
    pub async fn off(&self) {
        let mut off = self.off.subscribe();
        // The rule keeps the sender, so the wait only ends by what it waits for.
        let _ = off.wait_for(|is_off| *is_off).await;
    }

    /// What it did, for the proof.
    pub fn words(&self) -> String {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let (met, did) = (read(&self.met), read(&self.did));
        if met == 0 {
            return match self.rule {
                NodeRule::Errors { .. } => "no effect: no request met it",
                NodeRule::Delay { .. } => "no effect: no answer met it",
                NodeRule::WrongLength { .. } => "no effect: no answer with a length met it",
                NodeRule::SlowSync { .. } => "no effect: nothing was synced to disk",
            }
            .into();
        }
        match self.rule {
            NodeRule::Errors { status, .. } => {
                format!("answered {did} of {met} requests with {status}")
            }
            NodeRule::Delay { delay, jitter: Nanos::ZERO, .. } => {
                format!("delayed {did} of {met} answers by {}", duration_text(delay))
            }
            NodeRule::Delay { delay, jitter, .. } => {
                let (delay, jitter) = (duration_text(delay), duration_text(jitter));
                format!("delayed {did} of {met} answers by {delay} ± {jitter}")
            }
            NodeRule::WrongLength { .. } => {
                format!("{did} of {met} answers promised {MISSING_BYTES} bytes that did not come")
            }
            NodeRule::SlowSync { delay } => {
                format!("{did} syncs to disk took {} longer", duration_text(delay))
            }
        }
    }
}

/// Whether a rule of this share at this node is for the request or answer of this index.
pub fn is_for(seed: u64, node: &str, hold: &str, index: u64, share: f64) -> bool {
    let first = random::stream(seed, &stream_name(node, hold), index).next_u64();
    random::unit(first) < share
}

/// The delay plus or minus a uniform draw of up to the jitter, never below zero.
pub fn jittered(delay: Nanos, jitter: Nanos, draws: &mut Stream) -> Nanos {
    let spread = jitter.0 as f64 * (2.0 * random::unit(draws.next_u64()) - 1.0);
    match jitter {
        Nanos::ZERO => delay,
        _ => Nanos((delay.0 as f64 + spread).max(0.0) as u64),
    }
}

fn stream_name(node: &str, hold: &str) -> String {
    format!("fault {hold} at {node}")
}
