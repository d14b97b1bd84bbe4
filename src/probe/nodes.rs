//! Cumulative readings of nodes → rows of `nodes.csv`, which hold differences per second.

use crate::record::NodeRow;
use std::collections::BTreeMap;

/// One reading of one node; counters are cumulative since the process started, server figures
/// since the server was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeSample {
    pub node: String,
    pub server: String,
    pub role: String,
    pub alive: bool,
    pub cpu_ns: u64,
    pub server_cpu_ns: u64,
    pub server_throttled_ns: u64,
    pub rss_bytes: u64,
    pub threads: u32,
    pub fds: u32,
    /// The node's own `/counters`; empty when it did not answer.
    pub counters: BTreeMap<String, u64>,
    /// Since the last reading, already a share; only brunt's own sample has it.
    pub steal_share: Option<f64>,
    /// Of the slowest core since the last reading; only brunt's own sample has it.
    pub slowdown: Option<f64>,
}

/// Remembers the last reading of each node.
#[derive(Debug, Default)]
pub struct NodeSampler {
    last: BTreeMap<String, NodeSample>,
}

impl NodeSampler {
    /// The row for the second that ends with this reading.
    pub fn row(&mut self, second: u32, sample: NodeSample) -> NodeRow {
        let before = self.last.get(&sample.node).cloned().unwrap_or_default();
        let counted = |name: &str| match (sample.counters.get(name), before.counters.get(name)) {
            (Some(now), Some(before)) => since(*now, *before),
            (Some(now), None) => *now,
            _ => 0,
        };
        let row = NodeRow {
            second,
            node: sample.node.clone(),
            server: sample.server.clone(),
            role: sample.role.clone(),
            alive: sample.alive,
            cpu_ns: since(sample.cpu_ns, before.cpu_ns),
            server_cpu_ns: since(sample.server_cpu_ns, before.server_cpu_ns),
            server_throttled_ns: since(sample.server_throttled_ns, before.server_throttled_ns),
            rss_bytes: sample.rss_bytes,
            threads: sample.threads,
            fds: sample.fds,
            requests: counted("requests"),
            cache_hits: counted("cache_hits"),
            cache_misses: counted("cache_misses"),
            replication_lag: sample.counters.get("replication_lag").copied(),
            steal_share: sample.steal_share,
            slowdown: sample.slowdown,
        };
        // A node that did not answer keeps its last counters, so that nothing is counted twice.
        let counters = match sample.counters.is_empty() && sample.alive {
            true => before.counters,
            false => sample.counters.clone(),
        };
        self.last.insert(sample.node.clone(), NodeSample { counters, ..sample });
        row
    }
}

/// The increase of a counter; one that fell belongs to a new process and starts from zero.
fn since(now: u64, before: u64) -> u64 {
    if now >= before { now - before } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_ns: u64, requests: Option<u64>, alive: bool) -> NodeSample {
        let counters = requests.map(|n| ("requests".to_string(), n)).into_iter().collect();
        NodeSample { node: "app-1".into(), cpu_ns, counters, alive, ..NodeSample::default() }
    }

    #[test]
    fn rows_are_differences_across_silence_and_restarts() {
        let mut sampler = NodeSampler::default();
        let requests = [
            (sample(10, Some(5), true), 10, 5),
            (sample(30, Some(9), true), 20, 4),
            (sample(40, None, true), 10, 0),
            (sample(50, Some(20), true), 10, 11),
            (sample(0, None, false), 0, 0),
            (sample(7, Some(3), true), 7, 3),
        ];
        for (second, (sample, cpu, count)) in requests.into_iter().enumerate() {
            let row = sampler.row(second as u32, sample);
            assert_eq!((row.cpu_ns, row.requests), (cpu, count), "second {second}");
        }
    }
}
