//! What happened, as lanes under the same clock as the load: faults in force and until when their
//! effect lasted, who led, who was taken out, which process was gone.

use crate::analysis::Run;
use crate::record::{EventKind, Record};
use serde::Serialize;
use std::collections::BTreeMap;

/// A page with more lanes than these says nothing any more. Those of the faults go first: a fault has
/// its band and its row in a table too.
const LANES_MAX: usize = 24;

#[derive(Debug, PartialEq, Serialize)]
pub struct Lane {
    pub name: String,
    pub kind: LaneKind,
    pub bars: Vec<Bar>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneKind {
    Fault,
    /// From the injection until the hypothesis held for good.
    Effect,
    Leader,
    /// A member that a balancer or a directory does not use.
    Out,
    /// A process that is not there, or not ready yet.
    Down,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Bar {
    pub start: f64,
    pub end: f64,
    pub text: String,
}

/// And how many more there would be.
pub fn lanes(run: &Run<'_>) -> (Vec<Lane>, usize) {
    let end = run.record.ended.as_secs_f64();
    let mut all = faults(run, end);
    let mut others: Vec<Lane> = leaders(run.record, end).into_iter().collect();
    others.extend(spans(run.record, end, LaneKind::Out, |kind| match kind {
        EventKind::MemberDown => Some(true),
        EventKind::MemberUp => Some(false),
        _ => None,
    }));
    others.extend(spans(run.record, end, LaneKind::Down, |kind| match kind {
        EventKind::NodeExited => Some(true),
        EventKind::NodeReady => Some(false),
        _ => None,
    }));
    let n = all.len() + others.len();
    others.truncate(LANES_MAX);
    all.truncate(LANES_MAX - others.len());
    all.append(&mut others);
    let left_out = n - all.len();
    (all, left_out)
}

fn faults(run: &Run<'_>, end: f64) -> Vec<Lane> {
    let mut lanes = Vec::new();
    for fault in &run.summary.faults {
        let Some(start) = fault.injected_at_s else { continue };
        let lane = |kind, end, text| Lane {
            name: fault.name.clone(),
            kind,
            bars: vec![Bar { start, end, text }],
        };
        let text = format!("{}: {} on {}", fault.name, fault.kind, fault.node);
        lanes.push(lane(LaneKind::Fault, fault.healed_at_s.unwrap_or(end), text));
        match fault.recovery_time_s {
            Some(0.0) => {}
            Some(s) => lanes.push(lane(LaneKind::Effect, start + s, "not in time".into())),
            None => lanes.push(lane(LaneKind::Effect, end, "not recovered".into())),
        }
    }
    lanes
}

/// Each leadership ends with the next one, or with its node.
fn leaders(record: &Record, end: f64) -> Option<Lane> {
    let changes: Vec<_> =
        record.events.iter().filter(|e| e.kind == EventKind::BecameLeader).collect();
    let bars = changes.iter().enumerate().map(|(i, event)| {
        let next = changes.get(i + 1).map_or(u64::MAX, |next| next.at_ns);
        let is_end = |e: &&crate::record::Event| {
            e.kind == EventKind::NodeExited && e.subject == event.subject && e.at_ns >= event.at_ns
        };
        let exit = record.events.iter().filter(is_end).map(|e| e.at_ns).min().unwrap_or(u64::MAX);
        Bar {
            start: seconds(event.at_ns),
            end: seconds(next.min(exit)).min(end),
            text: format!("{} leads", event.subject),
        }
    });
    let bars: Vec<Bar> = bars.collect();
    (!bars.is_empty()).then(|| Lane { name: "leader".into(), kind: LaneKind::Leader, bars })
}

/// From a beginning to its end, a lane each for whom it is about.
fn spans(
    record: &Record,
    end: f64,
    lane: LaneKind,
    begins: impl Fn(EventKind) -> Option<bool>,
) -> Vec<Lane> {
    let mut open: BTreeMap<String, f64> = BTreeMap::new();
    let mut lanes: BTreeMap<String, Vec<Bar>> = BTreeMap::new();
    let load_end = record.load_end().0;
    // After the load everything is stopped, which is no news.
    for event in record.events.iter().filter(|e| e.at_ns > 0 && e.at_ns < load_end) {
        let Some(is_begin) = begins(event.kind) else { continue };
        let who = match event.object.is_empty() {
            true => format!("{} down", event.subject),
            false => format!("{} out at {}", event.object, event.subject),
        };
        match is_begin {
            true => drop(open.entry(who).or_insert(seconds(event.at_ns))),
            false => {
                if let Some(start) = open.remove(&who) {
                    let bar = Bar { start, end: seconds(event.at_ns), text: who.clone() };
                    lanes.entry(who).or_default().push(bar);
                }
            }
        }
    }
    for (who, start) in open {
        lanes.entry(who.clone()).or_default().push(Bar { start, end, text: who });
    }
    lanes.into_iter().map(|(name, bars)| Lane { name, kind: lane, bars }).collect()
}

/// Milliseconds are plenty for a picture.
fn seconds(ns: u64) -> f64 {
    (ns as f64 / 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::{Builder, power_off_story};
    use crate::fault::FaultKind;

    fn lanes_of(builder: Builder) -> Vec<(LaneKind, String, f64, f64)> {
        let record = builder.build();
        let summary = summarise(&record);
        let (found, _) = lanes(&Run { record: &record, summary: &summary });
        let flat = found.into_iter().flat_map(|lane| {
            lane.bars.into_iter().map(move |bar| (lane.kind, bar.text, bar.start, bar.end))
        });
        flat.collect()
    }

    #[test]
    fn a_fault_its_effect_and_who_was_taken_out_lie_under_one_another() {
        let story = power_off_story().event(13.5, EventKind::MemberUp, "balancer-1", "app-1");
        let seen = lanes_of(story);
        assert_eq!(seen[0].0, LaneKind::Fault);
        assert_eq!(seen[0].2, 10.25);
        assert_eq!(seen[1], (LaneKind::Effect, "not in time".into(), 10.25, 12.0));
        let out = "app-1 out at balancer-1".to_string();
        assert!(seen.contains(&(LaneKind::Out, out, 11.0, 13.5)), "{seen:?}");
    }

    #[test]
    fn lanes_that_have_no_room_are_counted_and_the_leader_keeps_its_own() {
        let mut story = power_off_story().event(1.0, EventKind::BecameLeader, "database-1", "1");
        for n in 0..30 {
            story = story.fault(&format!("f{n}"), FaultKind::Kill, "app", 3.0, "app-2");
        }
        let record = story.build();
        let summary = summarise(&record);
        let (found, left_out) = lanes(&Run { record: &record, summary: &summary });
        assert_eq!((found.len(), found.last().unwrap().kind), (LANES_MAX, LaneKind::Out));
        assert!(found.iter().any(|lane| lane.kind == LaneKind::Leader));
        let all = summary.faults.iter().map(|f| 1 + usize::from(f.recovery_time_s != Some(0.0)));
        assert_eq!(left_out, all.sum::<usize>() + 2 - LANES_MAX);
    }

    #[test]
    fn what_has_not_ended_lasts_to_the_end_and_a_leadership_to_the_next() {
        let seen = lanes_of(
            Builder::new("horizontal")
                .event(1.0, EventKind::BecameLeader, "database-1", "1")
                .event(10.0, EventKind::NodeExited, "database-1", "")
                .event(10.6, EventKind::BecameLeader, "database-2", "2"),
        );
        let leads = |node: &str, from, to| (LaneKind::Leader, format!("{node} leads"), from, to);
        assert_eq!(seen[0], leads("database-1", 1.0, 10.0));
        assert_eq!(seen[1], leads("database-2", 10.6, 20.0));
        assert_eq!(seen[2], (LaneKind::Down, "database-1 down".into(), 10.0, 20.0));
    }
}
