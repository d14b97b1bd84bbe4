//! What one service thread owns: its connections, idle links, queue, retry budget and choice.
//! Threads share nothing but the [`Table`], so nothing here is locked.

use super::choice::Chooser;
use super::link::Link;
use super::queue::Queue;
use super::retry::Budget;
use super::seat::{Seat, Seats};
use super::table::Table;
use crate::base::{Nanos, clock};
use crate::stack::node::{Counter, Node};
use crate::target::BalancerSettings;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;

/// A downstream connection with nothing under way is closed after so long.
pub const IDLE_MAX: Nanos = Nanos::from_secs(60);
/// An idle link is not kept for longer; shorter than what servers usually allow.
const LINK_IDLE_MAX: Nanos = Nanos::from_secs(15);
/// How often idle connections are looked at while nothing is under way.
const DOZE: Duration = Duration::from_secs(5);

/// What happens to requests, in numbers.
pub struct Counters {
    pub requests: Counter,
    pub retries: Counter,
    pub retries_refused: Counter,
    pub no_member: Counter,
    pub queued: Counter,
    pub queue_full: Counter,
    pub queue_timeouts: Counter,
    pub links_opened: Counter,
    pub lost_by_silence: Counter,
    pub connections: Counter,
    pub connections_refused: Counter,
    /// Answers of the balancer's own, not a member's.
    pub own_answers: Counter,
}

impl Counters {
    fn of(node: &Node) -> Counters {
        Counters {
            requests: node.counter("requests"),
            retries: node.counter("retries"),
            retries_refused: node.counter("retries_refused"),
            no_member: node.counter("no_member"),
            queued: node.counter("queued"),
            queue_full: node.counter("queue_full"),
            queue_timeouts: node.counter("queue_timeouts"),
            links_opened: node.counter("links_opened"),
            lost_by_silence: node.counter("lost_by_silence"),
            connections: node.counter("connections"),
            connections_refused: node.counter("connections_refused"),
            own_answers: node.counter("own_answers"),
        }
    }
}

/// Why a request got no member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoMember,
    QueueFull,
    QueueTimeout,
}

pub enum Admission {
    Granted(Lease),
    /// Every member has its maximum, or others were first in the queue.
    Full,
    Nobody,
}

pub struct Shard {
    index: usize,
    pub node: Node,
    pub table: Arc<Table>,
    pub settings: BalancerSettings,
    pub counters: Counters,
    pub seats: Seats,
    chooser: RefCell<Chooser>,
    budget: RefCell<Budget>,
    queue: RefCell<Queue<Rc<Seat>>>,
    #[expect(clippy::vec_box, reason = "links are moved once a request and are large")]
    idle: Vec<RefCell<Vec<Box<Link>>>>,
    under_way: Cell<u32>,
    is_dozing: Cell<bool>,
    busy: Notify,
}

impl Shard {
    pub fn new(node: &Node, table: Arc<Table>, index: usize) -> Rc<Shard> {
        let plan = node.plan();
        let settings = plan.settings.balancer.clone();
        let threads = plan.threads.max(1);
        let chooser = Chooser::new(settings.algorithm, plan.seed, index as u64);
        Rc::new(Shard {
            index,
            node: node.clone(),
            counters: Counters::of(node),
            seats: Seats::default(),
            chooser: RefCell::new(chooser),
            budget: RefCell::new(Budget::new(settings.retry_budget)),
            queue: RefCell::new(Queue::new(settings.queue.div_ceil(threads) as usize)),
            idle: (0..table.count()).map(|_| RefCell::default()).collect(),
            under_way: Cell::new(0),
            is_dozing: Cell::new(false),
            busy: Notify::new(),
            settings,
            table,
        })
    }

    /// A member with room, not the one to avoid, unless others wait for one already.
    #[inline]
    pub fn admit_at_once(self: &Rc<Self>, avoid: Option<usize>) -> Admission {
        match self.queue.borrow().is_empty() {
            true => self.try_admit(avoid),
            false => Admission::Full,
        }
    }

    /// The same after a wait in the queue.
    ///
    /// # Errors
    /// See [`Refusal`]. Nothing was sent.
    pub async fn admit_in_turn(
        self: &Rc<Self>,
        seat: &Rc<Seat>,
        avoid: Option<usize>,
    ) -> Result<Lease, Refusal> {
        let ticket = self.queue.borrow_mut().enter(seat.clone()).ok_or(Refusal::QueueFull)?;
        let place = Place { shard: self, ticket };
        self.counters.queued.add(1);
        seat.arm(clock::now() + self.settings.queue_timeout, None);
        poll_fn(|_| {
            if place.is_first() {
                match self.try_admit(avoid) {
                    Admission::Granted(lease) => return Poll::Ready(Ok(lease)),
                    Admission::Nobody => return Poll::Ready(Err(Refusal::NoMember)),
                    Admission::Full => {}
                }
            }
            match seat.interrupted() {
                Some(_) => Poll::Ready(Err(Refusal::QueueTimeout)),
                None => Poll::Pending,
            }
        })
        .await
    }

