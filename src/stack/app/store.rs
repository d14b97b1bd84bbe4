//! Cache-aside: reads go to the cache first, then to the database; writes go to the leader and
//! invalidate. This is where the rules stand that keep an old value from coming back.
//!
//! * A fill never replaces anything (`NX`), and an invalidation leaves a marker rather than a hole.
//! * While the marker stands, reads go to the leader and are not shared between requests.
//! * A miss may be shared, but only with a fetch younger than half the marker's life.
//!
//! Known limit: a fill or a marker that a frozen cache executes late can leave a value that is old
//! for up to one entry's life; so can a write whose fate stayed unknown and that is committed more
//! than a marker's life later. And an invalidation that the cache does not confirm within its
//! deadline, as when this app is throttled for longer than that, is owed and not waited for: until
//! it is paid, other apps may still hit the old value.

use super::cache::{CacheLink, Lookup, jittered, may_fill};
use super::database::{Database, DatabaseError, Question};
use crate::base::{Nanos, clock, random};
use crate::stack::flight::{Flights, Join, Landing};
use crate::stack::node::Counter;
use crate::target::{AppSettings, Reads};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How often a request joins a fetch or begins one before it fails.
const ROUNDS: u32 = 3;
/// A read may use this many database deadlines in all, so that a silent node leaves time for another.
const READ_DEADLINES: u64 = 2;
/// A write may take longer: it has to outlast an election.
const WRITE_DEADLINES: u64 = 3;
/// Without a cache there is no marker to tell of a write elsewhere, so fetches are hardly shared.
const BYPASS_AGE_MAX: Nanos = Nanos::from_millis(50);

/// Where an answer came from, as `X-Cache` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Hit,
    Miss,
    Leader,
    Bypass,
}

impl Source {
    pub fn name(self) -> &'static str {
        match self {
            Source::Hit => "hit",
            Source::Miss => "miss",
            Source::Leader => "leader",
            Source::Bypass => "bypass",
        }
    }
}

