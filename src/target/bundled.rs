//! The targets inside the binary.

use crate::base::library::{Library, LibraryError};

macro_rules! targets {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../targets/", $name, ".toml")))),*]
    };
}

const TARGETS: Library = Library {
    what: "target",
    folder: "targets",
    bundled: targets![
        "garage",
        "vertical",
        "ladder-2-balancer",
        "ladder-3-replicas",
        "ladder-4-cache",
        "horizontal",
    ],
};

pub(super) fn find(name: &str) -> Result<(String, String), LibraryError> {
    TARGETS.find(name)
}

pub(super) fn names() -> Vec<String> {
    TARGETS.names()
}
