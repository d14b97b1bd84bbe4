//! The names of the record's files, and the words in them that are not a type's own.

use super::{Cause, Tag};
use crate::plan::LoadPlan;
use std::collections::BTreeMap;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const LATENCY: &str = "latency.hlog";
pub(super) const SERIES: &str = "series.csv";
pub(super) const NODES: &str = "nodes.csv";
pub(super) const EVENTS: &str = "events.csv";
pub(super) const HISTORY: &str = "history.bin";
pub(super) const CAUSES: &str = "causes.csv";
/// Exists when the record was sealed.
pub(super) const SEAL: &str = "seal.json";

/// The tag of a line in `latency.hlog`, which may hold no comma and no white space.
pub(super) fn tag_name(tag: &Tag, load: &LoadPlan) -> String {
    let of = |what: &str, request: u16, phase: u16| {
        let request = load.requests.get(usize::from(request)).map_or("?", |r| r.name.as_str());
        let phase = load.phases.get(usize::from(phase)).map_or("?", |p| p.name.as_str());
        format!("{what}.{request}@{phase}")
            .replace(|c: char| c == ',' || c.is_whitespace() || c.is_control(), "_")
    };
    match *tag {
        Tag::Response { request, phase } => of("response", request, phase),
        Tag::Service { request, phase } => of("service", request, phase),
        Tag::ConnectionWait => "connection_wait".into(),
        Tag::StartLag => "start_lag".into(),
        Tag::PlannedGap => "planned_gap".into(),
        Tag::DueGap => "due_gap".into(),
        Tag::Hiccup => "hiccup".into(),
    }
}

/// Every tag that a plan can have, by its name.
pub(super) fn tags(load: &LoadPlan) -> BTreeMap<String, Tag> {
    let mut all =
        vec![Tag::ConnectionWait, Tag::StartLag, Tag::PlannedGap, Tag::DueGap, Tag::Hiccup];
    for request in 0..load.requests.len() as u16 {
        for phase in 0..load.phases.len() as u16 {
            all.push(Tag::Response { request, phase });
            all.push(Tag::Service { request, phase });
        }
    }
    all.into_iter().map(|tag| (tag_name(&tag, load), tag)).collect()
}

/// A cause as `causes.csv` has it.
pub(super) fn cause_name(cause: Cause) -> String {
    match (cause, serde_json::to_value(cause)) {
        (Cause::Status(code), _) => format!("status_{code}"),
        (_, Ok(serde_json::Value::String(name))) => name,
        (other, _) => other.to_string(),
    }
}

pub(super) fn cause_of(name: &str) -> Option<Cause> {
    match name.strip_prefix("status_") {
        Some(code) => code.parse().ok().map(Cause::Status),
        None => serde_json::from_value(serde_json::Value::String(name.to_string())).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_read_back() {
        for cause in [Cause::Status(503), Cause::CheckFailed, Cause::TimeoutConnecting] {
            assert_eq!(cause_of(&cause_name(cause)), Some(cause));
        }
        assert_eq!(cause_name(Cause::QueueFull), "queue_full");
        assert_eq!(cause_of("nonsense"), None);
    }
}
