//! Numbers as they are typed for a flag, within bounds.

use crate::base::Nanos;
use crate::base::units::{parse_count, parse_rate};
pub(super) use crate::cli::options::time;
use anyhow::{Result, anyhow, bail};

const RATE_MAX: f64 = 10e6;

pub(super) fn time_above_zero(flag: &str, text: &str) -> Result<Nanos> {
    match time(flag, text)? {
        Nanos(0) => bail!("{flag}: must be above 0"),
        time => Ok(time),
    }
}

pub(super) fn rate(flag: &str, text: &str) -> Result<f64> {
    let rate = parse_rate(text).map_err(|e| anyhow!("{flag}: {e}"))?.0;
    if rate > RATE_MAX {
        bail!("{flag}: `{text}` is more than one brunt can send; use at most 10M");
    }
    Ok(rate)
}

pub(super) fn count(flag: &str, text: &str) -> Result<u64> {
    match parse_count(text).map_err(|e| anyhow!("{flag}: {e}"))? {
        0 => bail!("{flag}: must be above 0"),
        n => Ok(n),
    }
}
