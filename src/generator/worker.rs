//! One worker: a thread that starts what is due, reads what is answered, gives up what is late,
//! and hands over a snapshot once a second. It shares nothing that is written but the stop flag.
//!
//! A turn of its loop never waits for anything but epoll, and every part of a turn is bounded, so
//! that a burst of one kind of work does not starve the others.

use super::connections::Connections;
use super::courier::Parcel;
use super::gauges::Share;
use super::load::Load;
use super::lookout::Lookout;
use super::pacer::Pacer;
use super::requests::{Key, NONE, Request, Requests};
use super::rest::Rest;
use super::streams::Streams;
use super::tally::{Place, Tally};
use super::transport::ready;
use crate::base::{Nanos, clock};
use crate::record::{Cause, Outcome, Snapshot, Tag};
use crate::workload::{Agenda, Due};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

/// Requests started in one turn before events are looked at again.
const STARTS_MAX: usize = 64;
/// Connects under way at once in a closed loop, which has no schedule to keep: more would overflow
/// the server's queue (4096 by default), and the kernel waits a second before it tries again.
const CONNECTING_MAX: usize = 256;
/// Longest wait of an ended worker for its last word to be carried away.
const MEMORY_WAIT: Duration = Duration::from_secs(1);
/// Event data of the wake-up file descriptor; no connection has it.
const WAKE: u64 = u64::MAX;

/// What a worker is given.
pub(super) struct Assignment {
    pub id: u32,
    pub load: Arc<Load>,
    pub agenda: Agenda,
    pub connections_max: usize,
    pub waiting_max: usize,
    pub sources: Vec<IpAddr>,
    pub share: Share,
    pub is_stopped: Arc<AtomicBool>,
    pub wake: OwnedFd,
    pub parcels: Sender<Parcel>,
}

pub(super) struct Worker {
    pub(super) load: Arc<Load>,
    pub(super) agenda: Agenda,
    pub(super) pacer: Pacer,
    /// For an open loop: in a closed one the time that a worker does not sleep tells whether it is the
    /// limit.
    pub(super) lookout: Lookout,
    /// For a closed loop: an open one keeps a schedule.
    pub(super) rest: Rest,
    pub(super) connections: Connections,
    pub(super) requests: Requests,
    /// Requests that wait for a connection, first come first served. Ended ones stay until they
    /// reach the front; as both queues are in the order of `due`, that is at once.
    pub(super) waiting: VecDeque<Key>,
    pub(super) tally: Box<Tally>,
    pub(super) in_flight: u32,
    pub(super) in_flight_max: u32,
    pub(super) request_text: Vec<u8>,
    pub(super) piece: Vec<u8>,
    /// The body of the answer at hand, where a check wants it.
    pub(super) body: Vec<u8>,
    pub(super) streams: Streams,
    may_multiplex: bool,
    id: u32,
    /// `CLOCK_MONOTONIC` at instant 0.
    epoch: Nanos,
    share: Share,
    waiting_max: usize,
    phase: usize,
    last_intended: Nanos,
    last_due: Option<Nanos>,
    next_snapshot: Nanos,
    is_stopped: Arc<AtomicBool>,
    wake: OwnedFd,
    parcels: Sender<Parcel>,
    emptied: Receiver<Box<Tally>>,
    emptied_back: Sender<Box<Tally>>,
}

