//! The process that unpacks one layer: no network, file capabilities only, and nothing but the layer's folder in sight.
//!
//! It compresses older files of a container's log, too: from its stdin to its stdout.
//!
//! Not for users: `rcr` starts it in the layer's folder, with the packed bytes on stdin, the file that keeps them as
//! stdout, and the report, one JSON object per line, on stderr.
#![forbid(unsafe_code)]

use rcr_images::compress::compress;
use rcr_images::unpack::worker;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(job) = std::env::args().nth(1) else {
        eprintln!("error: rcr-unpack is started by rcr");
        return ExitCode::from(64);
    };
    // Of a container's log: what comes in goes out compressed.
    let done = match job.as_str() {
        "compress" => compress(std::io::stdin().lock(), std::io::stdout().lock()).is_ok(),
        job => worker::main(job),
    };
    match done {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
