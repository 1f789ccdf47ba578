//! A server for tests, bound into containers: `answer udp|tcp PORT TEXT` answers every datagram or connection with TEXT
//! and the asker's address.

use std::io::Write;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, kind, port, text] = args.as_slice() else {
        eprintln!("usage: answer udp|tcp PORT TEXT");
        std::process::exit(64);
    };
    let port: u16 = port.parse().map_err(std::io::Error::other)?;
    if kind == "udp" {
        // Both families where there are both.
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| UdpSocket::bind(("0.0.0.0", port)))?;
        let mut buffer = [0u8; 2048];
        loop {
            let (_, from) = socket.recv_from(&mut buffer)?;
            socket.send_to(format!("{text} {}", from.ip()).as_bytes(), from)?;
        }
    }
    let listener =
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))?;
    loop {
        let (mut stream, from) = listener.accept()?;
        let _ = stream.write_all(format!("{text} {}", from.ip()).as_bytes());
    }
}
