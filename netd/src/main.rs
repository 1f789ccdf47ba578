//! The daemon's thin entry.

fn main() -> std::process::ExitCode {
    netd::daemon::main()
}
