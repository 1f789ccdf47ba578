//! What `run` and `create` take about namespaces beside the network.

use clap::Args;
use rcr_engine::create::{IpcRequest, PidRequest};
use rcr_engine::parse::namespaces::{host_or_own, ipc, pid, userns};

#[derive(Debug, Args)]
#[command(next_help_heading = "Namespaces")]
pub struct NamespaceArgs {
    /// Whose processes it sees: host, container:NAME (default: its own)
    #[arg(long, value_name = "MODE", value_parser = pid)]
    pub pid: Option<PidRequest>,
    /// Whose shared memory it has: host, private, shareable, none, container:NAME (default: private)
    #[arg(long, value_name = "MODE", value_parser = ipc)]
    pub ipc: Option<IpcRequest>,
    /// host: the host's host name (default: its own)
    #[arg(long, value_name = "MODE", value_parser = host_or_own)]
    pub uts: Option<bool>,
    /// host: it sees its cgroup's path on the host (default: private)
    #[arg(long, value_name = "MODE", value_parser = host_or_own)]
    pub cgroupns: Option<bool>,
    /// host: as it is anyway
    #[arg(long, value_name = "MODE", value_parser = userns)]
    pub userns: Option<bool>,
}
