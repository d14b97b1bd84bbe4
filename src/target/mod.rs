//! Floor 2: reads and checks a target's TOML; resolved values out.

mod bundled;
mod check;
mod file;
mod files;
mod placeholders;
mod role;
mod service;
mod service_check;
mod settings;
#[cfg(test)]
mod tests;
mod url;

pub use file::{Public, ServerGroup, Target, TargetError, TargetLink, TargetNode};
pub use placeholders::{Placeholder, fill};
pub use role::{Role, ServiceName};
pub use service::{Attach, AttachRules, Command, Ready, Start, Template};
pub use service_check::REVERSIBLE;
pub use settings::{
    Algorithm, AppSettings, BalancerSettings, CacheSettings, CdnSettings, Costs, DatabaseSettings,
    Durability, Reads, Settings,
};
pub use url::LoadUrl;

use crate::base::document::{self, DocumentError};
use crate::base::schema;
use std::path::Path;

/// How a variant is written, for messages.
const VARIANT: &str = "horizontal[balancer.algorithm=round-robin]";

/// Finds a target by the name of a bundled one, of a file in `targets/`, by a path, or by a URL;
/// with inline variants: `horizontal[balancer.algorithm=round-robin]`.
///
/// # Errors
/// Unknown (lists what exists), malformed, or impossible.
pub fn load(named: &str) -> Result<Target, TargetError> {
    if named.contains("://") {
        return Target::from_url(named);
    }
    let (name, overrides) =
        document::split_variant(named, VARIANT).map_err(TargetError::Variant)?;
    let found = bundled::find(&name)?;
    named_as(named, &name, found, &overrides)
}

/// The target of this name that is inside the binary, whatever files there are; with inline variants.
/// `None` where there is none.
pub fn load_bundled(named: &str) -> Option<Target> {
    let (name, overrides) = document::split_variant(named, VARIANT).ok()?;
    named_as(named, &name, bundled::inside(&name)?, &overrides).ok()
}

fn named_as(
    named: &str,
    name: &str,
    (file, text): (String, String),
    overrides: &[(String, String)],
) -> Result<Target, TargetError> {
    let mut target = read(&file, &text, overrides)?;
    target.name = match overrides.is_empty() {
        true => stem(name),
        false => named.replacen(name, &stem(name), 1),
    };
    Ok(target)
}

/// Reads and checks the text of a target; `file` is what errors call it.
///
/// # Errors
/// Malformed, or impossible; each names the file and, where there is one, the key.
pub fn read(file: &str, text: &str, overrides: &[(String, String)]) -> Result<Target, TargetError> {
    let base = Path::new(file).parent().unwrap_or(Path::new(""));
    let place = |key: &str| document::place(file, text, key);
    let mut target: Target = document::read(file, text, overrides, VARIANT)?;
    target.check(&place)?;
    match bundled::is_bundled(file) {
        true => target.read_files(base, &bundled::file, &place)?,
        false => {
            let beside = |name: &str| std::fs::read_to_string(base.join(name));
            target.read_files(base, &beside, &place)?;
        }
    }
    Ok(target)
}

fn stem(name: &str) -> String {
    Path::new(name).file_stem().map_or_else(|| name.to_string(), |s| s.to_string_lossy().into())
}

/// The JSON Schema of a target's file, as text.
pub fn json_schema() -> String {
    schema::of::<Target>("A brunt target")
}

/// Names of every target that can be named without a path.
pub fn names() -> Vec<String> {
    bundled::names()
}

impl From<DocumentError> for TargetError {
    fn from(error: DocumentError) -> Self {
        TargetError::Document(error)
    }
}