    fn try_admit(self: &Rc<Self>, avoid: Option<usize>) -> Admission {
        let table = &self.table;
        let allowed = |member: usize| Some(member) != avoid;
        // Another thread may take the last place in between: then look again, but not for ever.
        for _ in 0..3 {
            let load = |member| allowed(member).then(|| table.load(member)).flatten();
            let Some(member) = self.chooser.borrow_mut().choose(table.count(), load) else { break };
            if table.enter(member) {
                return Admission::Granted(Lease { shard: self.clone(), member });
            }
        }
        match (0..table.count()).any(|m| allowed(m) && table.is_eligible(m)) {
            true => Admission::Full,
            false => Admission::Nobody,
        }
    }

    /// Counts a request; whoever holds the guard keeps the sweep awake.
    pub fn begin(self: &Rc<Self>, now: Nanos) -> UnderWay {
        self.counters.requests.add(1);
        self.budget.borrow_mut().request(now);
        self.under_way.set(self.under_way.get() + 1);
        if self.is_dozing.replace(false) {
            self.busy.notify_one();
        }
        UnderWay { shard: self.clone() }
    }

    /// Takes a retry from the budget, counting either way.
    pub fn may_retry(&self, now: Nanos) -> bool {
        let may = self.budget.borrow_mut().withdraw(now);
        let counter = if may { &self.counters.retries } else { &self.counters.retries_refused };
        counter.add(1);
        may
    }

    /// The link used last is the likeliest to be alive, and its buffers to be in the cache.
    pub fn take_link(&self, member: usize) -> Option<Box<Link>> {
        self.idle[member].borrow_mut().pop()
    }

    /// Keeps a link for the next request. There are never more than the member may have requests.
    pub fn keep_link(&self, member: usize, mut link: Box<Link>, now: Nanos) {
        let mut idle = self.idle[member].borrow_mut();
        if self.table.is_eligible(member) && idle.len() < self.settings.max_in_flight as usize {
            link.is_reused = true;
            link.idle_since = now;
            idle.push(link);
        }
    }

    fn wake_first(&self) {
        if let Some((_, seat)) = self.queue.borrow().head() {
            seat.wake();
        }
    }

    fn drop_old_links(&self, now: Nanos) {
        for idle in &self.idle {
            idle.borrow_mut().retain(|link| now.saturating_sub(link.idle_since) < LINK_IDLE_MAX);
        }
    }

    fn has_links(&self) -> bool {
        self.idle.iter().any(|idle| !idle.borrow().is_empty())
    }

    fn tick(&self) -> Duration {
        let s = &self.settings;
        let shortest = s.connect_timeout.min(s.response_timeout).min(s.queue_timeout);
        Duration::from_nanos(shortest.0 / 16)
            .clamp(Duration::from_millis(5), Duration::from_millis(50))
    }
}

/// Ends waits that took too long and closes what has been idle, for as long as the thread lives.
pub async fn sweep(shard: Rc<Shard>) {
    let tick = shard.tick();
    loop {
        if shard.under_way.get() > 0 {
            tokio::time::sleep(tick).await;
        } else {
            shard.is_dozing.set(true);
            let has_idle = shard.seats.len() > 0 || shard.has_links();
            let doze = if has_idle { DOZE } else { Duration::MAX };
            let _ = tokio::time::timeout(doze, shard.busy.notified()).await;
            shard.is_dozing.set(false);
        }
        let now = clock::now();
        shard.seats.sweep(now);
        shard.drop_old_links(now);
        // Another thread may have made room.
        shard.wake_first();
    }
}

/// Acts on changes among the members, for as long as the thread lives: links to those no longer
/// eligible are closed, and whoever waits for a silent one stops waiting.
pub async fn follow(shard: Rc<Shard>) {
    let mut silences: Vec<_> = (0..shard.table.count()).map(|_| 0).collect();
    loop {
        shard.table.changed(shard.index).await;
        for (member, seen) in silences.iter_mut().enumerate() {
            if !shard.table.is_eligible(member) {
                shard.idle[member].borrow_mut().clear();
            }
            let now = shard.table.silences(member);
            if std::mem::replace(seen, now) != now {
                let lost = shard.seats.silence(member);
                shard.counters.lost_by_silence.add(lost as u64);
            }
        }
        shard.wake_first();
    }
}

/// A request's claim on a member; dropping it makes room for the next.
pub struct Lease {
    shard: Rc<Shard>,
    pub member: usize,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shard.table.leave(self.member);
        self.shard.wake_first();
    }
}

/// A request is being served.
pub struct UnderWay {
    shard: Rc<Shard>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.shard.under_way.set(self.shard.under_way.get() - 1);
    }
}

/// A place in the queue; leaving it lets the next one try.
struct Place<'a> {
    shard: &'a Shard,
    ticket: u64,
}

impl Place<'_> {
    fn is_first(&self) -> bool {
        self.shard.queue.borrow().head().is_some_and(|(ticket, _)| *ticket == self.ticket)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shard.queue.borrow_mut().leave(self.ticket);
        self.shard.wake_first();
    }
}
