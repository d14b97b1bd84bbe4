//! What a worker has to start next: the merged schedules of the slots it owns.
//!
//! In an open loop a slot is a shard, and its next start is known at once. In a closed loop a slot
//! is a virtual user, and its next start is known when its predecessor has ended. One agenda serves
//! both, so there is one worker loop.

use super::ShardStarts;
use crate::base::Nanos;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// A planned request: who draws it, and when it is meant to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The shard or virtual user.
    pub slot: u32,
    /// Which of the slot's requests.
    pub index: u64,
    pub intended: Nanos,
    /// How often it has been asked before: 0 for what the schedule has.
    pub repetition: u8,
}

/// The requests that a worker has to start, in the order of their intended starts.
#[derive(Debug)]
pub struct Agenda {
    heap: BinaryHeap<Reverse<(Nanos, u32, u64)>>,
    /// Requests that failed and are asked once more, by instant, slot, index and repetition. They
    /// are beside the schedule, which they never move.
    again: BinaryHeap<Reverse<(Nanos, u32, u64, u8)>>,
    /// None of those is meant to start at or after this.
    again_until: Nanos,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Open(Vec<(u32, ShardStarts)>),
    Closed {
        think: Nanos,
        end: Nanos,
        /// Requests that may still be planned.
        left: u64,
    },
}

impl Agenda {
    /// Independent of what happens: the shards' own starts.
    pub fn open(shards: Vec<(u32, ShardStarts)>) -> Agenda {
        let mut shards = shards;
        let mut heap = BinaryHeap::with_capacity(shards.len());
        for (position, (_, starts)) in shards.iter_mut().enumerate() {
            if let Some((index, at)) = starts.next() {
                heap.push(Reverse((at, position as u32, index)));
            }
        }
        Agenda::new(heap, Source::Open(shards))
    }

    /// Each of `users` starts when its predecessor ended plus `think`, from `start` until `end`,
    /// `max` requests in all.
    pub fn closed(users: &[u32], think: Nanos, start: Nanos, end: Nanos, max: u64) -> Agenda {
        let first = users.len().min(usize::try_from(max).unwrap_or(usize::MAX));
        let first = if start < end { first } else { 0 };
        let heap = users[..first].iter().map(|user| Reverse((start, *user, 0))).collect();
        Agenda::new(heap, Source::Closed { think, end, left: max - first as u64 })
    }

    fn new(heap: BinaryHeap<Reverse<(Nanos, u32, u64)>>, source: Source) -> Agenda {
        Agenda { heap, again: BinaryHeap::new(), again_until: Nanos::MAX, source }
    }

    /// When the next request is meant to start, as far as that is known.
    #[inline]
    pub fn next_at(&self) -> Option<Nanos> {
        let first = self.heap.peek().map(|Reverse((at, ..))| *at);
        match self.again.peek() {
            None => first,
            Some(Reverse((at, ..))) => Some(first.map_or(*at, |first| first.min(*at))),
        }
    }

    /// Takes the next request if it is meant to start at or before `now`.
    #[inline]
    pub fn take(&mut self, now: Nanos) -> Option<Due> {
        if !self.again.is_empty()
            && let Some(due) = self.take_again(now)
        {
            return Some(due);
        }
        let mut top = self.heap.peek_mut()?;
        let Reverse((intended, slot, index)) = *top;
        if intended > now {
            return None;
        }
        match &mut self.source {
            Source::Open(shards) => {
                let (shard, starts) = &mut shards[slot as usize];
                match starts.next() {
                    Some((next_index, at)) => *top = Reverse((at, slot, next_index)),
                    None => drop(PeekMut::pop(top)),
                }
                Some(Due { slot: *shard, index, intended, repetition: 0 })
            }
            Source::Closed { .. } => {
                PeekMut::pop(top);
                Some(Due { slot, index, intended, repetition: 0 })
            }
        }
    }

    /// The next repetition, if it is due and nothing of the schedule is meant to start before it.
    fn take_again(&mut self, now: Nanos) -> Option<Due> {
        let Reverse((intended, slot, index, repetition)) = *self.again.peek()?;
        let is_first = self.heap.peek().is_none_or(|Reverse((at, ..))| intended < *at);
        (intended <= now && is_first).then(|| {
            self.again.pop();
            Due { slot, index, intended, repetition }
        })
    }

