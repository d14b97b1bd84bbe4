//! Which fault lost which writes: the recovery point, in writes and in seconds.

use crate::analysis::recovery::Impact;
use crate::analysis::summary::FaultSummary;
use crate::base::Nanos;
use serde::{Deserialize, Serialize};

/// What was acknowledged and is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    pub writes: u64,
    /// Acknowledged, since the start of the run.
    pub oldest_at_s: f64,
    pub newest_at_s: f64,
    /// The fault that is nearest to the oldest.
    pub fault: Option<String>,
    /// The recovery point: from the acknowledgement of the oldest to that fault's injection. Negative
    /// when it was acknowledged afterwards.
    pub rpo_s: Option<f64>,
}

/// Gives every lost write to the nearest fault that takes nodes away; to the nearest of any kind,
/// where none does. `lost_at` in order; only where the data was read back.
pub fn attribute(
    faults: &mut [(FaultSummary, Option<Impact>)],
    lost_at: Option<&[Nanos]>,
) -> Option<Loss> {
    let lost_at = lost_at?;
    for (fault, _) in faults.iter_mut().filter(|(_, impact)| impact.is_some()) {
        fault.lost_writes = Some(0);
    }
    for at in lost_at {
        if let Some(index) = nearest(faults, at.0) {
            let (fault, impact) = &mut faults[index];
            let injected_ns = impact.as_ref().map_or(0, |i| i.injected_ns);
            fault.lost_writes = Some(fault.lost_writes.unwrap_or(0) + 1);
            fault.rpo_s.get_or_insert((injected_ns as f64 - at.0 as f64) / 1e9);
        }
    }
    let (oldest, newest) = (lost_at.first()?, lost_at.last()?);
    let fault = nearest(faults, oldest.0).map(|index| &faults[index].0);
    Some(Loss {
        writes: lost_at.len() as u64,
        oldest_at_s: oldest.as_secs_f64(),
        newest_at_s: newest.as_secs_f64(),
        fault: fault.map(|f| f.name.clone()),
        rpo_s: fault.and_then(|f| f.rpo_s),
    })
}

/// By the time between an instant and the fault's being in force; of equals the one injected last.
fn nearest(faults: &[(FaultSummary, Option<Impact>)], at: u64) -> Option<usize> {
    let injected = || {
        let with_index = faults.iter().enumerate();
        with_index.filter_map(|(i, (_, impact))| impact.as_ref().map(|impact| (i, impact)))
    };
    let does_any_take = injected().any(|(_, impact)| impact.takes_away);
    injected()
        .filter(|(_, impact)| impact.takes_away || !does_any_take)
        .min_by_key(|(_, impact)| {
            let until = impact.healed_ns.unwrap_or(impact.until_ns).max(impact.injected_ns);
            let before = impact.injected_ns.saturating_sub(at);
            (before.max(at.saturating_sub(until)), u64::MAX - impact.injected_ns)
        })
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(
        name: &str,
        from_s: u64,
        to_s: u64,
        takes_away: bool,
    ) -> (FaultSummary, Option<Impact>) {
        let summary = FaultSummary { name: name.into(), ..FaultSummary::default() };
        let impact = Impact {
            injected_ns: from_s * 1_000_000_000,
            healed_ns: Some(to_s * 1_000_000_000),
            until_ns: 60_000_000_000,
            blow: crate::analysis::recovery::Blow::default(),
            takes_away,
            summary: FaultSummary::default(),
        };
        (summary, Some(impact))
    }

    #[test]
    fn a_lost_write_belongs_to_the_nearest_fault_that_took_nodes_away() {
        let mut faults = [
            fault("stall", 9, 12, false),
            fault("kill", 10, 15, true),
            fault("again", 30, 35, true),
        ];
        let lost = [9_800, 9_900, 11_000, 29_000].map(Nanos::from_millis);
        let loss = attribute(&mut faults, Some(&lost)).unwrap();
        let seen = faults.each_ref().map(|(f, _)| (f.lost_writes, f.rpo_s));
        assert_eq!(seen, [(Some(0), None), (Some(3), Some(0.2)), (Some(1), Some(1.0))]);
        assert_eq!((loss.writes, loss.fault.as_deref(), loss.rpo_s), (4, Some("kill"), Some(0.2)));
        assert_eq!((loss.oldest_at_s, loss.newest_at_s), (9.8, 29.0));
    }

    #[test]
    fn without_such_a_fault_it_belongs_to_the_nearest_of_any_kind() {
        let mut faults = [fault("stall", 9, 12, false), fault("slow", 20, 22, false)];
        attribute(&mut faults, Some(&[Nanos::from_millis(12_500)]));
        assert_eq!((faults[0].0.lost_writes, faults[0].0.rpo_s), (Some(1), Some(-3.5)));
        assert_eq!(attribute(&mut [], Some(&[Nanos(1)])).unwrap().fault, None);
    }

    #[test]
    fn what_was_not_read_back_is_not_known() {
        let mut faults = [fault("kill", 10, 15, true), (FaultSummary::default(), None)];
        assert_eq!(attribute(&mut faults, None), None);
        assert_eq!(faults[0].0.lost_writes, None);
        assert_eq!(attribute(&mut faults, Some(&[])), None);
        assert_eq!((faults[0].0.lost_writes, faults[1].0.lost_writes), (Some(0), None));
    }
}
