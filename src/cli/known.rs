//! The flags of `brunt serve known`.

use crate::base::Nanos;
use crate::base::units::parse_duration;
use crate::stack::known::{Behaviour, KnownPlan, Law, Slow, Stall};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use std::net::SocketAddr;

/// More than anybody needs, and no waste of memory.
const WORKERS_MAX: u32 = 100_000;
const PIECES_MAX: u32 = 1_000_000;

#[derive(Debug, Args)]
#[command(next_help_heading = "A server of known behaviour (known)")]
pub struct KnownArgs {
    /// Service times: fixed:2ms, exponential:2ms, bimodal:1ms,20ms,0.05 or lognormal:2ms,1
    #[arg(long, value_name = "LAW", default_value = "fixed:1ms")]
    pub service: Law,
    /// First come, first served by so many workers, or `unlimited`
    #[arg(long, value_name = "N", default_value = "unlimited")]
    pub workers: String,
    /// The service times come from it
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub service_seed: u64,
    /// Stand still once: TIME@AFTER the first request, like 2s@1s
    #[arg(long, value_name = "TIME@AFTER")]
    pub stall: Option<String>,
    /// Share of the requests whose connection is closed without an answer
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub drop: f64,
    /// Share of the requests answered with status 500
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub error: f64,
    /// Share of the answers that come in pieces, how many and how often, like 0.1:5x100ms
    #[arg(long, value_name = "SHARE:NxTIME")]
    pub slow: Option<String>,
    /// Processors that it runs on
    #[arg(long, value_name = "N,N", value_delimiter = ',')]
    pub cpus: Vec<u32>,
    /// Poll all the time: exact to the microsecond, and a whole core
    #[arg(long)]
    pub spin: bool,
}

/// What was typed, as a plan.
pub fn plan(args: &KnownArgs, listen: Option<SocketAddr>) -> Result<KnownPlan> {
    let listen = listen.context("--listen: say where, like 127.0.0.1:0")?;
    let workers = match args.workers.as_str() {
        "unlimited" => None,
        text => Some(workers(text)?),
    };
    let shares = [("--drop", args.drop), ("--error", args.error)];
    if let Some((flag, share)) = shares.iter().find(|(_, s)| !(0.0..=1.0).contains(s)) {
        bail!("{flag}: {share} is no share; use 0 to 1");
    }
    let behaviour = Behaviour {
        law: args.service,
        workers,
        seed: args.service_seed,
        stall: args.stall.as_deref().map(stall).transpose()?,
        drop_share: args.drop,
        error_share: args.error,
        slow: args.slow.as_deref().map(slow).transpose()?,
    };
    Ok(KnownPlan { listen, behaviour, cpus: args.cpus.clone(), spins: args.spin })
}

fn workers(text: &str) -> Result<u32> {
    let wanted: Option<u32> = text.parse().ok();
    wanted
        .filter(|n| (1..=WORKERS_MAX).contains(n))
        .with_context(|| format!("--workers: `{text}` is not 1 to {WORKERS_MAX} or `unlimited`"))
}

fn time(flag: &str, text: &str) -> Result<Nanos> {
    parse_duration(text).map_err(|e| anyhow!("{flag}: {e}"))
}

fn stall(text: &str) -> Result<Stall> {
    let (lasts, at) =
        text.split_once('@').with_context(|| format!("--stall `{text}`: write it like 2s@1s"))?;
    Ok(Stall { at: time("--stall", at)?, lasts: time("--stall", lasts)? })
}

fn slow(text: &str) -> Result<Slow> {
    let wrong = || format!("--slow `{text}`: write it like 0.1:5x100ms");
    let (share, rest) = text.split_once(':').with_context(wrong)?;
    let (pieces, every) = rest.split_once('x').with_context(wrong)?;
    let share: f64 = share.parse().ok().filter(|s| (0.0..=1.0).contains(s)).with_context(wrong)?;
    let pieces =
        pieces.parse().ok().filter(|n| (1..=PIECES_MAX).contains(n)).with_context(wrong)?;
    Ok(Slow { share, pieces, every: time("--slow", every)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser;

    fn typed(flags: &[String]) -> Result<KnownPlan> {
        let start = ["brunt", "serve", "known"].map(String::from);
        let cli = Cli::try_parse_from(start.iter().chain(flags))?;
        let Some(Command::Serve(args)) = cli.command else { panic!() };
        plan(&args.known, args.listen)
    }

    #[test]
    fn a_plan_reads_back_from_its_flags() {
        let law = "bimodal:1ms,20ms,0.05".parse().unwrap();
        let mut behaviour = Behaviour::new(law, Some(4));
        let listen = "127.0.0.1:0".parse().unwrap();
        let plain = KnownPlan { listen, behaviour: behaviour.clone(), cpus: vec![], spins: false };
        assert_eq!(typed(&plain.flags()).unwrap(), plain);
        behaviour.workers = None;
        behaviour.seed = 9;
        behaviour.stall = Some(Stall { at: Nanos::SECOND, lasts: Nanos::from_millis(500) });
        (behaviour.drop_share, behaviour.error_share) = (0.05, 0.125);
        behaviour.slow = Some(Slow { share: 0.1, pieces: 5, every: Nanos::from_millis(20) });
        let full = KnownPlan { listen, behaviour, cpus: vec![0, 1], spins: true };
        assert_eq!(typed(&full.flags()).unwrap(), full);
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_flag() {
        for (flag, value) in [
            ("--workers", "0"),
            ("--stall", "2s"),
            ("--drop", "1.5"),
            ("--slow", "0.1:0x1ms"),
            ("--slow", "2:1x1ms"),
        ] {
            let flags = ["--listen=127.0.0.1:0".into(), format!("{flag}={value}")];
            let error = typed(&flags).unwrap_err().to_string();
            assert!(error.starts_with(flag), "{flag} {value}: {error}");
        }
    }
}
