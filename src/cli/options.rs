//! What was typed → what it means.

use super::args::{Asked, Common, ServeArgs};
use crate::base::Nanos;
use crate::base::clock;
use crate::base::units::parse_duration;
use crate::objective::{Metric, Scope, Threshold};
use crate::plan::{NodePlan, Peer, Plan};
use crate::run;
use crate::stack::sink::SinkPlan;
use crate::target::{Role, Settings};
use anyhow::{Context, Result, anyhow, bail};
use std::net::SocketAddr;
use std::path::PathBuf;

/// How long a sink holds its requests when not told.
const HOLD: &str = "120s";
/// The longest time that may be typed: thirty days.
const TIME_MAX: Nanos = Nanos::from_secs(30 * 24 * 3600);

/// Puts thresholds into the plan, each of which must be one that it can have data for.
pub fn ask(plan: &mut Plan, asked: &Asked) -> Result<()> {
    asked.threshold.iter().try_for_each(|text| check_threshold(text, plan))?;
    if asked.abort_on_fail {
        check_abort(&asked.threshold, plan)?;
    }
    (plan.thresholds, plan.abort_on_fail) = (asked.threshold.clone(), asked.abort_on_fail);
    Ok(())
}

/// An address, or a port of this machine alone: `9100`, `:9100`.
pub fn dashboard(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| "write it like 9100, or like 0.0.0.0:9100 for other machines".into())
}

fn check_abort(thresholds: &[String], plan: &Plan) -> Result<()> {
    let can = |text: &String| text.parse().is_ok_and(|t| run::can_be_lost(&t, plan));
    if thresholds.iter().any(can) {
        return Ok(());
    }
    bail!(
        "--abort-on-fail: whether these thresholds are missed is known at the end only; one on `errors`, \
         `in_time`, or a percentile or the max of `response_time` can be lost before, in an open loop \
         (--rate) or with a number of requests (-n)"
    )
}

pub fn check_threshold(text: &str, plan: &Plan) -> Result<()> {
    let threshold = Threshold::typed(text).map_err(|e| anyhow!("--threshold: {e}"))?;
    if threshold.metric == Metric::RecoveryTime && plan.faults.is_empty() {
        bail!("--threshold {text}: no fault is injected in this run, so nothing recovers");
    }
    let has_database = plan.nodes.iter().any(|n| n.role == Role::Database);
    if threshold.metric == Metric::LostWrites && !has_database {
        bail!("--threshold {text}: writes are read back from the bundled database only");
    }
    let load = &plan.load;
    let (what, name, known): (_, _, Vec<&str>) = match &threshold.scope {
        Scope::Whole => return Ok(()),
        Scope::Request(name) => {
            ("request", name, load.requests.iter().map(|r| r.name.as_str()).collect())
        }
        Scope::Phase(name) => {
            ("phase", name, load.phases.iter().map(|p| p.name.as_str()).collect())
        }
        Scope::Fault(name) => {
            ("fault", name, plan.faults.iter().map(|f| f.name.as_str()).collect())
        }
    };
    if !known.contains(&name.as_str()) {
        bail!("--threshold {text}: there is no {what} `{name}`, only {}", known.join(", "));
    }
    Ok(())
}

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

/// [`record_folder`], made: of several runs, each with a record's folder in it.
pub fn new_folder(out: Option<&PathBuf>, subject: &str, profile: &str) -> Result<PathBuf> {
    let folder = record_folder(out, subject, profile)?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    Ok(folder)
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

pub fn check_threads(threads: Option<u32>) -> Result<()> {
    match threads {
        Some(0) | Some(65..) => bail!("--threads: use 1 to 64"),
        _ => Ok(()),
    }
}

/// A duration that was typed for a flag, within bounds.
pub fn time(flag: &str, text: &str) -> Result<Nanos> {
    let time = parse_duration(text).map_err(|e| anyhow!("{flag}: {e}"))?;
    if time > TIME_MAX {
        bail!("{flag}: `{text}` is too long; use at most 30 days (720h)");
    }
    Ok(time)
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
        start: crate::plan::StartPlan::Bundled,
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
    fn a_dashboard_is_for_this_machine_unless_an_address_says_otherwise() {
        let shown = |text: &str| dashboard(text).map(|a| a.to_string());
        assert_eq!(shown("9100").unwrap(), "127.0.0.1:9100");
        assert_eq!(shown(":9100").unwrap(), "127.0.0.1:9100");
        assert_eq!(shown("0.0.0.0:9100").unwrap(), "0.0.0.0:9100");
        assert_eq!(shown("[::1]:0").unwrap(), "[::1]:0");
        assert!(shown("everywhere").unwrap_err().contains("like 9100"));
        assert!(shown("localhost:9100").is_err() && shown("99999").is_err());
    }

    #[test]
    fn a_timestamp_is_a_civil_date() {
        assert_eq!(timestamp(Nanos::from_secs(0)), "19700101T000000Z");
        assert_eq!(timestamp(Nanos::from_secs(951_782_400)), "20000229T000000Z");
        assert_eq!(timestamp(Nanos::from_secs(1_795_473_781)), "20261123T224301Z");
    }
}
