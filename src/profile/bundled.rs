//! The profiles inside the binary.

use crate::base::library::{Library, LibraryError};

const PROFILES: Library = Library {
    what: "profile",
    folder: "profiles",
    bundled: &[
        ("campaign", include_str!("../../profiles/campaign.toml")),
        ("steps", include_str!("../../profiles/steps.toml")),
        ("web", include_str!("../../profiles/web.toml")),
        ("drill-brown-out", include_str!("../../profiles/drill-brown-out.toml")),
        ("drill-cold-cache", include_str!("../../profiles/drill-cold-cache.toml")),
        ("drill-gray-failure", include_str!("../../profiles/drill-gray-failure.toml")),
        ("drill-kill-balancer", include_str!("../../profiles/drill-kill-balancer.toml")),
        ("drill-kill-leader", include_str!("../../profiles/drill-kill-leader.toml")),
        ("drill-metastable", include_str!("../../profiles/drill-metastable.toml")),
        ("drill-origin-down", include_str!("../../profiles/drill-origin-down.toml")),
        ("drill-server-lost", include_str!("../../profiles/drill-server-lost.toml")),
        ("drill-slow-replica", include_str!("../../profiles/drill-slow-replica.toml")),
        ("gate", include_str!("../../profiles/gate.toml")),
        ("smoke", include_str!("../../profiles/smoke.toml")),
    ],
};

pub(super) fn find(name: &str) -> Result<(String, String), LibraryError> {
    PROFILES.find(name)
}

pub(super) fn inside(name: &str) -> Option<(String, String)> {
    PROFILES.bundled(name)
}

pub(super) fn names() -> Vec<String> {
    PROFILES.names()
}
