//! How much of its CPU each server used, and when.

use super::summary::ServerLoad;
use crate::record::Record;
use std::collections::BTreeMap;
use std::ops::Range;

/// brunt's own node.
pub const BRUNT: &str = "brunt";

/// CPU and throttled nanoseconds of each server in a range of seconds; each server counted once,
/// however many nodes it holds.
pub fn server_totals(record: &Record, seconds: &Range<u32>) -> BTreeMap<String, (u64, u64)> {
    let mut per_second = BTreeMap::new();
    for row in record.nodes.iter().filter(|r| seconds.contains(&r.second)) {
        if row.node != BRUNT && row.server != BRUNT {
            let slot = per_second.entry((row.server.clone(), row.second)).or_insert((0, 0));
            *slot = (row.server_cpu_ns.max(slot.0), row.server_throttled_ns.max(slot.1));
        }
    }
    let mut totals: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for ((server, _), (cpu, throttled)) in per_second {
        let total = totals.entry(server).or_default();
        *total = (total.0 + cpu, total.1 + throttled);
    }
    totals
}

/// CPU seconds that all servers of the target used; `None` when nothing was sampled.
pub fn used_s(record: &Record, ranges: &[Range<u32>]) -> Option<f64> {
    let mut sampled = false;
    let mut total = 0;
    for range in ranges {
        for (cpu, _) in server_totals(record, range).values() {
            sampled = true;
            total += cpu;
        }
    }
    sampled.then_some(total as f64 / 1e9)
}

/// Used ÷ given of every server of the plan in a range of seconds, the busiest first.
pub fn server_loads(record: &Record, seconds: Range<u32>) -> Vec<ServerLoad> {
    let wall_ns = f64::from(seconds.end.saturating_sub(seconds.start)) * 1e9;
    let totals = server_totals(record, &seconds);
    let mut loads: Vec<ServerLoad> = (record.manifest.plan.servers.iter())
        .filter(|server| server.cores > 0.0 && wall_ns > 0.0)
        .filter_map(|server| {
            let (cpu, throttled) = totals.get(&server.name)?;
            Some(ServerLoad {
                server: server.name.clone(),
                cores: server.cores,
                cpu_share: *cpu as f64 / (wall_ns * server.cores),
                throttled_share: (*throttled as f64 / wall_ns).min(1.0),
            })
        })
        .collect();
    loads.sort_by(|a, b| b.cpu_share.total_cmp(&a.cpu_share));
    loads
}
