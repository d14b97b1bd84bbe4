//! Floor 2: reads and checks a profile's TOML: a named situation of phases, requests and faults.

mod audience;
mod base;
mod bundled;
mod check;
mod expect;
mod fault;
mod feeder;
mod file;
mod files;
mod rate;
mod transport;

pub use audience::of_audience;
pub use expect::{ExpectSpec, JsonSpec, Many};
pub use fault::{FaultsSpec, ProfileFault};
pub use feeder::{FeederSpec, Order, Table};
pub use file::{
    ArrivalKind, CheckSpec, Distance, Phase, Profile, ProfileError, Region, Request, Retry,
    ShapeName, Steady, ValueSpec,
};
pub use rate::RelativeRate;
pub use transport::{Http2Spec, ProtocolName, TransportSpec};

use crate::base::{document, schema};
use base::Written;
use std::path::Path;

/// How a variant is written, for messages.
const VARIANT: &str = "campaign[in_time=500ms]";

/// Finds a profile by the name of a bundled one, of a file in `profiles/`, or by a path; with
/// inline variants: `campaign[in_time=500ms]`.
///
/// # Errors
/// Unknown (lists what exists), malformed, or impossible.
pub fn load(named: &str) -> Result<Profile, ProfileError> {
    let (name, overrides) =
        document::split_variant(named, VARIANT).map_err(ProfileError::Variant)?;
    let found = bundled::find(&name)?;
    named_as(named, &name, found, &overrides)
}

/// The profile of this name that is inside the binary, whatever files there are; with inline
/// variants. `None` where there is none.
pub fn load_bundled(named: &str) -> Option<Profile> {
    let (name, overrides) = document::split_variant(named, VARIANT).ok()?;
    named_as(named, &name, bundled::inside(&name)?, &overrides).ok()
}

fn named_as(
    named: &str,
    name: &str,
    (file, text): (String, String),
    overrides: &[(String, String)],
) -> Result<Profile, ProfileError> {
    let mut profile = read(&file, &text, overrides)?;
    let stem = Path::new(name)
        .file_stem()
        .map_or_else(|| name.to_string(), |s| s.to_string_lossy().into_owned());
    profile.name = match overrides.is_empty() {
        true => stem,
        false => named.replacen(name, &stem, 1),
    };
    Ok(profile)
}

/// Reads and checks the text of a profile; `file` is what errors call it.
///
/// # Errors
/// Malformed, or impossible; each names the file and, where there is one, the key.
pub fn read(
    file: &str,
    text: &str,
    overrides: &[(String, String)],
) -> Result<Profile, ProfileError> {
    let written = Written::of(file, text)?;
    let mut profile: Profile = document::read(file, &written.text, overrides, VARIANT)
        .map_err(|error| ProfileError::Document(written.as_written(error)))?;
    profile.read_files(&written)?;
    profile.check(&|key| written.place(key))?;
    Ok(profile)
}

/// The JSON Schema of a profile's file, as text.
pub fn json_schema() -> String {
    schema::of::<Profile>("A brunt profile")
}

/// Names of every profile that can be named without a path.
pub fn names() -> Vec<String> {
    bundled::names()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_bundled_profiles_and_targets_are_sound() {
        for name in super::names() {
            super::load(&name).unwrap();
        }
        for name in crate::target::names() {
            crate::target::load(&name).unwrap();
        }
    }

    #[test]
    fn an_unknown_name_lists_what_exists() {
        let error = super::load("campain").unwrap_err().to_string();
        assert!(
            error.contains("campaign, drill-brown-out") && error.contains("did you mean"),
            "{error}"
        );
        let error = crate::target::load("horizontl").unwrap_err().to_string();
        assert!(error.contains("garage") && error.contains("did you mean `horizontal`"), "{error}");
    }

    #[test]
    fn impossible_targets_are_refused_by_key() {
        for (variant, part) in [
            ("horizontal[server.database.count=2]", "two databases cannot form a majority"),
            ("horizontal[server.app.units=0]", "server.app.units"),
            ("garage[public.entry=[\"balancer\"]]", "public.entry"),
            ("horizontal[balancer.algoritm=round-robin]", "did you mean `algorithm`"),
        ] {
            let error = crate::target::load(variant).unwrap_err().to_string();
            assert!(error.contains(part), "{variant}: {error}");
        }
        let variant = crate::target::load("horizontal[balancer.algorithm=round-robin]").unwrap();
        assert_eq!(variant.name, "horizontal[balancer.algorithm=round-robin]");
    }
}
