//! When requests start: rates, stages, warm-up and closed loops, from what was typed.

use super::LoadArgs;
use super::values::{count, rate, time};
use crate::base::Nanos;
use crate::plan::{Arrivals, PhasePlan};
use crate::workload::Shape;
use anyhow::{Context, Result, bail};

/// A closed loop's connections when none are asked for.
const CONNECTIONS: u32 = 50;
const DURATION: Nanos = Nanos::from_secs(10);
/// A run that ends by its number of requests may last so long.
const DURATION_MAX: Nanos = Nanos::from_secs(24 * 3600);

/// What was typed about time, in the plan's terms.
pub(super) struct Timing {
    pub arrivals: Arrivals,
    pub phases: Vec<PhasePlan>,
    pub requests_max: Option<u64>,
}

/// `streams`: requests at once on a connection; a closed loop keeps all of them busy.
pub(super) fn timing(args: &LoadArgs, streams: u32) -> Result<Timing> {
    let requests_max = args.requests.as_deref().map(|n| count("--requests", n)).transpose()?;
    // Checked although a closed loop does not use it: a typing error is never let pass.
    let open = open(&args.arrivals)?;
    let think = args.think.as_deref().map(|t| time("--think", t)).transpose()?;
    let is_open = args.rate.is_some() || !args.stage.is_empty();
    if is_open && think.is_some() {
        bail!(
            "--think: a rate does not wait for answers; leave out --think, or --rate and --stage"
        );
    }
    if !args.stage.is_empty() {
        return Ok(Timing { arrivals: open, phases: stages(args)?, requests_max });
    }
    let phases = level(args, requests_max)?;
    let connections = args.connections.unwrap_or(CONNECTIONS).saturating_mul(streams);
    let closed = Arrivals::Closed { connections, think: think.unwrap_or(Nanos::ZERO) };
    Ok(Timing { arrivals: if is_open { open } else { closed }, phases, requests_max })
}

/// One rate, or as fast as it goes, after a warm-up.
fn level(args: &LoadArgs, requests_max: Option<u64>) -> Result<Vec<PhasePlan>> {
    let lasts = match (&args.duration, requests_max) {
        (Some(text), _) => duration(text)?,
        (None, Some(_)) => DURATION_MAX,
        (None, None) => DURATION,
    };
    let warmup = args.warmup.as_deref().map(|d| time("--warmup", d)).transpose()?;
    let rate = args.rate.as_deref().map(|r| rate("--rate", r)).transpose()?;
    if rate.is_some_and(|rate| rate <= 0.0) {
        bail!("--rate: must be above 0; for as fast as it goes, leave it out");
    }
    let mut phases = Phases::default();
    let of_all = rate.unwrap_or(0.0);
    if let Some(warmup) = warmup.filter(|w| w.0 > 0) {
        phases.add("warm-up".into(), warmup, of_all, of_all, false);
    }
    phases.add("load".into(), lasts, of_all, of_all, true);
    Ok(phases.all)
}

/// `-s 30s:200 -s 1m:200`: each stage reaches its rate from that of the one before. One that lasts
/// no time sets the rate from which the next one goes on.
fn stages(args: &LoadArgs) -> Result<Vec<PhasePlan>> {
    if args.duration.is_some() {
        bail!("--duration: the stages say how long each lasts; leave it out, or use --rate");
    }
    if args.warmup.is_some() {
        bail!("--warmup: is not for stages, all of which are measured; leave it out");
    }
    let mut phases = Phases::default();
    let mut from = 0.0;
    for (index, stage) in args.stage.iter().enumerate() {
        let (lasts, to) = parse_stage(stage)?;
        if lasts.0 > 0 {
            phases.add(format!("stage {}", index + 1), lasts, from, to, true);
        } else if index + 1 == args.stage.len() {
            bail!(
                "--stage {stage}: a jump needs a stage after it that lasts, like -s {stage} -s 1m:{}",
                stage.split_once(':').map_or("200", |(_, rate)| rate)
            );
        }
        from = to;
    }
    if phases.all.iter().all(|p| p.rate_from <= 0.0 && p.rate_to <= 0.0) {
        bail!("--stage: no stage has a rate above 0");
    }
    Ok(phases.all)
}

fn parse_stage(stage: &str) -> Result<(Nanos, f64)> {
    let flag = format!("--stage {stage}");
    if stage.ends_with(".lua") {
        bail!(
            "{flag}: looks like a script of wrk, and brunt runs none; say what it does with -H, -X \
             and --data, or in a profile"
        );
    }
    let (lasts, to) =
        stage.split_once(':').with_context(|| format!("{flag}: write it like 30s:200"))?;
    Ok((time(&flag, lasts)?, rate(&flag, to)?))
}

/// `-d` is a body in hey and oha, and a body's file in h2load.
fn duration(text: &str) -> Result<Nanos> {
    let trimmed = text.trim_start();
    if trimmed.starts_with(['{', '[', '<', '"']) {
        bail!("--duration: `{text}` looks like a body; use --data for it");
    }
    if trimmed.starts_with('@') {
        bail!("--duration: `{text}` looks like a body's file; use --data {trimmed}");
    }
    if std::path::Path::new(text).is_file() {
        bail!("--duration: `{text}` is a file; for a body, use --data @{text}");
    }
    let lasts = time("--duration", text)?;
    if lasts.0 == 0 {
        bail!("--duration: must be above 0");
    }
    Ok(lasts)
}

fn open(arrivals: &str) -> Result<Arrivals> {
    match arrivals {
        "poisson" => Ok(Arrivals::Poisson),
        "constant" | "uniform" => Ok(Arrivals::Constant),
        other => bail!("--arrivals: `{other}` is not known; use poisson or constant"),
    }
}

#[derive(Default)]
struct Phases {
    all: Vec<PhasePlan>,
}

impl Phases {
    fn add(&mut self, name: String, lasts: Nanos, rate_from: f64, rate_to: f64, measured: bool) {
        let start = self.all.last().map_or(Nanos::ZERO, |p| p.end);
        let end = start + lasts;
        let shape = Shape::Linear;
        self.all.push(PhasePlan { name, start, end, rate_from, rate_to, shape, measured });
    }
}
