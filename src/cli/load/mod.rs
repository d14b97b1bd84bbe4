//! `brunt load URL`: what was typed → a plan without any file.

mod args;
pub mod foreign;
mod network;
mod phases;
mod request;
mod secure;
#[cfg(test)]
mod tests;
mod values;

pub use args::LoadArgs;

use super::options::check_threads;
use crate::plan::{Arrivals, HostFacts, Http2Plan, LoadPlan, Plan, RoutePlan, TransportPlan};
use crate::target::{LoadUrl, Target};
use anyhow::{Result, anyhow, bail};
use std::net::SocketAddr;

/// `--connections` at most.
pub const CONNECTIONS_LIMIT: u32 = 1_000_000;

pub fn load_plan(args: &LoadArgs, facts: &HostFacts) -> Result<Plan> {
    check_output(args)?;
    let url = parse_url(&args.url)?;
    check_connections(args.connections)?;
    let load = load(args, &url)?;
    Ok(Plan::of_load(url.host, "load".into(), facts.clone(), load))
}

fn load(args: &LoadArgs, url: &LoadUrl) -> Result<LoadPlan> {
    let timeout = values::time_above_zero("--timeout", &args.timeout)?;
    let streams = secure::streams(args)?;
    let timing = phases::timing(args, streams)?;
    secure::check_slots(&timing.arrivals, CONNECTIONS_LIMIT)?;
    let request = request::request(&args.request, &args.expect, url)?;
    let tls = secure::tls(&args.secure, url)?;
    let address = network::address(&args.network, url)?;
    let fallback = LoadPlan::new(
        timing.arrivals,
        timing.phases,
        vec![request],
        vec![RoutePlan::Fixed(address)],
    );
    // The streams of a closed loop share its connections.
    let connections = match timing.arrivals {
        Arrivals::Closed { connections, .. } => connections / streams,
        Arrivals::Poisson | Arrivals::Constant => fallback.connections_max,
    };
    Ok(LoadPlan {
        seed: args.run.seed,
        timeout,
        in_time: timeout,
        keep_alive: !args.network.no_keepalive,
        requests_max: timing.requests_max,
        connections_max: args.connections.unwrap_or(connections),
        transport: TransportPlan { tls, ..transport(args, streams, address)? },
        ..fallback
    })
}

fn transport(args: &LoadArgs, streams: u32, address: SocketAddr) -> Result<TransportPlan> {
    let network = &args.network;
    let per_connection = network.requests_per_connection.as_deref();
    let connect_timeout = network.connect_timeout.as_deref();
    Ok(TransportPlan {
        protocol: secure::protocol(&args.secure),
        tls: None,
        connect_timeout: connect_timeout
            .map(|t| values::time_above_zero("--connect-timeout", t))
            .transpose()?,
        requests_per_connection: per_connection
            .map(|n| values::count("--requests-per-connection", n))
            .transpose()?,
        http2: Http2Plan { streams_max: streams, ..Http2Plan::default() },
        sources: network::sources(&network.source, address)?,
    })
}

fn parse_url(url: &str) -> Result<LoadUrl> {
    let with_scheme = match url.contains("://") {
        true => url.to_string(),
        false => format!("http://{url}"),
    };
    // Its error shows no password.
    Target::from_url(&with_scheme)?;
    LoadUrl::parse(&with_scheme).map_err(|problem| anyhow!("{problem}"))
}

/// `-o csv` and `-o json` are formats in hey, oha and bombardier.
fn check_output(args: &LoadArgs) -> Result<()> {
    check_threads(args.run.threads)?;
    let out = args.run.out.as_ref().and_then(|o| o.to_str());
    match out {
        Some("json") => {
            bail!("--out json: is a folder for the record; for JSON on stdout, use --json")
        }
        Some("csv") => bail!(
            "--out csv: is a folder for the record (series.csv is in it); name one, like -o record"
        ),
        _ => Ok(()),
    }
}

fn check_connections(connections: Option<u32>) -> Result<()> {
    match connections {
        Some(0) => bail!("--connections: must be above 0"),
        Some(n) if n > CONNECTIONS_LIMIT => {
            bail!("--connections: {n} is more than one brunt can hold; use at most 1000000")
        }
        _ => Ok(()),
    }
}
