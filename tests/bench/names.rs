//! `bench names`: how fast a container's name is answered, beside a loop that receives a datagram and sends a ready
//! answer to it, in the same container. They take turns, and a ratio is that of one turn.

use crate::table::{Row, Table};
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tests::{Host, Netns};

/// How long one contender works in a turn.
const TURN: Duration = Duration::from_millis(400);
/// After so long without an answer the questions are lost, and are asked again.
const LOST: Duration = Duration::from_millis(200);
/// A question for an A record of `c1` (RFC 1035), and the answer's length: one record more.
const QUESTION: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02c1\0\0\x01\0\x01";
const ANSWER: usize = QUESTION.len() + 16;
/// Questions in flight.
const ROWS: [usize; 2] = [64, 1];

/// `rounds`: turns of each contender in each row.
pub fn main(rounds: usize) {
    let host = Host::new();
    host.ok(&["network", "create", "names"]);
    for name in ["c1", "c2"] {
        host.ok(&["run", "-d", "--name", name, "--network", "names", "alpine", "sleep", "100000"]);
    }
    let inside = host.container_netns("c2");
    let floor = Floor::start(&inside);
    let contenders = [("a loop with a ready answer", floor.at.clone()), ("rcr", "127.0.0.11:53".to_owned())];
    for flight in ROWS {
        let mut figures = [Vec::new(), Vec::new()];
        for round in 0..rounds {
            for at in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
                figures[at].push(ask(&inside, &contenders[at].1, flight));
            }
        }
        let rows = contenders.iter().zip(&figures).map(|((name, _), mine)| Row::new(name, mine, &figures[0]));
        Table::new(&format!("A container's name, {flight} questions in flight"), "answers/s", rows.collect()).show();
    }
}

/// The loop; its drop ends it.
struct Floor {
    at: String,
    ends: Arc<AtomicBool>,
}

impl Floor {
    fn start(inside: &Netns) -> Self {
        let socket = inside.inside(|| UdpSocket::bind("127.0.0.1:0").expect("a socket"));
        socket.set_read_timeout(Some(LOST)).expect("a timeout");
        let at = socket.local_addr().expect("an address").to_string();
        let ends = Arc::new(AtomicBool::new(false));
        let ending = ends.clone();
        std::thread::spawn(move || {
            let (mut buffer, answer) = ([0; 4096], [0; ANSWER]);
            while !ending.load(Ordering::Relaxed) {
                if let Ok((_, from)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Self { at, ends }
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
    }
}

/// Answers a second with so many questions in flight.
fn ask(inside: &Netns, at: &str, flight: usize) -> f64 {
    let at = at.to_owned();
    inside.inside(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(&at).expect("an address");
        socket.set_read_timeout(Some(LOST)).expect("a timeout");
        let (mut buffer, mut done, mut due, begin) = ([0; 512], 0.0, flight, Instant::now());
        while begin.elapsed() < TURN {
            for _ in 0..std::mem::take(&mut due) {
                let _ = socket.send(QUESTION);
            }
            match socket.recv(&mut buffer) {
                Ok(got) => {
                    assert_eq!(got, ANSWER, "another answer than the one that was asked for");
                    done += 1.0;
                    due = 1;
                }
                Err(_) => due = flight,
            }
        }
        done / begin.elapsed().as_secs_f64()
    })
}
