//! `network why`, asked: what the answer must be, and what repairs it.

use crate::host::sleeper;
use crate::{Host, Netns};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use serde_json::Value;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// The answer, and that its exit code is the right one.
#[track_caller]
pub fn ask(host: &Host, from: &str, to: &str) -> Value {
    let ran = host.rcr(&["network", "why", "--format", "json", from, to]);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{from} → {to}: {ran:?}"));
    let code = if answer["reach"] == "yes" { 0 } else { 1 };
    assert_eq!(ran.code, code, "{answer:#}");
    answer
}

/// The last hop, which must have this fault, and evidence or words with these parts.
#[track_caller]
pub fn broken(host: &Host, from: &str, to: &str, fault: &str, parts: &[&str]) -> Value {
    let answer = ask(host, from, to);
    assert_eq!(answer["reach"], "no", "{from} → {to}: {answer:#}");
    let hops = answer["hops"].as_array().unwrap();
    let last = hops.last().unwrap();
    assert_eq!(last["fault"], fault, "{from} → {to}: {answer:#}");
    assert!(hops[..hops.len() - 1].iter().all(|hop| hop["fault"].is_null()), "{answer:#}");
    let said = last.to_string();
    for part in parts {
        assert!(said.contains(Value::from(*part).to_string().trim_matches('"')), "`{part}` is not in {last:#}");
    }
    last.clone()
}

/// The answer, which must be yes.
#[track_caller]
pub fn reaches(host: &Host, from: &str, to: &str) -> Value {
    let answer = ask(host, from, to);
    assert_eq!(answer["reach"], "yes", "{from} → {to}: {answer:#}");
    assert!(answer["hops"].as_array().unwrap().iter().all(|hop| hop["fault"].is_null()), "{answer:#}");
    answer
}

/// The first command line that repairs it, run where it says.
#[track_caller]
pub fn repair(host: &Host, hop: &Value) {
    let line = hop["repair"][0].as_str().unwrap_or_else(|| panic!("no repair in {hop:#}"));
    shell(host, line);
}

/// A shell's line on the host, with `rcr` at hand.
#[track_caller]
pub fn shell(host: &Host, line: &str) {
    let path = format!("{}:{}:/usr/sbin:/sbin", crate::bin().display(), std::env::var("PATH").unwrap());
    let mut command = host.netns.command("sh");
    command.args(["-c", line]).env("PATH", path).env_remove("RCR_CONFIG");
    command.env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `nft COMMANDS`, which must succeed.
pub fn nft(host: &Host, commands: &str) {
    let output = host.netns.command("nft").arg(commands).output().expect("nft is needed");
    assert!(output.status.success(), "{commands}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A listener in a namespace; it ends with the value.
pub fn listens(netns: &Netns, on: &str) -> TcpListener {
    let on = on.to_owned();
    netns.inside(move || TcpListener::bind(&on).unwrap_or_else(|error| panic!("{on}: {error}")))
}

/// A host with the network `blue`, and c1 and c2 on it.
pub fn pair(flags: &[&str]) -> Host {
    let host = Host::new();
    host.ok(&[&["network", "create", "--subnet", "10.9.0.0/24"], flags, &["blue"]].concat());
    sleeper(&host, "c1", &["--network", "blue", "--ip", "10.9.0.11"]);
    sleeper(&host, "c2", &["--network", "blue", "--ip", "10.9.0.12"]);
    host
}

/// A resolver outside, 198.51.100.2, which has that address for the names that it knows, as they are asked (`db.example.`),
/// until the machine outside is gone.
pub fn resolver(host: &Host, knows: impl Fn(&str) -> bool + Send + 'static) {
    let address = Ipv4Addr::new(198, 51, 100, 2);
    let socket = host.outside.inside(move || UdpSocket::bind((address, 53)).expect("port 53 outside"));
    std::thread::spawn(move || {
        let mut buffer = [0u8; 4096];
        while let Ok((got, from)) = socket.recv_from(&mut buffer) {
            let asked = Message::from_vec(&buffer[..got]).expect("a question");
            let query = asked.queries[0].clone();
            let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
            if !knows(&query.name().to_ascii().to_ascii_lowercase()) {
                answer.metadata.response_code = ResponseCode::NXDomain;
            } else if query.query_type() == RecordType::A {
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, RData::A(A(address))));
            }
            answer.add_query(query);
            socket.send_to(&answer.to_vec().expect("an answer"), from).expect("send it");
        }
    });
}
