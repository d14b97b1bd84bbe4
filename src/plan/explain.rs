//! A plan in words and totals, for `brunt explain` and for whoever wants to know before it fires.

mod means;

use super::{Arrivals, LoadPlan, PhasePlan, Plan, RoutePlan};
use crate::base::Nanos;
use crate::base::units::size_text;
use crate::fault::When;
use crate::workload::Shape;
use std::fmt::Write;

/// The plan in words. Nothing here is looked up: the same plan gives the same text.
pub fn explain(plan: &Plan) -> String {
    let mut out = String::new();
    let w = &mut out;
    let _ = writeln!(w, "{} under {}, seed {}", plan.target, plan.profile, plan.seed);
    target(w, plan);
    load(w, plan);
    faults(w, plan);
    out
}

fn target(w: &mut String, plan: &Plan) {
    if !plan.is_bundled {
        let _ = writeln!(w, "\nthe target is not started by brunt; it is loaded where it is");
        return;
    }
    let cores: f64 = plan.servers.iter().map(|s| s.cores).sum();
    let _ = writeln!(
        w,
        "\n{} servers, {cores:.2} cores in all ({:.3} core per unit, in periods of {}; {})",
        plan.servers.len(),
        plan.host.unit_cores,
        plan.host.period,
        plan.host.quota_mechanism,
    );
    for server in &plan.servers {
        let nodes = server.nodes.join(", ");
        let units = (server.units * 1000.0).round() / 1000.0;
        let _ = writeln!(w, "  {:<12} {units:>5} units  {nodes}", server.name);
    }
    if plan.cost_per_request == Nanos::ZERO {
        return;
    }
    let _ = writeln!(
        w,
        "an average request costs {} of CPU uncached; by arithmetic they carry {:.0}/s",
        plan.cost_per_request, plan.expected_capacity_per_s
    );
}

fn load(w: &mut String, plan: &Plan) {
    let load = &plan.load;
    let kind = match load.arrivals {
        Arrivals::Poisson => "open loop, Poisson arrivals".to_string(),
        Arrivals::Constant => "open loop, equal gaps".to_string(),
        Arrivals::Closed { connections, think } => {
            format!("closed loop of {connections} connections, think time {think}")
        }
    };
    let _ =
        writeln!(w, "\n{kind}; in time within {}, given up after {}", load.in_time, load.timeout);
    for line in means::transport(load) {
        let _ = writeln!(w, "{line}");
    }
    for phase in &load.phases {
        let rate = match load.arrivals {
            Arrivals::Closed { .. } => "as fast as the answers come".into(),
            Arrivals::Poisson | Arrivals::Constant => rate(phase),
        };
        let note = if phase.measured { "" } else { "  not measured" };
        let _ = writeln!(
            w,
            "  {:>5} s to {:>5} s  {:<12} {rate}{note}",
            seconds(phase.start),
            seconds(phase.end),
            phase.name
        );
    }
    let _ = match load.arrivals {
        Arrivals::Closed { .. } => writeln!(w, "each request is one of:"),
        _ => writeln!(w, "about {:.0} requests in all:", planned(load)),
    };
    let weights: f64 = load.requests.iter().map(|r| r.weight).sum();
    for request in &load.requests {
        let share = 100.0 * request.weight / weights;
        let route = match load.regions.first().and_then(|r| r.routes.get(request.route)) {
            Some(RoutePlan::Directory { .. }) => "  from the nearest edge",
            _ => "",
        };
        let _ = writeln!(
            w,
            "  {share:>4.0} %  {:<8} {} {}{route}",
            request.name, request.method, request.path
        );
        for line in means::checks(request) {
            let _ = writeln!(w, "          {line}");
        }
    }
    for feeder in &load.feeders {
        let _ = writeln!(w, "{}", means::feeder(feeder));
    }
}

/// The rate of a phase in words.
fn rate(phase: &PhasePlan) -> String {
    let per_second = |rate: f64| match rate >= 10.0 || rate.fract() == 0.0 {
        true => format!("{rate:.0}/s"),
        false => format!("{rate:.2}/s"),
    };
    let (from, to) = (per_second(phase.rate_from), per_second(phase.rate_to));
    let is_level = phase.rate_from == phase.rate_to;
    match phase.shape {
        _ if is_level => to,
        Shape::Linear => format!("{from} to {to}"),
        Shape::Steps { levels: 1 } => to,
        Shape::Steps { levels } => format!("{from} to {to} in {levels} level steps"),
        Shape::Sine { period } => {
            format!("a wave from {from} to {to} and back, every {}", time(period))
        }
        Shape::Spike { decay } => {
            format!("jumps to {to} and falls back towards {from}, by 63 % in {}", time(decay))
        }
    }
}

