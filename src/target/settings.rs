//! What each bundled role can be told, with its defaults. The same structs are read from a
//! target's TOML and travel to the node inside its `NodePlan`.

use crate::base::Nanos;
use crate::base::units::duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// CPU per request in one role, by what is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    #[serde(with = "duration")]
    pub feed: Nanos,
    #[serde(with = "duration")]
    pub video: Nanos,
    #[serde(with = "duration")]
    pub like: Nanos,
    #[serde(with = "duration")]
    pub comment: Nanos,
    #[serde(rename = "static", with = "duration")]
    pub asset: Nanos,
}

impl Costs {
    /// The cost by its key in TOML.
    pub fn get(&self, key: &str) -> Option<Nanos> {
        match key {
            "feed" => Some(self.feed),
            "video" => Some(self.video),
            "like" => Some(self.like),
            "comment" => Some(self.comment),
            "static" => Some(self.asset),
            _ => None,
        }
    }
}

/// `[app]`: the video-sharing service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AppSettings {
    /// Requests being served at once; beyond it an immediate 503.
    pub max_in_flight: u32,
    /// CPU that a request takes here, its handling included.
    pub cost: Costs,
    /// What of it is the handling itself (sockets, parsing, JSON, asking the database), as
    /// measured; the rest is calibrated work.
    #[serde(with = "duration")]
    pub handling: Nanos,
    /// How long a filled cache entry lives, ± 10 %.
    #[serde(with = "duration")]
    pub cache_ttl: Nanos,
    /// How long an invalidated key refuses fills; while it stands, reads go to the leader.
    #[serde(with = "duration")]
    pub marker_ttl: Nanos,
    /// Longest wait for the cache before a request goes on without it.
    #[serde(with = "duration")]
    pub cache_deadline: Nanos,
    /// Longest wait for one database call.
    #[serde(with = "duration")]
    pub database_deadline: Nanos,
    /// Database calls at once from one app node.
    pub database_in_flight: u32,
    /// Whether all who miss the same key at once share one fetch from the database.
    pub stampede_protection: bool,
    /// Hottest videos put into the cache at the start (by the first app node).
    pub prefill: u32,
    /// How often a heartbeat goes to the balancer.
    #[serde(with = "duration")]
    pub heartbeat: Nanos,
}

impl Default for AppSettings {
    fn default() -> Self {
        let us = Nanos::from_micros;
        AppSettings {
            max_in_flight: 200,
            cost: Costs {
                feed: us(1500),
                video: us(1200),
                like: us(800),
                comment: us(800),
                asset: us(200),
            },
            handling: us(120),
            cache_ttl: Nanos::from_secs(10),
            marker_ttl: Nanos::from_secs(2),
            cache_deadline: Nanos::from_millis(100),
            database_deadline: Nanos::from_millis(1000),
            database_in_flight: 64,
            stampede_protection: true,
            prefill: 2000,
            heartbeat: Nanos::from_millis(250),
        }
    }
}

/// How the balancer chooses a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    RoundRobin,
    LeastConnections,
    /// The less loaded of two drawn at random.
    #[default]
    PowerOfTwo,
}

/// `[balancer]`: the public HTTP entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BalancerSettings {
    pub algorithm: Algorithm,
    /// Expected time between two heartbeats of a member.
    #[serde(with = "duration")]
    pub heartbeat: Nanos,
    /// Heartbeats missed in a row before a member is not eligible.
    pub missed: u32,
    /// Consecutive failures that eject a member.
    pub failures: u32,
    /// First ejection; doubles with each further one, up to `ejection_max`.
    #[serde(with = "duration")]
    pub ejection: Nanos,
    #[serde(with = "duration")]
    pub ejection_max: Nanos,
    /// Retries allowed, as a share of the requests of the last ten seconds.
    pub retry_budget: f64,
    /// Longest wait for a connection to a member.
    #[serde(with = "duration")]
    pub connect_timeout: Nanos,
    /// Longest wait for a member's answer.
    #[serde(with = "duration")]
    pub response_timeout: Nanos,
    /// Requests that may be under way at one member.
    pub max_in_flight: u32,
    /// Requests that may wait for a member; beyond it 503 with `Retry-After`.
    pub queue: u32,
    /// Longest wait in that queue.
    #[serde(with = "duration")]
    pub queue_timeout: Nanos,
}

