//! What `run` and `create` take.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Leave it running and print its id
    #[arg(short, long)]
    pub detach: bool,
    /// Keys that detach a terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    pub detach_keys: String,
    /// Hand signals on to the container
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub sig_proxy: bool,
    #[command(flatten)]
    pub create: CreateArgs,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Name of the container
    #[arg(long)]
    pub name: Option<String>,
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// Keep stdin open
    #[arg(short, long)]
    pub interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Set an environment variable (`NAME` alone takes the value from here)
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// User, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Further groups, by name or number
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Program to run instead of the image's
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<String>,
    /// Host name
    #[arg(short = 'h', long)]
    pub hostname: Option<String>,
    /// Domain name
    #[arg(long)]
    pub domainname: Option<String>,
    /// Label
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub label: Vec<String>,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub storage: StorageArgs,
    #[command(flatten)]
    pub security: SecurityArgs,
    #[command(flatten)]
    pub resources: ResourceArgs,
    /// Signal that stops it (default: the image's, else TERM)
    #[arg(long, value_name = "SIGNAL")]
    pub stop_signal: Option<String>,
    /// Seconds until it is killed after the stop signal; -1: never
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 10)]
    pub stop_timeout: i64,
    /// Run a small init that buries orphans and hands signals on
    #[arg(long)]
    pub init: bool,
    /// Write the container's id to a file
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// When to restart: no, on-failure[:n], always, unless-stopped
    #[arg(long, value_name = "POLICY", default_value = "no")]
    pub restart: String,
    /// When to pull the image: always, missing, never
    #[arg(long, default_value = "missing", value_parser = ["always", "missing", "never"])]
    pub pull: String,
    /// The image for another platform than this machine's
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<String>,
    /// Print help
    // `-h` is the host name, as with Docker.
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
    /// Image
    pub image: String,
    /// Command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Network: a name, `host`, `none`, `container:NAME`, `ns:/PATH`, or
    /// name=…,alias=…,ip=…,ip6=…,mac-address=…,gw-priority=…,interface-name=…,sysctl=…
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    pub network: Vec<String>,
    /// Further name on its networks
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    pub network_alias: Vec<String>,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<String>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    pub ip6: Option<String>,
    /// MAC address
    #[arg(long, value_name = "MAC")]
    pub mac_address: Option<String>,
    /// DNS server for names outside
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<String>,
    /// DNS search domain (`.`: none)
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// Option for /etc/resolv.conf
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    pub dns_option: Vec<String>,
    /// Line for /etc/hosts; `host-gateway` stands for the host
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<String>,
    /// A name here for another container on the same network
    #[arg(long, value_name = "CONTAINER[:NAME]")]
    pub link: Vec<String>,
    /// Publish a port
    #[arg(short, long, value_name = "[[IP:]HOST:]CONTAINER[/PROTO]")]
    pub publish: Vec<String>,
    /// Publish all exposed ports on ports of the host's choice
    #[arg(short = 'P', long)]
    pub publish_all: bool,
    /// Expose a port (for -P)
    #[arg(long, value_name = "PORT[/PROTO]")]
    pub expose: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Storage")]
pub struct StorageArgs {
    /// Bind a folder or file of the host, or a volume
    #[arg(short, long, value_name = "[SOURCE:]TARGET[:OPTIONS]")]
    pub volume: Vec<String>,
    /// The same, spelled out: type=bind|volume|tmpfs,source=…,target=…,readonly
    #[arg(long, value_name = "MOUNT")]
    pub mount: Vec<String>,
    /// Mount a tmpfs
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    pub tmpfs: Vec<String>,
    /// Make the root file system read-only
    #[arg(long)]
    pub read_only: bool,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", default_value = "64m")]
    pub shm_size: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Security")]
pub struct SecurityArgs {
    /// Add a capability
    #[arg(long, value_name = "CAP")]
    pub cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAP")]
    pub cap_drop: Vec<String>,
    /// All capabilities and devices, nothing hidden: as root on the host
    #[arg(long)]
    pub privileged: bool,
    /// no-new-privileges[=true|false], seccomp=unconfined
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// A device of the host
    #[arg(long, value_name = "HOST[:CONTAINER[:rwm]]")]
    pub device: Vec<String>,
    /// Access to device numbers, such as `c 189:* rmw`
    #[arg(long, value_name = "RULE")]
    pub device_cgroup_rule: Vec<String>,
    /// Set a namespaced sysctl
    #[arg(long, value_name = "NAME=VALUE")]
    pub sysctl: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Resources")]
pub struct ResourceArgs {
    /// Memory limit
    #[arg(short, long, value_name = "BYTES")]
    pub memory: Option<String>,
    /// Limit of memory and swap together; -1: unlimited
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_swap: Option<String>,
    /// Processors it may use, e.g. 1.5
    #[arg(long, value_name = "NUMBER")]
    pub cpus: Option<String>,
    /// Processors it may run on, e.g. 0-2,4
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes it may use, e.g. 0,1
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// Processes it may have; -1: unlimited
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, default_value_t = 2048)]
    pub pids_limit: i64,
    /// Resource limit
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// How gladly the kernel kills it when memory is short (-1000 to 1000)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub oom_score_adj: Option<i32>,
}
