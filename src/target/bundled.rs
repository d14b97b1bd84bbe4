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
        "web-one",
        "web-two",
    ],
};

/// What bundled targets name beside their own file.
const FILES: &[(&str, &str)] = &[
    ("web/nginx.conf.in", include_str!("../../targets/web/nginx.conf.in")),
    ("web/haproxy.cfg.in", include_str!("../../targets/web/haproxy.cfg.in")),
    ("web/index.html", include_str!("../../targets/web/index.html")),
];

/// A file that a bundled target names.
pub(super) fn file(name: &str) -> std::io::Result<String> {
    let found = FILES.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| (*text).to_string()).ok_or(std::io::ErrorKind::NotFound.into())
}

/// Whether a document of this name, as [`find`] returns it, is the one inside the binary.
pub(super) fn is_bundled(file: &str) -> bool {
    TARGETS.is_bundled(file)
}

pub(super) fn find(name: &str) -> Result<(String, String), LibraryError> {
    TARGETS.find(name)
}

pub(super) fn inside(name: &str) -> Option<(String, String)> {
    TARGETS.bundled(name)
}

pub(super) fn names() -> Vec<String> {
    TARGETS.names()
}
