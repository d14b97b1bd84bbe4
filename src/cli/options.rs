//! What was typed → what it means.

use super::args::{Common, LoadArgs, ServeArgs};
use crate::base::Nanos;
use crate::base::clock;
use crate::base::units::{parse_count, parse_duration, parse_rate};
use crate::plan::{
    Arrivals, HostFacts, LoadPlan, NodePlan, Peer, PhasePlan, Plan, RequestPlan, RoutePlan,
};
use crate::stack::sink::SinkPlan;
use crate::target::{LoadUrl, Role, Settings, Target};
use crate::workload::Shape;
use anyhow::{Context, Result, anyhow, bail};
use std::net::SocketAddr;
use std::path::PathBuf;

/// How long a sink holds its requests when not told.
const HOLD: &str = "120s";
/// A closed loop's connections when none are asked for.
const CONNECTIONS: u32 = 50;
const DURATION: Nanos = Nanos::from_secs(10);
/// A run that ends by its number of requests may last so long.
const DURATION_MAX: Nanos = Nanos::from_secs(24 * 3600);
/// The longest time that may be typed: thirty days.
const TIME_MAX: Nanos = Nanos::from_secs(30 * 24 * 3600);
const RATE_MAX: f64 = 10e6;
const CONNECTIONS_LIMIT: u32 = 1_000_000;

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
    let (url, address) = resolve(&args.url)?;
    check_connections(args.connections)?;
    let timeout = time("--timeout", &args.timeout)?;
    if timeout.0 == 0 {
        bail!("--timeout: must be above 0");
    }
    let requests_max = args.requests.as_deref().map(requests).transpose()?;
    let (arrivals, phases) = arrivals_and_phases(args, requests_max)?;
    let request = RequestPlan {
        method: method(args),
        headers: args.header.iter().map(|h| header(h)).collect::<Result<_>>()?,
        body: args.data.as_deref().map(body).transpose()?,
        ..RequestPlan::get("load", &url.authority, &url.path)
    };
    let route = RoutePlan::Fixed(address);
    let mut load = LoadPlan {
        seed: args.seed,
        timeout,
        in_time: timeout,
        keep_alive: !args.no_keepalive,
        requests_max,
        ..LoadPlan::new(arrivals, phases, vec![request], vec![route])
    };
    load.connections_max = args.connections.unwrap_or(load.connections_max);
    Ok(Plan {
        target: url.host,
        profile: "load".into(),
        seed: args.seed,
        host: facts.clone(),
        servers: Vec::new(),
        nodes: Vec::new(),
        links: Vec::new(),
        load,
        faults: Vec::new(),
        hypothesis_in_time: 0.0,
        is_bundled: false,
        cost_per_request: Nanos::ZERO,
        expected_capacity_per_s: 0.0,
    })
}

/// As curl does: a body makes it a POST, unless something else was asked for.
fn method(args: &LoadArgs) -> String {
    let default = if args.data.is_some() { "POST" } else { "GET" };
    args.method.as_deref().unwrap_or(default).to_uppercase()
}

/// The URL and its address.
fn resolve(url: &str) -> Result<(LoadUrl, SocketAddr)> {
    let with_scheme = match url.contains("://") {
        true => url.to_string(),
        false => format!("http://{url}"),
    };
    // Its error shows no password.
    Target::from_url(&with_scheme)?;
    let parsed = LoadUrl::parse(&with_scheme).map_err(|problem| anyhow!("{problem}"))?;
    let address = parsed.resolve().with_context(|| format!("cannot resolve `{}`", parsed.host))?;
    Ok((parsed, address))
}

fn arrivals_and_phases(
    args: &LoadArgs,
    requests_max: Option<u64>,
) -> Result<(Arrivals, Vec<PhasePlan>)> {
    // Checked although a closed loop does not use it: a typing error is never let pass.
    let open = open(&args.arrivals)?;
    if !args.stage.is_empty() {
        return Ok((open, stages(args)?));
    }
    let lasts = match (&args.duration, requests_max) {
        (Some(text), _) => duration(text)?,
        (None, Some(_)) => DURATION_MAX,
        (None, None) => DURATION,
    };
    let warmup = args.warmup.as_deref().map(|d| time("--warmup", d)).transpose()?;
    let rate = args.rate.as_deref().map(|r| rate("--rate", r)).transpose()?;
    if rate.is_some_and(|rate| rate <= 0.0) {
        bail!("--rate: must be above 0");
    }
    let mut phases = Phases::default();
    let of_all = rate.unwrap_or(0.0);
    if let Some(warmup) = warmup.filter(|w| w.0 > 0) {
        phases.add("warm-up".into(), warmup, of_all, of_all, false);
    }
    phases.add("load".into(), lasts, of_all, of_all, true);
    let connections = args.connections.unwrap_or(CONNECTIONS);
    let closed = Arrivals::Closed { connections, think: Nanos::ZERO };
    Ok((if rate.is_some() { open } else { closed }, phases.all))
}

/// `-s 30s:200 -s 1m:200`: each stage reaches its rate from that of the one before.
fn stages(args: &LoadArgs) -> Result<Vec<PhasePlan>> {
    if args.duration.is_some() {
        bail!("--duration: the stages say how long each lasts; leave it out, or use --rate");
    }
    if args.warmup.is_some() {
        bail!("--warmup: is not for stages, all of which are measured; leave it out");
    }
    let mut phases = Phases::default();
    let mut from = 0.0;
    for stage in &args.stage {
        let flag = format!("--stage {stage}");
        let (lasts, to) =
            stage.split_once(':').with_context(|| format!("{flag}: write it like 30s:200"))?;
        let (lasts, to) = (time(&flag, lasts)?, rate(&flag, to)?);
        if lasts.0 == 0 {
            bail!("{flag}: a stage must last; to begin at a rate, use --rate");
        }
        phases.add(format!("stage {}", phases.all.len() + 1), lasts, from, to, true);
        from = to;
    }
    if phases.all.iter().all(|p| p.rate_to <= 0.0) {
        bail!("--stage: no stage has a rate above 0");
    }
    Ok(phases.all)
}

