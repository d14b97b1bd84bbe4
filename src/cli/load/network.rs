//! Where connections go to and come from: `--connect-to`, `--resolve`, `--source`.

use super::args::NetworkArgs;
use crate::target::LoadUrl;
use anyhow::{Context, Result, anyhow, bail};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

/// Source addresses at most: a thousand times what one address carries is beyond any machine.
const SOURCES_MAX: u128 = 4096;
/// Of a name with several addresses, so many are tried.
const ADDRESSES_MAX: usize = 8;
/// How long each of them may take to accept.
const TRIAL: Duration = Duration::from_secs(1);

/// The address that the URL's requests go to.
pub(super) fn address(args: &NetworkArgs, url: &LoadUrl) -> Result<SocketAddr> {
    let (host, port) = redirected(&args.connect_to, url)?;
    let given = resolved(&args.resolve, &host, port)?;
    let addresses = match given {
        Some(addresses) => addresses,
        None => (host.as_str(), port)
            .to_socket_addrs()
            .with_context(|| {
                format!(
                    "cannot resolve `{host}`; give its address with --resolve {host}:{port}:ADDRESS"
                )
            })?
            .collect(),
    };
    first_that_accepts(&addresses).with_context(|| format!("`{host}` has no address"))
}

/// A name may have addresses that nobody listens on, as `localhost` often has ::1. Where none
/// accepts, it is the first one: then the run says what happens there.
fn first_that_accepts(addresses: &[SocketAddr]) -> Option<SocketAddr> {
    let accepts = |a: &&SocketAddr| TcpStream::connect_timeout(a, TRIAL).is_ok();
    let tried = match addresses {
        [_, _, ..] => addresses.iter().take(ADDRESSES_MAX).find(accepts),
        _ => None,
    };
    tried.or(addresses.first()).copied()
}

/// The first `--connect-to` that fits; an empty part fits everything, or keeps what the URL says.
fn redirected(all: &[String], url: &LoadUrl) -> Result<(String, u16)> {
    let mut found = None;
    for text in all {
        let wrong = || {
            anyhow!("--connect-to {text}: write it like HOST1:PORT1:HOST2:PORT2, or ::HOST2:PORT2")
        };
        let parts = parts(text);
        let [host_1, port_1, host_2, port_2] = parts.as_slice() else { return Err(wrong()) };
        let port = |text: &str| match text {
            "" => Ok(url.port),
            text => text.parse::<u16>().ok().filter(|p| *p > 0).ok_or_else(wrong),
        };
        let fits = (host_1.is_empty() || host_1.eq_ignore_ascii_case(&url.host))
            && port(port_1)? == url.port;
        let to = if host_2.is_empty() { url.host.clone() } else { host_2.clone() };
        let to = (to, port(port_2)?);
        if fits && found.is_none() {
            found = Some(to);
        }
    }
    if found.is_none() && !all.is_empty() {
        bail!("--connect-to {}: the URL says {}:{}", all.join(", "), url.host, url.port);
    }
    Ok(found.unwrap_or_else(|| (url.host.clone(), url.port)))
}

/// The addresses that `--resolve` gives for a name, if it is about that name. As in curl, `*` is
/// any name, and a leading `+` changes nothing here.
fn resolved(all: &[String], host: &str, port: u16) -> Result<Option<Vec<SocketAddr>>> {
    let mut found = None;
    for text in all {
        let wrong = || anyhow!("--resolve {text}: write it like HOST:PORT:ADDRESS");
        let mut rest = text.strip_prefix('+').unwrap_or(text).splitn(3, ':');
        let (Some(name), Some(at), Some(to)) = (rest.next(), rest.next(), rest.next()) else {
            return Err(wrong());
        };
        let at: u16 = at.parse().map_err(|_| wrong())?;
        let addresses = to
            .split(',')
            .map(|a| unbracketed(a.trim()).parse::<IpAddr>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| anyhow!("--resolve {text}: `{to}` is not an address"))?;
        if (name == "*" || name.eq_ignore_ascii_case(host)) && at == port {
            found = Some(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
    }
    if found.is_none() && !all.is_empty() {
        bail!("--resolve {}: connections go to {host}:{port}; name that", all.join(", "));
    }
    Ok(found)
}

/// Parts between colons that are not inside brackets, without the brackets.
fn parts(text: &str) -> Vec<String> {
    let mut depth = 0_u32;
    let mut parts = vec![String::new()];
    for c in text.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().expect("it begins with one").push(c),
        }
    }
    parts
}

fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text)
}

/// Every local address that was named, each of which this machine must have.
pub(super) fn sources(all: &[String], to: SocketAddr) -> Result<Vec<IpAddr>> {
    let mut addresses = Vec::new();
    for text in all {
        let (first, last) = range(text)?;
        let n = bits(last) - bits(first) + 1;
        if addresses.len() as u128 + n > SOURCES_MAX {
            bail!("--source {text}: that makes more than {SOURCES_MAX} addresses; use fewer");
        }
        addresses.extend((0..n).map(|i| address_of(bits(first) + i, first.is_ipv4())));
    }
    for address in &addresses {
        if address.is_ipv4() != to.is_ipv4() {
            bail!("--source {address}: cannot reach {}, which is of the other family", to.ip());
        }
        UdpSocket::bind((*address, 0)).map_err(|e| {
            anyhow!("--source {address}: this machine cannot connect from it ({e}); `ip address` lists its own")
        })?;
    }
    Ok(addresses)
}

