//! The configuration file, read by `rcr` and by `netd`: one schema, unknown keys refused.

use crate::{Error, Kind, METRICS_ADDRESSES, MetricsAddress};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The UDP port of WireGuard keys with an even number; keys with an odd number use the next port. It is not WireGuard's
/// usual 51820, since a host may have a tunnel of its own.
pub const WIREGUARD_PORT: u16 = 51_890;

/// `/etc/rcr/config.toml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[network]`.
    pub network: NetworkConfig,
    /// `[dns]`.
    pub dns: DnsConfig,
    /// `[log]`.
    pub log: LogConfig,
    /// `[security]`.
    pub security: SecurityConfig,
    /// `[devices]`.
    pub devices: DevicesConfig,
    /// `[images]`.
    pub images: ImagesConfig,
    /// `[cluster]`.
    pub cluster: ClusterConfig,
    /// `[metrics]`.
    pub metrics: MetricsConfig,
}

/// `[metrics]`: netd's numbers for Prometheus.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// Where they are: a port of the loopback, or the path of a unix socket; absent: nowhere.
    pub address: Option<String>,
}

impl MetricsConfig {
    /// `address`, read.
    pub fn address(&self) -> Result<Option<MetricsAddress>, String> {
        self.address.as_deref().map(str::parse).transpose()
    }
}

/// `[cluster]`: hosts that share overlay networks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// `etcd://host:port,host:port`; absent: this host is alone.
    pub store: Option<String>,
    /// This host's name in the cluster; absent: its host name.
    pub node_name: Option<String>,
    /// Its address on the network between the hosts; absent: the source address of its connection to the store.
    pub node_address: Option<IpAddr>,
    /// The user at the store; absent: no authentication.
    pub user: Option<String>,
    /// The file with the user's password, on its first line.
    pub password_file: Option<PathBuf>,
    /// Any of these three: TLS.
    pub ca_file: Option<PathBuf>,
    /// This host's certificate for the store, as PEM; goes with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// The certificate's key, as PEM.
    pub key_file: Option<PathBuf>,
    /// The UDP port of WireGuard on this host (encrypted networks); the next port is used, too.
    pub wireguard_port: Option<u16>,
    /// After how many seconds without a lease and without an answer a host's forwarding entries are removed.
    pub silence: Option<u64>,
}

impl ClusterConfig {
    /// `silence`, or its default: a quarter of an hour.
    pub fn silence(&self) -> u64 {
        self.silence.unwrap_or(900)
    }

    /// `wireguard_port`, or its default.
    pub fn wireguard_port(&self) -> u16 {
        self.wireguard_port.unwrap_or(WIREGUARD_PORT)
    }

    /// The endpoints (`host:port`) of `store`; empty where there is none.
    pub fn endpoints(&self) -> Result<Vec<String>, String> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        let wrong = |why: &str| format!("store `{store}` {why}: expected etcd://HOST:PORT[,HOST:PORT...]");
        let list = store.strip_prefix("etcd://").ok_or_else(|| wrong("is no etcd address"))?;
        let endpoint = |text: &str| match text.trim().rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0) => {
                Ok(text.trim().to_owned())
            }
            _ => Err(wrong("has an endpoint without a port")),
        };
        list.trim_end_matches('/').split(',').map(endpoint).collect()
    }
}

/// `[network]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Where subnets are chosen from.
    pub pools: Vec<Pool>,
    /// Where IPv6 subnets (/64) are chosen from; absent: a random ULA prefix of this host's own (RFC 4193).
    pub ipv6_pool: Option<IpNet>,
    /// The host address of `-p` without one; absent: all addresses of both families.
    pub publish_address: Option<IpAddr>,
}

/// Subnets of one size out of one range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The range that is cut into subnets.
    pub base: IpNet,
    /// Prefix length of each subnet.
    pub size: u8,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        // 172.18.0.0/15 to 172.31: 3,584 networks of /24, then the whole of 10.128.0.0/9 behind them.
        let pool = |base: &str| base.parse().ok().map(|base| Pool { base, size: 24 });
        let pools = ["172.18.0.0/15", "172.20.0.0/14", "172.24.0.0/13", "10.128.0.0/9"];
        Self { pools: pools.into_iter().filter_map(pool).collect(), ipv6_pool: None, publish_address: None }
    }
}

/// `[dns]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    /// Servers for names outside; empty: the host's.
    pub servers: Vec<IpAddr>,
    /// Search domains of containers; empty: the host's.
    pub search: Vec<String>,
    /// Options of containers' resolv.conf.
    pub options: Vec<String>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Bytes of one file of a container's log.
    pub max_size: u64,
    /// Files kept, the current one included.
    pub max_files: u32,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { max_size: 10 << 20, max_files: 3 }
    }
}

/// `[security]`: what new containers get where their flags say nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecurityConfig {
    /// Setuid programs and file capabilities give nothing (prctl(2), PR_SET_NO_NEW_PRIVS).
    pub no_new_privileges: bool,
}

/// `[devices]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DevicesConfig {
    /// Folders with the specs of named devices (CDI); a later one goes before an earlier one.
    pub specs: Vec<PathBuf>,
}

impl Default for DevicesConfig {
    fn default() -> Self {
        Self { specs: vec!["/etc/cdi".into(), "/var/run/cdi".into()] }
    }
}

