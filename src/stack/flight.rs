//! Single flight: concurrent fetches of one key become one. Used by the app (cache misses) and the
//! CDN edge (misses and revalidations).
//!
//! Whoever comes first gets a [`Ticket`] and fetches; the others wait, for a bounded time. A ticket
//! dropped without landing (the fetch failed, or its request was abandoned) wakes the waiters:
//! whoever joins again first is the next fetcher, so a failure is retried by one and not by all.

use crate::base::Nanos;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// The fetches under way, by key. There are never more than requests in flight.
pub struct Flights<V> {
    open: Mutex<HashMap<String, Open<V>>>,
    last_id: AtomicU64,
}

struct Open<V> {
    id: u64,
    began: Nanos,
    result: watch::Receiver<Option<V>>,
}

/// What a joining request has to do.
pub enum Join<V> {
    Fetch(Ticket<V>),
    Wait(Waiter<V>),
}

/// How waiting ended.
#[derive(Debug, PartialEq)]
pub enum Landing<V> {
    Landed(V),
    /// The fetch failed or its request vanished.
    Failed,
    TimedOut,
}

impl<V> Flights<V> {
    pub fn new() -> Arc<Self> {
        Arc::new(Flights { open: Mutex::new(HashMap::new()), last_id: AtomicU64::new(0) })
    }

    /// Joins the fetch of this key, or begins one. A fetch that began `age_max` ago or longer is
    /// not joined: what it will bring may be too old.
    pub fn join(self: &Arc<Self>, key: &str, now: Nanos, age_max: Nanos) -> Join<V> {
        let mut open = self.lock();
        if let Some(flight) = open.get(key)
            && now.saturating_sub(flight.began) < age_max
        {
            return Join::Wait(Waiter { result: flight.result.clone() });
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, result) = watch::channel(None);
        open.insert(key.to_string(), Open { id, began: now, result });
        Join::Fetch(Ticket { flights: self.clone(), key: key.to_string(), id, sender })
    }

    /// Nobody joins the fetch of this key that is under way any more; those who wait still do.
    pub fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    fn close(&self, key: &str, id: u64) {
        let mut open = self.lock();
        if open.get(key).is_some_and(|flight| flight.id == id) {
            open.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Open<V>>> {
        self.open.lock().expect("no panic while holding the flights")
    }
}

/// The duty to fetch.
pub struct Ticket<V> {
    flights: Arc<Flights<V>>,
    key: String,
    id: u64,
    sender: watch::Sender<Option<V>>,
}

impl<V> Ticket<V> {
    /// To wait for one's own fetch, when a task does it.
    pub fn waiter(&self) -> Waiter<V> {
        Waiter { result: self.sender.subscribe() }
    }

    /// Hands the value to everyone who waits. Who comes later begins a new fetch.
    pub fn land(self, value: V) {
        self.flights.close(&self.key, self.id);
        self.sender.send_replace(Some(value));
    }
}

impl<V> Drop for Ticket<V> {
    fn drop(&mut self) {
        // The sender goes with the ticket, which is what wakes the waiters.
        self.flights.close(&self.key, self.id);
    }
}

pub struct Waiter<V> {
    result: watch::Receiver<Option<V>>,
}

impl<V: Clone> Waiter<V> {
    /// Waits at most this long.
    pub async fn wait(mut self, bound: Duration) -> Landing<V> {
        match tokio::time::timeout(bound, self.result.wait_for(Option::is_some)).await {
            Err(_) => Landing::TimedOut,
            Ok(Err(_)) => Landing::Failed,
            Ok(Ok(value)) => match value.clone() {
                Some(value) => Landing::Landed(value),
                None => Landing::Failed,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(5);
    const AGE: Nanos = Nanos::SECOND;

    fn ticket(flights: &Arc<Flights<u32>>, now: Nanos) -> Ticket<u32> {
        match flights.join("k", now, AGE) {
            Join::Fetch(ticket) => ticket,
            Join::Wait(_) => panic!("expected to fetch"),
        }
    }

    fn waiter(flights: &Arc<Flights<u32>>, now: Nanos) -> Waiter<u32> {
        match flights.join("k", now, AGE) {
            Join::Wait(waiter) => waiter,
            Join::Fetch(_) => panic!("expected to wait"),
        }
    }

    #[tokio::test]
    async fn all_who_wait_get_the_one_value() {
        let flights = Flights::new();
        let first = ticket(&flights, Nanos::ZERO);
        let (a, b) = (waiter(&flights, Nanos::ZERO), waiter(&flights, Nanos::ZERO));
        first.land(7);
        assert_eq!(a.wait(LONG).await, Landing::Landed(7));
        assert_eq!(b.wait(LONG).await, Landing::Landed(7));
        drop(ticket(&flights, Nanos::ZERO));
    }

    #[tokio::test]
    async fn one_waiter_takes_over_from_a_fetcher_that_vanished() {
        let flights = Flights::new();
        let first = ticket(&flights, Nanos::ZERO);
        let (a, b) = (waiter(&flights, Nanos::ZERO), waiter(&flights, Nanos::ZERO));
        drop(first);
        assert_eq!(a.wait(LONG).await, Landing::Failed);
        let second = ticket(&flights, Nanos::ZERO);
        assert_eq!(b.wait(LONG).await, Landing::Failed);
        let b_again = waiter(&flights, Nanos::ZERO);
        second.land(8);
        assert_eq!(b_again.wait(LONG).await, Landing::Landed(8));
    }

    #[tokio::test]
    async fn waiting_is_bounded() {
        let flights = Flights::new();
        let _first = ticket(&flights, Nanos::ZERO);
        let waiting = waiter(&flights, Nanos::ZERO).wait(Duration::from_millis(1));
        assert_eq!(waiting.await, Landing::TimedOut);
    }

    #[tokio::test]
    async fn an_old_or_forgotten_fetch_is_not_joined_and_does_not_close_its_successor() {
        let flights = Flights::new();
        let old = ticket(&flights, Nanos::ZERO);
        let successor = ticket(&flights, AGE);
        old.land(1);
        let waiting = waiter(&flights, AGE);
        flights.forget("k");
        drop(ticket(&flights, AGE));
        successor.land(2);
        assert_eq!(waiting.wait(LONG).await, Landing::Landed(2));
    }
}
