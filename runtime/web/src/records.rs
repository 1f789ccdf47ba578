//! What the page is told of containers, networks and logs: values that become JSON.

use netd_api::{AttachmentInfo, GraphView, NetworkInfo, NetworkView, NodeInfo, PublishedPort, QueryView, SandboxInfo};
use rcr_base::Error;
use rcr_engine::config::{Config, Exposed};
use rcr_engine::list;
use rcr_engine::store::Container;
use serde::Serialize;

/// The program itself.
#[derive(Debug, Serialize)]
pub struct About {
    /// The version of rcr.
    pub version: &'static str,
    /// The host's name.
    pub host: String,
    /// Whether the page may change anything.
    pub changes: bool,
    /// The instance's root folder.
    pub root: String,
}

/// All containers, networks, and how they are joined.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// Oldest first.
    pub containers: Vec<ContainerRow>,
    /// Sorted by name.
    pub networks: Vec<NetworkInfo>,
    /// Those that somebody is on, as a picture has them.
    pub graph: GraphView,
    /// What could not be asked.
    pub failures: Vec<Error>,
}

/// A container in a listing.
#[derive(Debug, Serialize)]
pub struct ContainerRow {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it was made of.
    pub image: String,
    /// Its program.
    pub command: String,
    /// `created`, `running`, `paused`, `restarting` or `exited`.
    pub status: &'static str,
    /// `none`, `starting`, `healthy` or `unhealthy`.
    pub health: &'static str,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339; of the last start.
    pub started: Option<String>,
    /// RFC 3339; of the last end.
    pub finished: Option<String>,
    /// Of the last end.
    pub exit_code: Option<i32>,
    /// Why the last start failed, or how it was lost.
    pub error: Option<String>,
    /// How often its restart policy has started it again.
    pub restarts: u32,
    /// The networks that it was asked to be on.
    pub asked: Vec<String>,
    /// Its networks, while it runs.
    pub attachments: Vec<AttachmentInfo>,
    /// What it publishes, while it runs.
    pub ports: Vec<PublishedPort>,
    /// Ports that it serves and that are not published by themselves.
    pub exposed: Vec<Exposed>,
}

impl ContainerRow {
    /// Of a container, with what netd knows of it.
    pub fn new(container: &Container, sandbox: Option<&SandboxInfo>) -> Self {
        let Container { config, state } = container;
        let sandbox = sandbox.filter(|_| state.status.is_alive());
        Self {
            id: config.id.to_string(),
            name: config.name.clone(),
            image: config.image.reference.clone(),
            command: command(config),
            status: state.status.name(),
            health: list::health(container),
            created: config.created.clone(),
            started: state.started_at.clone(),
            finished: state.finished_at.clone(),
            exit_code: state.exit_code,
            error: state.error.clone(),
            restarts: state.restart_count,
            asked: list::networks(config),
            attachments: sandbox.map(|sandbox| sandbox.attachments.clone()).unwrap_or_default(),
            ports: sandbox.map(|sandbox| sandbox.ports.clone()).unwrap_or_default(),
            exposed: config.network.exposed.clone(),
        }
    }
}

/// The most of a command line that a listing has, in characters.
const LONGEST_COMMAND: usize = 200;

fn command(config: &Config) -> String {
    config.process.args.join(" ").chars().take(LONGEST_COMMAND).collect()
}

/// The hosts of the cluster.
#[derive(Debug, Default, Serialize)]
pub struct NodesPage {
    /// Whether this host is in one.
    pub cluster: bool,
    /// Sorted by name.
    pub nodes: Vec<NodeInfo>,
}

/// A network, and what its containers have asked for lately.
#[derive(Debug, Serialize)]
pub struct NetworkPage {
    /// As it is in the kernel.
    #[serde(flatten)]
    pub view: NetworkView,
    /// The newest first.
    pub queries: Vec<QueryView>,
}

/// The end of a log.
#[derive(Debug, Default, Serialize)]
pub struct LogPage {
    /// What the file was like: who says it again is told whether anything has changed.
    pub seen: String,
    /// Nothing has changed: there are no lines.
    pub same: bool,
    /// Oldest first.
    pub lines: Vec<LogLine>,
    /// There are lines before these.
    pub cut: bool,
}

/// A line of a log. Its bytes are the container's: anything may be in it.
#[derive(Debug, Serialize)]
pub struct LogLine {
    /// RFC 3339 with nanoseconds.
    pub time: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Without its newline.
    pub text: String,
}
