//! Where netd's metrics are: on this machine alone.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// A unix socket, or a port of the loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricsAddress {
    /// An absolute path.
    Unix(PathBuf),
    /// `127.0.0.0/8` or `[::1]`, with a port.
    Tcp(SocketAddr),
}

/// What an address may be, for an error's hint.
pub const METRICS_ADDRESSES: &str = "127.0.0.1:PORT, [::1]:PORT, or the absolute path of a unix socket; who scrapes \
    from elsewhere needs a proxy on this machine that asks who they are";

impl FromStr for MetricsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            // sun_path of sockaddr_un has 108 bytes with its end (unix(7)).
            return match text.len() {
                ..108 => Ok(Self::Unix(text.into())),
                long => Err(format!("the socket's path has {long} bytes, and can have 107")),
            };
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() && address.port() > 0 => Ok(Self::Tcp(address)),
            Ok(address) if address.ip().is_loopback() => Err(format!("`{text}` has no port")),
            Ok(_) => Err(format!("`{text}` can be reached from outside: metrics say who talks to whom, and how much")),
            Err(_) => Err(format!("`{text}` is no address of metrics")),
        }
    }
}

impl fmt::Display for MetricsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => path.display().fmt(f),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_an_address() {
        for good in ["127.0.0.1:9469", "127.3.2.1:1", "[::1]:9469", "/run/rcr/metrics.sock"] {
            assert_eq!(good.parse::<MetricsAddress>().unwrap().to_string(), good);
        }
        for bad in [
            "0.0.0.0:9469",
            "[::]:9469",
            "10.0.0.1:9469",
            "[::ffff:10.0.0.1]:1",
            "127.0.0.1:0",
            "9469",
            ":9469",
            "",
            "metrics",
        ] {
            assert!(bad.parse::<MetricsAddress>().is_err(), "{bad}");
        }
        assert!(format!("/{}", "x".repeat(107)).parse::<MetricsAddress>().is_err());
    }
}
