//! Verbs about networks.

use super::prune::PruneArgs;
use super::{FormatArgs, ShowArgs};
use clap::{Args, Subcommand, ValueEnum};
use ipnet::IpNet;
use netd_api::{IfName, Mac, PublishRequest};
use rcr_engine::parse::attachment::{self, DriverOption};
use rcr_engine::parse::driver;
use rcr_engine::parse::filter::{NetworkFilter, network_filter};
use rcr_engine::parse::{ports, time, words};
use std::net::{AddrParseError, IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Create a network
    #[command(after_help = "Example: rcr network create -d bridge --subnet 10.9.0.0/24 eui_bridge")]
    Create(CreateArgs),
    /// List networks
    #[command(visible_alias = "list", after_help = "Example: rcr network ls --format json")]
    Ls(ListArgs),
    /// Show networks as JSON
    #[command(after_help = "Example: rcr network inspect eui_bridge")]
    Inspect(InspectArgs),
    /// Show networks for people: addresses, links on both sides, names, ports, rules with counters
    #[command(after_help = "Example: rcr network show eui_bridge")]
    Show(ShowNetworkArgs),
    /// Show what passes the containers' links, again every second
    #[command(after_help = "Example: rcr network stats --no-stream eui_bridge")]
    Stats(NetworkStatsArgs),
    /// Say whether one end reaches another, and if not, why: hop by hop, with the command that repairs it
    #[command(
        after_help = "Ends: a container, an address, a name, `host`, `outside` (what lies behind the host's router).\nExit code: 0 it does, 1 it does not, or nobody knows.\nExamples: rcr network why c1 c2:80\n          rcr network why c1 example.com:443\n          rcr network why outside web:80"
    )]
    Why(WhyArgs),
    /// Draw networks with their containers, ports and other hosts
    #[command(after_help = "Examples: rcr network graph\n          rcr network graph -o networks.svg")]
    Graph(GraphArgs),
    /// Show the packets that cross a container's or a network's link, by names, or write them to a file
    #[command(
        after_help = "Filter: tcp, udp, sctp, icmp, arp, ip, ip6, host NAME|ADDRESS, net CIDR, port NUMBER[-NUMBER]; src and dst\nbefore host, net and port; and, or, not, parentheses. Two tests side by side must both fit.\nExamples: rcr network capture c1 tcp port 80 and not host c2\n          rcr network capture -w blue.pcapng --duration 10s blue"
    )]
    Capture(CaptureArgs),
    /// Compare everything that was made for networks with what is there, on all hosts of the cluster, and repair it
    #[command(
        after_help = "Exit code: 0 nothing differs, or all of it is repaired, 1 something differs, or could not be looked at.\nExample: rcr network check --repair"
    )]
    Check(CheckArgs),
    /// Remove networks
    #[command(visible_alias = "remove", after_help = "Example: rcr network rm eui_bridge")]
    Rm(RemoveArgs),
    /// Attach a container, running or not
    #[command(after_help = "Example: rcr network connect --alias db eui_bridge c1")]
    Connect(ConnectArgs),
    /// Detach a container, running or not
    #[command(after_help = "Example: rcr network disconnect eui_bridge c1")]
    Disconnect(DisconnectArgs),
    /// Show what attaching a container to a network would do to the kernel, what a container's start would do, or what
    /// was done for one that runs
    #[command(
        after_help = "Marks: + is made, = is there, ~ is changed, - is removed, ? is asked for on the LAN, ! is announced\nthere; with -v the reason stands behind #.\nExample: rcr network plan -p 8080:80 eui_bridge\n         rcr network plan -v c1"
    )]
    Plan(PlanArgs),
    /// Change a network, in use or not: MTU, labels, DNS servers, more subnets
    #[command(
        after_help = "Example: rcr network update -o mtu=1400 --label-add tier=back --subnet fd77::/64 eui_bridge"
    )]
    Update(UpdateArgs),
    /// Remove all networks that no container uses
    #[command(after_help = "Example: rcr network prune -f")]
    Prune(PruneArgs),
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Driver: bridge, overlay, macvlan or ipvlan
    #[arg(short, long, default_value = "bridge")]
    pub driver: String,
    #[command(flatten)]
    pub subnets: SubnetArgs,
    /// No access to the outside
    #[arg(long)]
    pub internal: bool,
    /// With IPv6; a subnet is chosen if none is given
    #[arg(long)]
    pub ipv6: bool,
    /// With IPv4
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub ipv4: bool,
    /// Label
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = words::label)]
    pub label: Vec<(String, String)>,
    /// Where addresses come from: default, or dhcp, the LAN's own server (macvlan, ipvlan)
    #[arg(long, default_value = "default", value_parser = ["default", "dhcp"])]
    pub ipam_driver: String,
    /// Option of the driver
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub opt: Vec<String>,
    /// Accepted as with Docker; any container may attach anyway
    #[arg(long)]
    pub attachable: bool,
    /// Succeed if the network already exists
    #[arg(long)]
    pub ignore: bool,
    #[command(flatten)]
    pub dry: DryRunArgs,
    /// Name of the network
    pub name: String,
}

