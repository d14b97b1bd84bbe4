//! What was typed → what it means.

use super::args::{Common, LoadArgs, ServeArgs};
use crate::base::Nanos;
use crate::base::clock;
use crate::base::units::{parse_count, parse_duration, parse_rate};
use crate::plan::{
    Arrivals, HostFacts, LoadPlan, NodePlan, Peer, PhasePlan, Plan, RegionPlan, RequestPlan,
    RoutePlan,
};
use crate::target::{Role, Settings, Target};
use anyhow::{Context, Result, anyhow, bail};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

/// A closed loop's connections when none are asked for.
const CONNECTIONS: u32 = 50;
/// An open loop's most connections when none are asked for.
const CONNECTIONS_MAX: u32 = 4096;
const DURATION: Nanos = Nanos::from_secs(10);
/// A run that ends by its number of requests may last so long.
const DURATION_MAX: Nanos = Nanos::from_secs(24 * 3600);
const WAITING_MAX: u32 = 1_000_000;
const SHARDS: u32 = 16;

/// A new folder in `reports/`, named by time, subject and profile; or the one that was asked for.
pub fn record_folder(out: Option<&PathBuf>, subject: &str, profile: &str) -> Result<PathBuf> {
    if let Some(out) = out {
        let is_taken = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
        if is_taken {
            bail!("--out {}: the folder is not empty; name a new one", out.display());
        }
        return Ok(out.clone());
    }
    let stamp = timestamp(clock::wall());
    let base = format!("{stamp}-{subject}-{profile}");
    let names = std::iter::once(base.clone()).chain((2..100).map(|n| format!("{base}-{n}")));
    names
        .map(|name| PathBuf::from("reports").join(name))
        .find(|folder| !folder.exists())
        .context("reports/ already has a hundred records of this second")
}

/// `20261123T224301Z` (days to civil date: Howard Hinnant, chrono-compatible low-level date
/// algorithms, `civil_from_days`).
pub fn timestamp(wall: Nanos) -> String {
    let seconds = wall.0 / 1_000_000_000;
    let (days, time) = ((seconds / 86_400) as i64, seconds % 86_400);
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}{month:02}{day:02}T{h:02}{m:02}{s:02}Z")
}

/// Seed, threads and so on must make sense before anything starts.
pub fn check_common(common: &Common) -> Result<()> {
    check_threads(common.threads)
}

fn check_threads(threads: Option<u32>) -> Result<()> {
    match threads {
        Some(0) | Some(65..) => bail!("--threads: use 1 to 64"),
        _ => Ok(()),
    }
}

/// `brunt load`: a plan without any file.
pub fn load_plan(args: &LoadArgs, facts: &HostFacts) -> Result<Plan> {
    check_threads(args.threads)?;
    let (name, host, path, address) = resolve(&args.url)?;
    let timeout = parse_duration(&args.timeout).map_err(|e| anyhow!("--timeout: {e}"))?;
    if timeout.0 == 0 {
        bail!("--timeout: must be above 0");
    }
    let requests_max = args
        .requests
        .as_deref()
        .map(|n| parse_count(n).map_err(|e| anyhow!("--requests: {e}")))
        .transpose()?;
    let (arrivals, phases) = arrivals_and_phases(args, requests_max)?;
    let request = RequestPlan {
        name: "load".into(),
        weight: 1.0,
        method: args.method.to_uppercase(),
        path,
        host,
        headers: args.header.iter().map(|h| header(h)).collect::<Result<_>>()?,
        body: args.data.as_deref().map(body).transpose()?,
        route: 0,
        check: None,
    };
    let route = RoutePlan::Fixed(address);
    Ok(Plan {
        target: name,
        profile: "load".into(),
        seed: args.seed,
        host: facts.clone(),
        servers: Vec::new(),
        nodes: Vec::new(),
        links: Vec::new(),
        load: LoadPlan {
            seed: args.seed,
            arrivals,
            shards: SHARDS,
            phases,
            requests: vec![request],
            values: Vec::new(),
            regions: vec![RegionPlan { name: "here".into(), weight: 1.0, routes: vec![route] }],
            timeout,
            in_time: timeout,
            connections_max: args.connections.unwrap_or(match arrivals {
                Arrivals::Closed { connections, .. } => connections,
                _ => CONNECTIONS_MAX,
            }),
            waiting_max: WAITING_MAX,
            keep_alive: !args.no_keepalive,
            requests_max,
        },
        faults: Vec::new(),
        hypothesis_in_time: 0.0,
        is_bundled: false,
        cost_per_request: Nanos::ZERO,
        expected_capacity_per_s: 0.0,
    })
}

/// Name, `Host`, path with query, address.
fn resolve(url: &str) -> Result<(String, String, String, SocketAddr)> {
    let with_scheme = match url.contains("://") {
        true => url.to_string(),
        false => format!("http://{url}"),
    };
    Target::from_url(&with_scheme)?;
    let parsed: http::Uri = with_scheme.parse()?;
    let host = parsed.host().context("the URL has no host")?.to_string();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = (bare, parsed.port_u16().unwrap_or(80))
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve `{host}`"))?
        .next()
        .with_context(|| format!("`{host}` has no address"))?;
    let path = parsed.path_and_query().map_or("/", |p| p.as_str()).to_string();
    let authority = parsed.authority().context("the URL has no host")?.to_string();
    Ok((host, authority, path, address))
}

