//! `Lever::Descriptors`: each of the node's processes may have so many descriptors open. Those that
//! are open stay so; what needs one more fails with `EMFILE`, which no counter of the kernel tells.

use super::super::Keeper;
use super::super::operate::refused;
use super::Counted;
use crate::base::clock;
use crate::fault::Lever;
use crate::fleet::protocol::Stamp;
use crate::host::descriptors::{set_soft_limit, soft_limit};
use crate::host::process::{Identity, Process, Stat};
use crate::host::usage;
use std::io;

/// A process whose soft limit was changed, and what it was.
#[derive(Clone, Copy, Debug)]
pub struct Lowered {
    process: Identity,
    was: u64,
    to: u64,
}

/// Looked for again so often: a process may start another while it is looked at.
const ROUNDS: usize = 8;

pub fn check(keeper: &Keeper, node: &str, to: u64) -> io::Result<()> {
    let node = keeper.node(node)?;
    let Some(running) = &node.running else { return Ok(()) };
    let now = soft_limit(&running.held)?;
    let was = lowered(&node.lowered, running.identity()).map_or(now, |l| l.was);
    match to < was {
        true => Ok(()),
        false => refused(format!("it may have {was} descriptors open: {to} takes nothing away")),
    }
}

pub fn set(keeper: &mut Keeper, node: &str, on: &[Lever]) -> io::Result<Stamp> {
    let least = on.iter().filter_map(to_of).min();
    let mut known = keeper.node(node)?.lowered.clone();
    let before = clock::now();
    let done = set_all(|| members(keeper, node), &mut known, least);
    let after = clock::now();
    let (done, failed) = match done {
        Ok(done) => (done, None),
        Err(e) => (Vec::new(), Some(e)),
    };
    // When one could not be set, what is known of the others is still needed to set them back.
    known.retain(|l| l.process.is_alive() && (failed.is_some() || !on.is_empty()));
    keeper.node_mut(node)?.lowered = known;
    let mechanism = "prlimit, soft RLIMIT_NOFILE".into();
    failed.map_or(Ok(Stamp { before, after, mechanism, proof: words(&done) }), Err)
}

/// Each process once, as often as there are new ones (bounded); `known` grows by what they had.
fn set_all(
    members: impl Fn() -> io::Result<Vec<Process>>,
    known: &mut Vec<Lowered>,
    least: Option<u64>,
) -> io::Result<Vec<Lowered>> {
    let mut done: Vec<Lowered> = Vec::new();
    for _round in 0..ROUNDS {
        let is_fresh = |p: &Process| lowered(&done, p.identity).is_none();
        let fresh: Vec<Process> = members()?.into_iter().filter(is_fresh).collect();
        if fresh.is_empty() {
            break;
        }
        for process in fresh {
            match set_one(&process, known, least) {
                Ok(one) => {
                    known.retain(|l| l.process != one.process);
                    known.push(one);
                    done.push(one);
                }
                // What ended meanwhile needs no limit.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(done)
}

fn members(keeper: &Keeper, node: &str) -> io::Result<Vec<Process>> {
    let running = keeper.node(node)?.running.as_ref();
    Ok(running.map(|r| r.members()).unwrap_or_default())
}

fn set_one(process: &Process, known: &[Lowered], least: Option<u64>) -> io::Result<Lowered> {
    let now = soft_limit(process)?;
    let was = lowered(known, process.identity)
        .map(|l| l.was)
        .or_else(|| inherited(process, known, now))
        .unwrap_or(now);
    let to = set_soft_limit(process, least.map_or(was, |to| to.min(was)))?;
    Ok(Lowered { process: process.identity, was, to })
}

/// A process that was started meanwhile began with its parent's changed limit, and is given back
/// what its parent had.
fn inherited(process: &Process, known: &[Lowered], now: u64) -> Option<u64> {
    let parent = Stat::read(process.identity.pid)?.parent;
    let candidates = || known.iter().filter(|l| l.to == now);
    let by_parent = candidates().find(|l| l.process.pid == parent);
    by_parent.or_else(|| candidates().next()).map(|l| l.was)
}

fn lowered(known: &[Lowered], process: Identity) -> Option<Lowered> {
    known.iter().find(|l| l.process == process).copied()
}

fn to_of(lever: &Lever) -> Option<u64> {
    match lever {
        Lever::Descriptors { to, .. } => Some(*to),
        _ => None,
    }
}

fn words(done: &[Lowered]) -> String {
    let open = |l: &Lowered| usage::of(l.process).map_or(0, |u| u.descriptors);
    let one = |l: &Lowered| {
        format!("process {}: soft limit {} (had {}), {} open", l.process.pid, l.to, l.was, open(l))
    };
    let all: Vec<String> = done.iter().map(one).collect();
    if all.is_empty() { "no process runs".into() } else { all.join(", ") }
}

/// Of the process that has most of its descriptors open.
pub fn count(keeper: &Keeper, node: &str) -> Counted {
    let Some(running) = keeper.nodes.get(node).and_then(|n| n.running.as_ref()) else {
        return Counted::Nothing;
    };
    let one = |p: &Process| {
        let open = u64::from(usage::of(p.identity)?.descriptors);
        Some((open, soft_limit(p).ok()?))
    };
    let members = running.members();
    let fullest = members.iter().filter_map(one).max_by_key(|(open, of)| open * 1_000 / (of + 1));
    fullest.map_or(Counted::Nothing, |(open, of)| Counted::Descriptors { open, of })
}