/// `[images]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImagesConfig {
    /// Layers that are fetched and unpacked at once.
    pub parallel: usize,
    /// Seconds until an address that does not answer counts as unreachable.
    pub connect_timeout: u64,
    /// Seconds without a byte until a connection counts as broken.
    pub read_timeout: u64,
    /// How often a broken transfer is resumed before the pull fails; every byte that arrives resets the count.
    pub retries: u32,
    /// Registries (`host` or `host:port`) to use without TLS. Loopback addresses never need an entry.
    pub insecure: Vec<String>,
    /// Where to ask first, by registry: `"docker.io" = ["mirror.example"]`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// `[images.limits]`.
    pub limits: ImageLimits,
    /// The folder of docker's credentials, in place of `$DOCKER_CONFIG` (`--config FOLDER`). No file says it.
    #[serde(skip)]
    pub credentials: Option<PathBuf>,
}

impl Default for ImagesConfig {
    fn default() -> Self {
        Self {
            parallel: 3,
            connect_timeout: 5,
            read_timeout: 15,
            retries: 5,
            insecure: Vec::new(),
            mirrors: BTreeMap::new(),
            limits: ImageLimits::default(),
            credentials: None,
        }
    }
}

/// `[images.limits]`: what an image may ask for at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageLimits {
    /// Layers of one image.
    pub layers: usize,
    /// Bytes of one JSON document (index, manifest, config).
    pub document: u64,
    /// Bytes of one layer as it comes.
    pub packed: u64,
    /// Entries of one layer.
    pub entries: u64,
    /// Bytes of all files of one layer together.
    pub bytes: u64,
    /// Unpacked bytes per packed byte, once a layer has more than 1 GiB of them.
    pub ratio: u64,
    /// Folders above a file.
    pub depth: usize,
    /// Bytes of one path.
    pub path: usize,
    /// Bytes of one entry's extended attributes.
    pub xattrs: usize,
    /// Bytes of memory of the process that unpacks, and of the one that talks to registries.
    pub memory: u64,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self {
            layers: 500,
            document: 4 << 20,
            packed: 32 << 30,
            entries: 4_000_000,
            bytes: 64 << 30,
            ratio: 200,
            depth: 255,
            path: 4095,
            xattrs: 64 << 10,
            memory: 512 << 20,
        }
    }
}

impl Config {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let failed = || Error::new(Kind::Invalid, format!("cannot read the configuration `{}`", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| failed().caused_by(error.to_string()))?;
        Self::parse(&text).map_err(|why| failed().caused_by(why).hint("docs/configuration.md lists all keys"))
    }

    /// Parses and checks the text of the file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        for pool in &config.network.pools {
            if pool.size < pool.base.prefix_len() || pool.size > pool.base.max_prefix_len() - 2 {
                return Err(format!("pool `{}` can't be cut into subnets of /{}", pool.base, pool.size));
            }
        }
        if let Some(pool) = config.network.ipv6_pool
            && (!pool.addr().is_ipv6() || pool.prefix_len() > 64)
        {
            return Err(format!("ipv6_pool `{pool}` has no /64 in it"));
        }
        if config.log.max_files == 0 || config.log.max_size < 4096 {
            return Err("a log needs at least one file of 4096 bytes".into());
        }
        config.cluster.endpoints()?;
        if let Err(why) = config.metrics.address() {
            return Err(format!("metrics.address: {why}; expected {METRICS_ADDRESSES}"));
        }
        if config.cluster.cert_file.is_some() != config.cluster.key_file.is_some() {
            return Err("cluster.cert_file and cluster.key_file go together".into());
        }
        if config.cluster.wireguard_port.is_some_and(|port| port == 0 || port == u16::MAX) {
            return Err("cluster.wireguard_port must be between 1 and 65534: the next port is taken, too".into());
        }
        if config.cluster.silence.is_some_and(|seconds| !(5..=31_536_000).contains(&seconds)) {
            return Err("cluster.silence must be between 5 and 31536000 seconds".into());
        }
        if config.images.parallel == 0 || config.images.parallel > 64 {
            return Err("images.parallel must be between 1 and 64".into());
        }
        if config.images.limits.memory < 64 << 20 {
            return Err("images.limits.memory must be at least 67108864 (64 MiB)".into());
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_checked() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
        assert_eq!(Config::default().network.pools.len(), 4);
        let config =
            Config::parse("[network]\npools = [{ base = \"10.9.0.0/16\", size = 24 }]\n[log]\nmax_size = 4096")
                .unwrap();
        assert_eq!((config.network.pools[0].size, config.log.max_files), (24, 3));
        for bad in [
            "nets = 1",
            "[dns]\nserver = []",
            "[log]\nmax_files = 0",
            "[images]\nparallel = 0",
            "[images.limits]\nmemory = 1",
            "[cluster]\nstore = \"10.0.0.1:2379\"",
            "[cluster]\nstore = \"etcd://10.0.0.1\"",
            "[cluster]\ncert_file = \"x\"",
            "[metrics]\naddress = \"0.0.0.0:9469\"",
            "[metrics]\nport = 9469",
            "[network]\npools = [{ base = \"10.0.0.0/24\", size = 16 }]",
        ] {
            assert!(Config::parse(bad).is_err(), "{bad}");
        }
    }
}