    /// Plans a request that the schedule does not have: one that failed, asked once more, unless
    /// nothing is planned any more by then.
    pub fn ask_again(&mut self, due: Due) {
        if due.intended < self.again_until {
            self.again.push(Reverse((due.intended, due.slot, due.index, due.repetition)));
        }
    }

    /// A request has ended; in a closed loop this plans its slot's next one, `pause` later than
    /// the think time alone.
    #[inline]
    pub fn ended(&mut self, slot: u32, index: u64, at: Nanos, pause: Nanos) {
        if let Source::Closed { think, end, left } = &mut self.source {
            let next = at + *think + pause;
            if *left > 0 && next < *end {
                *left -= 1;
                self.heap.push(Reverse((next, slot, index + 1)));
            }
        }
    }

    /// Takes every request that is meant to start at or before `last`, slot by slot instead of in
    /// the order of their starts: many times faster for very many.
    pub fn drain(&mut self, last: Nanos, mut take: impl FnMut(Due)) {
        for Reverse((intended, slot, index, repetition)) in std::mem::take(&mut self.again) {
            match intended <= last {
                true => take(Due { slot, index, intended, repetition }),
                false => self.again.push(Reverse((intended, slot, index, repetition))),
            }
        }
        for Reverse((first, position, index)) in std::mem::take(&mut self.heap) {
            if first > last {
                self.heap.push(Reverse((first, position, index)));
                continue;
            }
            let Source::Open(shards) = &mut self.source else {
                take(Due { slot: position, index, intended: first, repetition: 0 });
                continue;
            };
            let (shard, starts) = &mut shards[position as usize];
            let mut due = Due { slot: *shard, index, intended: first, repetition: 0 };
            while due.intended <= last {
                take(due);
                let Some((index, intended)) = starts.next() else { break };
                due = Due { slot: *shard, index, intended, repetition: 0 };
            }
            if due.intended > last {
                self.heap.push(Reverse((due.intended, position, due.index)));
            }
        }
    }