fn duration(text: &str) -> Result<Nanos> {
    if text.trim_start().starts_with('{') {
        bail!("--duration: `{text}` looks like a body; use --data for it");
    }
    let lasts = time("--duration", text)?;
    if lasts.0 == 0 {
        bail!("--duration: must be above 0");
    }
    Ok(lasts)
}

/// A duration that was typed for a flag, within bounds.
fn time(flag: &str, text: &str) -> Result<Nanos> {
    let time = parse_duration(text).map_err(|e| anyhow!("{flag}: {e}"))?;
    if time > TIME_MAX {
        bail!("{flag}: `{text}` is too long; use at most 30 days (720h)");
    }
    Ok(time)
}

/// A rate that was typed for a flag, within bounds.
fn rate(flag: &str, text: &str) -> Result<f64> {
    let rate = parse_rate(text).map_err(|e| anyhow!("{flag}: {e}"))?.0;
    if rate > RATE_MAX {
        bail!("{flag}: `{text}` is more than one brunt can send; use at most 10M");
    }
    Ok(rate)
}

fn requests(text: &str) -> Result<u64> {
    match parse_count(text).map_err(|e| anyhow!("--requests: {e}"))? {
        0 => bail!("--requests: must be above 0"),
        n => Ok(n),
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

/// `brunt serve sink`.
pub fn sink_plan(args: &ServeArgs) -> Result<SinkPlan> {
    let listen = args.listen.context("a sink needs an address: --listen 127.0.0.1:8080")?;
    let release_at = args.release_at.context("a sink needs to know when: --release-at N")?;
    if release_at == 0 {
        bail!("--release-at: must be above 0");
    }
    let hold = time("--hold", args.hold.as_deref().unwrap_or(HOLD))?;
    Ok(SinkPlan { listen, release_at, hold })
}

/// `brunt serve ROLE` by hand: a NodePlan from flags.
pub fn node_plan(args: &ServeArgs, role: Role) -> Result<NodePlan> {
    let listen = args.listen.context("--listen: say where, like 127.0.0.1:8080")?;
    if listen.port() == u16::MAX {
        bail!("--listen {listen}: the admin side is one port above; use a port up to 65534");
    }
    let above = |address: SocketAddr| SocketAddr::new(address.ip(), address.port() + 1);
    let peers = args
        .peer
        .iter()
        .map(|text| {
            let wrong = || anyhow!("--peer {text}: write it like app-1=127.0.0.1:8080");
            let (name, address) = text.split_once('=').ok_or_else(wrong)?;
            let dial: SocketAddr = address.parse().map_err(|_| wrong())?;
            if dial.port() == u16::MAX {
                bail!("--peer {text}: its admin side is one port above; there is none");
            }
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

    fn plan_of(more: &[&str]) -> Result<Plan> {
        use crate::cli::args::{Cli, Command};
        use clap::Parser;
        let typed = ["brunt", "load", "http://127.0.0.1:1/"].iter().chain(more);
        let Some(Command::Load(args)) = Cli::try_parse_from(typed)?.command else { panic!() };
        load_plan(&args, &HostFacts::default())
    }

    #[test]
    fn what_cannot_be_is_refused_by_its_flag() {
        for (typed, part) in [
            (&["-c", "0"][..], "--connections"),
            (&["-c", "1000001"], "--connections"),
            (&["-r", "100", "-c", "0"], "--connections"),
            (&["-r", "0"], "--rate"),
            (&["-r", "11M"], "--rate"),
            (&["-n", "0"], "--requests"),
            (&["-d", "0s"], "--duration"),
            (&["-d", "3000years"], "--duration"),
            (&["-s", "0s:5"], "--stage 0s:5"),
            (&["-s", "1s:11M"], "--stage 1s:11M"),
            (&["-s", "1s:0"], "--stage"),
            (&["-s", "1s:5", "-d", "2s"], "--duration"),
            (&["-s", "1s:5", "--warmup", "2s"], "--warmup"),
            (&["--arrivals", "bogus"], "--arrivals"),
        ] {
            let error = plan_of(typed).expect_err(part).to_string();
            assert!(error.starts_with(part), "{typed:?}: {error}");
        }
    }

    #[test]
    fn a_body_makes_a_post_unless_a_method_was_typed() {
        let method = |typed: &[&str]| plan_of(typed).unwrap().load.requests[0].method.clone();
        assert_eq!(method(&[]), "GET");
        assert_eq!(method(&["--data", "x"]), "POST");
        assert_eq!(method(&["--data", "x", "-X", "put"]), "PUT");
    }

    #[test]
    fn a_warm_up_comes_before_what_is_measured() {
        let load = plan_of(&["-r", "5", "-d", "2s", "--warmup", "1s"]).unwrap().load;
        let seen: Vec<_> = load.phases.iter().map(|p| (p.end, p.rate_to, p.measured)).collect();
        let s = Nanos::from_secs;
        assert_eq!(seen, [(s(1), 5.0, false), (s(3), 5.0, true)]);
    }
}
