//! What `run` and `create` take.

use super::health::HealthArgs;
use super::logging::LogArgs;
use super::namespaces::NamespaceArgs;
use super::resources::ResourceArgs;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use netd_api::{AttachmentRequest, Mac, PublishRequest};
use rcr_engine::config::{DeviceRule, Exposed, HostTarget, Mount, RestartPolicy};
use rcr_engine::create::{VolumeUse, VolumesFrom};
use rcr_engine::images::{Platform, Policy};
use rcr_engine::parse::devices::DeviceText;
use rcr_engine::parse::keys::{Keys, detach_keys};
use rcr_engine::parse::mounts::{self, MountText};
use rcr_engine::parse::security::{SecurityOption, security_option};
use rcr_engine::parse::signal::signal;
use rcr_engine::parse::words::Stream;
use rcr_engine::parse::{attachment, devices, hosts, limits, ports, words};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Run it in the background and print its id
    #[arg(short, long)]
    pub detach: bool,
    /// Keys that detach from the terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q", value_parser = detach_keys)]
    pub detach_keys: Keys,
    /// Forward signals to the container
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub sig_proxy: bool,
    /// Show at the end what has happened when, on stderr
    #[arg(long)]
    pub timings: bool,
    #[command(flatten)]
    pub create: CreateArgs,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Show what would be made, in order, and make nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: each step with its reason
    #[arg(long, requires = "dry_run")]
    pub verbose: bool,
    /// Name of the container
    #[arg(long)]
    pub name: Option<String>,
    /// Remove the container when it ends
    #[arg(long)]
    pub rm: bool,
    /// Keep stdin open
    #[arg(short, long)]
    pub interactive: bool,
    /// Allocate a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Set an environment variable (`NAME` alone takes the value from the environment)
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
    /// Additional groups, by name or number
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
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = words::label)]
    pub label: Vec<(String, String)>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    pub label_file: Vec<PathBuf>,
    /// Note for other programs
    #[arg(long, value_name = "KEY=VALUE", value_parser = words::pair)]
    pub annotation: Vec<(String, String)>,
    /// Attach to stdin, stdout or stderr alone
    #[arg(short, long, value_name = "STREAM", value_parser = words::stream)]
    pub attach: Vec<Stream>,
    /// Don't show how the image is pulled
    #[arg(short, long)]
    pub quiet: bool,
    /// Runtime: `rcr` is the only one
    #[arg(long, value_name = "NAME", value_parser = words::runtime)]
    pub runtime: Option<String>,
    #[command(flatten)]
    pub network: NetworkArgs,
    #[command(flatten)]
    pub namespaces: NamespaceArgs,
    #[command(flatten)]
    pub log: LogArgs,
    #[command(flatten)]
    pub storage: StorageArgs,
    #[command(flatten)]
    pub security: SecurityArgs,
    #[command(flatten)]
    pub resources: ResourceArgs,
    #[command(flatten)]
    pub health: HealthArgs,
    /// Signal that stops it (default: the image's, else TERM)
    #[arg(long, value_name = "SIGNAL", value_parser = signal)]
    pub stop_signal: Option<i32>,
    /// Seconds between the stop signal and SIGKILL; -1: never
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, default_value_t = 10)]
    pub stop_timeout: i64,
    /// Run a small init that reaps orphans and forwards signals
    #[arg(long)]
    pub init: bool,
    /// Write the container's id to a file
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    // Not a doc comment: rustdoc would take the brackets for a link.
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "no",
        help = "When to restart: no, on-failure[:n], always, unless-stopped"
    )]
    pub restart: RestartPolicy,
    /// When to pull the image: always, missing, never
    #[arg(
        long,
        default_value = "missing",
        value_parser = PossibleValuesParser::new(["always", "missing", "never"]).try_map(|text| text.parse::<Policy>())
    )]
    pub pull: Policy,
    /// Platform of the image (default: this machine's)
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    pub platform: Option<Platform>,
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
    #[arg(long, visible_alias = "net", value_name = "NETWORK", value_parser = attachment::network)]
    pub network: Vec<AttachmentRequest>,
    /// Another name on its networks
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    pub network_alias: Vec<String>,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<Ipv4Addr>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    pub ip6: Option<Ipv6Addr>,
    /// MAC address
    #[arg(long, value_name = "MAC")]
    pub mac_address: Option<Mac>,
    /// DNS server for outside names
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<IpAddr>,
    /// DNS search domain (`.`: none)
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// Option for /etc/resolv.conf
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    pub dns_option: Vec<String>,
    /// Answer its names only while its health check says that it is healthy
    #[arg(long)]
    pub dns_healthy_only: bool,
    /// Line for /etc/hosts; `host-gateway` stands for the host
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = hosts::add_host)]
    pub add_host: Vec<(String, HostTarget)>,
    /// Give another container on the same network a name here
    #[arg(long, value_name = "CONTAINER[:NAME]", value_parser = hosts::link)]
    pub link: Vec<(String, String)>,
    /// Publish a port
    #[arg(short, long, value_name = "[[IP:]HOST:]CONTAINER[/PROTO]", value_parser = ports::publish)]
    pub publish: Vec<PublishRequest>,
    /// Publish all exposed ports on ports of the host's choice
    #[arg(short = 'P', long)]
    pub publish_all: bool,
    /// Expose a port (for -P)
    #[arg(long, value_name = "PORT[/PROTO]", value_parser = ports::exposed)]
    pub expose: Vec<Exposed>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Storage")]
