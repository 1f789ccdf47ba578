//! The process that unpacks one layer: no network, file capabilities only, and nothing but the layer's folder in sight.
//!
//! Not for users: `rcr` starts it in the layer's folder, with the packed bytes on stdin, the file that keeps them as
//! stdout, and the report, one JSON object per line, on stderr.
#![forbid(unsafe_code)]

use rcr_images::unpack::worker;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(job) = std::env::args().nth(1) else {
        eprintln!("error: rcr-unpack is started by rcr");
        return ExitCode::from(64);
    };
    match worker::main(&job) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