fn arrivals_and_phases(
    args: &LoadArgs,
    requests_max: Option<u64>,
) -> Result<(Arrivals, Vec<PhasePlan>)> {
    if let Some(text) = args.duration.as_deref().filter(|d| d.trim_start().starts_with('{')) {
        bail!("--duration: `{text}` looks like a body; use --data for it");
    }
    let warmup = args
        .warmup
        .as_deref()
        .map(|d| parse_duration(d).map_err(|e| anyhow!("--warmup: {e}")))
        .transpose()?
        .unwrap_or_default();
    let lasts = match (&args.duration, requests_max) {
        (Some(d), _) => parse_duration(d).map_err(|e| anyhow!("--duration: {e}"))?,
        (None, Some(_)) => DURATION_MAX,
        (None, None) => DURATION,
    };
    if lasts.0 == 0 {
        bail!("--duration: must be above 0");
    }
    let mut phases = Phases::default();
    if !args.stage.is_empty() {
        let mut from = 0.0;
        for stage in &args.stage {
            let (time, rate) = stage
                .split_once(':')
                .with_context(|| format!("--stage {stage}: write it like 30s:200"))?;
            let time = parse_duration(time).map_err(|e| anyhow!("--stage {stage}: {e}"))?;
            let to = parse_rate(rate).map_err(|e| anyhow!("--stage {stage}: {e}"))?.0;
            phases.add(format!("stage {}", phases.all.len() + 1), time, from, to, true);
            from = to;
        }
        return Ok((open(&args.arrivals)?, phases.all));
    }
    if let Some(rate) = &args.rate {
        let rate = parse_rate(rate).map_err(|e| anyhow!("--rate: {e}"))?.0;
        if rate <= 0.0 {
            bail!("--rate: must be above 0");
        }
        if warmup.0 > 0 {
            phases.add("warm-up".into(), warmup, rate, rate, false);
        }
        phases.add("load".into(), lasts, rate, rate, true);
        return Ok((open(&args.arrivals)?, phases.all));
    }
    let connections = args.connections.unwrap_or(CONNECTIONS);
    if connections == 0 {
        bail!("--connections: must be above 0");
    }
    if warmup.0 > 0 {
        phases.add("warm-up".into(), warmup, 0.0, 0.0, false);
    }
    phases.add("load".into(), lasts, 0.0, 0.0, true);
    Ok((Arrivals::Closed { connections, think: Nanos::ZERO }, phases.all))
}

#[derive(Default)]
struct Phases {
    all: Vec<PhasePlan>,
}

impl Phases {
    fn add(&mut self, name: String, lasts: Nanos, rate_from: f64, rate_to: f64, measured: bool) {
        let start = self.all.last().map_or(Nanos::ZERO, |p| p.end);
        let end = start + lasts;
        self.all.push(PhasePlan { name, start, end, rate_from, rate_to, measured });
    }
}

fn open(arrivals: &str) -> Result<Arrivals> {
    match arrivals {
        "poisson" => Ok(Arrivals::Poisson),
        "constant" | "uniform" => Ok(Arrivals::Constant),
        other => bail!("--arrivals: `{other}` is not known; use poisson or constant"),
    }
}

fn header(text: &str) -> Result<(String, String)> {
    let (name, value) = text
        .split_once(':')
        .with_context(|| format!("--header `{text}`: write it like 'Accept: text/html'"))?;
    let (name, value) = (name.trim(), value.trim());
    http::HeaderName::from_bytes(name.as_bytes())
        .with_context(|| format!("--header: `{name}` is not a header's name"))?;
    http::HeaderValue::from_str(value)
        .with_context(|| format!("--header {name}: the value has characters that no header may"))?;
    Ok((name.to_string(), value.to_string()))
}

fn body(text: &str) -> Result<String> {
    match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("--data: cannot read {path} as text")),
        None => Ok(text.to_string()),
    }
}

/// `brunt serve ROLE` by hand: a NodePlan from flags.
pub fn node_plan(args: &ServeArgs, role: Role) -> Result<NodePlan> {
    let listen = args.listen.context("--listen: say where, like 127.0.0.1:8080")?;
    let above = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
    let peers = args
        .peer
        .iter()
        .map(|text| {
            let wrong = || anyhow!("--peer {text}: write it like app-1=127.0.0.1:8080");
            let (name, address) = text.split_once('=').ok_or_else(wrong)?;
            let dial: SocketAddr = address.parse().map_err(|_| wrong())?;
            let role = name.rsplit_once('-').map_or(name, |(role, _)| role);
            let role = Role::parse(role)
                .with_context(|| format!("--peer {text}: the name begins with no role"))?;
            let name = name.to_string();
            Ok(Peer { name, role, region: "home".into(), dial, dial_admin: above(dial) })
        })
        .collect::<Result<_>>()?;
    let name = args.name.clone().unwrap_or_else(|| format!("{}-1", role.name()));
    if role == Role::Database && args.data.is_none() {
        bail!("--data: say where the database keeps its data");
    }
    Ok(NodePlan {
        server: name.clone(),
        name,
        role,
        region: "home".into(),
        listen,
        admin: above(listen),
        peers,
        data_folder: args.data.clone(),
        threads: 1,
        iterations_per_ms: crate::base::work::calibrate(),
        seed: 1,
        settings: Settings::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_a_civil_date() {
        assert_eq!(timestamp(Nanos::from_secs(0)), "19700101T000000Z");
        assert_eq!(timestamp(Nanos::from_secs(951_782_400)), "20000229T000000Z");
        assert_eq!(timestamp(Nanos::from_secs(1_795_473_781)), "20261123T224301Z");
    }
}