#[derive(Debug, Args)]
pub struct DryRunArgs {
    /// Print the plan instead of carrying it out
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run: each step with its reason
    #[arg(short, long, requires = "dry_run")]
    pub verbose: bool,
}

/// An address, or that there is to be none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressOrNone {
    Address(IpAddr),
    None,
}

impl FromStr for AddressOrNone {
    type Err = AddrParseError;
    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::Address) }
    }
}

#[derive(Debug, Args)]
pub struct SubnetArgs {
    /// Subnet; repeat for more, IPv4 or IPv6
    #[arg(long, value_name = "CIDR", value_parser = driver::subnet)]
    pub subnet: Vec<IpNet>,
    /// Gateway of a subnet; `none`: containers get no default route
    #[arg(long, value_name = "ADDRESS")]
    pub gateway: Vec<AddressOrNone>,
    /// Part of a subnet that addresses are chosen from
    #[arg(long, value_name = "CIDR")]
    pub ip_range: Vec<IpNet>,
    /// Address that another device uses
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = driver::aux_address)]
    pub aux_address: Vec<(String, IpAddr)>,
}

#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Option to change: mtu
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub opt: Vec<String>,
    /// Label to add or to change
    #[arg(long, visible_alias = "label", value_name = "KEY[=VALUE]", value_parser = words::label)]
    pub label_add: Vec<(String, String)>,
    /// Label to remove
    #[arg(long, value_name = "KEY")]
    pub label_rm: Vec<String>,
    /// DNS servers for outside names, instead of its present ones; `none`: the host's
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<AddressOrNone>,
    #[command(flatten)]
    pub subnets: SubnetArgs,
    #[command(flatten)]
    pub dry: DryRunArgs,
    /// Network, by name or id
    pub network: String,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Don't shorten ids
    #[arg(long)]
    pub no_trunc: bool,
    /// name=… (a regular expression), id=…, driver=…, label=…, scope=local|global, type=custom|builtin, dangling=…
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = network_filter)]
    pub filter: Vec<NetworkFilter>,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    #[command(flatten)]
    pub format: ShowArgs,
    /// Accepted as with Docker
    #[arg(short, long)]
    pub verbose: bool,
    /// Networks, by name or id
    #[arg(required = true, value_name = "NETWORK")]
    pub networks: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ShowNetworkArgs {
    #[command(flatten)]
    pub format: ShowArgs,
    /// Networks, by name or id
    #[arg(required = true, value_name = "NETWORK")]
    pub networks: Vec<String>,
}

#[derive(Debug, Args)]
pub struct NetworkStatsArgs {
    /// Print it once, after a look of a second
    #[arg(long)]
    pub no_stream: bool,
    #[command(flatten)]
    pub format: FormatArgs,
    /// Networks, by name or id (default: all)
    #[arg(value_name = "NETWORK")]
    pub networks: Vec<String>,
}

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Drawing {
    /// A tree, for a terminal
    Text,
    /// For graphviz
    Dot,
    /// For pages that draw Mermaid
    Mermaid,
    /// Nodes and edges
    Json,
}

