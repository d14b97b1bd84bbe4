//! TLS and HTTP/2, from what was typed.

use super::args::{LoadArgs, SecureArgs};
use crate::plan::{Arrivals, Http2Plan, Protocol, TlsPlan};
use crate::target::LoadUrl;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// What HTTP/2 allows (RFC 9113, 5.1.2 sets no bound; this one keeps memory in bounds).
const STREAMS_MAX: u32 = 10_000;

pub(super) fn tls(args: &SecureArgs, url: &LoadUrl) -> Result<Option<TlsPlan>> {
    if !url.is_tls {
        refuse_without_tls(args)?;
        return Ok(None);
    }
    Ok(Some(TlsPlan {
        server_name: url.host.clone(),
        verifies: !args.insecure,
        authorities: pem("--cacert", args.cacert.as_deref(), "CERTIFICATE-----")?,
        client_certificate: pem("--cert", args.cert.as_deref(), "CERTIFICATE-----")?,
        client_key: pem("--key", args.key.as_deref(), "PRIVATE KEY-----")?,
        resumption: args.tls_resumption,
    }))
}

/// `-k` may stand anywhere, as in curl (and is keep-alive in ab); what names a file may not.
fn refuse_without_tls(args: &SecureArgs) -> Result<()> {
    let named = [
        ("--cacert", args.cacert.is_some()),
        ("--cert", args.cert.is_some()),
        ("--tls-resumption", args.tls_resumption),
    ];
    match named.iter().find(|(_, is_typed)| *is_typed) {
        Some((flag, _)) => bail!("{flag}: the URL is http; write https, or leave it out"),
        None => Ok(()),
    }
}

fn pem(flag: &str, path: Option<&Path>, holds: &str) -> Result<Option<String>> {
    let Some(path) = path else { return Ok(None) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{flag}: cannot read {} as PEM", path.display()))?;
    if !text.contains(holds) {
        let what = holds.trim_end_matches('-');
        bail!("{flag}: {} has no `BEGIN … {what}` in it; PEM is needed", path.display());
    }
    Ok(Some(text))
}

pub(super) fn protocol(args: &SecureArgs) -> Protocol {
    if args.http2 { Protocol::Http2 } else { Protocol::Http1 }
}

/// Streams per connection: one in a closed loop, so that `-c` means what it means in HTTP/1.1.
pub(super) fn streams(args: &LoadArgs) -> Result<u32> {
    let is_open = args.rate.is_some() || !args.stage.is_empty();
    match args.secure.streams {
        Some(0) => bail!("--streams: must be above 0"),
        Some(n) if n > STREAMS_MAX => {
            bail!("--streams: {n} is too many; use at most {STREAMS_MAX}")
        }
        Some(n) => Ok(n),
        None if args.secure.http2 && is_open => Ok(Http2Plan::default().streams_max),
        None => Ok(1),
    }
}

/// Streams that a closed loop keeps busy must not exceed what brunt can hold.
pub(super) fn check_slots(arrivals: &Arrivals, limit: u32) -> Result<()> {
    match arrivals {
        Arrivals::Closed { connections, .. } if *connections > limit => bail!(
            "--streams: {connections} requests at once are more than one brunt can hold; use at \
             most {limit} in all"
        ),
        _ => Ok(()),
    }
}
