//! How each lever is put on, composed and taken off: one file a resource, all of one shape. `set`
//! makes the resource as the holds on it want it, looks whether it is so, and says what it saw.

mod cpu_cores;
mod cpu_share;
mod freeze;
mod pause;
mod stopping;

use super::Keeper;
use super::operate::refused;
use crate::base::Nanos;
use crate::base::units::duration_text;
use crate::fault::Lever;
use crate::fleet::protocol::Stamp;
use std::io;

/// Refuses what cannot be held, before anything is written or done.
pub fn check(keeper: &Keeper, lever: &Lever) -> io::Result<()> {
    match lever {
        Lever::Pause { node } => keeper.node(node).map(drop),
        Lever::Freeze { server } => keeper.server(server).map(drop),
        Lever::CpuShare { server, to } => cpu_share::check(keeper, server, *to),
        Lever::CpuCores { server, to } => cpu_cores::check(keeper, server, *to),
        other => refused(format!("nothing here can hold {}", other.object())),
    }
}

/// Makes the lever's resource as the holds that are on want it.
pub fn apply(keeper: &mut Keeper, lever: &Lever) -> io::Result<Stamp> {
    let on: Vec<Lever> = keeper.on(lever).cloned().collect();
    match lever {
        Lever::Pause { node } => pause::set(keeper, node, !on.is_empty()),
        Lever::Freeze { server } => freeze::set(keeper, server, !on.is_empty()),
        Lever::CpuShare { server, .. } => cpu_share::set(keeper, server, smallest(&on)),
        Lever::CpuCores { server, .. } => cpu_cores::set(keeper, server, smallest(&on)),
        other => refused(format!("nothing here can hold {}", other.object())),
    }
}

/// The smallest share among holds of shares; 1 when there is none.
fn smallest(on: &[Lever]) -> f64 {
    let share = |lever: &Lever| match lever {
        Lever::CpuShare { to, .. } | Lever::CpuCores { to, .. } => *to,
        _ => 1.0,
    };
    on.iter().map(share).fold(1.0, f64::min)
}

/// The kernel's counters that tell what a lever did. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counted {
    /// Nothing is counted for this lever; that it was on is all there is to say.
    #[default]
    Nothing,
    /// CPU used, and the time in which more was wanted and not given.
    Cpu { used: Nanos, denied: Nanos },
    /// CPU used, and the time spent ready to run and not running.
    Queue { used: Nanos, waited: Nanos },
    /// CPU that was used all the same: a stopped server uses none.
    Stopped { used: Nanos },
}

pub fn count(keeper: &Keeper, lever: &Lever) -> Counted {
    match lever {
        Lever::Pause { node } => pause::count(keeper, node),
        Lever::Freeze { server } => freeze::count(keeper, server),
        Lever::CpuShare { server, .. } => cpu_share::count(keeper, server),
        Lever::CpuCores { server, .. } => cpu_cores::count(keeper, server),
        _ => Counted::Nothing,
    }
}

impl Counted {
    pub fn since(self, before: &Counted) -> Counted {
        match (self, *before) {
            (Counted::Cpu { used, denied }, Counted::Cpu { used: u, denied: d }) => {
                Counted::Cpu { used: used.saturating_sub(u), denied: denied.saturating_sub(d) }
            }
            (Counted::Queue { used, waited }, Counted::Queue { used: u, waited: w }) => {
                Counted::Queue { used: used.saturating_sub(u), waited: waited.saturating_sub(w) }
            }
            (Counted::Stopped { used }, Counted::Stopped { used: u }) => {
                Counted::Stopped { used: used.saturating_sub(u) }
            }
            _ => Counted::Nothing,
        }
    }

    /// For the proof of the heal; `lasted` is how long it was on.
    pub fn words(self, lasted: Nanos) -> String {
        let (of, ms) = (duration_text(rounded(lasted)), |n: Nanos| duration_text(rounded(n)));
        match self {
            Counted::Nothing => String::new(),
            Counted::Cpu { used, denied: Nanos(0) } => {
                format!("no effect: never throttled in {of}, used {}", ms(used))
            }
            Counted::Cpu { used, denied } => {
                format!("throttled for {} of {of}, used {}", ms(denied), ms(used))
            }
            Counted::Queue { used, waited } => {
                format!("ready but not running for {} of {of}, used {}", ms(waited), ms(used))
            }
            Counted::Stopped { used } => format!("stopped for {of}, used {}", ms(used)),
        }
    }
}

/// To a millisecond, for people; what is shorter, to a microsecond.
fn rounded(n: Nanos) -> Nanos {
    let step = if n.0 >= 1_000_000 { 1_000_000 } else { 1_000 };
    Nanos(n.0 / step * step)
}
