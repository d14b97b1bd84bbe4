//! A fault in words, for plans and reports.

use super::kind::{FaultKind, MemoryBy, OnLink, ThrottleBy};
use super::lever::Direction;
use super::when::{Trigger, When};
use crate::base::units::{duration_text, size_text};

impl FaultKind {
    /// What is done, with its magnitude: `at 25 % of its CPU`, `50ms later`.
    pub fn words(&self) -> String {
        let percent = |share: f64| format!("{} %", (share * 1000.0).round() / 10.0);
        let of = |share: f64, what: &str| match share >= 1.0 {
            true => format!("all {what}"),
            false => format!("{} of {what}", percent(share)),
        };
        match self {
            FaultKind::Kill => "killed".into(),
            FaultKind::Terminate => "told to end".into(),
            FaultKind::PowerOff => "silent, as without power".into(),
            FaultKind::Pause => "frozen".into(),
            FaultKind::Restart => "restarted".into(),
            FaultKind::Throttle { to, by: ThrottleBy::Quota } => {
                format!("at {} of its CPU", percent(*to))
            }
            FaultKind::Throttle { to, by: ThrottleBy::Cores } => {
                format!("at {} of its cores", percent(*to))
            }
            FaultKind::Compete { cores } => format!("beside a neighbour that burns {cores} cores"),
            FaultKind::Memory { to, by: MemoryBy::Limit } => {
                format!("with {} of memory", size_text(*to))
            }
            FaultKind::Memory { to, by: MemoryBy::Pressure } => {
                format!("pressed to {} of memory", size_text(*to))
            }
            FaultKind::Descriptors { to } => format!("with {to} open files"),
            FaultKind::DiskSlow { rate } => format!("disk at {}/s", size_text(*rate)),
            FaultKind::DiskFull { free } => format!("disk full, {} left", size_text(*free)),
            FaultKind::SlowSync { delay } => {
                format!("each sync to disk {} later", duration_text(*delay))
            }
            FaultKind::Latency { delay, jitter, link } => {
                let jitter = match jitter.0 {
                    0 => String::new(),
                    _ => format!(" ± {}", duration_text(*jitter)),
                };
                format!("{}{jitter} later{}", duration_text(*delay), on_link(link))
            }
            FaultKind::Bandwidth { rate, link } => {
                format!("at {}/s{}", size_text(*rate), on_link(link))
            }
            FaultKind::Stall { link } => format!("stalled{}", on_link(link)),
            FaultKind::Reset { link } => format!("reset{}", on_link(link)),
            FaultKind::SlowClose { delay, link } => {
                format!("closed {} late{}", duration_text(*delay), on_link(link))
            }
            FaultKind::Cut { bytes, link } => {
                format!("cut after {}{}", size_text(*bytes), on_link(link))
            }
            FaultKind::Partition { link } => format!("partitioned{}", on_link(link)),
            FaultKind::Loss { share, direction } => {
                format!("{} lost{}", of(*share, "packets"), way(*direction))
            }
            FaultKind::Reorder { share, direction, .. } => {
                format!("{} out of order{}", of(*share, "packets"), way(*direction))
            }
            FaultKind::HttpErrors { share, status } => {
                format!("{} answered {status}", of(*share, "requests"))
            }
            FaultKind::HttpDelay { share, delay, .. } => {
                format!("{} answered {} later", of(*share, "requests"), duration_text(*delay))
            }
            FaultKind::HttpWrongLength { share } => {
                format!("{} shorter than they say", of(*share, "answers"))
            }
        }
    }
}

fn on_link(link: &OnLink) -> String {
    let share = match link.share >= 1.0 {
        true => String::new(),
        false => format!(", {} % of connections", (link.share * 1000.0).round() / 10.0),
    };
    format!("{}{share}", way(link.direction))
}

fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Both => "",
        Direction::There => ", there only",
        Direction::Back => ", back only",
    }
}

impl When {
    /// `24s`, `10s after app-1 was taken out`.
    pub fn words(&self) -> String {
        match self {
            When::At { at } => duration_text(*at),
            When::After { after, wait } => {
                format!("{} after {}", duration_text(*wait), after.words())
            }
        }
    }
}

impl Trigger {
    pub fn words(&self) -> String {
        match self {
            Trigger::LeaderChanged(role) => format!("the {role} leader changed"),
            Trigger::Injected(name) => format!("`{name}` was injected"),
            Trigger::Healed(name) => format!("`{name}` was healed"),
            Trigger::MemberDown(name) => format!("{name} was taken out"),
        }
    }
}
