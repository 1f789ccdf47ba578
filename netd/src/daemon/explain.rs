//! Calls that show and explain: the connection's own thread looks at the kernel, so that the writer goes on serving
//! everybody else.

use super::writer::Writer;
use netd_api::{ApiError, Call, Reply};

/// The answer to a call of this kind; nothing for all others.
pub fn answer(writer: &Writer, call: &Call) -> Option<Result<Reply, ApiError>> {
    match call {
        Call::NetworkShow { network } => Some(super::show::show(writer, network)),
        Call::NetworkCheck { repair } => Some(super::check::check(writer, *repair)),
        Call::NetworkWhy { question } => Some(super::why::why(writer, question)),
        _ => None,
    }
}
