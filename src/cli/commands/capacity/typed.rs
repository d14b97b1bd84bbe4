//! What was typed for a search, and what it means.

use super::CapacityArgs;
use crate::analysis::capacity::{CapacityReport, Prices, Search, ShareObjective};
use crate::base::Nanos;
use crate::base::units::parse_rate;
use crate::cli::options;
use crate::fault::{FaultKind, OnLink, Selector};
use crate::objective::Threshold;
use crate::profile::{Profile, ProfileFault};
use anyhow::{Result, anyhow, bail};

const DEFAULT_OBJECTIVE: &str = "in_time: rate>0.99";
/// No generator of one machine goes beyond; where this one ends, the search finds out.
const MOST: &str = "1M/s";
const PRECISION: &str = "5%";
const TRIAL: &str = "20s";
const CONFIRM: usize = 3;
/// What `-p` is when it is not typed.
const PROFILE: &str = "campaign";

pub fn objectives(args: &CapacityArgs) -> Result<Vec<ShareObjective>> {
    let default = [DEFAULT_OBJECTIVE.to_string()];
    let texts: &[String] = if args.objective.is_empty() { &default } else { &args.objective };
    let all = texts.iter().map(|text| {
        let threshold = Threshold::typed(text).map_err(|e| anyhow!("--objective: {e}"))?;
        let objective = ShareObjective::try_from(&threshold)
            .map_err(|problem| anyhow!("--objective {text}: {problem}"))?;
        Ok(objective)
    });
    let all: Vec<ShareObjective> = all.collect::<Result<_>>()?;
    Ok(all)
}

pub fn search(args: &CapacityArgs) -> Result<Search> {
    let trial = args.trial.as_deref().unwrap_or(TRIAL);
    let trial_s = options::time("--trial", trial)?;
    if trial_s < Nanos::from_secs(1) || trial_s > Nanos::from_secs(3600) {
        bail!("--trial {trial}: use 1s to 1h");
    }
    let confirm = args.confirm.unwrap_or(CONFIRM);
    if confirm > 100 {
        bail!("--confirm: use 0 to 100");
    }
    let precision = args.precision.as_deref().unwrap_or(PRECISION);
    let precision = 1.0 + percent("--precision", precision)?;
    let most_per_s = rate("--to", args.to.as_deref().unwrap_or(MOST))?;
    Ok(Search::short(most_per_s, trial_s.as_secs_f64(), precision, confirm))
}

/// A search that is read again answers what it was made for, and nothing else. That `-p` was typed
/// shows only where it is not the default.
pub fn refuse_of_stored(
    args: &CapacityArgs,
    profile: &Profile,
    stored: &CapacityReport,
) -> Result<()> {
    let is_other = !args.objective.is_empty() && args.objective != stored.objectives;
    let typed = [
        ("--objective", is_other),
        ("--from", args.from.is_some()),
        ("--to", args.to.is_some()),
        ("--precision", args.precision.is_some()),
        ("--trial", args.trial.is_some()),
        ("--confirm", args.confirm.is_some()),
        ("--with-fault", args.with_fault.is_some()),
        ("-p", profile.name != stored.profile && args.common.profile != PROFILE),
    ];
    if let Some((flag, _)) = typed.iter().find(|(_, is_typed)| *is_typed) {
        bail!(
            "{flag}: the search was for {} with the profile {}; search again to ask for something else",
            stored.objectives.join(", "),
            stored.profile
        );
    }
    if args.audience.is_some() && profile.name != stored.profile {
        bail!(
            "-p: the search was with the profile {}, and the audience would have the mix of {}; give \
             the same",
            stored.profile,
            profile.name
        );
    }
    Ok(())
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
    use crate::cli::args::{Cli, Command};
    use clap::Parser;

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

    fn args(typed: &[&str]) -> CapacityArgs {
        let all = [&["brunt", "capacity", "x"], typed].concat();
        match Cli::try_parse_from(all).unwrap().command {
            Some(Command::Capacity(args)) => args,
            _ => panic!(),
        }
    }

    #[test]
    fn a_search_that_is_read_again_answers_nothing_else() {
        let objective = "response_time: p(99)<200ms";
        let of = |profile: &str| CapacityReport::new(profile, 1, vec![objective.into()], vec![]);
        let refused = |typed: &[&str], stored: &str| {
            let args = args(typed);
            let profile = crate::profile::load(&args.common.profile).unwrap();
            refuse_of_stored(&args, &profile, &of(stored)).err().map(|e| e.to_string())
        };
        for typed in [
            ["--objective", "response_time: p(99)<50ms"],
            ["--from", "1/s"],
            ["--to", "9/s"],
            ["--precision", "5%"],
            ["--trial", "20s"],
            ["--confirm", "3"],
            ["--with-fault", "app-1"],
            ["-p", "gate"],
        ] {
            let text = refused(&typed, "campaign").unwrap();
            assert!(text.starts_with(typed[0]) && text.contains("search again"), "{text}");
        }
        assert_eq!(refused(&["--objective", objective, "--lose", "2"], "campaign"), None);
        assert_eq!(refused(&["-p", "gate", "--audience", "shout-out"], "gate"), None);
        assert_eq!(refused(&[], "shop"), None, "nothing of the profile is asked for");
        let text = refused(&["--audience", "shout-out"], "shop").unwrap();
        assert!(text.contains("the mix of campaign"), "{text}");
    }

    #[test]
    fn what_the_help_says_is_the_default_is_it() {
        let search = search(&args(&[])).unwrap();
        let seen = (search.most_per_s, search.trial_s, search.precision, search.confirmations);
        assert_eq!(seen, (1e6, 20.0, 1.05, 3));
        assert_eq!((args(&[]).common.profile.as_str(), args(&[]).lose), (PROFILE, 1));
        let many = ["brunt", "capacity", "x", "--lose", "4294967295"];
        assert!(Cli::try_parse_from(many).is_err());
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