#[derive(Debug)]
pub struct Found {
    pub body: Bytes,
    pub source: Source,
    /// Time spent on the database, own or shared.
    pub database: Nanos,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoreError {
    #[error("there is no such thing")]
    NotFound,
    #[error("the database refused: {0}")]
    Refused(StatusCode),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What is written.
#[derive(Clone, Debug, Serialize)]
pub struct Write {
    pub id: String,
    pub kind: &'static str,
    pub video: u32,
    pub text: String,
}

#[derive(Deserialize)]
struct Committed {
    version: u64,
}

/// Things for people and samplers.
#[derive(Clone)]
pub struct StoreCounters {
    pub cache_hits: Counter,
    pub cache_misses: Counter,
    pub collapsed: Counter,
    pub invalidations: Counter,
    pub invalidation_failed: Counter,
}

pub struct Store {
    pub(super) caches: Vec<Arc<CacheLink>>,
    pub(super) database: Arc<Database>,
    flights: Arc<Flights<Bytes>>,
    pub(super) settings: AppSettings,
    reads: Reads,
    counters: StoreCounters,
}

impl Store {
    pub fn new(
        caches: Vec<Arc<CacheLink>>,
        database: Arc<Database>,
        settings: AppSettings,
        reads: Reads,
        counters: StoreCounters,
    ) -> Arc<Self> {
        Arc::new(Store { caches, database, flights: Flights::new(), settings, reads, counters })
    }

    /// The JSON under this cache key, which the database has under this path.
    ///
    /// # Errors
    /// When neither the cache nor the database could say.
    pub async fn read(&self, key: &str, path: &str) -> Result<Found, StoreError> {
        let began = clock::now();
        let until = began + Nanos(self.settings.database_deadline.0 * READ_DEADLINES);
        let Some(cache) = self.cache_of(key) else {
            return self.fetch_shared(key, path, None, began, until).await;
        };
        match cache.get(key).await {
            Lookup::Hit(body) => {
                self.counters.cache_hits.add(1);
                Ok(Found { body, source: Source::Hit, database: Nanos::ZERO })
            }
            Lookup::Marker => {
                self.counters.cache_misses.add(1);
                let asked = clock::now();
                let body = self.fetch_from_leader(path, until).await?;
                Ok(Found { body, source: Source::Leader, database: clock::now() - asked })
            }
            Lookup::Miss => {
                self.counters.cache_misses.add(1);
                self.fetch_shared(key, path, Some(cache), began, until).await
            }
            Lookup::Down => self.fetch_shared(key, path, None, began, until).await,
        }
    }

    /// From the leader, past the cache: the data check's view.
    ///
    /// # Errors
    /// When the leader could not be asked.
    pub async fn read_exact(&self, path: &str) -> Result<Bytes, StoreError> {
        let deadline = Nanos(self.settings.database_deadline.0 * READ_DEADLINES);
        self.fetch_from_leader(path, clock::now() + deadline).await
    }

    /// One fetch for all who miss the same key at once, unless the settings say that each makes its
    /// own. Who fetches fills the cache.
    async fn fetch_shared(
        &self,
        key: &str,
        path: &str,
        cache: Option<&Arc<CacheLink>>,
        began: Nanos,
        until: Nanos,
    ) -> Result<Found, StoreError> {
        let source = if cache.is_some() { Source::Miss } else { Source::Bypass };
        let age_max = cache.map_or(BYPASS_AGE_MAX, |_| Nanos(self.settings.marker_ttl.0 / 2));
        let asked = clock::now();
        let found = |body| Found { body, source, database: clock::now() - asked };
        if !self.settings.stampede_protection {
            let found = found(self.fetch(path, until).await?);
            self.fill(cache, key, &found.body, began).await;
            return Ok(found);
        }
        for _ in 0..ROUNDS {
            match self.flights.join(key, clock::now(), age_max) {
                Join::Fetch(ticket) => {
                    let body = self.fetch(path, until).await?;
                    ticket.land(body.clone());
                    let found = found(body);
                    self.fill(cache, key, &found.body, began).await;
                    return Ok(found);
                }
                Join::Wait(waiter) => {
                    self.counters.collapsed.add(1);
                    let left = until.saturating_sub(clock::now());
                    let wait = left.min(self.settings.database_deadline);
                    match waiter.wait(wait.duration()).await {
                        Landing::Landed(body) => return Ok(found(body)),
                        Landing::Failed => {}
                        Landing::TimedOut => return Ok(found(self.fetch(path, until).await?)),
                    }
                }
            }
        }
        Err(DatabaseError::NotDone("the shared fetch failed again and again").into())
    }

    async fn fill(&self, cache: Option<&Arc<CacheLink>>, key: &str, body: &[u8], began: Nanos) {
        if let Some(cache) = cache
            && may_fill(began, clock::now(), self.settings.marker_ttl)
        {
            cache.fill(key, body, jittered(self.settings.cache_ttl, cache.draw())).await;
        }
    }

    /// From any node, or from the leader where the target says that reads go there.
    pub(super) async fn fetch(&self, path: &str, until: Nanos) -> Result<Bytes, StoreError> {
        match self.reads {
            Reads::Leader => self.fetch_from_leader(path, until).await,
            Reads::Replica => {
                let question = Question::get(path.to_string());
                checked(self.database.ask_any(&question, until).await?)
            }
        }
    }

    async fn fetch_from_leader(&self, path: &str, until: Nanos) -> Result<Bytes, StoreError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let question = Question::get(format!("{path}{separator}at=leader"));
        let answer = self.database.ask_leader(&question, until).await;
        // A read changes nothing, so what is unknown about it is nothing either.
        checked(answer.map_err(|_| DatabaseError::NotDone("no leader answered the read"))?)
    }

    /// Writes through the leader and invalidates after the commit; gives the video's new version.
    /// Run it as a task of its own: a client that hangs up must not come between the two.
    ///
    /// # Errors
    /// `Unknown` when the write may have been done; then the key has been invalidated as well.
    pub async fn write(&self, write: Write) -> Result<u64, StoreError> {
        let deadline = Nanos(self.settings.database_deadline.0 * WRITE_DEADLINES);
        let body = serde_json::to_vec(&write).expect("a write is plain data").into();
        let question = Question { method: Method::POST, path: "/writes".to_string(), body };
        let answer = self.database.ask_leader(&question, clock::now() + deadline).await;
        if !matches!(answer, Err(DatabaseError::NotDone(_))) {
            self.invalidate(&format!("video:{}", write.video)).await;
        }
        let body = checked(answer?)?;
        let committed: Committed =
            serde_json::from_slice(&body).map_err(|_| DatabaseError::Unknown)?;
        Ok(committed.version)
    }

    async fn invalidate(&self, key: &str) {
        self.flights.forget(key);
        let Some(cache) = self.cache_of(key) else { return };
        match cache.invalidate(key).await {
            true => self.counters.invalidations.add(1),
            false => self.counters.invalidation_failed.add(1),
        }
    }

    /// Every app picks the same cache for a key.
    fn cache_of(&self, key: &str) -> Option<&Arc<CacheLink>> {
        self.caches.get(self.cache_index(key))
    }

    pub(super) fn cache_index(&self, key: &str) -> usize {
        let hash = key.bytes().fold(0, |h, b| random::mix(h ^ u64::from(b)));
        (hash % self.caches.len().max(1) as u64) as usize
    }
}

fn checked(response: http::Response<Bytes>) -> Result<Bytes, StoreError> {
    match response.status() {
        StatusCode::OK => Ok(response.into_body()),
        StatusCode::NOT_FOUND => Err(StoreError::NotFound),
        status => Err(StoreError::Refused(status)),
    }
}
