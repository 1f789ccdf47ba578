//! `docs/nftables.md` shows what the kernel really has: its blocks are compared with `nft list`, and rewritten with `UPDATE_GOLDENS=1`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::lab::*;
use netd::kernel::{CheckWants, check_place};
use netd_api::*;
use netd_core::firewall::{Datum, Element};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::PathBuf;

fn page() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/nftables.md"))
}

/// A ruleset without what differs from run to run and from kernel to kernel: owner flags, counts, ports, the order of elements.
fn plain(ruleset: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut elements: Option<String> = None;
    for line in ruleset.lines() {
        let line = line.split(" # progname").next().unwrap_or(line);
        if line.trim_start().starts_with("flags owner") || line.trim_start().starts_with("flags persist") {
            continue;
        }
        if line.trim_start().starts_with("elements = {") {
            elements = Some(String::new());
        }
        let Some(open) = &mut elements else {
            lines.push(without_numbers(line));
            continue;
        };
        open.push_str(line.trim());
        if open.ends_with('}') {
            lines.push(sorted(open));
            elements = None;
        }
    }
    let text = lines.join("\n").replace("{\n\n", "{\n").replace("\n\n\n", "\n\n");
    text.trim().to_owned()
}

fn without_numbers(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    if let Some(at) = words.windows(2).position(|pair| pair == ["counter", "packets"]) {
        words.drain(at + 1..at + 5);
    }
    for at in 1..words.len() {
        let port = ["sport", "set", "@th,240,16"].contains(&words[at - 1]);
        if port && !["53", "0x35", "set"].contains(&words[at]) && !words[at].starts_with("0x0072") {
            words[at] = "PORT";
        }
    }
    words.join(" ")
}

/// Addresses of links, which are chosen at random, without their value.
fn without_mac(element: &str) -> String {
    let mac = |word: &str| word.len() == 17 && word.matches(':').count() == 5;
    element.split(' ').map(|word| if mac(word) { "MAC" } else { word }).collect::<Vec<_>>().join(" ")
}

/// `elements = { … }` in the order of the alphabet, one in a line.
fn sorted(elements: &str) -> String {
    let inner = elements.trim_start_matches("elements = {").trim_end_matches('}');
    let mut all: Vec<String> = inner.split(',').map(|element| without_mac(element.trim())).collect();
    all.sort_unstable();
    format!("\t\telements = {{ {} }}", all.join(",\n\t\t\t     "))
}

/// Compares the block below `<!-- name -->` with `text`, or writes it.
fn block(name: &str, text: &str) {
    let document = std::fs::read_to_string(page()).unwrap();
    let (start, end) = (format!("<!-- {name} -->\n```\n"), "\n```\n");
    let from = document.find(&start).unwrap_or_else(|| panic!("no block `{name}` in docs/nftables.md")) + start.len();
    let to = from + document[from..].find(end).expect("the block ends");
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        std::fs::write(page(), format!("{}{text}{}", &document[..from], &document[to..])).unwrap();
        return;
    }
    assert_eq!(
        &document[from..to],
        text,
        "{name}: `UPDATE_GOLDENS=1 cargo nextest run --workspace -E 'test(nftables::)'` if this is meant"
    );
}

#[test]
fn the_page_shows_what_the_kernel_has() {
    let mut lab = Lab::new();
    let subnet = |cidr: &str| SubnetRequest {
        subnet: cidr.parse().unwrap(),
        gateway: None,
        no_gateway: false,
        ip_range: None,
        aux_addresses: Default::default(),
    };
    lab.network_with("blue", |spec, options| {
        spec.subnets = vec![subnet("10.4.0.0/24"), subnet("fd00:4::/64")];
        options.bridge_name = Some("blue0".parse().unwrap());
    });
    lab.network_with("cellar", |spec, options| {
        spec.subnets = vec![subnet("10.5.0.0/24")];
        spec.internal = true;
        options.bridge_name = Some("cellar0".parse().unwrap());
        options.icc = false;
    });
    let _web = lab.container_with("web", "blue", |spec| {
        spec.publish = vec![publish(8080, 80), publish_range(3000, 3000, 100)];
        spec.publish.push(PublishRequest { host_ip: Some("127.0.0.1".parse().unwrap()), ..publish(5353, 53) });
    });
    let peer = lab.container_with("peer", "cellar", |spec| spec.host_gateway = true);
    block("the host's table", &plain(&lab.host.sh("nft list table inet rcr")));
    block("the administrator's table", &plain(&lab.host.sh("nft list table inet rcr-user")));
    block("a container's table", &plain(&peer.netns.sh("nft list ruleset")));
}

/// What `network check` asks: another program changed a table that it may change.
#[test]
fn an_element_that_is_gone_or_leads_elsewhere_is_seen() {
    let mut lab = Lab::with_env(&[("NETD_PLAIN_TABLES", "1")]);
    let web = lab.container_with("web", "bridge", |spec| spec.publish = vec![publish(8080, 80)]);
    let leads_to = |port| vec![web.ip(false).into(), Datum::Port(port)];
    let element = |port, inside| Element::port(Ipv4Addr::UNSPECIFIED.into(), 6, port, leads_to(inside));
    // Without netd, which would write the table again.
    lab.kill();
    let host = std::fs::File::open(lab.host.path()).unwrap();
    let lost = |wanted: &Element| {
        let wants = CheckWants { table: true, elements: [wanted.clone()].into(), ..CheckWants::default() };
        let seen = check_place(Some(host.as_fd()), &wants).unwrap();
        assert!(seen.table);
        seen.lost.contains(wanted)
    };
    let published = element(8080, 80);
    assert!(!lost(&published), "{}", lab.ruleset("list table inet rcr"));
    assert!(lost(&element(8081, 80)) && lost(&element(8080, 81)));
    lab.host.sh(&format!("nft delete element inet rcr {} '{{ tcp . 8080 }}'", published.set.name()));
    assert!(lost(&published));
    lab.start();
    eventually("netd wrote it again", || !lost(&published));
}
