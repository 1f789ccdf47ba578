//! `network capture`: what crosses a link, as lines or as a file.

use crate::cli::network::CaptureArgs;
use crate::report::{self, printable};
use crate::term::outlet::say;
use crate::term::signal::{ENDING, Signals};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcr_base::{Doing, Error, Kind, Outcome};
use rcr_engine::capture::{self, Capture, Next, Packet, Wanted};
use rcr_engine::instance::Instance;
use rcr_engine::parse::packets;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the packets go.
enum Out {
    Lines,
    Stdout,
    File(File, PathBuf),
}

/// `rcr network capture`.
pub fn capture(instance: &Instance, args: &CaptureArgs) -> Outcome<i32> {
    let to_stdout = args.write.as_deref() == Some(Path::new("-"));
    if to_stdout && io::stdout().is_terminal() {
        return Err(Error::new(Kind::Invalid, "cannot write packets to a terminal")
            .hint("name a file by `-w`, or send the output to another program"));
    }
    let text = args.filter.join(" ");
    let filter = packets::filter(&text)
        .map_err(|why| Error::new(Kind::Invalid, format!("cannot read the filter `{text}`")).caused_by(why))?;
    let signals = Signals::block()?;
    let wanted = Wanted {
        at: args.at.clone(),
        network: args.network.clone(),
        tunnel: args.tunnel,
        filter,
        count: (args.count > 0).then_some(args.count),
        time: (!args.duration.is_zero()).then_some(args.duration),
        numeric: args.numeric,
    };
    let mut capture = capture::open(instance, wanted)?;
    let mut out = open(args.write.as_deref())?;
    report::to_stderr(&begins(&capture, args));
    out.bytes(&capture.header())?;
    let (heard, why) = listen(&mut capture, &mut out, &signals)?;
    let footer = capture.footer();
    out.bytes(&footer)?;
    report::to_stderr(&ends(heard, capture.lost(), &why, &out));
    Ok(0)
}

fn open(path: Option<&Path>) -> Outcome<Out> {
    match path {
        None => Ok(Out::Lines),
        Some(path) if path == Path::new("-") => Ok(Out::Stdout),
        Some(path) => {
            let file = File::create(path).doing(|| format!("cannot write to `{}`", path.display()))?;
            Ok(Out::File(file, path.to_owned()))
        }
    }
}

impl Out {
    /// A part of a file of packets; nothing where lines are wanted.
    fn bytes(&mut self, bytes: &[u8]) -> Outcome<()> {
        match self {
            Out::Lines => Ok(()),
            Out::Stdout => {
                let mut out = io::stdout().lock();
                match out.write_all(bytes).and_then(|()| out.flush()) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(report::broken_pipe()),
                    other => other.doing(|| "cannot write to the standard output"),
                }
            }
            Out::File(file, path) => file.write_all(bytes).doing(|| format!("cannot write to `{}`", path.display())),
        }
    }
}

/// Hears until the end. How many packets there were, and why there are no more.
fn listen(capture: &mut Capture, out: &mut Out, signals: &Signals) -> Outcome<(u64, String)> {
    let mut heard = 0;
    let stdout = io::stdout();
    loop {
        match capture.next(signals.as_fd(), stdout.as_fd())? {
            Next::Packet(packet) => {
                heard += 1;
                match out {
                    Out::Lines => say(&line(capture, &packet))?,
                    _ => out.bytes(&packet.block)?,
                }
            }
            Next::Asked => {
                let mut came = std::iter::from_fn(|| signals.next());
                if came.any(|signal| ENDING.contains(&signal)) {
                    return Ok((heard, "you ended it".to_owned()));
                }
            }
            // Who writes a file does not need a reader.
            Next::Unread if matches!(out, Out::File(..)) => return Ok((heard, "the output is closed".to_owned())),
            Next::Unread => return Err(report::broken_pipe()),
            Next::Count => return Ok((heard, "as many as were asked for".to_owned())),
            Next::Time => return Ok((heard, "the time is over".to_owned())),
            Next::Gone(tap) => return Ok((heard, format!("link `{}` is down or gone", tap.link))),
        }
    }
}

/// `12:00:00.000000  eth0  c1:40000 → c2:80  TCP SYN`; the link is there where there are several.
fn line(capture: &Capture, packet: &Packet) -> String {
    let nanoseconds = i128::try_from(packet.time.as_nanos()).unwrap_or_default();
    let at = Timestamp::from_nanosecond(nanoseconds).unwrap_or_default().to_zoned(TimeZone::system());
    let taps = &capture.view().taps;
    let link = taps.get(packet.tap).filter(|_| taps.len() > 1).map(|tap| format!("{}  ", tap.link));
    let Packet { from, to, about, length, .. } = packet;
    let line =
        format!("{}  {}{from} → {to}  {about}  ({length})", at.strftime("%H:%M:%S.%6f"), link.unwrap_or_default());
    format!("{}\n", printable(&line).replace(['\n', '\t'], " "))
}

fn begins(capture: &Capture, args: &CaptureArgs) -> String {
    let view = capture.view();
    let of = |tap: &netd_api::TapView| match &tap.container {
        Some(container) => format!("`{}` of `{container}`, network `{}`", tap.link, tap.network),
        None => format!("`{}` on the host, network `{}`", tap.link, tap.network),
    };
    let taps: Vec<String> = view.taps.iter().map(of).collect();
    let count = (args.count > 0).then(|| format!("after {} packets", args.count));
    let time = (!args.duration.is_zero()).then(|| format!("after {}", span(args.duration)));
    let limits: Vec<String> = count.into_iter().chain(time).chain(["on Ctrl-C".to_owned()]).collect();
    let deaf: String = view.deaf.iter().map(|one| format!("note: {one}\n")).collect();
    printable(&format!("listening at {}; ends {}\n{deaf}", taps.join(", "), limits.join(", or ")))
}

fn span(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

fn ends(heard: u64, lost: u64, why: &str, out: &Out) -> String {
    let lost = if lost > 0 { format!(", {lost} more came too fast to be read") } else { String::new() };
    let path = if let Out::File(_, path) = out { format!(" in `{}`", path.display()) } else { String::new() };
    printable(&format!("{heard} packets{path}{lost}: {why}\n"))
}
