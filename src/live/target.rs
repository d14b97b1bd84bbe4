//! Phases, nodes, faults and thresholds as parts of lines.

use crate::run::{FaultNow, NodeNow, Progress, SoFar, Standing};

const ARROW: &str = " → ";

/// Phases behind, the present one in brackets, phases ahead; what is long past is left out where there
/// are fewer columns.
pub(super) fn phases(s: &Progress, columns: usize) -> Option<String> {
    if s.phases.len() < 2 {
        return None;
    }
    let name = |(i, name): (usize, &String)| match i == s.phase_index {
        true => format!("[{name}]"),
        false => name.clone(),
    };
    let all: Vec<String> = s.phases.iter().enumerate().map(name).collect();
    let from = |first: usize| match first {
        0 => all.join(ARROW),
        _ => format!("…{ARROW}{}", all[first..].join(ARROW)),
    };
    (0..=s.phase_index.min(all.len() - 1))
        .map(from)
        .reduce(|longer, shorter| if longer.chars().count() <= columns { longer } else { shorter })
}

pub(super) fn nodes_up(s: &Progress) -> Option<String> {
    let up = s.nodes.iter().filter(|node| node.is_up).count();
    (!s.nodes.is_empty()).then(|| format!("{up}/{} nodes up", s.nodes.len()))
}

/// `app-1 41 %`, `database-2 leader 20 %`, `app-2 DOWN`.
pub(super) fn node(node: &NodeNow) -> String {
    let mut text = node.name.clone();
    if !node.is_up {
        return text + " DOWN";
    }
    if node.leads {
        text += " leader";
    }
    match node.cpu_share {
        Some(share) => format!("{text} {:.0} %", share * 100.0),
        None => text,
    }
}

/// `lose-app on app-1 for 3 s more`.
pub(super) fn fault(fault: &FaultNow) -> String {
    let on = if fault.on.is_empty() { String::new() } else { format!(" on {}", fault.on) };
    let left = fault.left.map(|left| left.as_secs_f64().ceil());
    match left.filter(|seconds| *seconds > 0.0) {
        Some(seconds) => format!("{}{on} for {seconds:.0} s more", fault.name),
        None => format!("{}{on}", fault.name),
    }
}

/// `errors: rate<0.01 held so far (0.20 % broke it)`.
pub(super) fn threshold(s: &SoFar) -> String {
    let standing = match s.standing {
        Standing::Held => "held so far",
        Standing::Missed => "MISSED so far",
        Standing::Lost => "LOST",
    };
    format!("{} {standing} ({:.2} % broke it)", s.expression, s.share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_phases_those_that_are_past_give_way() {
        let names = ["warm-up", "quiet", "viral", "peak", "ebb"].map(String::from).to_vec();
        let state = Progress { phases: names, phase_index: 3, ..Progress::default() };
        assert_eq!(phases(&state, 80).unwrap(), "warm-up → quiet → viral → [peak] → ebb");
        assert_eq!(phases(&state, 22).unwrap(), "… → [peak] → ebb");
        assert_eq!(phases(&state, 5).unwrap(), "… → [peak] → ebb");
        let drain = Progress { phase_index: 5, ..state };
        assert_eq!(phases(&drain, 13).unwrap(), "… → ebb");
        let one = Progress { phases: vec!["load".into()], ..drain };
        assert_eq!(phases(&one, 80), None);
    }
}
