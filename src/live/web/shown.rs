//! What the page shows: the last of everything, and the seconds behind it.

use crate::base::Nanos;
use crate::live::block::left;
use crate::live::{study, target};
use crate::run::{NodeNow, Progress, StudyNow};
use serde::Serialize;
use std::collections::VecDeque;

/// Points of the charts at most; of a long run every second one of those behind is let go.
const POINTS: usize = 720;
/// Events and faults that are kept.
const NOTES: usize = 200;

#[derive(Clone, Default)]
pub struct State {
    run: Option<Progress>,
    study: Option<StudyNow>,
    points: VecDeque<Point>,
    bands: VecDeque<Band>,
    notes: VecDeque<Note>,
}

/// One second.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Point {
    at_s: f64,
    asked_per_s: f64,
    answered_per_s: f64,
    in_time: Option<f64>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    max_ms: Option<f64>,
}

/// A fault, while it was in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Band {
    name: String,
    on: String,
    from_s: f64,
    to_s: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Note {
    at_s: Option<f64>,
    text: String,
}

#[derive(Serialize)]
struct Shown<'a> {
    study: Option<String>,
    run: Option<RunShown<'a>>,
    points: &'a VecDeque<Point>,
    bands: &'a VecDeque<Band>,
    notes: &'a VecDeque<Note>,
}

#[derive(Serialize)]
struct RunShown<'a> {
    target: &'a str,
    profile: &'a str,
    phase: &'a str,
    phases: &'a [String],
    phase_index: usize,
    elapsed_s: f64,
    /// A share.
    done: f64,
    left: String,
    asked_per_s: f64,
    answered_per_s: f64,
    in_time: Option<f64>,
    in_flight: u32,
    ended: u64,
    not_ok: u64,
    nodes: Vec<NodeShown<'a>>,
    faults: Vec<String>,
    thresholds: Vec<String>,
}

#[derive(Serialize)]
struct NodeShown<'a> {
    name: &'a str,
    is_up: bool,
    leads: bool,
    cpu_share: Option<f64>,
}

impl State {
    pub fn run(&self) -> Option<&Progress> {
        self.run.as_ref()
    }

    pub fn study(&mut self, now: &StudyNow) {
        self.say(&study::begins(now));
        self.study = Some(now.clone());
    }

    /// Between two runs: the one before has ended.
    pub fn say(&mut self, text: &str) {
        self.note(None, text);
        self.run = None;
    }

    pub fn note(&mut self, at: Option<Nanos>, text: &str) {
        let note = Note { at_s: at.map(Nanos::as_secs_f64), text: text.trim().into() };
        push(&mut self.notes, note, NOTES);
    }

    pub fn progress(&mut self, now: &Progress) {
        if self.run.as_ref().is_none_or(|before| now.elapsed < before.elapsed) {
            self.points.clear();
            self.bands.clear();
        }
        let at_s = now.elapsed.as_secs_f64();
        let is_new = self.points.back().is_none_or(|last| last.at_s.floor() < at_s.floor());
        if is_new {
            self.points.push_back(Point::of(now));
            if self.points.len() > POINTS {
                let (all, mut at) = (self.points.len(), 0);
                self.points.retain(|_| {
                    at += 1;
                    // The last one stays.
                    (all - at) % 2 == 0
                });
            }
        }
        self.keep_bands(now, at_s);
        self.run = Some(now.clone());
    }

    fn keep_bands(&mut self, now: &Progress, at_s: f64) {
        let is_same = |band: &Band, name: &str, on: &str| band.name == name && band.on == on;
        for band in self.bands.iter_mut().filter(|band| band.to_s.is_none()) {
            if !now.faults.iter().any(|fault| is_same(band, &fault.name, &fault.on)) {
                band.to_s = Some(at_s);
            }
        }
        for fault in &now.faults {
            let is_open = |b: &Band| b.to_s.is_none() && is_same(b, &fault.name, &fault.on);
            if !self.bands.iter().any(is_open) {
                let (name, on) = (fault.name.clone(), fault.on.clone());
                push(&mut self.bands, Band { name, on, from_s: at_s, to_s: None }, NOTES);
            }
        }
    }

