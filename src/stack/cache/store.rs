//! What the cache holds: bounded by bytes, each entry with its own end, evicted by moka.
//!
//! TinyLFU refuses to admit a new key while older ones are asked for more often. That is right for
//! what is cached and wrong for a short-lived marker that must be seen, so entries that end soon are
//! kept apart, under LRU, which never refuses.

use crate::stack::node::Counter;
use bytes::Bytes;
use moka::Expiry;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Entries that end within this are kept under LRU.
const BRIEF: Duration = Duration::from_secs(5);
/// Share of the bytes for those: one part in so many.
const BRIEF_SHARE: u64 = 8;
/// What an entry costs beside its key and value.
const OVERHEAD: usize = 96;
const LOCKS: usize = 64;

#[derive(Clone, Debug)]
pub struct Entry {
    pub value: Bytes,
    /// When it ends; `None` is never.
    pub ends: Option<Instant>,
}

impl Entry {
    fn remaining(&self) -> Option<Duration> {
        self.ends.map(|ends| ends.saturating_duration_since(Instant::now()))
    }

    fn has_ended(&self) -> bool {
        self.ends.is_some_and(|ends| ends <= Instant::now())
    }
}

/// The end of each entry, as moka asks for it.
struct Ends;

impl Expiry<Bytes, Entry> for Ends {
    fn expire_after_create(&self, _: &Bytes, entry: &Entry, _: Instant) -> Option<Duration> {
        entry.remaining()
    }

    fn expire_after_update(
        &self,
        _: &Bytes,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        entry.remaining()
    }
}

/// The entries. Whoever changes a key holds its lock, so that read-and-write is one step.
pub struct Store {
    lasting: Cache<Bytes, Entry>,
    brief: Cache<Bytes, Entry>,
    locks: Vec<Mutex<()>>,
    hasher: RandomState,
}

impl Store {
    pub fn new(max_bytes: u64, evictions: Counter) -> Store {
        let brief = max_bytes / BRIEF_SHARE;
        Store {
            lasting: build(max_bytes - brief, EvictionPolicy::tiny_lfu(), evictions.clone()),
            brief: build(brief, EvictionPolicy::lru(), evictions),
            locks: (0..LOCKS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    pub fn get(&self, key: &Bytes) -> Option<Entry> {
        let found = self.lasting.get(key).or_else(|| self.brief.get(key));
        found.filter(|entry| !entry.has_ended())
    }

    /// Holds the key against every other change until it is dropped.
    pub fn hold<'s>(&'s self, key: &'s Bytes) -> Held<'s> {
        let at = self.hasher.hash_one(key) as usize % LOCKS;
        let lock = self.locks[at].lock().expect("no panic while holding a key");
        Held { store: self, key, _lock: lock }
    }

    pub fn remove_all(&self) {
        self.lasting.invalidate_all();
        self.brief.invalidate_all();
    }

    /// Entries held, after moka has done its pending work.
    pub fn tidy(&self) -> u64 {
        self.lasting.run_pending_tasks();
        self.brief.run_pending_tasks();
        self.lasting.entry_count() + self.brief.entry_count()
    }

    /// Bytes held, as of the last [`Store::tidy`].
    pub fn bytes(&self) -> u64 {
        self.lasting.weighted_size() + self.brief.weighted_size()
    }
}

fn build(max_bytes: u64, policy: EvictionPolicy, evictions: Counter) -> Cache<Bytes, Entry> {
    Cache::builder()
        .max_capacity(max_bytes)
        .eviction_policy(policy)
        .weigher(|key: &Bytes, entry: &Entry| {
            u32::try_from(key.len() + entry.value.len() + OVERHEAD).unwrap_or(u32::MAX)
        })
        .expire_after(Ends)
        .eviction_listener(move |_, _, cause| {
            if cause == RemovalCause::Size {
                evictions.add(1);
            }
        })
        .build()
}

/// A key that nobody else changes meanwhile.
pub struct Held<'s> {
    store: &'s Store,
    key: &'s Bytes,
    _lock: MutexGuard<'s, ()>,
}

impl Held<'_> {
    pub fn get(&self) -> Option<Entry> {
        self.store.get(self.key)
    }

    /// Keys and values are copied: what was read from a connection shares its buffer's memory, of
    /// which a small value would keep the whole alive.
    pub fn put(&self, value: &[u8], ends: Option<Instant>) {
        let entry = Entry { value: Bytes::copy_from_slice(value), ends };
        let is_brief = entry.remaining().is_some_and(|left| left <= BRIEF);
        let (into, other) = match is_brief {
            true => (&self.store.brief, &self.store.lasting),
            false => (&self.store.lasting, &self.store.brief),
        };
        // In this order a reader finds the old entry or the new one, never none: `get` looks at
        // `lasting` first, so a new brief entry is hidden until the lasting one is gone.
        into.insert(Bytes::copy_from_slice(self.key), entry);
        other.invalidate(self.key);
    }

    /// Whether there was one.
    pub fn remove(&self) -> bool {
        let had = self.get().is_some();
        self.store.lasting.invalidate(self.key);
        self.store.brief.invalidate(self.key);
        had
    }
}
