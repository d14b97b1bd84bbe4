//! What each node of a target did, over the seconds: CPU, whether it was alive, what it found in its
//! cache, how far it was behind.

use super::bins::{Bins, mean};
use super::data::round;
use crate::record::{NodeRow, Record};
use serde::Serialize;
use std::collections::BTreeMap;

type Line = Vec<Option<f64>>;

#[derive(Debug, Serialize)]
pub struct NodesData {
    /// The fewest of each stretch.
    nodes_up: Vec<Option<u32>>,
    /// Used ÷ given, by group of servers.
    cpu: BTreeMap<String, Line>,
    /// The node's own CPU ÷ what its server was given, by node.
    node_cpu: BTreeMap<String, Line>,
    /// Found ÷ asked for, by role.
    hits: BTreeMap<String, Line>,
    /// Entries behind the leader, the most of each stretch, by node.
    lag: BTreeMap<String, Line>,
}

impl NodesData {
    pub fn has(&self, chart: &str) -> bool {
        let lines = match chart {
            "cpu" => &self.cpu,
            "node-cpu" => &self.node_cpu,
            "hits" => &self.hits,
            _ => &self.lag,
        };
        !lines.is_empty()
    }
}

pub fn nodes_data(record: &Record, bins: Bins) -> NodesData {
    let own = |row: &&NodeRow| record.manifest.plan.nodes.iter().any(|n| n.name == row.node);
    let rows: Vec<(usize, &NodeRow)> = (record.nodes.iter())
        .filter(own)
        .filter_map(|row| Some((bins.index(row.second)?, row)))
        .collect();
    NodesData {
        nodes_up: nodes_up(&rows, bins),
        cpu: cpu_by_group(record, bins),
        node_cpu: lines(
            &rows,
            bins,
            |row| Some((row.node.clone(), cpu_share(record, row)?)),
            |all| mean(all.iter().copied()),
        ),
        hits: hits(&rows, bins),
        lag: lines(
            &rows,
            bins,
            |row| Some((row.node.clone(), row.replication_lag? as f64)),
            |all| all.iter().copied().reduce(f64::max),
        ),
    }
}

/// A line for each name, of what `value` finds in the rows of each bin.
fn lines(
    rows: &[(usize, &NodeRow)],
    bins: Bins,
    value: impl Fn(&NodeRow) -> Option<(String, f64)>,
    join: impl Fn(&[f64]) -> Option<f64>,
) -> BTreeMap<String, Line> {
    let mut found: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    for (bin, row) in rows {
        let Some((name, value)) = value(row) else { continue };
        let line = found.entry(name).or_insert_with(|| vec![Vec::new(); bins.count()]);
        line[*bin].push(value);
    }
    let joined = |line: Vec<Vec<f64>>| line.iter().map(|all| join(all).map(round)).collect();
    found.into_iter().map(|(name, line)| (name, joined(line))).collect()
}

/// Of one core where its server has no share of its own.
fn cpu_share(record: &Record, row: &NodeRow) -> Option<f64> {
    let server = record.manifest.plan.servers.iter().find(|s| s.name == row.server)?;
    let cores = if server.cores > 0.0 { server.cores } else { 1.0 };
    Some(row.cpu_ns as f64 / (cores * 1e9))
}

fn hits(rows: &[(usize, &NodeRow)], bins: Bins) -> BTreeMap<String, Line> {
    let mut found: BTreeMap<String, Vec<(u64, u64)>> = BTreeMap::new();
    for (bin, row) in rows.iter().filter(|(_, row)| row.cache_hits + row.cache_misses > 0) {
        let role = row.role.split('/').next().unwrap_or_default();
        let line = found.entry(role.into()).or_insert_with(|| vec![(0, 0); bins.count()]);
        line[*bin].0 += row.cache_hits;
        line[*bin].1 += row.cache_hits + row.cache_misses;
    }
    let share = |(hits, all): &(u64, u64)| crate::analysis::share(*hits, *all).map(round);
    found.into_iter().map(|(role, line)| (role, line.iter().map(share).collect())).collect()
}

fn nodes_up(rows: &[(usize, &NodeRow)], bins: Bins) -> Vec<Option<u32>> {
    let mut seconds: BTreeMap<(usize, u32), u32> = BTreeMap::new();
    for (bin, row) in rows {
        *seconds.entry((*bin, row.second)).or_default() += u32::from(row.alive);
    }
    let mut up = vec![None; bins.count()];
    for ((bin, _), n) in seconds {
        let slot: &mut Option<u32> = &mut up[bin];
        *slot = Some(slot.map_or(n, |fewest| fewest.min(n)));
    }
    up
}

fn cpu_by_group(record: &Record, bins: Bins) -> BTreeMap<String, Line> {
    let servers = &record.manifest.plan.servers;
    // Every node of a server says the same of it.
    let mut used: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    for row in &record.nodes {
        let slot = used.entry((row.server.as_str(), row.second)).or_default();
        *slot = row.server_cpu_ns.max(*slot);
    }
    let mut seconds: BTreeMap<(&str, u32), u64> = BTreeMap::new();
    for ((server, second), ns) in used {
        if let Some(server) = servers.iter().find(|s| s.name == server) {
            *seconds.entry((server.group.as_str(), second)).or_default() += ns;
        }
    }
    let mut groups: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
    for ((group, second), ns) in seconds {
        let members = servers.iter().filter(|s| s.group == *group);
        let cores: f64 = members.map(|s| s.cores).sum();
        let Some(bin) = bins.index(second).filter(|_| cores > 0.0) else { continue };
        let line = groups.entry(group.into()).or_insert_with(|| vec![Vec::new(); bins.count()]);
        line[bin].push(ns as f64 / (cores * 1e9));
    }
    let joined = |line: Vec<Vec<f64>>| line.into_iter().map(|all| mean(all).map(round)).collect();
    groups.into_iter().map(|(group, line)| (group, joined(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::testing::with_trio;

    #[test]
    fn every_node_has_its_lines() {
        with_trio(|_, runs| {
            let mut record = runs[2].record.clone();
            for row in &mut record.nodes {
                if row.node == "cache-1" {
                    (row.cache_hits, row.cache_misses) = (3, u64::from(row.second % 2));
                }
                if row.node == "database-2" {
                    row.replication_lag = Some(row.second.into());
                }
                row.alive = row.node != "app-2" || row.second != 5;
            }
            let second_by_second = nodes_data(&record, Bins::of(20));
            assert_eq!(second_by_second.cpu.len(), 5);
            assert_eq!(second_by_second.node_cpu.len(), 11);
            assert_eq!(second_by_second.nodes_up[4..7], [Some(11), Some(10), Some(11)]);
            assert_eq!(second_by_second.hits["cache"][..2], [Some(1.0), Some(0.75)]);
            let coarse = nodes_data(&record, Bins::every(20, 10));
            assert_eq!(coarse.nodes_up, [Some(10), Some(11)]);
            assert_eq!(coarse.lag["database-2"], [Some(9.0), Some(19.0)]);
            assert_eq!(coarse.hits["cache"][0], Some(round(30.0 / 35.0)));
            assert_eq!(coarse.cpu["app"].len(), 2);
        });
    }
}
