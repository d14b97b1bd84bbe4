//! One downstream connection's place, with its current deadline. One sweep over all seats replaces
//! a timer a request: HTTP/1 has one request at a time on a connection, so one deadline is enough.
//!
//! An interrupt is for whoever waits right now (connecting, waiting for an answer, queued). When
//! nobody takes it, the connection itself is closed: it was idle, or its client stopped reading.

use crate::base::Nanos;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

const NO_MEMBER: usize = usize::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// The deadline passed.
    Deadline,
    /// The member that is waited for fell silent.
    Silence,
}

#[derive(Debug)]
pub struct Seat {
    deadline: Cell<Nanos>,
    member: Cell<usize>,
    interrupt: Cell<Option<Interrupt>>,
    waker: RefCell<Waker>,
    at: Cell<usize>,
}

impl Seat {
    /// The connection's task is polled: remember whom to wake.
    pub fn attend(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.will_wake(cx.waker()) {
            waker.clone_from(cx.waker());
        }
    }

    /// From here on something is waited for, of a member or not. Forgets an older interrupt.
    #[inline]
    pub fn arm(&self, deadline: Nanos, member: Option<usize>) {
        self.deadline.set(deadline);
        self.member.set(member.unwrap_or(NO_MEMBER));
        self.interrupt.set(None);
    }

    #[inline]
    pub fn interrupted(&self) -> Option<Interrupt> {
        self.interrupt.take()
    }

    fn interrupt(&self, why: Interrupt) {
        // Once: an interrupt that nobody takes closes the connection.
        self.deadline.set(Nanos::MAX);
        self.member.set(NO_MEMBER);
        self.interrupt.set(Some(why));
        self.wake();
    }

    pub fn wake(&self) {
        self.waker.borrow().wake_by_ref();
    }
}

/// All downstream connections of one service thread.
#[derive(Debug, Default)]
pub struct Seats {
    all: RefCell<Vec<Rc<Seat>>>,
}

impl Seats {
    pub fn len(&self) -> usize {
        self.all.borrow().len()
    }

    pub fn take(&self, idle_until: Nanos) -> Rc<Seat> {
        let mut all = self.all.borrow_mut();
        let seat = Rc::new(Seat {
            deadline: Cell::new(idle_until),
            member: Cell::new(NO_MEMBER),
            interrupt: Cell::new(None),
            waker: RefCell::new(Waker::noop().clone()),
            at: Cell::new(all.len()),
        });
        all.push(seat.clone());
        seat
    }

    pub fn give_back(&self, seat: &Seat) {
        let mut all = self.all.borrow_mut();
        all.swap_remove(seat.at.get());
        if let Some(moved) = all.get(seat.at.get()) {
            moved.at.set(seat.at.get());
        }
    }

    /// Interrupts whoever waited too long.
    pub fn sweep(&self, now: Nanos) {
        let all = self.all.borrow();
        let overdue = all.iter().filter(|seat| seat.deadline.get() <= now);
        overdue.for_each(|seat| seat.interrupt(Interrupt::Deadline));
    }

    /// Interrupts whoever waits for a member that fell silent; says how many.
    pub fn silence(&self, member: usize) -> usize {
        let all = self.all.borrow();
        let waiting = all.iter().filter(|seat| seat.member.get() == member);
        waiting.inspect(|seat| seat.interrupt(Interrupt::Silence)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_overdue_or_waiting_for_the_silent_are_interrupted() {
        let seats = Seats::default();
        let all: Vec<_> = (0..4).map(|_| seats.take(Nanos(100))).collect();
        all[1].arm(Nanos(500), Some(0));
        all[2].arm(Nanos(500), Some(1));
        seats.sweep(Nanos(99));
        assert!(all.iter().all(|seat| seat.interrupt.get().is_none()));
        seats.sweep(Nanos(100));
        assert_eq!(seats.silence(1), 1);
        let interrupts: Vec<_> = all.iter().map(|seat| seat.interrupted()).collect();
        let (late, silent) = (Some(Interrupt::Deadline), Some(Interrupt::Silence));
        assert_eq!(interrupts, [late, None, silent, late]);
        assert_eq!(seats.silence(1), 0);
    }

    #[test]
    fn places_are_given_back_in_any_order() {
        let seats = Seats::default();
        let all: Vec<_> = (0..3).map(|_| seats.take(Nanos(1))).collect();
        seats.give_back(&all[0]);
        seats.give_back(&all[2]);
        all[1].arm(Nanos(5), None);
        seats.sweep(Nanos(5));
        assert_eq!(all[1].interrupted(), Some(Interrupt::Deadline));
        seats.give_back(&all[1]);
        assert_eq!(seats.len(), 0);
    }
}
