//! Calls that show and explain: the connection's own thread looks at the kernel, so that the writer goes on serving
//! everybody else.

use super::writer::Writer;
use netd_api::{ApiError, Call, ContainerId, NetworkId, Reply};
use netd_core::graph::graph;

/// The answer to a call of this kind; nothing for all others.
pub fn answer(writer: &Writer, call: &Call) -> Option<Result<Reply, ApiError>> {
    match call {
        Call::NetworkShow { network } => Some(super::show::show(writer, network)),
        Call::NetworkGraph { networks, container } => Some(draw(writer, networks, container.as_ref())),
        Call::NetworkCheck { repair } => Some(super::check::check(writer, *repair)),
        Call::NetworkWhy { question } => Some(super::why::why(writer, question)),
        _ => None,
    }
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
