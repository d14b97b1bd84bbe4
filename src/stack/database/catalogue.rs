//! The videos that exist without being stored: ids and titles.

use crate::base::random::mix;
use serde_json::json;

/// Videos on one page of the feed.
pub const PAGE: u64 = 10;

const QUALITIES: [&str; 16] = [
    "Quiet", "Golden", "Hidden", "Slow", "Bright", "Northern", "Paper", "Velvet", "Broken",
    "Distant", "Silver", "Curious", "Midnight", "Gentle", "Wild", "Patient",
];
const THINGS: [&str; 16] = [
    "Harbour",
    "Garden",
    "Machine",
    "River",
    "Kitchen",
    "Lantern",
    "Mountain",
    "Orchestra",
    "Window",
    "Bicycle",
    "Forest",
    "Market",
    "Bridge",
    "Letter",
    "Comet",
    "Workshop",
];

/// The title of a video: the same on every node, in every run.
pub fn title(video: u64) -> String {
    let word = mix(video);
    let quality = QUALITIES[(word % 16) as usize];
    let thing = THINGS[(word >> 8) as usize % 16];
    format!("{quality} {thing} {video}")
}

/// A page of the feed; pages begin at 1 (0 is the first too) and wrap around.
pub fn feed(page: u64, videos: u64) -> serde_json::Value {
    let videos = videos.max(1);
    let first = (page.saturating_sub(1) % videos.div_ceil(PAGE)) * PAGE;
    let ids = (first..first + PAGE.min(videos)).map(|i| i % videos + 1);
    let list: Vec<_> = ids.map(|id| json!({ "id": id, "title": title(id) })).collect();
    json!({ "page": page, "videos": list })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_ten_videos_and_wrap() {
        let ids = |page, videos| -> Vec<u64> {
            let page = feed(page, videos);
            let list = page["videos"].as_array().unwrap();
            list.iter().map(|v| v["id"].as_u64().unwrap()).collect()
        };
        assert_eq!(ids(1, 10_000), (1..=10).collect::<Vec<_>>());
        assert_eq!(ids(1000, 10_000), (9991..=10_000).collect::<Vec<_>>());
        assert_eq!(ids(1001, 10_000), ids(1, 10_000));
        assert_eq!(ids(2, 15), vec![11, 12, 13, 14, 15, 1, 2, 3, 4, 5]);
        assert_eq!(ids(u64::MAX, 3).len(), 3);
    }
}
