//! Round robin over peers of one role, those known to be down last.

use crate::base::Nanos;
use crate::plan::Peer;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Most peers of one role; a request remembers which it has tried in one word.
const PEERS_MAX: usize = 64;

/// Peers in turn. Only a hint: a peer that is down is tried when no other is left.
pub struct Rotation {
    peers: Vec<Peer>,
    down_until: Vec<AtomicU64>,
    next: AtomicUsize,
}

/// The peers that one request has tried.
#[derive(Clone, Copy, Default)]
pub struct Tried(u64);

impl Rotation {
    /// Keeps the first 64.
    pub fn new(peers: impl Iterator<Item = Peer>) -> Self {
        let peers: Vec<Peer> = peers.take(PEERS_MAX).collect();
        let down_until = peers.iter().map(|_| AtomicU64::new(0)).collect();
        Rotation { peers, down_until, next: AtomicUsize::new(0) }
    }

    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    pub fn position(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|p| p.name == name)
    }

    /// The next one in turn that is up and not tried yet, else one that is down and not tried yet.
    pub fn pick(&self, now: Nanos, tried: &mut Tried) -> Option<usize> {
        let n = self.peers.len();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = |k: usize| (start.wrapping_add(k)) % n;
        let open = |i: &usize| tried.0 & (1 << i) == 0;
        let up = (0..n).map(in_turn).filter(open).find(|i| !self.is_down(*i, now));
        let picked = up.or_else(|| (0..n).map(in_turn).find(open))?;
        tried.0 |= 1 << picked;
        Some(picked)
    }

    pub fn is_down(&self, index: usize, now: Nanos) -> bool {
        self.down_until[index].load(Ordering::Relaxed) > now.0
    }

    /// True when it was up before.
    pub fn set_down(&self, index: usize, now: Nanos, until: Nanos) -> bool {
        self.down_until[index].swap(until.0, Ordering::Relaxed) <= now.0
    }

    pub fn set_up(&self, index: usize) {
        self.down_until[index].store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Role;

    fn rotation(n: usize) -> Rotation {
        let address = "127.0.0.1:1".parse().unwrap();
        Rotation::new((1..=n).map(|i| Peer {
            name: format!("database-{i}"),
            role: Role::Database,
            region: String::new(),
            dial: address,
            dial_admin: address,
        }))
    }

    #[test]
    fn takes_turns_and_leaves_those_that_are_down_for_last() {
        let r = rotation(3);
        let one = |r: &Rotation| r.pick(Nanos(5), &mut Tried::default()).unwrap();
        assert_eq!([one(&r), one(&r), one(&r), one(&r)], [0, 1, 2, 0]);
        assert!(r.set_down(1, Nanos(5), Nanos(9)));
        assert!(!r.set_down(1, Nanos(6), Nanos(9)));
        let mut tried = Tried::default();
        let all: Vec<_> = std::iter::from_fn(|| r.pick(Nanos(8), &mut tried)).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(all[2], 1);
        assert!(!r.is_down(1, Nanos(9)));
        assert_eq!(rotation(0).pick(Nanos(0), &mut Tried::default()), None);
    }
}
