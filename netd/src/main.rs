//! The daemon's thin entry.

fn main() -> std::process::ExitCode {
    // A panic anywhere ends the program, as `panic = "abort"` would, which no test could share a build with.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        std::process::abort();
    }));
    netd::daemon::main()
}
