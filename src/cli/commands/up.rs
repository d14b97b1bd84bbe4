//! `brunt up TARGET`

use super::output::say;
use crate::base::clock;
use crate::cli::args::UpArgs;
use crate::cli::{exit, signals};
use crate::fleet::Fleet;
use crate::plan::{Plan, RoutePlan};
use crate::{plan, profile, study, target};
use anyhow::{Result, bail};
use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub fn run(args: &UpArgs) -> Result<u8> {
    let target = target::load(&args.target)?;
    if target.url.is_some() {
        bail!("{}: a target that is only a URL is not started by brunt", args.target);
    }
    let profile = profile::load("campaign[fault=[]]")?;
    let setup = study::prepare(&[&target], None)?;
    let plan = plan::compile(&target, &profile, 1, &setup.facts)?;
    let signal = signals::install();
    let run_id = format!("up-{:x}-{:x}", clock::wall().0 / 1_000_000, std::process::id());
    let work = std::env::temp_dir().join(format!("brunt-{run_id}"));
    std::fs::create_dir_all(&work)?;
    let (events, _received) = std::sync::mpsc::channel();
    let fleet = Fleet::start(&plan, &run_id, &work, &work.join("logs"), events);
    let mut printed = Ok(());
    if let Ok(fleet) = &fleet {
        printed = say(&addresses(&plan));
        let _ = writeln!(std::io::stderr(), "Ctrl-C stops it");
        while printed.is_ok() && signal.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(Duration::from_millis(50));
        }
        for left in fleet.shutdown() {
            let _ = writeln!(std::io::stderr(), "left behind: {left}");
        }
    }
    let _ = std::fs::remove_dir_all(&work);
    printed?;
    fleet.map(|_| exit::of_signal(signal.load(Ordering::Relaxed))).map_err(Into::into)
}

/// Every node, and where visitors come in.
fn addresses(plan: &Plan) -> String {
    let nodes = plan.nodes.iter().map(|n| match n.admin() {
        Some(admin) => format!("{:<14} http://{:<24} admin http://{admin}\n", n.name, n.listen),
        None => format!("{:<14} {}\n", n.name, n.listen),
    });
    let is_stack = plan.nodes.iter().any(|n| n.start.is_bundled());
    let path = if is_stack { "/api/feed?page=1" } else { "/" };
    let entries = plan.load.regions.iter().filter_map(|region| match region.routes.first() {
        Some(RoutePlan::Fixed(entry)) => {
            Some(format!("visitors from {}: http://{entry}{path}\n", region.name))
        }
        _ => None,
    });
    nodes.chain(entries).collect()
}