    pub fn json(&self) -> String {
        let none = Progress::default();
        let study = self.study.as_ref().map(|study| (study, self.run.as_ref().unwrap_or(&none)));
        let shown = Shown {
            study: study.map(|(study, run)| study::parts(study, run).join(" · ")),
            run: self.run.as_ref().map(RunShown::of),
            points: &self.points,
            bands: &self.bands,
            notes: &self.notes,
        };
        serde_json::to_string(&shown).expect("plain data")
    }
}

impl Point {
    fn of(now: &Progress) -> Point {
        let ms = |v: Option<Nanos>| v.map(|v| v.0 as f64 / 1e6);
        Point {
            at_s: now.elapsed.as_secs_f64(),
            asked_per_s: now.offered_per_s,
            answered_per_s: now.completed_per_s,
            in_time: now.in_time_share,
            p50_ms: ms(now.last_second.p50),
            p99_ms: ms(now.last_second.p99),
            max_ms: ms(now.last_second.max),
        }
    }
}

impl<'a> RunShown<'a> {
    fn of(now: &'a Progress) -> RunShown<'a> {
        RunShown {
            target: &now.target,
            profile: &now.profile,
            phase: now.phase(),
            phases: &now.phases,
            phase_index: now.phase_index,
            elapsed_s: now.elapsed.as_secs_f64(),
            done: now.done(),
            left: left(now),
            asked_per_s: now.offered_per_s,
            answered_per_s: now.completed_per_s,
            in_time: now.in_time_share,
            in_flight: now.in_flight,
            ended: now.ledger.ended(),
            not_ok: now.ledger.ended() - now.ledger.ok,
            nodes: now.nodes.iter().map(NodeShown::of).collect(),
            faults: now.faults.iter().map(target::fault).collect(),
            thresholds: now.thresholds.iter().map(target::threshold).collect(),
        }
    }
}

impl<'a> NodeShown<'a> {
    fn of(node: &'a NodeNow) -> NodeShown<'a> {
        NodeShown {
            name: &node.name,
            is_up: node.is_up,
            leads: node.leads,
            cpu_share: node.cpu_share,
        }
    }
}

fn push<T>(all: &mut VecDeque<T>, new: T, most: usize) {
    all.push_back(new);
    if all.len() > most {
        all.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::block::tests::state;

    #[test]
    fn a_second_is_one_point_and_a_new_run_begins_anew() {
        let mut shown = State::default();
        let at = |ms| Progress { elapsed: Nanos::from_millis(ms), ..state(0) };
        for ms in (0..5_000).step_by(250) {
            shown.progress(&at(ms));
        }
        assert_eq!(shown.points.len(), 5);
        assert_eq!(shown.points[0].p99_ms, Some(45.0));
        shown.say("once more");
        assert!(
            shown.run().is_none() && shown.points.len() == 5,
            "it has ended, and is still seen"
        );
        shown.progress(&at(100));
        assert_eq!((shown.points.len(), shown.bands.len()), (1, 1));
        (0..9_000).for_each(|s| shown.progress(&state(s)));
        assert!((POINTS / 2..=POINTS).contains(&shown.points.len()), "{}", shown.points.len());
        assert_eq!(shown.points.back().unwrap().at_s, 8_999.0);
        assert!(shown.points[0].at_s < 200.0, "the beginning is still seen");
    }

    #[test]
    fn a_fault_is_a_band_from_when_it_was_seen_until_it_was_gone() {
        let mut shown = State::default();
        shown.progress(&state(10));
        shown.progress(&state(11));
        shown.progress(&Progress { faults: vec![], ..state(14) });
        let seen: Vec<_> = shown.bands.iter().map(|b| (b.from_s, b.to_s)).collect();
        assert_eq!(seen, [(10.0, Some(14.0))]);
        shown.progress(&state(20));
        assert_eq!(shown.bands.len(), 2, "the same fault once more");
        let json: serde_json::Value = serde_json::from_str(&shown.json()).unwrap();
        assert_eq!(json["run"]["faults"][0], "lose-app on app-1 for 3 s more");
        assert_eq!(json["bands"][1]["to_s"], serde_json::Value::Null);
    }
}
