//! What a URL must be to be loaded, and what it says.

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

/// A URL that can be loaded, in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadUrl {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// Whether it is https.
    pub is_tls: bool,
    /// The `Host` header.
    pub authority: String,
    /// Path with query.
    pub path: String,
}

impl LoadUrl {
    /// `http[s]://HOST[:PORT][/PATH]`, and nothing that would be left out silently.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence without the URL itself.
    pub fn parse(url: &str) -> Result<LoadUrl, String> {
        let parsed: http::Uri = url.parse().map_err(|e| format!("not a URL: {e}"))?;
        let is_tls = match parsed.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => return Err(format!("`{other}` is not built; use http:// or https://")),
            None => return Err("no scheme; write http:// or https:// in front".into()),
        };
        let authority = parsed.authority().ok_or("the URL has no host")?;
        if authority.as_str().contains('@') {
            return Err("a user or password in the URL is not sent; use a header, like \
                        -H 'Authorization: Basic ...'"
                .into());
        }
        let host = authority.host();
        Ok(LoadUrl {
            host: bare(host)?.to_string(),
            port: port(&authority.as_str()[host.len()..], if is_tls { 443 } else { 80 })?,
            is_tls,
            authority: authority.to_string(),
            path: parsed.path_and_query().map_or("/", |p| p.as_str()).to_string(),
        })
    }

    /// Its first address.
    ///
    /// # Errors
    /// When the name is not known or has no address.
    pub fn resolve(&self) -> std::io::Result<SocketAddr> {
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        addresses.next().ok_or_else(|| std::io::Error::other("the name has no address"))
    }
}

/// A host without the brackets, in which only an IPv6 address stands.
fn bare(host: &str) -> Result<&str, String> {
    if host.is_empty() {
        return Err("the URL has no host".into());
    }
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inside) if inside.parse::<Ipv6Addr>().is_ok() => Ok(inside),
        None if !host.contains(['[', ']']) => Ok(host),
        _ => Err(format!("`{host}` is not an IPv6 address in brackets, like [::1]")),
    }
}

/// The port of what follows a host: nothing, or `:` and a number.
fn port(rest: &str, usual: u16) -> Result<u16, String> {
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok(usual),
        None => Err(format!("`{rest}` follows the host; write :PORT there, or nothing")),
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err(format!("`{text}` is not a port; use 1 to 65535")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_what() {
        let url = LoadUrl::parse("http://[::1]:81/a?b=c").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("::1", 81));
        assert_eq!((url.authority.as_str(), url.path.as_str()), ("[::1]:81", "/a?b=c"));
        let url = LoadUrl::parse("http://localhost").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.path.as_str()), ("localhost", 80, "/"));
        let url = LoadUrl::parse("https://localhost").unwrap();
        assert_eq!((url.port, url.is_tls), (443, true));
    }

    #[test]
    fn what_would_be_done_differently_is_refused() {
        for (url, part) in [
            ("http://127.0.0.1:99999/", "`99999` is not a port"),
            ("http://127.0.0.1:0/", "not a port"),
            ("ftp://127.0.0.1/", "`ftp`"),
            ("http://user:pw@127.0.0.1/", "password"),
            ("http://user@127.0.0.1/", "password"),
            ("http://[]/", "brackets"),
            ("http://[127.0.0.1]/", "brackets"),
            ("http://[::1]80/", "`80` follows the host"),
            ("http://[]N8=:3c", ""),
            ("/path", "no scheme"),
        ] {
            let error = LoadUrl::parse(url).unwrap_err();
            assert!(error.contains(part), "{url}: {error}");
            assert!(!error.contains("pw"), "{error}");
        }
    }
}