pub struct StorageArgs {
    /// Mount a folder or file of the host, or a volume
    #[arg(short, long, value_name = "[SOURCE:]TARGET[:OPTIONS]", value_parser = mounts::volume)]
    pub volume: Vec<VolumeUse>,
    /// The same, spelled out: type=bind|volume|tmpfs|image,source=…,target=…,readonly
    #[arg(long, value_name = "MOUNT", value_parser = mounts::mount)]
    pub mount: Vec<MountText>,
    /// Mount what another container has of folders and volumes
    #[arg(long, value_name = "CONTAINER[:ro]", value_parser = mounts::volumes_from)]
    pub volumes_from: Vec<VolumesFrom>,
    /// Driver of new volumes: `local` is the only one
    #[arg(long, value_name = "DRIVER", value_parser = mounts::driver)]
    pub volume_driver: Option<String>,
    /// Mount a tmpfs
    #[arg(long, value_name = "TARGET[:OPTIONS]", value_parser = mounts::tmpfs)]
    pub tmpfs: Vec<Mount>,
    /// Make the root file system read-only
    #[arg(long)]
    pub read_only: bool,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", default_value = "64m", value_parser = limits::bytes)]
    pub shm_size: i64,
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
    /// no-new-privileges[=true|false], seccomp=unconfined|FILE, systempaths=unconfined, apparmor=…, label=…
    #[arg(long, value_name = "OPTION", value_parser = security_option)]
    pub security_opt: Vec<SecurityOption>,
    /// A device of the host, or vendor.com/class=name (CDI)
    #[arg(long, value_name = "HOST[:CONTAINER[:rwm]]", value_parser = devices::device)]
    pub device: Vec<DeviceText>,
    // Its text is read later: clap takes a list of lists for something else.
    /// GPUs: all, a number, or device=0,1 (CDI)
    #[arg(long, value_name = "GPUS")]
    pub gpus: Vec<String>,
    /// Access to device numbers, such as `c 189:* rmw`
    #[arg(long, value_name = "RULE", value_parser = devices::device_rule)]
    pub device_cgroup_rule: Vec<DeviceRule>,
    /// Set a namespaced sysctl
    #[arg(long, value_name = "NAME=VALUE", value_parser = words::pair)]
    pub sysctl: Vec<(String, String)>,
}