impl Worker {
    pub fn new(given: Assignment) -> Result<Worker, Errno> {
        let pacer = Pacer::new()?;
        epoll::add(pacer.epoll(), &given.wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let load = given.load;
        let tally = || Box::new(Tally::new(load.phase_ends.len(), load.templates.len()));
        let (emptied_back, emptied) = std::sync::mpsc::channel();
        emptied_back.send(tally()).expect("the receiver is at hand");
        Ok(Worker {
            connections: Connections::new(
                load.routes.addresses(),
                given.sources,
                given.connections_max,
                if load.is_closed_loop { CONNECTING_MAX } else { usize::MAX },
                load.transport.clone(),
            ),
            body: Vec::new(),
            streams: Streams::new(load.templates.len(), load.transport.tls.is_some()),
            may_multiplex: load.transport.may_multiplex(),
            tally: tally(),
            load,
            agenda: given.agenda,
            pacer,
            lookout: Lookout::default(),
            rest: Rest::default(),
            requests: Requests::new(),
            waiting: VecDeque::new(),
            in_flight: 0,
            in_flight_max: 0,
            request_text: Vec::with_capacity(1024),
            piece: vec![0; 64 * 1024],
            id: given.id,
            epoch: Nanos::ZERO,
            share: given.share,
            waiting_max: given.waiting_max,
            phase: 0,
            last_intended: Nanos::ZERO,
            last_due: None,
            next_snapshot: Nanos::SECOND,
            is_stopped: given.is_stopped,
            wake: given.wake,
            parcels: given.parcels,
            emptied,
            emptied_back,
        })
    }

    /// Generates the load, whose instant 0 is `epoch` on `CLOCK_MONOTONIC`, until it is over.
    ///
    /// # Errors
    /// When epoll itself fails; what was counted until then has been handed over.
    pub fn run(mut self, epoch: Nanos) -> Result<(), Errno> {
        self.epoch = epoch;
        let result = self.turns();
        self.cut(self.now());
        self.deliver(self.now(), true);
        // The courier looks at the process's memory before it gives the tally back: what this
        // worker holds must still be there.
        let _ = self.emptied.recv_timeout(MEMORY_WAIT);
        result
    }

    fn turns(&mut self) -> Result<(), Errno> {
        while clock::now() < self.epoch && !self.is_stopped.load(Ordering::Relaxed) {
            self.pacer.wait(self.epoch.saturating_sub(clock::now()))?;
        }
        while !self.is_stopped.load(Ordering::Relaxed) {
            let mut now = self.start_due();
            self.expire(now);
            if self.may_multiplex {
                self.run_ready();
            }
            // Of the same instant: what has timed out by now must not be cut off as unfinished.
            let is_over = self.is_over(now);
            if now >= self.next_snapshot {
                self.deliver(now, false);
                now = self.now();
            }
            if is_over {
                break;
            }
            self.wait(now)?;
        }
        Ok(())
    }

    /// Nanoseconds since the start of the run.
    #[inline]
    pub(super) fn now(&self) -> Nanos {
        clock::now().saturating_sub(self.epoch)
    }

    /// Starts what is due, within the bound of a turn, and says what time it is.
    fn start_due(&mut self) -> Nanos {
        let mut now = self.now();
        for _ in 0..STARTS_MAX {
            if !self.start_next(now) {
                break;
            }
            // Nothing to start is known of: the clock need not be asked for that.
            if self.agenda.next_at().is_none() {
                break;
            }
            now = self.now();
        }
        now
    }

    /// Starts the next request if it is due; `now` has just been read.
    #[inline]
    pub(super) fn start_next(&mut self, now: Nanos) -> bool {
        let Some(due) = self.agenda.take(now) else { return false };
        let key = self.plan(due, now);
        self.dispatch(key, now);
        true
    }

    /// Enters a request that has become due into the ledger.
    #[inline]
    fn plan(&mut self, due: Due, now: Nanos) -> Key {
        while self.phase + 1 < self.load.phase_ends.len()
            && due.intended >= self.load.phase_ends[self.phase]
        {
            self.phase += 1;
        }
        let drawn = self.load.drawn_of(due.slot, due.index);
        let place = Place {
            second: (due.intended.0 / Nanos::SECOND.0) as u32,
            phase: self.phase as u16,
            request: drawn.kind as u16,
        };
        let cell = self.tally.cell(place);
        cell.ledger.planned += 1;
        cell.repeated += u64::from(due.repetition > 0);
        self.tally.record(Tag::StartLag, now - due.intended);
        if !self.load.is_closed_loop {
            self.note_gaps(due.intended, now);
        }
        self.last_intended = due.intended;
        self.requests.push(Request {
            slot: due.slot,
            index: due.index,
            place,
            route: drawn.route as u32,
            intended: due.intended,
            due: now,
            sent: None,
            connection: NONE,
            was_retried: false,
            repetition: due.repetition,
        })
    }

    /// The arrivals as planned and as achieved: gaps to the request before.
    #[inline]
    fn note_gaps(&mut self, intended: Nanos, due: Nanos) {
        if let Some(last_due) = self.last_due.replace(due) {
            self.tally.record(Tag::PlannedGap, intended - self.last_intended);
            self.tally.record(Tag::DueGap, due - last_due);
        }
    }

    /// Sends a due request, or connects for it, or lets it wait, or gives it up.
    #[inline]
    fn dispatch(&mut self, key: Key, now: Nanos) {
        if self.try_start(key, now, true) {
            return;
        }
        if self.waiting.len() < self.waiting_max {
            self.waiting.push_back(key);
        } else {
            self.finish(key, Outcome::NeverSent, Some(Cause::QueueFull), now);
        }
    }

    /// Whether the request has left the queue: sent, connecting, or ended by an error; `is_new` when
    /// it has not been in the queue.
    #[inline]
    pub(super) fn try_start(&mut self, key: Key, now: Nanos, is_new: bool) -> bool {
        let Some(request) = self.requests.get(key) else { return true };
        let address = self.load.routes.current(request.route as usize);
        if let Some(connection) = self.connections.take_idle(address) {
            self.send(key, connection, now);
            return true;
        }
        if self.may_multiplex && self.connections.is_worth_waiting(address, is_new) {
            return false;
        }
        if !self.connections.has_room() {
            return false;
        }
        self.connect(key);
        true
    }

    /// A connection has become free: the requests that wait get it.
    pub(super) fn serve_waiting(&mut self) {
        while let Some(key) = self.waiting.pop_front() {
            if !self.try_start(key, self.now(), false) {
                self.waiting.push_front(key);
                return;
            }
        }
    }

    /// Gives up what has waited for the whole time-out since it became due.
    fn expire(&mut self, now: Nanos) {
        self.expire_connecting(now);
        let mut is_any = false;
        while let Some(key) = self.requests.first() {
            let request = *self.requests.get(key).expect("the first request is active");
            if request.due + self.load.timeout > now {
                break;
            }
            is_any = true;
            if request.sent.is_none() {
                // It would have waited longer: a lower bound.
                self.tally.record(Tag::ConnectionWait, now - request.due);
            }
            self.finish(key, Outcome::Timeout, Some(self.overdue_cause(&request)), now);
            if request.connection != NONE {
                self.abandon(request.connection, key);
            }
        }
        if is_any {
            self.serve_waiting();
        }
    }

    fn overdue_cause(&self, request: &Request) -> Cause {
        match (request.connection, request.sent) {
            (_, Some(_)) => Cause::TimeoutResponse,
            (NONE, None) => Cause::TimeoutWaiting,
            (_, None) => Cause::TimeoutConnecting,
        }
    }

    /// Everything has ended, or the time to wait for it is over.
    fn is_over(&self, now: Nanos) -> bool {
        let is_exhausted = self.agenda.next_at().is_none();
        if is_exhausted && self.requests.len() == 0 {
            return self.load.is_limited || now >= self.load.end;
        }
        now >= self.deadline()
    }

    /// When waiting ends: a time-out after the last intended start.
    fn deadline(&self) -> Nanos {
        let last = match self.agenda.next_at() {
            Some(_) => self.load.end,
            None if self.load.is_closed_loop => self.load.end.max(self.last_intended),
            None => self.last_intended,
        };
        last + self.load.timeout
    }

    /// Waits for events or for what comes next, and sees to the events.
    fn wait(&mut self, now: Nanos) -> Result<(), Errno> {
        self.share.publish(self.in_flight, self.connections.open() as u32);
        let now = if self.load.is_closed_loop { self.rest(now) } else { now };
        let pause = match self.lookout.is_on(now) {
            true => Nanos::ZERO,
            false => self.pacer.pause(now, self.agenda.next_at(), self.next_chore(now)),
        };
        self.pacer.wait(pause)?;
        if pause > Nanos::ZERO && self.pacer.n_events() == 0 {
            let after = self.now();
            self.pacer.learn(now, pause, after);
        }
        for i in 0..self.pacer.n_events() {
            let (flags, data) = self.pacer.event(i);
            if data == WAKE {
                let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
            } else if let Some(connection) = self.connections.named(data) {
                self.event(connection, flags);
            }
        }
        if self.may_multiplex {
            self.run_ready();
        }
        Ok(())
    }

    /// Lets answers come in batches where that is worth it and nothing is due meanwhile; says what
    /// time it is then.
    fn rest(&mut self, now: Nanos) -> Nanos {
        let (events, connections) = (self.pacer.n_events(), self.connections.open());
        let Some(rest) = self.rest.due(self.in_flight, events, connections) else { return now };
        let is_due = self.agenda.next_at().is_some_and(|at| at <= now + rest);
        if is_due || (self.may_multiplex && ready::is_any()) {
            return now;
        }
        std::thread::sleep(rest.duration());
        self.now()
    }

    /// The next instant at which something other than a start has to be done.
    fn next_chore(&self, now: Nanos) -> Nanos {
        let oldest = self.requests.first().and_then(|key| self.requests.get(key));
        let expiry = oldest.map_or(Nanos::MAX, |r| r.due + self.load.timeout);
        let over = if self.requests.len() == 0 { self.load.end } else { self.deadline() };
        let over = if over <= now { Nanos::MAX } else { over };
        let connected = self.connections.next_deadline().unwrap_or(Nanos::MAX);
        let ready = if self.may_multiplex && ready::is_any() { Nanos::ZERO } else { Nanos::MAX };
        expiry.min(over).min(self.next_snapshot).min(connected).min(ready)
    }

    fn deliver(&mut self, now: Nanos, is_last: bool) {
        self.next_snapshot = Nanos((now.0 / Nanos::SECOND.0 + 1) * Nanos::SECOND.0);
        // The other tally was handed over a second ago. Should the courier still hold it, this one
        // is filled further and goes out next time, unless there is no next time.
        let empty = match self.emptied.try_recv() {
            Ok(tally) => tally,
            Err(_) if is_last => Box::new(Tally::new(0, 0)),
            Err(_) => return,
        };
        self.share.raise_in_flight(self.in_flight_max);
        let snapshot = Snapshot {
            worker: self.id,
            at: now,
            in_flight: self.in_flight,
            waiting: self.requests.len() as u32 - self.in_flight,
            connections: self.connections.open() as u32,
            in_flight_max: std::mem::replace(&mut self.in_flight_max, self.in_flight),
            cpu: clock::thread_cpu(),
            is_last,
            ..Snapshot::default()
        };
        let tally = std::mem::replace(&mut self.tally, empty);
        let back = self.emptied_back.clone();
        // Without a courier there is nobody to tell.
        let _ = self.parcels.send(Parcel { tally, snapshot, back });
    }
}