/// First and last address of `10.0.0.1`, `10.0.0.0/24` or `10.0.0.1-10.0.0.9`.
fn range(text: &str) -> Result<(IpAddr, IpAddr)> {
    let wrong =
        || anyhow!("--source {text}: write it like 127.0.0.2, 127.0.1.0/28 or 127.0.0.2-127.0.0.9");
    let parse = |part: &str| part.trim().parse::<IpAddr>().map_err(|_| wrong());
    if let Some((first, last)) = text.split_once('-') {
        let (first, last) = (parse(first)?, parse(last)?);
        if first.is_ipv4() != last.is_ipv4() || first > last {
            bail!("--source {text}: the first address must come before the last");
        }
        return Ok((first, last));
    }
    let Some((address, prefix)) = text.split_once('/') else {
        return parse(text).map(|a| (a, a));
    };
    let address = parse(address)?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let prefix: u32 = prefix.trim().parse().ok().filter(|p| *p <= width).ok_or_else(wrong)?;
    Ok(network(address, width - prefix))
}

/// The addresses of a network that a host may have: without its own and the broadcast address.
fn network(address: IpAddr, host_bits: u32) -> (IpAddr, IpAddr) {
    let mask = if host_bits == 128 { u128::MAX } else { (1_u128 << host_bits) - 1 };
    let is_v4 = address.is_ipv4();
    let spare = u128::from(is_v4 && host_bits >= 2);
    let first = (bits(address) & !mask) + spare;
    let last = (bits(address) | mask) - spare;
    (address_of(first, is_v4), address_of(last, is_v4))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()),
        IpAddr::V6(a) => a.to_bits(),
    }
}

fn address_of(bits: u128, is_v4: bool) -> IpAddr {
    match is_v4 {
        true => Ipv4Addr::from_bits(bits as u32).into(),
        false => Ipv6Addr::from_bits(bits).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> LoadUrl {
        LoadUrl::parse("https://shop.example/cart").unwrap()
    }

    fn owned(all: &[&str]) -> Vec<String> {
        all.iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn connect_to_has_curls_grammar() {
        for (typed, host, port) in [
            ("shop.example:443:127.0.0.1:8443", "127.0.0.1", 8443),
            ("SHOP.example::127.0.0.1:", "127.0.0.1", 443),
            ("::[::1]:8443", "::1", 8443),
            (":443::9443", "shop.example", 9443),
        ] {
            let (to, at) = redirected(&owned(&[typed]), &url()).unwrap();
            assert_eq!((to.as_str(), at), (host, port), "{typed}");
        }
        let two = owned(&["other:443:10.0.0.1:1", "::10.0.0.2:2", "::10.0.0.3:3"]);
        assert_eq!(
            redirected(&two, &url()).unwrap(),
            ("10.0.0.2".into(), 2),
            "the first that fits"
        );
        for (typed, says) in [
            ("shop.example:443:127.0.0.1", "HOST1:PORT1:HOST2:PORT2"),
            ("::a:99999", "HOST1:PORT1:HOST2:PORT2"),
            ("other:443:127.0.0.1:1", "the URL says shop.example:443"),
        ] {
            let error = redirected(&owned(&[typed]), &url()).unwrap_err().to_string();
            assert!(error.starts_with("--connect-to") && error.contains(says), "{typed}: {error}");
        }
    }

    #[test]
    fn resolve_has_curls_grammar() {
        let of = |typed: &[&str]| resolved(&owned(typed), "shop.example", 443);
        let one = |text: &str| Some(vec![text.parse().unwrap()]);
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&["shop.example:443:127.0.0.9"]).unwrap(), one("127.0.0.9:443"));
        assert_eq!(of(&["+*:443:[::1]"]).unwrap(), one("[::1]:443"));
        assert_eq!(of(&["*:443:127.0.0.1,127.0.0.2"]).unwrap().unwrap().len(), 2);
        for (typed, says) in [
            ("shop.example:443", "HOST:PORT:ADDRESS"),
            ("shop.example:443:there", "not an address"),
            ("shop.example:80:127.0.0.1", "connections go to shop.example:443"),
        ] {
            let error = of(&[typed]).unwrap_err().to_string();
            assert!(error.starts_with("--resolve") && error.contains(says), "{typed}: {error}");
        }
    }

    #[test]
    fn sources_are_expanded_within_a_bound() {
        let to: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let of = |typed: &[&str]| sources(&owned(typed), to);
        let n = |typed: &[&str]| of(typed).unwrap().len();
        assert_eq!(n(&[]), 0);
        assert_eq!(n(&["127.0.0.2", "127.0.1.0/28", "127.0.2.1-127.0.2.9"]), 1 + 14 + 9);
        assert_eq!((n(&["127.0.0.3/32"]), n(&["127.0.0.2/31"])), (1, 2));
        for (typed, says) in [
            ("127.0.0.0/8", "more than 4096"),
            ("::1", "other family"),
            ("127.0.0.9-127.0.0.2", "before the last"),
            ("127.0.0.1/33", "write it like"),
            ("here", "write it like"),
            ("192.0.2.77", "cannot connect from it"),
        ] {
            let error = of(&[typed]).unwrap_err().to_string();
            assert!(error.starts_with("--source") && error.contains(says), "{typed}: {error}");
        }
        assert!(range("::/0").is_ok());
    }

    #[test]
    fn of_several_addresses_one_that_accepts_is_taken() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let closed = SocketAddr::new("127.77.0.1".parse().unwrap(), open.port());
        assert_eq!(first_that_accepts(&[closed, open]), Some(open));
        assert_eq!(first_that_accepts(&[closed]), Some(closed));
        assert_eq!(first_that_accepts(&[]), None);
    }
}
