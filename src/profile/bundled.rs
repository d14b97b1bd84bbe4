//! The profiles inside the binary.

use crate::base::library::{Library, LibraryError};

const PROFILES: Library = Library {
    what: "profile",
    folder: "profiles",
    bundled: &[
        ("campaign", include_str!("../../profiles/campaign.toml")),
        ("steps", include_str!("../../profiles/steps.toml")),
        ("web", include_str!("../../profiles/web.toml")),
        ("smoke", include_str!("../../profiles/smoke.toml")),
    ],
};

pub(super) fn find(name: &str) -> Result<(String, String), LibraryError> {
    PROFILES.find(name)
}

pub(super) fn names() -> Vec<String> {
    PROFILES.names()
}
