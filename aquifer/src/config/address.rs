//! A host and a port to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

/// A host, as written, and a port; 0 picks a free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Any free port of this machine alone.
    pub(super) fn loopback() -> Self {
        Self { host: Ipv4Addr::LOCALHOST.to_string(), port: 0 }
    }

    /// Parses `host:port`, `[v6]:port`, or a listener with a protocol in front.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let plain = text.split_once("://").map_or(text, |(_, rest)| rest).trim_end_matches('/');
        let wrong = || format!("{text} is no address; expected host:port");
        let (host, port) = plain.rsplit_once(':').ok_or_else(wrong)?;
        let port = port
            .parse()
            .map_err(|_| format!("{port} in {text} is no port; expected 0 to 65535"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // `:9092` and `*:9092` mean every address of this machine.
        let host = if host.is_empty() || host == "*" { "0.0.0.0" } else { host };
        Ok(Self { host: host.to_owned(), port })
    }

    /// True when only this machine can reach it.
    pub(super) fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => self.host == "localhost",
        }
    }

    /// The socket address to bind.
    pub(crate) fn resolve(&self) -> Result<SocketAddr, std::io::Error> {
        let mut found = (self.host.as_str(), self.port).to_socket_addrs()?;
        found.next().ok_or_else(|| std::io::Error::other(format!("{self} resolves to no address")))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = Address::parse(text).map(|address| address.to_string());
        assert_eq!(parsed.as_deref().map_err(String::as_str), expected);
    }

    #[test]
    fn addresses_are_read_in_every_spelling_of_kafka() {
        check("127.0.0.1:9092", Ok("127.0.0.1:9092"));
        check("PLAINTEXT://:9092", Ok("0.0.0.0:9092"));
        check("http://[::1]:8083/", Ok("[::1]:8083"));
        check("9092", Err("9092 is no address; expected host:port"));
        check("a:99999", Err("99999 in a:99999 is no port; expected 0 to 65535"));
    }

    #[test]
    fn only_this_machine_reaches_a_loopback_address() {
        let loopback = |text| Address::parse(text).unwrap().is_loopback();
        assert!(loopback("localhost:1") && loopback("127.0.0.2:1") && loopback("[::1]:1"));
        assert!(!loopback(":1") && !loopback("example.com:1") && !loopback("10.0.0.1:1"));
    }
}