fn time(lasts: Nanos) -> String {
    crate::base::units::duration_text(lasts)
}

/// Expected number of requests: the integral of the rate.
fn planned(load: &LoadPlan) -> f64 {
    load.phases.iter().map(PhasePlan::expected_requests).sum()
}

fn faults(w: &mut String, plan: &Plan) {
    if plan.faults.is_empty() {
        let _ = writeln!(w, "\nno faults");
        return;
    }
    let _ = writeln!(w, "\nfaults");
    needs(w, plan);
    for fault in &plan.faults {
        let when = match &fault.when {
            When::At { at } => format!("{} s", seconds(*at)),
            after => after.words(),
        };
        let healed = match fault.lasts.0 {
            0 => String::new(),
            _ => format!(", healed after {}", fault.lasts),
        };
        let _ = writeln!(
            w,
            "  {when:>8}  {:<12} {} on {}, {}{healed}",
            fault.name,
            fault.kind.name(),
            fault.on,
            fault.kind.words()
        );
    }
}

/// What faults make different from the start on.
fn needs(w: &mut String, plan: &Plan) {
    if plan.needs.network {
        let _ = writeln!(
            w,
            "  the run has a network of its own (packets of 1,500 bytes); only root can make one"
        );
    }
    if let Some(size) = plan.needs.data_folder {
        let _ = writeln!(
            w,
            "  the nodes' data is in a folder of {} in memory; only root can make one",
            size_text(size)
        );
    }
}

fn seconds(at: Nanos) -> String {
    let text = format!("{:.2}", at.as_secs_f64());
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use crate::base::Nanos;
    use crate::plan::{HostFacts, compile};

    fn facts() -> HostFacts {
        HostFacts {
            cores: 2,
            brunt_cpus: vec![0],
            stack_cpus: vec![1],
            unit_cores: 0.1,
            period: Nanos::from_millis(20),
            iterations_per_ms: 1000.0,
            network: (77, 1),
            port: 18080,
            kernel: "test".into(),
            quota_mechanism: "cgroup v1".into(),
            quota_stall: Nanos::ZERO,
        }
    }

    #[test]
    fn the_default_comparison_has_the_worked_figures() {
        let profile = crate::profile::load("campaign").unwrap();
        let mut plans = Vec::new();
        for (name, capacity, servers) in
            [("garage", 113.0, 1), ("vertical", 508.0, 1), ("horizontal", 364.0, 11)]
        {
            let target = crate::target::load(name).unwrap();
            let plan = compile(&target, &profile, 1, &facts()).unwrap();
            assert_eq!(plan.servers.len(), servers);
            assert!((plan.expected_capacity_per_s - capacity).abs() < 1.0, "{name}");
            assert!((plan.cost_per_request.as_millis_f64() - 1.77).abs() < 0.005);
            assert_eq!(plan, compile(&target, &profile, 1, &facts()).unwrap());
            plans.push(plan);
        }
        let phases = |i: usize| &plans[i].load.phases;
        assert_eq!(phases(0), phases(1));
        assert_eq!(phases(0), phases(2));
        let text = super::explain(&plans[2]);
        assert!(text.contains("11 servers, 0.90 cores in all"), "{text}");
        assert!(text.contains("power-off on server:app-1"), "{text}");
    }

    #[test]
    fn a_far_region_is_relayed_and_a_near_one_is_direct() {
        let profile = crate::profile::load("campaign").unwrap();
        let target = crate::target::load("horizontal").unwrap();
        let plan = compile(&target, &profile, 1, &facts()).unwrap();
        let link = |from: &str, to: &str| {
            plan.links.iter().find(|l| l.from == from && l.to == to).unwrap().clone()
        };
        assert!(!link("visitors:eu", "balancer-1").is_relayed());
        assert!(link("visitors:us", "balancer-1").is_relayed());
        assert!(!link("visitors:us", "cdn-2").is_relayed());
        assert_eq!(link("visitors:us", "cdn-1").round_trip, Nanos::from_millis(60));
    }

    #[test]
    fn a_fault_on_what_is_not_there_is_refused_by_name() {
        let mut profile = crate::profile::load("campaign").unwrap();
        profile.fault[0].on = "server:cache-1".parse().unwrap();
        let target = crate::target::load("garage").unwrap();
        let error = compile(&target, &profile, 1, &facts()).unwrap_err().to_string();
        assert!(error.contains("fault.lose-server.on") && error.contains("cache-1"), "{error}");
    }
}
