//! Where everything stood and what became of it: each server with its nodes, and under each what
//! happened to it, at which instant. Plain HTML, to be read without scripts.

use super::tables::target_name;
use crate::analysis::comparison::short;
use crate::analysis::{Comparison, FaultSummary, Run};
use crate::plan::{NodePlan, Plan, ServerPlan};
use crate::record::{Event, EventKind, Record};
use maud::{Markup, html};
use std::collections::BTreeSet;

/// Of one node or server more would not be read; the record has them.
const MOST: usize = 12;

/// What happened to a node or server.
#[derive(Debug, PartialEq)]
struct Fate {
    /// Since the start of the run.
    at_s: f64,
    what: String,
    tone: Tone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    /// It was there, or back.
    Up,
    Down,
    /// What was done to it, and that it was undone.
    Fault,
    Leads,
    Plain,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Up => "up",
            Tone::Down => "down",
            Tone::Fault => "fault",
            Tone::Leads => "leads",
            Tone::Plain => "plain",
        }
    }
}

/// Whether any target has servers or nodes of its own.
pub fn has(runs: &[Run<'_>]) -> bool {
    runs.iter().any(|run| !run.record.manifest.plan.nodes.is_empty())
}

pub fn section(runs: &[Run<'_>], c: &Comparison) -> Markup {
    html! {
        section #topology {
            h2 { "Who stood where, and what became of them" }
            p.caption {
                "A box is a server, in it its nodes with what each is for. Times are since the start of the load; what is not listed ran from start to end. A fault that hit a whole server stands at the server."
            }
            @for (index, run) in runs.iter().enumerate() {
                @if !run.record.manifest.plan.nodes.is_empty() {
                    h3 { (target_name(index, &c.targets[index])) }
                    (topology(run))
                }
            }
        }
    }
}

fn topology(run: &Run<'_>) -> Markup {
    let plan = &run.record.manifest.plan;
    html! {
        ul.servers {
            @for server in &plan.servers {
                li.server {
                    h4 { (server.name) }
                    p.small { (server_text(server)) }
                    (list(&of_server(run, &server.name)))
                    ul.nodes { @for node in nodes_on(plan, &server.name) { (self::node(run, node)) } }
                }
            }
            @let others: Vec<_> = plan.nodes.iter().filter(|n| plan.servers.iter().all(|s| s.name != n.server)).collect();
            @if !others.is_empty() {
                li.server {
                    h4 { "not on a server of brunt's" }
                    ul.nodes { @for node in others { (self::node(run, node)) } }
                }
            }
        }
    }
}

fn nodes_on<'a>(plan: &'a Plan, server: &'a str) -> impl Iterator<Item = &'a NodePlan> {
    plan.nodes.iter().filter(move |n| n.server == server)
}

fn server_text(server: &ServerPlan) -> String {
    match server.cores > 0.0 {
        true => {
            let units = if server.units == 1.0 { "unit" } else { "units" };
            format!("{} {units} of CPU, {} cores", short(server.units), short(server.cores))
        }
        false => "no share of CPU of its own".into(),
    }
}

fn node(run: &Run<'_>, node: &NodePlan) -> Markup {
    html! {
        li {
            b { (node.name) } " "
            span.soft {
                (node.role.name())
                @if !node.region.is_empty() { ", " (node.region) }
            }
            (list(&of_node(run.record, &run.summary.faults, &node.name)))
        }
    }
}

fn list(fates: &[Fate]) -> Markup {
    html! {
        @if !fates.is_empty() {
            ol.fates {
                @for fate in fates.iter().take(MOST) {
                    li class=(fate.tone.class()) { span.at { (format!("{:.2} s", fate.at_s)) } " " (fate.what) }
                }
                @if fates.len() > MOST { li.plain { "and " (fates.len() - MOST) " more in the record" } }
            }
        }
    }
}

/// A node of the same name tells them itself.
fn of_server(run: &Run<'_>, name: &str) -> Vec<Fate> {
    match run.record.manifest.plan.nodes.iter().any(|n| n.name == name) {
        true => Vec::new(),
        false => faults_on(&run.summary.faults, name),
    }
}

/// Injections and heals, as they were read back, for whom they hit.
fn faults_on(faults: &[FaultSummary], name: &str) -> Vec<Fate> {
    let hit = faults.iter().filter(|f| f.node.split(',').any(|n| n.trim() == name));
    let mut all: Vec<Fate> = hit
        .flat_map(|f| {
            let fate = |at_s: Option<f64>, what: String| {
                at_s.map(|at_s| Fate { at_s, what, tone: Tone::Fault })
            };
            let by =
                if f.mechanism.is_empty() { String::new() } else { format!(" by {}", f.mechanism) };
            [
                fate(f.injected_at_s, format!("{}: {}{by}", f.name, f.kind)),
                fate(f.healed_at_s, format!("{} healed", f.name)),
            ]
        })
        .flatten()
        .collect();
    all.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    all
}

/// In the order of the clock. The start before the load is no news, except who then led; neither
/// is that everything is stopped after it.
fn of_node(record: &Record, faults: &[FaultSummary], name: &str) -> Vec<Fate> {
    let end = record.manifest.plan.load.end().0;
    // Events of several sources do not lie in the record strictly by the clock.
    let mut within: Vec<&Event> = record.events.iter().filter(|e| e.at_ns < end).collect();
    within.sort_by_key(|e| e.at_ns);
    let mut all = faults_on(faults, name);
    // To be used at first is what every member is for; to be used again is news.
    let mut out = BTreeSet::new();
    let news = within.into_iter().filter(|event| match event.kind {
        EventKind::MemberDown if event.object == name => out.insert(&event.subject),
        EventKind::MemberUp if event.object == name => out.remove(&event.subject),
        _ => true,
    });
    all.extend(news.filter_map(|event| fate(event, name)));
    all.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    all
}

fn fate(event: &Event, name: &str) -> Option<Fate> {
    let is_news = event.at_ns > 0;
    let (is_it, is_seen) = (event.subject == name, event.object == name);
    let why = |text: String| match event.detail.is_empty() {
        true => text,
        false => format!("{text}: {}", event.detail),
    };
    let (what, tone) = match event.kind {
        EventKind::NodeExited if is_it && is_news => match event.detail.as_str() {
            "" => ("exited".into(), Tone::Down),
            how => (how.into(), Tone::Down),
        },
        EventKind::NodeStarted if is_it && is_news => ("started again".into(), Tone::Plain),
        EventKind::NodeReady if is_it && is_news => ("ready again".into(), Tone::Up),
        EventKind::BecameLeader if is_it => ("leads".into(), Tone::Leads),
        EventKind::BecameReplica if is_it && is_news => ("follows".into(), Tone::Plain),
        EventKind::MemberDown if is_seen && is_news => {
            (why(format!("taken out by {}", event.subject)), Tone::Down)
        }
        EventKind::MemberUp if is_seen && is_news => {
            (format!("in use again by {}", event.subject), Tone::Up)
        }
        EventKind::GuardTripped if is_it || is_seen => (why("a guard tripped".into()), Tone::Down),
        _ => return None,
    };
    Some(Fate { at_s: event.at_ns as f64 / 1e9, what, tone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::summarise;
    use crate::analysis::testing::{Builder, power_off_story, with_trio};

    fn fates(builder: Builder, node: &str) -> Vec<(f64, String, Tone)> {
        let record = builder.build();
        let summary = summarise(&record);
        let all = of_node(&record, &summary.faults, node);
        all.into_iter().map(|f| (f.at_s, f.what, f.tone)).collect()
    }

    #[test]
    fn a_node_is_told_by_its_instants_and_the_start_is_no_news() {
        let story = Builder::new("horizontal")
            .event(0.0, EventKind::NodeReady, "database-1", "")
            .event(0.0, EventKind::BecameLeader, "database-1", "1")
            .event(10.0, EventKind::NodeExited, "database-1", "")
            .event(10.6, EventKind::BecameLeader, "database-2", "2")
            .event(12.0, EventKind::NodeStarted, "database-1", "")
            .event(12.2, EventKind::NodeReady, "database-1", "")
            .event(12.3, EventKind::BecameReplica, "database-1", "2")
            .event(25.0, EventKind::NodeExited, "database-1", "");
        let expected = [
            (0.0, "leads", Tone::Leads),
            (10.0, "exited", Tone::Down),
            (12.0, "started again", Tone::Plain),
            (12.2, "ready again", Tone::Up),
            (12.3, "follows", Tone::Plain),
        ];
        let expected: Vec<_> = expected.map(|(at, what, tone)| (at, what.to_string(), tone)).into();
        assert_eq!(fates(story, "database-1"), expected);
    }

    #[test]
    fn a_fault_and_who_noticed_it_stand_at_the_one_that_was_hit() {
        let story = power_off_story().event(0.1, EventKind::MemberUp, "balancer-1", "app-1").event(
            13.5,
            EventKind::MemberUp,
            "balancer-1",
            "app-1",
        );
        let seen = fates(story, "app-1");
        assert_eq!((seen[0].0, seen[0].2), (10.25, Tone::Fault));
        assert!(seen[0].1.ends_with("by freezer"), "{seen:?}");
        let noticed: Vec<_> = seen.iter().map(|f| f.1.as_str()).collect();
        assert!(noticed.contains(&"taken out by balancer-1"), "{noticed:?}");
        assert!(noticed.contains(&"in use again by balancer-1"), "{noticed:?}");
        assert_eq!(noticed.iter().filter(|text| text.contains("in use")).count(), 1);
    }

    #[test]
    fn every_server_and_node_has_its_place() {
        with_trio(|c, runs| {
            let page = section(runs, c).into_string();
            for run in runs {
                let plan = &run.record.manifest.plan;
                let names = plan.servers.iter().map(|s| &s.name);
                for name in names.chain(plan.nodes.iter().map(|n| &n.name)) {
                    assert!(page.contains(name.as_str()), "{name}");
                }
            }
        });
    }
}
