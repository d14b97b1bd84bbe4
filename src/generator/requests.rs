//! The requests that are due and have not ended, in the order in which they became due. The
//! time-out is the same for all, so that order is also the order of their deadlines.

use super::tally::Place;
use crate::base::Nanos;

pub(super) const NONE: u32 = u32::MAX;

/// A request between due and its outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// The shard or virtual user, and which of its requests.
    pub slot: u32,
    pub index: u64,
    pub place: Place,
    /// The region's route.
    pub route: u32,
    pub intended: Nanos,
    pub due: Nanos,
    /// When its first byte was handed to a socket for the first time.
    pub sent: Option<Nanos>,
    /// The connection it is on, or [`NONE`] while it waits for one.
    pub connection: u32,
    pub was_retried: bool,
    /// How often its visitor has asked before.
    pub repetition: u8,
}

#[derive(Debug)]
struct Entry {
    request: Request,
    /// Raised when the entry is freed, so that an old key does not find a new request.
    generation: u32,
    earlier: u32,
    later: u32,
    is_active: bool,
}

/// Names a request as long as it is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    index: u32,
    generation: u32,
}

/// Grows to the most requests that were active at once, which the caps on connections and on
/// waiting requests bound.
#[derive(Debug)]
pub(super) struct Requests {
    entries: Vec<Entry>,
    free: Vec<u32>,
    first: u32,
    last: u32,
    count: usize,
}

impl Requests {
    /// Memory for each request that is active at once.
    #[cfg(test)]
    pub const BYTES_EACH: usize = size_of::<Entry>() + size_of::<u32>();

    pub fn new() -> Requests {
        Requests { entries: Vec::new(), free: Vec::new(), first: NONE, last: NONE, count: 0 }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Adds a request; none that is active became due later.
    pub fn push(&mut self, request: Request) -> Key {
        let (earlier, later, is_active) = (self.last, NONE, true);
        let index = match self.free.pop() {
            Some(index) => {
                let entry = &mut self.entries[index as usize];
                *entry = Entry { request, generation: entry.generation, earlier, later, is_active };
                index
            }
            None => {
                self.entries.push(Entry { request, generation: 0, earlier, later, is_active });
                self.entries.len() as u32 - 1
            }
        };
        match self.last {
            NONE => self.first = index,
            last => self.entries[last as usize].later = index,
        }
        self.last = index;
        self.count += 1;
        Key { index, generation: self.entries[index as usize].generation }
    }

    pub fn first(&self) -> Option<Key> {
        let entry = self.entries.get(self.first as usize)?;
        Some(Key { index: self.first, generation: entry.generation })
    }

    pub fn get(&self, key: Key) -> Option<&Request> {
        let entry = self.entries.get(key.index as usize)?;
        (entry.is_active && entry.generation == key.generation).then_some(&entry.request)
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut Request> {
        let entry = self.entries.get_mut(key.index as usize)?;
        (entry.is_active && entry.generation == key.generation).then_some(&mut entry.request)
    }

    pub fn remove(&mut self, key: Key) -> Option<Request> {
        let request = *self.get(key)?;
        let entry = &mut self.entries[key.index as usize];
        entry.is_active = false;
        entry.generation = entry.generation.wrapping_add(1);
        let (earlier, later) = (entry.earlier, entry.later);
        match earlier {
            NONE => self.first = later,
            at => self.entries[at as usize].later = later,
        }
        match later {
            NONE => self.last = earlier,
            at => self.entries[at as usize].earlier = earlier,
        }
        self.free.push(key.index);
        self.count -= 1;
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(index: u64) -> Request {
        Request {
            slot: 0,
            index,
            place: Place { second: 0, phase: 0, request: 0 },
            route: 0,
            intended: Nanos(index),
            due: Nanos(index),
            sent: None,
            connection: NONE,
            was_retried: false,
            repetition: 0,
        }
    }

    #[test]
    fn requests_keep_the_order_in_which_they_became_due() {
        let mut requests = Requests::new();
        let keys: Vec<Key> = (0..5).map(|i| requests.push(request(i))).collect();
        for gone in [2, 0, 4] {
            assert_eq!(requests.remove(keys[gone]).unwrap().index, gone as u64);
        }
        let again = requests.push(request(9));
        assert!(requests.get(keys[2]).is_none() && requests.get(keys[4]).is_none());
        assert_eq!(requests.get(again).unwrap().index, 9);
        let mut order = Vec::new();
        while let Some(key) = requests.first() {
            order.push(requests.remove(key).unwrap().index);
        }
        assert_eq!(order, [1, 3, 9]);
        assert_eq!(requests.len(), 0);
    }
}