#[derive(Debug, Args)]
pub struct GraphArgs {
    /// How it is written
    #[arg(long = "as", value_enum, default_value_t = Drawing::Text, conflicts_with = "output")]
    pub drawing: Drawing,
    /// Write it to a file: .svg (drawn by graphviz), .dot, .mmd (Mermaid), .json or .txt
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Draw it again whenever something changes
    #[arg(long)]
    pub watch: bool,
    /// Only what this container is on
    #[arg(long, value_name = "CONTAINER")]
    pub container: Option<String>,
    /// Networks, by name or id; none: all that are not predefined, or that somebody is on
    #[arg(value_name = "NETWORK")]
    pub networks: Vec<String>,
}

#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// Write a pcapng file with names and comments instead of lines; `-`: to the standard output
    #[arg(short, long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// End after so many packets; 0: any number
    #[arg(short, long, value_name = "COUNT", default_value_t = 1000)]
    pub count: u64,
    /// End after this time; 0: never
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time::span)]
    pub duration: Duration,
    /// Of a container that is on several networks only the link of this one
    #[arg(long, value_name = "NETWORK")]
    pub network: Option<String>,
    /// Of an overlay network the frames on their way between hosts, with what is in them
    #[arg(long, conflicts_with = "network")]
    pub tunnel: bool,
    /// Show addresses, not names
    #[arg(short, long)]
    pub numeric: bool,
    /// A container (its links) or a network (its link on the host), by name or id
    #[arg(value_name = "CONTAINER|NETWORK")]
    pub at: String,
    /// Which packets: all without a filter
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Make again what differs; each host makes its own
    #[arg(long)]
    pub repair: bool,
    /// Look at this host alone, not at the others of the cluster
    #[arg(long)]
    pub local: bool,
    #[command(flatten)]
    pub format: ShowArgs,
}

#[derive(Debug, Args)]
pub struct WhyArgs {
    #[command(flatten)]
    pub format: ShowArgs,
    /// Who sends: a container, `host`, `outside`
    #[arg(value_name = "FROM")]
    pub from: String,
    /// To whom, with a port if one is meant
    #[arg(value_name = "TO[:PORT][/udp|/sctp]", value_parser = ports::end)]
    pub to: ports::End,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Succeed if the network does not exist
    #[arg(short, long)]
    pub force: bool,
    /// Networks, by name or id
    #[arg(required = true, value_name = "NETWORK")]
    pub networks: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// Another name on this network
    #[arg(long, value_name = "NAME")]
    pub alias: Vec<String>,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    pub ip: Option<Ipv4Addr>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    pub ip6: Option<Ipv6Addr>,
    /// MAC address
    #[arg(long, value_name = "MAC")]
    pub mac_address: Option<Mac>,
    /// The network with the highest priority gives the default route
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, default_value_t = 0)]
    pub gw_priority: i32,
    /// The interface's name in the container (default: eth0, eth1, …)
    #[arg(long, value_name = "NAME")]
    pub interface_name: Option<IfName>,
    /// Sysctl of the interface; IFNAME stands for its name
    #[arg(long, value_name = "net.….IFNAME.…=VALUE", value_parser = attachment::sysctl)]
    pub sysctl: Vec<(String, String)>,
    /// The same two with Docker's names: com.docker.network.endpoint.ifname, ….sysctls
    #[arg(long, value_name = "NAME=VALUE", value_parser = attachment::driver_option)]
    pub driver_opt: Vec<DriverOption>,
    #[command(flatten)]
    pub dry: DryRunArgs,
    /// Network, by name or id
    pub network: String,
    /// Container, by name or id
    pub container: String,
}

#[derive(Debug, Args)]
pub struct DisconnectArgs {
    /// Succeed if it is not attached
    #[arg(short, long)]
    pub force: bool,
    /// Network, by name or id
    pub network: String,
    /// Container, by name or id
    pub container: String,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A network, or a container; a network comes first
    #[arg(value_name = "NETWORK|CONTAINER")]
    pub of: String,
    /// Each step with its reason
    #[arg(short, long)]
    pub verbose: bool,
    /// Publish a port, as with `rcr run` (of a network)
    #[arg(short, long, value_name = "[IP:][HOST:]CONTAINER[/PROTO]", value_parser = ports::publish)]
    pub publish: Vec<PublishRequest>,
}
