//! The shim's thin entry: see `lib.rs`.
//!
//! Bound into a container as its first process (`--init`) it is called by its path there; everywhere else the first
//! argument says what it is.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default().into_vec();
    let code = if name.ends_with(b"rcr-init") {
        let args = args.map(|arg| CString::new(arg.into_vec()).unwrap_or_default()).collect();
        rcr_shim::tiny_init::run(args)
    } else {
        match args.next().and_then(|arg| arg.into_string().ok()).as_deref() {
            Some("container") => rcr_shim::server::run(),
            Some("exec") => rcr_shim::exec::run(),
            Some("--version") => {
                println!("rcr-shim {}", env!("CARGO_PKG_VERSION"));
                0
            }
            _ => {
                eprintln!("rcr-shim is started by rcr, not by hand");
                125
            }
        }
    };
    ExitCode::from(code.clamp(0, 255) as u8)
}
