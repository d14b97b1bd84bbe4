//! Warms the cache at the start: the hottest videos and the first feed pages, by one app for all.
//! A service, not a duty: what fails is left to the first misses.

use super::cache::{Lookup, may_fill};
use super::store::{Store, StoreError};
use crate::base::{Nanos, clock};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Videos in one question to the database and in one pipeline to the cache.
const BATCH: u32 = 200;
/// Feed pages put into the cache. Each costs the database as much as a visitor's.
const PAGES: u32 = 10;
/// How often a failed batch is tried, and the pause in between: at the start of a target the
/// database may still be electing.
const ATTEMPTS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(100);
/// The hottest of all: it is there when the cache is warm.
const FIRST_KEY: &str = "video:1";

/// One of the database's videos; written exactly as it was read.
#[derive(Serialize, Deserialize)]
struct Video {
    id: u32,
    title: String,
    likes: u64,
    comments: u64,
    version: u64,
}

#[derive(Deserialize)]
struct Videos {
    videos: Vec<Video>,
}

/// Whether this app is the one that prefills: the first of its role by name.
pub fn is_first(name: &str) -> bool {
    let digits = name.rsplit('-').next().unwrap_or("");
    digits.parse::<u32>().map_or(true, |number| number == 1)
}

/// Puts `prefill` videos and the first pages into the cache; gives how many entries were sent.
pub async fn prefill(store: &Store, videos: u32) -> u32 {
    let hot = store.settings.prefill.min(videos);
    if store.caches.is_empty() || hot == 0 {
        return 0;
    }
    // An app that comes back finds the cache warm; filling it again would only cost.
    let cache = &store.caches[store.cache_index(FIRST_KEY)];
    if matches!(cache.get(FIRST_KEY).await, Lookup::Hit(_)) {
        return 0;
    }
    let mut filled = 0;
    let mut attempts = 0;
    let mut from = 1;
    while from <= hot && attempts < ATTEMPTS {
        let to = (from + BATCH - 1).min(hot);
        match batch(store, from, to).await {
            Batch::Filled => {
                filled += to - from + 1;
                from = to + 1;
            }
            // A database that does not know the question: the misses will have to do.
            Batch::Unknown => break,
            Batch::Failed => {
                attempts += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    for page in 1..=PAGES.min(videos.div_ceil(super::route::PAGE_LENGTH)) {
        // An ordinary read: it looks, fetches and fills.
        let read = store.read(&format!("feed:{page}"), &format!("/feed?page={page}")).await;
        filled += u32::from(read.is_ok());
    }
    filled
}

enum Batch {
    Filled,
    Failed,
    Unknown,
}

async fn batch(store: &Store, from: u32, to: u32) -> Batch {
    let began = clock::now();
    if store.caches.iter().any(|cache| !cache.is_up()) {
        return Batch::Failed;
    }
    let until = began + store.settings.database_deadline;
    let body = match store.fetch(&format!("/videos?from={from}&to={to}"), until).await {
        Ok(body) => body,
        Err(StoreError::NotFound) => return Batch::Unknown,
        Err(_) => return Batch::Failed,
    };
    let Ok(videos) = serde_json::from_slice::<Videos>(&body) else { return Batch::Unknown };
    match fill(store, videos.videos, began).await {
        true => Batch::Filled,
        false => Batch::Failed,
    }
}

async fn fill(store: &Store, videos: Vec<Video>, began: Nanos) -> bool {
    let mut parts: Vec<Vec<(String, Bytes)>> = vec![Vec::new(); store.caches.len()];
    for video in videos {
        let key = format!("video:{}", video.id);
        let body = serde_json::to_vec(&video).expect("a video is plain data");
        parts[store.cache_index(&key)].push((key, body.into()));
    }
    for (cache, part) in store.caches.iter().zip(&parts) {
        let is_young = may_fill(began, clock::now(), store.settings.marker_ttl);
        if !is_young || !(part.is_empty() || cache.fill_all(part, store.settings.cache_ttl).await) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_by_name_prefills() {
        for (name, expected) in
            [("app-1", true), ("app-2", false), ("app-10", false), ("app", true)]
        {
            assert_eq!(is_first(name), expected, "{name}");
        }
    }
}
