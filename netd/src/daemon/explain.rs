//! Calls that show and explain: the connection's own thread looks at the kernel, so that the writer goes on serving
//! everybody else.

use super::input::Answer;
use super::writer::Writer;
use crate::cluster::Cluster;
use netd_api::{ApiError, Call, ContainerId, NetworkId, Reply};
use netd_core::graph::graph;

/// The answer to a call of this kind; nothing for all others.
pub fn answer(writer: &Writer, cluster: Option<&Cluster>, call: &Call) -> Option<Result<Answer, ApiError>> {
    let reply = match call {
        Call::NetworkCapture { at } => return Some(super::capture::capture(writer, at)),
        Call::SandboxPlan { id } => super::planned::made(writer, id),
        Call::NetworkShow { network } => super::show::show(writer, network),
        Call::NetworkQueries { network } => super::show::queries(writer, network),
        Call::NetworkGraph { networks, container } => draw(writer, networks, container.as_ref()),
        Call::NetworkCheck { repair, here } => super::check::check(writer, cluster.filter(|_| !here), *repair),
        Call::NetworkWhy { question } => super::why::why(writer, question),
        _ => return None,
    };
    Some(reply.map(|reply| (reply, Vec::new())))
}

/// The topology, of these networks or of all.
fn draw(writer: &Writer, names: &[String], container: Option<&ContainerId>) -> Result<Reply, ApiError> {
    let mut networks: Vec<NetworkId> = Vec::new();
    for name in names {
        match writer.ask(Call::NetworkInspect { network: name.clone() }, Vec::new()).0 {
            Reply::Network(info) => networks.push(info.id),
            other => return Ok(other),
        }
    }
    Ok(Reply::Graph(graph(&writer.picture()?, &networks, container)))
}