impl Default for BalancerSettings {
    fn default() -> Self {
        BalancerSettings {
            algorithm: Algorithm::PowerOfTwo,
            heartbeat: Nanos::from_millis(250),
            missed: 3,
            failures: 5,
            ejection: Nanos::from_secs(1),
            ejection_max: Nanos::from_secs(30),
            retry_budget: 0.1,
            connect_timeout: Nanos::from_millis(500),
            response_timeout: Nanos::from_secs(5),
            max_in_flight: 200,
            queue: 200,
            queue_timeout: Nanos::from_secs(1),
        }
    }
}

/// `[cache]`: in memory, RESP2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// Keys and values together, in bytes.
    pub max_bytes: u64,
}

impl Default for CacheSettings {
    fn default() -> Self {
        CacheSettings { max_bytes: 64 * 1024 * 1024 }
    }
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// On disk at a majority.
    #[default]
    Quorum,
    /// On disk at the leader alone: acknowledged writes can be lost with it.
    Leader,
}

/// Which node may answer a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reads {
    /// Any node; the answer may be stale.
    #[default]
    Replica,
    /// The leader, after it has confirmed that it still is.
    Leader,
}

/// `[database]`: leader and replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    pub durability: Durability,
    pub reads: Reads,
    /// CPU that a query takes here, its handling included.
    pub cost: Costs,
    /// What of it is the handling itself, as measured; the rest is calibrated work.
    #[serde(with = "duration")]
    pub handling: Nanos,
    /// The same of a write: consensus and the disk.
    #[serde(with = "duration")]
    pub write_handling: Nanos,
    /// Videos that exist.
    pub videos: u32,
    /// How often the leader tells its replicas that it lives.
    #[serde(with = "duration")]
    pub heartbeat: Nanos,
    /// A replica that heard nothing for so long stands for election (up to half as long again,
    /// drawn each time), once a majority says that it would grant the vote.
    #[serde(with = "duration")]
    pub election_timeout: Nanos,
    /// A replica that heard nothing from the leader for so long refuses reads, so that how stale an
    /// answer can be has a bound (keep it under the app's `marker_ttl`, with the link's delay added).
    #[serde(with = "duration")]
    pub staleness_max: Nanos,
    /// Longest wait for one call between database nodes.
    #[serde(with = "duration")]
    pub peer_deadline: Nanos,
    /// Entries of the log between two snapshots.
    pub snapshot_every: u32,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        let us = Nanos::from_micros;
        DatabaseSettings {
            durability: Durability::Quorum,
            reads: Reads::Replica,
            cost: Costs {
                feed: us(1200),
                video: us(400),
                like: us(1000),
                comment: us(1000),
                asset: us(0),
            },
            handling: us(80),
            write_handling: us(500),
            videos: 10_000,
            heartbeat: Nanos::from_millis(100),
            election_timeout: Nanos::from_millis(1500),
            staleness_max: Nanos::from_millis(1000),
            peer_deadline: Nanos::from_millis(500),
            snapshot_every: 5_000,
        }
    }
}

/// `[cdn]`: edges and their directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CdnSettings {
    /// Bodies kept at one edge, in bytes.
    pub max_bytes: u64,
    /// Longest wait for the origin.
    #[serde(with = "duration")]
    pub origin_deadline: Nanos,
    /// How often an edge tells the directory that it lives.
    #[serde(with = "duration")]
    pub heartbeat: Nanos,
    /// Heartbeats missed in a row before an edge is no longer named.
    pub missed: u32,
    /// How long a client may keep the directory's answer.
    #[serde(with = "duration")]
    pub directory_ttl: Nanos,
}

impl Default for CdnSettings {
    fn default() -> Self {
        CdnSettings {
            max_bytes: 64 * 1024 * 1024,
            origin_deadline: Nanos::from_millis(2000),
            heartbeat: Nanos::from_millis(250),
            missed: 3,
            directory_ttl: Nanos::from_secs(1),
        }
    }
}

/// The settings of every role of a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    pub app: AppSettings,
    pub balancer: BalancerSettings,
    pub cache: CacheSettings,
    pub database: DatabaseSettings,
    pub cdn: CdnSettings,
}