    /// No request is planned after this instant.
    pub fn stop_at(&mut self, at: Nanos) {
        self.again_until = self.again_until.min(at);
        if let Source::Closed { end, .. } = &mut self.source {
            *end = (*end).min(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Curve, Segment, Spacing};
    use std::sync::Arc;

    fn starts_of(workers: u32, spacing: Spacing) -> Vec<(Nanos, u32, u64)> {
        let segment = Segment {
            start: Nanos::ZERO,
            end: Nanos::from_secs(5),
            rate_from: 20.0,
            rate_to: 200.0,
            shape: crate::workload::Shape::Linear,
        };
        let curve = Arc::new(Curve::new(vec![segment]).unwrap());
        let mut all = Vec::new();
        for worker in 0..workers {
            let shards = (0..16)
                .filter(|shard| shard % workers == worker)
                .map(|shard| (shard, ShardStarts::new(curve.clone(), spacing, 9, shard, 16)))
                .collect();
            let mut agenda = Agenda::open(shards);
            let mut last = Nanos::ZERO;
            while let Some(due) = agenda.take(Nanos::MAX) {
                assert!(due.intended >= last);
                last = due.intended;
                all.push((due.intended, due.slot, due.index));
            }
        }
        all.sort();
        all
    }

    #[test]
    fn any_number_of_workers_has_the_same_intended_starts() {
        for spacing in [Spacing::Poisson, Spacing::Constant] {
            let one = starts_of(1, spacing);
            assert!(one.len() > 400);
            assert_eq!(starts_of(2, spacing), one);
            assert_eq!(starts_of(4, spacing), one);
        }
    }

    #[test]
    fn draining_takes_what_taking_one_by_one_does() {
        let segment = |shape| Segment {
            start: Nanos::ZERO,
            end: Nanos::from_secs(3),
            rate_from: 100.0,
            rate_to: 300.0,
            shape,
        };
        let curve = Arc::new(Curve::new(vec![segment(crate::workload::Shape::Linear)]).unwrap());
        for spacing in [Spacing::Poisson, Spacing::Constant] {
            let agenda = || {
                let starts = |s| (s, ShardStarts::new(curve.clone(), spacing, 9, s, 5));
                Agenda::open((0..5).map(starts).collect())
            };
            let (mut one_by_one, mut drained) = (agenda(), agenda());
            for last in [Nanos::from_millis(700), Nanos::from_millis(700), Nanos::from_secs(2)] {
                let mut seen = Vec::new();
                drained.drain(last, |due| seen.push(due));
                seen.sort_by_key(|due| (due.intended, due.slot));
                let mut expected: Vec<Due> = std::iter::from_fn(|| one_by_one.take(last)).collect();
                expected.sort_by_key(|due| (due.intended, due.slot));
                assert_eq!(seen, expected);
                assert_eq!(drained.next_at(), one_by_one.next_at());
            }
        }
        let mut closed = Agenda::closed(&[3, 5], Nanos(10), Nanos(7), Nanos::SECOND, 4);
        let mut slots = Vec::new();
        closed.drain(Nanos(6), |due| slots.push(due.slot));
        assert!(slots.is_empty());
        closed.drain(Nanos(7), |due| slots.push(due.slot));
        slots.sort_unstable();
        assert_eq!(slots, [3, 5]);
    }

    #[test]
    fn a_closed_loop_plans_after_the_end_of_the_predecessor() {
        let second = Nanos::SECOND;
        let mut agenda = Agenda::closed(&[3, 5], Nanos(10), Nanos::ZERO, second, 4);
        let first = agenda.take(Nanos::ZERO).unwrap();
        let other = agenda.take(Nanos::ZERO).unwrap();
        assert_eq!((first.slot, other.slot), (3, 5));
        assert_eq!(agenda.take(second), None);
        agenda.ended(3, 0, Nanos(100), Nanos::ZERO);
        assert_eq!(agenda.next_at(), Some(Nanos(110)));
        let next = agenda.take(Nanos(110)).unwrap();
        assert_eq!((next.slot, next.index, next.intended), (3, 1, Nanos(110)));
        agenda.ended(5, 0, Nanos(200), Nanos::ZERO);
        agenda.ended(3, 1, Nanos(200), Nanos::ZERO);
        assert!(agenda.take(Nanos(210)).is_some());
        assert_eq!(agenda.take(Nanos(999)), None, "four requests in all");
    }

    #[test]
    fn what_is_asked_again_comes_in_order_and_does_not_move_the_schedule() {
        let schedule = starts_of(1, Spacing::Constant);
        let segment = Segment {
            start: Nanos::ZERO,
            end: Nanos::from_secs(5),
            rate_from: 20.0,
            rate_to: 200.0,
            shape: crate::workload::Shape::Linear,
        };
        let curve = Arc::new(Curve::new(vec![segment]).unwrap());
        let starts = |s| (s, ShardStarts::new(curve.clone(), Spacing::Constant, 9, s, 16));
        let mut agenda = Agenda::open((0..16).map(starts).collect());
        agenda.stop_at(Nanos::from_secs(4));
        let (mut first, mut again, mut expected, mut last) = (Vec::new(), 0, 0, Nanos::ZERO);
        while let Some(due) = agenda.take(Nanos::MAX) {
            assert!(due.intended >= last, "{due:?} after {last}");
            assert!(agenda.next_at().is_none_or(|next| next >= due.intended));
            last = due.intended;
            match due.repetition {
                0 => first.push((due.intended, due.slot, due.index)),
                _ => again += 1,
            }
            let intended = due.intended + Nanos::from_millis(30);
            let next = Due { intended, repetition: due.repetition + 1, ..due };
            if due.repetition < 2 {
                agenda.ask_again(next);
                expected += usize::from(intended < Nanos::from_secs(4));
            }
        }
        first.sort();
        assert_eq!(first, schedule);
        assert!(again == expected && again > first.len(), "{again} of {expected}");
    }

    #[test]
    fn what_would_be_asked_again_is_drained_too() {
        let mut agenda = Agenda::open(Vec::new());
        let due = |ms| Due { slot: 1, index: 7, intended: Nanos::from_millis(ms), repetition: 1 };
        for ms in [10, 30, 20] {
            agenda.ask_again(due(ms));
        }
        let mut seen = Vec::new();
        agenda.drain(Nanos::from_millis(20), |due| seen.push(due.intended));
        seen.sort();
        assert_eq!(seen, [10, 20].map(Nanos::from_millis));
        assert_eq!(agenda.next_at(), Some(Nanos::from_millis(30)));
    }

    #[test]
    fn a_closed_loop_plans_nothing_after_its_end() {
        let mut agenda = Agenda::closed(&[0], Nanos(10), Nanos::ZERO, Nanos(100), u64::MAX);
        agenda.take(Nanos::ZERO).unwrap();
        agenda.ended(0, 0, Nanos(95), Nanos::ZERO);
        assert_eq!(agenda.next_at(), None);
    }
}
