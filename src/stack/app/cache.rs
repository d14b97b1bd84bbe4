//! The app's side of the cache: standard commands only, since a real Redis may take its place.
//!
//! A lookup, a fill and an invalidation each take one round trip and never longer than the
//! deadline. A failure closes the line: until a task of its own has connected again and has sent
//! the invalidations that are owed, every call says at once that the cache is down.

use crate::base::{Nanos, clock, random};
use crate::plan::Peer;
use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, Value};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Between two attempts to connect.
const MEND_PAUSE: Duration = Duration::from_millis(200);
/// Invalidations remembered while the cache is down; beyond it they are only counted as failed.
const OWED_MAX: usize = 4096;
/// First byte of an invalidation marker; JSON bodies begin with a brace.
const MARKER: u8 = b'!';

/// What a key holds.
#[derive(Debug, PartialEq)]
pub enum Lookup {
    Hit(Bytes),
    /// Written to a moment ago: the leader is to be asked, and nothing may be filled.
    Marker,
    Miss,
    Down,
}

/// Whether a value whose reading began at `began` may still be filled. Half of the marker's life is
/// kept for the fill's own way to the cache, so that it arrives while the marker stands that a
/// write in between has left.
pub fn may_fill(began: Nanos, now: Nanos, marker_ttl: Nanos) -> bool {
    now.saturating_sub(began).0 < marker_ttl.0 / 2
}

/// The life of an entry: `ttl` ± 10 %, so that what was filled together does not expire together.
pub fn jittered(ttl: Nanos, word: u64) -> Nanos {
    Nanos((ttl.0 as f64 * (0.9 + 0.2 * random::unit(word))) as u64)
}

/// One cache node.
pub struct CacheLink {
    client: Client,
    deadline: Duration,
    marker_ttl: Nanos,
    /// An entry that an owed invalidation is about is gone after this.
    entry_ttl_max: Nanos,
    line: Mutex<Line>,
    owed: Mutex<HashMap<String, Nanos>>,
    n_owed: AtomicUsize,
    draws: AtomicU64,
}

enum Line {
    Open(MultiplexedConnection),
    /// A task is busy connecting.
    Mending,
}

/// Lives of the two things in the cache, and the patience with it.
#[derive(Clone, Copy)]
pub struct CacheTimes {
    pub deadline: Nanos,
    pub marker_ttl: Nanos,
    pub entry_ttl: Nanos,
}

impl CacheLink {
    /// Starts to connect at once; must be called on the service's runtime.
    pub fn open(peer: &Peer, times: CacheTimes, seed: u64) -> Arc<Self> {
        let address = ConnectionAddr::Tcp(peer.dial.ip().to_string(), peer.dial.port());
        let info = address
            .into_connection_info()
            .expect("an address needs no parsing")
            .set_tcp_settings(TcpSettings::default().set_nodelay(true));
        let link = Arc::new(CacheLink {
            client: Client::open(info).expect("an address needs no parsing"),
            deadline: times.deadline.duration(),
            marker_ttl: times.marker_ttl,
            entry_ttl_max: Nanos(times.entry_ttl.0 + times.entry_ttl.0 / 10),
            line: Mutex::new(Line::Mending),
            owed: Mutex::new(HashMap::new()),
            n_owed: AtomicUsize::new(0),
            draws: AtomicU64::new(random::mix(seed ^ clock::now().0)),
        });
        tokio::spawn(link.clone().mend());
        link
    }

    pub fn is_up(&self) -> bool {
        matches!(*self.lock_line(), Line::Open(_))
    }

    /// A random word: for jitter and nonces.
    pub fn draw(&self) -> u64 {
        random::mix(self.draws.fetch_add(1, Ordering::Relaxed))
    }

    pub async fn get(self: &Arc<Self>, key: &str) -> Lookup {
        if self.owes(key) {
            return Lookup::Marker;
        }
        match self.ask(Cmd::new().arg("GET").arg(key)).await {
            Some(Value::BulkString(value)) if value.first() == Some(&MARKER) => Lookup::Marker,
            Some(Value::BulkString(value)) => Lookup::Hit(value.into()),
            Some(Value::Nil) => Lookup::Miss,
            _ => Lookup::Down,
        }
    }

    /// Sets a value where there is none. Not where a marker stands, and that is the point.
    pub async fn fill(self: &Arc<Self>, key: &str, body: &[u8], ttl: Nanos) {
        self.ask(&fill_command(key, body, ttl)).await;
    }

