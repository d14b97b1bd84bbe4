//! What happened, as events of the record and as sentences for who watches.

use crate::base::{Nanos, clock};
use crate::fleet::FleetEvent;
use crate::record::{Event, EventKind, NodeEventKind};

/// A fleet's event on the run's clock; what happened before it is at 0.
pub(super) fn fleet_event(event: FleetEvent, epoch: Nanos) -> Option<Event> {
    let at = |instant: Nanos| instant.saturating_sub(epoch).0;
    let make = |at_ns, kind, subject, object, detail| {
        Some(Event { at_ns, kind, subject, object, lateness_ns: None, detail })
    };
    let none = String::new;
    match event {
        FleetEvent::Started { node, at: t } => {
            make(at(t), EventKind::NodeStarted, node, none(), none())
        }
        FleetEvent::Ready { node, at: t } => {
            make(at(t), EventKind::NodeReady, node, none(), none())
        }
        FleetEvent::Exited { node, at: t, how, expected } => {
            let why = if expected { "by brunt" } else { "by itself" };
            make(at(t), EventKind::NodeExited, node, none(), format!("{how}, {why}"))
        }
        FleetEvent::Node { node, event } => {
            let t = at(Nanos(event.at_ns));
            match event.what {
                NodeEventKind::Ready => None,
                NodeEventKind::Leader { term } => {
                    make(t, EventKind::BecameLeader, node, term.to_string(), none())
                }
                NodeEventKind::Replica { term } => {
                    make(t, EventKind::BecameReplica, node, term.to_string(), none())
                }
                NodeEventKind::MemberUp { member, why } => {
                    make(t, EventKind::MemberUp, node, member, why)
                }
                NodeEventKind::MemberDown { member, why } => {
                    make(t, EventKind::MemberDown, node, member, why)
                }
                NodeEventKind::Note { text } => make(t, EventKind::Note, node, none(), text),
            }
        }
        FleetEvent::Note { text } => {
            make(at(clock::now()), EventKind::Note, "keeper".into(), none(), text)
        }
        FleetEvent::KeeperLost { .. } => None,
    }
}

/// A phase begins or ends by the plan.
pub(super) fn phase_event(kind: EventKind, name: &str, at: Nanos) -> Event {
    Event {
        at_ns: at.0,
        kind,
        subject: name.to_string(),
        object: String::new(),
        lateness_ns: None,
        detail: String::new(),
    }
}

/// An event for people who watch.
pub(super) fn sentence(event: &Event) -> String {
    let Event { subject, object, detail, .. } = event;
    match event.kind {
        EventKind::FaultInjected => format!("fault {subject}: injected on {object}"),
        EventKind::FaultHealed => format!("fault {subject}: healed on {object}"),
        EventKind::FaultSkipped => format!("fault {subject}: skipped, {detail}"),
        EventKind::HealFailed => format!("fault {subject}: NOT healed, {detail}"),
        EventKind::NodeExited => format!("{subject} ended ({detail})"),
        EventKind::NodeStarted => format!("{subject} started"),
        EventKind::NodeReady => format!("{subject} is ready"),
        EventKind::BecameLeader => format!("{subject} leads (term {object})"),
        EventKind::BecameReplica => format!("{subject} follows"),
        EventKind::MemberUp => format!("{subject} sees {object} again ({detail})"),
        EventKind::MemberDown => format!("{subject} no longer uses {object} ({detail})"),
        EventKind::PhaseStarted | EventKind::PhaseEnded => format!("phase {subject}"),
        EventKind::GuardTripped => format!("guard {subject}: {detail}"),
        EventKind::ThresholdLost => format!("threshold {subject} is lost: {detail}"),
        EventKind::Note => format!("{subject}: {detail}"),
    }
}
