//! Requests that wait because every eligible member is full: bounded, first come first served.

use std::collections::VecDeque;

/// Tickets in the order of their arrival.
#[derive(Debug)]
pub struct Queue<T> {
    waiting: VecDeque<(u64, T)>,
    limit: usize,
    next: u64,
}

impl<T> Queue<T> {
    pub fn new(limit: usize) -> Self {
        Queue { waiting: VecDeque::new(), limit, next: 0 }
    }

    /// A place at the end, or `None` when all are taken.
    pub fn enter(&mut self, who: T) -> Option<u64> {
        if self.waiting.len() >= self.limit {
            return None;
        }
        let ticket = self.next;
        self.next += 1;
        self.waiting.push_back((ticket, who));
        Some(ticket)
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whose turn it is.
    pub fn head(&self) -> Option<&(u64, T)> {
        self.waiting.front()
    }

    /// Gives a place up, wherever it is. Tickets rise, so a search by halves finds it.
    pub fn leave(&mut self, ticket: u64) {
        if let Ok(at) = self.waiting.binary_search_by_key(&ticket, |(t, _)| *t) {
            self.waiting.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_come_first_served_within_the_bound() {
        let mut queue = Queue::new(3);
        let tickets = ["a", "b", "c"].map(|who| queue.enter(who).unwrap());
        assert_eq!(queue.enter("d"), None);
        assert_eq!(queue.head(), Some(&(tickets[0], "a")));
        queue.leave(tickets[1]);
        queue.leave(tickets[0]);
        assert_eq!(queue.head(), Some(&(tickets[2], "c")));
        assert!(queue.enter("e").is_some());
        assert_eq!(queue.len(), 2);
        queue.leave(99);
        assert_eq!(queue.len(), 2);
    }
}
