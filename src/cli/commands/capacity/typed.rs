//! What was typed for a search, and what it means.

use super::CapacityArgs;
use crate::analysis::capacity::{Prices, Search, ShareObjective};
use crate::base::Nanos;
use crate::base::units::parse_rate;
use crate::cli::options;
use crate::fault::{FaultKind, OnLink, Selector};
use crate::objective::Threshold;
use crate::profile::{Profile, ProfileFault};
use anyhow::{Result, anyhow, bail};

const DEFAULT_OBJECTIVE: &str = "in_time: rate>0.99";

pub fn objectives(args: &CapacityArgs) -> Result<Vec<ShareObjective>> {
    let default = [DEFAULT_OBJECTIVE.to_string()];
    let texts: &[String] = if args.objective.is_empty() { &default } else { &args.objective };
    let all = texts.iter().map(|text| {
        let threshold: Threshold = text.parse().map_err(|e| anyhow!("--objective: {e}"))?;
        let objective = ShareObjective::try_from(&threshold)
            .map_err(|problem| anyhow!("--objective {text}: {problem}"))?;
        Ok(objective)
    });
    let all: Vec<ShareObjective> = all.collect::<Result<_>>()?;
    Ok(all)
}

pub fn search(args: &CapacityArgs) -> Result<Search> {
    let trial_s = options::time("--trial", &args.trial)?;
    if trial_s < Nanos::from_secs(1) || trial_s > Nanos::from_secs(3600) {
        bail!("--trial {}: use 1s to 1h", args.trial);
    }
    if args.confirm > 100 {
        bail!("--confirm: use 0 to 100");
    }
    let precision = 1.0 + percent("--precision", &args.precision)?;
    Ok(Search::short(rate("--to", &args.to)?, trial_s.as_secs_f64(), precision, args.confirm))
}

pub fn rate(flag: &str, text: &str) -> Result<f64> {
    let rate = parse_rate(text).map_err(|e| anyhow!("{flag}: {e}"))?.0;
    if rate <= 0.0 {
        bail!("{flag} {text}: must be above 0");
    }
    Ok(rate)
}

/// `5%` as 0.05.
pub fn percent(flag: &str, text: &str) -> Result<f64> {
    let number = text.trim().strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
    match number.filter(|p| *p > 0.0 && *p <= 100.0) {
        Some(percent) => Ok(percent / 100.0),
        None => bail!("{flag} {text}: write it as a percentage above 0, like 5%"),
    }
}

/// A fault of the profile, or the loss of what a selector names: a server loses its power, a
/// process is killed.
pub fn fault(text: &str, profile: &Profile) -> Result<ProfileFault> {
    if let Some(named) = profile.fault.iter().find(|f| f.name == text) {
        return Ok(named.clone());
    }
    let names = || match profile.fault.as_slice() {
        [] => "it has no faults".to_string(),
        faults => {
            let names: Vec<&str> = faults.iter().map(|f| f.name.as_str()).collect();
            format!("it has {}", names.join(", "))
        }
    };
    let on: Selector = text.parse().map_err(|e| {
        anyhow!(
            "--with-fault: `{text}` is no fault of the profile {} ({}), and {e}",
            profile.name,
            names()
        )
    })?;
    let kind = match on {
        Selector::ServerOf(_) => FaultKind::PowerOff,
        Selector::Link(..) => FaultKind::Partition { link: OnLink::default() },
        _ => FaultKind::Kill,
    };
    let name = format!("loss of {text}");
    Ok(ProfileFault::once(&name, &kind, on, Nanos::ZERO, Nanos::SECOND))
}

/// `0.02` an hour for a unit of CPU, or `app=0.05` for a server of a group.
pub fn prices(texts: &[String]) -> Result<Prices> {
    let mut prices = Prices::default();
    for text in texts {
        let (group, number) = match text.split_once('=') {
            Some((group, number)) => (Some(group.trim()), number),
            None => (None, text.as_str()),
        };
        let price = number.trim().parse::<f64>().ok().filter(|p| p.is_finite() && *p > 0.0);
        let Some(price) = price else {
            bail!(
                "--price {text}: write what an hour costs: 0.02 for a unit of CPU, or app=0.05 for \
                 each server of the group app"
            );
        };
        match group {
            Some(group) => prices.per_server.push((group.into(), price)),
            None => prices.per_unit = Some(price),
        }
    }
    Ok(prices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_lost_is_a_fault_of_the_profile_or_a_selector() {
        let profile = crate::profile::load("campaign").unwrap();
        assert_eq!(fault("lose-server", &profile).unwrap().on.to_string(), "server:app-1");
        let server = fault("server:app-2", &profile).unwrap();
        assert_eq!(server.fault_kind().unwrap(), FaultKind::PowerOff);
        assert_eq!(fault("app-1", &profile).unwrap().fault_kind().unwrap(), FaultKind::Kill);
        let error = fault("lose server", &profile).unwrap_err().to_string();
        assert!(error.contains("lose-server, kill-leader") && error.contains("app-1"), "{error}");
    }

    #[test]
    fn percentages_and_prices() {
        assert!((percent("--precision", "2.5%").unwrap() - 0.025).abs() < 1e-12);
        for text in ["5", "0%", "-1%", "200%", "x%"] {
            assert!(percent("--precision", text).unwrap_err().to_string().contains("like 5%"));
        }
        let typed = prices(&["0.02".into(), "app=0.05".into()]).unwrap();
        assert_eq!((typed.per_unit, typed.per_server), (Some(0.02), vec![("app".into(), 0.05)]));
        for text in ["cheap", "app=", "0", "-1"] {
            assert!(prices(&[text.into()]).is_err(), "{text}");
        }
    }
}
