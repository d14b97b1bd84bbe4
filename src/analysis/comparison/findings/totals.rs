//! What whole runs tell: lost writes and CPU per answer.

use super::{CLAIM_RATIO, Finding, Say, Topic, ranked, ratio};
use crate::analysis::comparison::cell::count_text;
use crate::analysis::comparison::rows::{calm_cpu_ms, calm_in_all};

impl Say<'_> {
    /// A lost write is a fact, however few there are.
    pub(super) fn lost_writes(&self) -> Option<Finding> {
        let values = self.values(|r| r.summary.data.lost.map(|n| n as f64));
        let lost: Vec<(usize, f64)> =
            ranked(&values).into_iter().filter(|(_, n)| *n > 0.0).collect();
        if lost.is_empty() {
            return None;
        }
        let list = self.list(&lost, |n| format!("lost {}", count_text(n as u64)));
        let is_difference = lost.len() < values.iter().flatten().count();
        Some(Finding {
            topic: Topic::LostWrites,
            about: "acknowledged writes lost".into(),
            unit: "writes",
            values,
            ratio: None,
            is_difference,
            why: None,
            text: format!("Acknowledged writes that were gone at the end: {list}."),
        })
    }

    pub(super) fn cpu_per_answer(&self) -> Option<Finding> {
        let calm = calm_in_all(&self.runs.iter().collect::<Vec<_>>());
        let values = self.values(|r| calm_cpu_ms(r, &calm));
        let ranked = ranked(&values);
        let ratio = ratio(&ranked, 0.0).filter(|r| *r >= CLAIM_RATIO)?;
        let list = self.list(&ranked, |s| format!("{s:.2} s"));
        Some(Finding {
            topic: Topic::Cpu,
            about: "CPU per 1,000 answers, calm".into(),
            unit: "s",
            values,
            ratio: Some(ratio),
            is_difference: true,
            why: None,
            text: format!("CPU for 1,000 answers while nothing breaks: {list}."),
        })
    }
}
