//! An audience as the text of a profile: its visitors' mix comes from another one.

use crate::audience::{Forecast, Piece};
use crate::base::Nanos;
use crate::base::units::duration_text;
use std::fmt::Write;

/// Connections and caches come up to a tenth of the peak.
const WARM_UP_S: f64 = 10.0;
const RETRY_AFTER: &str = "1s";

/// A profile of the audience's rate over time, with the growth in it, on top of `base`. Retries are
/// made by the visitors, not by the rate.
pub fn of_audience(base: &str, forecast: &Forecast) -> String {
    let scale = 1.0 + forecast.growth;
    let pieces = forecast.audience.course();
    let first = pieces.first().map_or(0.0, |p| p.from_per_s);
    let about =
        format!("{}: as foreseen, and {:.0} % more", forecast.text, forecast.growth * 100.0);
    let mut out = String::from("# Written by brunt capacity --audience. What it assumes:\n");
    for a in forecast.assumptions() {
        let _ = writeln!(out, "#   {} = {}: {} ({})", a.key, a.value, a.what, a.source);
    }
    let _ = write!(
        out,
        "about = {}\nbase = {}            # the mix of requests, the limits and the regions\n\
         arrivals = \"poisson\"\nfault = []\n",
        toml::Value::from(about),
        toml::Value::from(base)
    );
    if forecast.retries > 0 {
        let attempts = forecast.retries + 1;
        let _ = write!(out, "\n[retry]\nattempts = {attempts}\nafter = \"{RETRY_AFTER}\"\n");
    }
    let warm_up = Piece {
        name: "warm-up".into(),
        seconds: WARM_UP_S,
        from_per_s: first / 10.0,
        to_per_s: first / 10.0,
        decay_s: None,
    };
    push(&mut out, &warm_up, scale, false);
    pieces.iter().for_each(|piece| push(&mut out, piece, scale, true));
    out
}

fn push(out: &mut String, piece: &Piece, scale: f64, measured: bool) {
    let rate = |per_s: f64| format!("\"{:.4}/s\"", per_s * scale);
    let lasts = duration_text(Nanos::from_millis((piece.seconds * 1e3).round() as u64));
    let name = toml::Value::from(piece.name.as_str());
    let _ = write!(out, "\n[[phase]]\nname = {name}\nlasts = \"{lasts}\"\n");
    match piece.decay_s {
        // A spike jumps to `rate` and falls back to `from`.
        Some(decay) => {
            let decay = duration_text(Nanos::from_millis((decay * 1e3).round() as u64));
            let (top, end) = (rate(piece.from_per_s), rate(piece.to_per_s));
            let _ =
                write!(out, "shape = \"spike\"\nfrom = {end}\nrate = {top}\ndecay = \"{decay}\"\n");
        }
        None if piece.from_per_s == piece.to_per_s => {
            let _ = writeln!(out, "rate = {}", rate(piece.to_per_s));
        }
        None => {
            let (from, to) = (rate(piece.from_per_s), rate(piece.to_per_s));
            let _ = write!(out, "from = {from}\nrate = {to}\n");
        }
    }
    if !measured {
        out.push_str("measured = false\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{RelativeRate, read};

    #[test]
    fn what_is_written_is_a_profile_with_the_audiences_rates() {
        for text in [
            "live[viewers=1M,pages=2.5]",
            "live[viewers=1M,first-minute=30%]",
            "live[viewers=1M,two-minutes=10%,pages=3]",
            "feed[views=3M,retries=2]",
            "drop[visitors=10k,within=30s]",
            "shout-out",
        ] {
            let forecast = Forecast::parse(text).unwrap();
            let written = of_audience("campaign", &forecast);
            let profile = read("audience.toml", &written, &[]).unwrap();
            assert!(profile.fault.is_empty() && profile.request.len() == 5, "{text}");
            assert_eq!(profile.retry.is_some(), forecast.retries > 0);
            let tops = profile.phase.iter().filter_map(|p| p.rate).map(|rate| match rate {
                RelativeRate::PerSecond(rate) => rate,
                RelativeRate::Units(_) => panic!("{text}"),
            });
            let expected = forecast.audience.demand().worst_second_per_s * 1.5;
            let top = tops.fold(0.0, f64::max);
            assert!((top / expected - 1.0).abs() < 1e-4, "{text}: {top}, not {expected}");
            assert!(profile.phase.iter().all(|p| p.shape().is_ok()));
        }
    }
}