    /// Many fills in one go; false when the cache is down.
    pub async fn fill_all(self: &Arc<Self>, entries: &[(String, Bytes)], ttl: Nanos) -> bool {
        let Some(mut connection) = self.connection() else { return false };
        let mut pipeline = redis::pipe();
        for (key, body) in entries {
            pipeline.add_command(fill_command(key, body, jittered(ttl, self.draw())));
        }
        let sent = connection.send_packed_commands(&pipeline, 0, entries.len()).await;
        sent.inspect_err(|e| self.judge(e)).is_ok()
    }

    /// Leaves a marker in the key. False when the cache did not confirm it; then this app treats
    /// the key as marked until the cache has taken the marker or the entry must have expired.
    pub async fn invalidate(self: &Arc<Self>, key: &str) -> bool {
        let is_done = matches!(self.ask(&self.marker_command(key)).await, Some(Value::Okay));
        if !is_done {
            self.owe(key);
        }
        is_done
    }

    fn marker_command(&self, key: &str) -> Cmd {
        let mut command = Cmd::new();
        command.arg("SET").arg(key).arg(format!("!{:016x}", self.draw()));
        command.arg("PX").arg(self.marker_ttl.0 / 1_000_000);
        command
    }

    /// One command, at most once: it is never sent again.
    async fn ask(self: &Arc<Self>, command: &Cmd) -> Option<Value> {
        let mut connection = self.connection()?;
        let answer = connection.send_packed_command(command).await;
        answer.inspect_err(|e| self.judge(e)).ok()
    }

    fn connection(&self) -> Option<MultiplexedConnection> {
        match &*self.lock_line() {
            Line::Open(connection) => Some(connection.clone()),
            Line::Mending => None,
        }
    }

    /// Closes the line, unless the cache merely answered with an error.
    fn judge(self: &Arc<Self>, error: &redis::RedisError) {
        if error.code().is_some() {
            return;
        }
        let mut line = self.lock_line();
        if matches!(*line, Line::Open(_)) {
            *line = Line::Mending;
            let link = self.clone();
            tokio::spawn(async move {
                tokio::time::sleep(MEND_PAUSE).await;
                link.mend().await;
            });
        }
    }

    /// Connects, again and again until it succeeds, and settles what is owed before use.
    async fn mend(self: Arc<Self>) {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.deadline))
            .set_response_timeout(Some(self.deadline));
        loop {
            let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
            if let Ok(mut connection) = connecting.await
                && connection.send_packed_command(Cmd::new().arg("PING")).await.is_ok()
                && self.settle(&mut connection).await
            {
                *self.lock_line() = Line::Open(connection.clone());
                // What came to be owed between the two lines above. A failure leaves it owed.
                self.settle(&mut connection).await;
                return;
            }
            tokio::time::sleep(MEND_PAUSE).await;
        }
    }

    /// Sends the invalidations that are owed; those too old to matter are dropped.
    async fn settle(&self, connection: &mut MultiplexedConnection) -> bool {
        let keys: Vec<(String, Nanos)> = {
            let mut owed = self.lock_owed();
            owed.retain(|_, until| *until > clock::now());
            owed.iter().map(|(key, until)| (key.clone(), *until)).collect()
        };
        for part in keys.chunks(256) {
            let mut pipeline = redis::pipe();
            for (key, _) in part {
                pipeline.add_command(self.marker_command(key));
            }
            if connection.send_packed_commands(&pipeline, 0, part.len()).await.is_err() {
                return false;
            }
        }
        let mut owed = self.lock_owed();
        for (key, until) in keys {
            // Owed once more in the meantime: that one is not settled yet.
            if owed.get(&key) == Some(&until) {
                owed.remove(&key);
            }
        }
        self.n_owed.store(owed.len(), Ordering::Relaxed);
        true
    }

    fn owe(&self, key: &str) {
        let mut owed = self.lock_owed();
        if owed.len() >= OWED_MAX {
            let now = clock::now();
            owed.retain(|_, until| *until > now);
        }
        if owed.len() < OWED_MAX {
            owed.insert(key.to_string(), clock::now() + self.entry_ttl_max);
        }
        self.n_owed.store(owed.len(), Ordering::Relaxed);
    }

    fn owes(&self, key: &str) -> bool {
        self.n_owed.load(Ordering::Relaxed) > 0
            && self.lock_owed().get(key).is_some_and(|until| *until > clock::now())
    }

    fn lock_line(&self) -> std::sync::MutexGuard<'_, Line> {
        self.line.lock().expect("no panic while holding the line")
    }

    fn lock_owed(&self) -> std::sync::MutexGuard<'_, HashMap<String, Nanos>> {
        self.owed.lock().expect("no panic while holding what is owed")
    }
}

fn fill_command(key: &str, body: &[u8], ttl: Nanos) -> Cmd {
    let mut command = Cmd::new();
    command.arg("SET").arg(key).arg(body).arg("NX").arg("PX").arg((ttl.0 / 1_000_000).max(1));
    command
}
