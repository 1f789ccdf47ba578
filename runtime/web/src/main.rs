//! The page's thin entry: the only place that prints.

use rcr_base::{Doing, Outcome};
use rcr_engine::instance::Instance;
use rcr_web::options::{self, Options, Parsed};
use rcr_web::{act, server::Server};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long requests that are under way may take when the program is to end.
const LAST: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    // As `rcr` does: files that containers' users read have modes of their own.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let done = options::parse(std::env::args().skip(1)).and_then(|parsed| match parsed {
        Parsed::Print(text) => say(&text),
        Parsed::Serve(options) => serve(options),
        Parsed::Change(options, change) => {
            let made =
                Instance::open(&options.instance.root, &options.instance.run, options.instance.config.as_deref())
                    .and_then(|instance| act::act(&instance, &change));
            say(&serde_json::to_string(&made).unwrap_or_default())
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An error that can't be printed must not become a crash.
            let _ = std::io::stderr().write_all(error.told().as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Prints the address, and serves until somebody ends it.
fn serve(options: Options) -> Outcome<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().doing(|| "cannot start threads")?;
    let served = runtime.block_on(async {
        let listen = |kind| signal(kind).doing(|| "cannot listen for signals");
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hangup = listen(SignalKind::hangup())?;
        let server = Server::start(options).await?;
        say(&format!("{}\n", server.address()?))?;
        tokio::select! {
            () = server.serve() => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        Ok(())
    });
    runtime.shutdown_timeout(LAST);
    served
}

fn say(text: &str) -> Outcome<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).doing(|| "cannot write to the standard output")
}
