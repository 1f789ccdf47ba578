//! Which test makes which case of `network why`. A case whose test does not name its fault, or a fault without a case, is
//! told here.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::path::Path;

/// What is broken, the fault that must be named, the file, and the test in it; of a scenario of the lab no test.
const CASES: &[(&str, &str, &str, &str)] = &[
    ("two containers on different networks", "not_on_one_network", WHY, "names_and_networks"),
    ("an address on another network", "networks_closed", WHY, "names_and_networks"),
    ("a name of another network", "name_of_another_network", WHY, "names_and_networks"),
    ("a name that nobody has", "no_such_name", WHY, "names_and_networks"),
    ("a name that the search domains lack", "no_such_name", RARE, "a_name_is_looked_for_in_the_search_domains"),
    ("a name that depends on health", "name_withheld", RARE, "a_name_that_depends_on_health"),
    ("a container that does not run", "not_running", WHY, "names_and_networks"),
    ("a network without a free address", "network_full", WHY, "names_and_networks"),
    ("too many endpoints: a bridge without a free port", "network_full", RARE, "a_bridge_that_has_no_port_left"),
    ("no network at all", "no_network", WHY, "names_and_networks"),
    ("an internal network", "internal", CLOSED, "closed_by_the_networks_own_options"),
    ("icc=false", "icc_off", CLOSED, "closed_by_the_networks_own_options"),
    ("IPv6 off", "ipv6_off", CLOSED, "closed_by_the_networks_own_options"),
    ("the host's ports, closed to containers", "host_closed", CLOSED, "closed_by_the_networks_own_options"),
    ("another program's table: its policy, its rule", "foreign_table", CLOSED, "closed_by_a_firewall"),
    ("a rule of the administrator's", "administrators_rule", CLOSED, "closed_by_a_firewall"),
    ("nobody listens", "not_listening", CLOSED, "nobody_listens"),
    ("a program listens on 127.0.0.1 alone", "listens_on_loopback", CLOSED, "nobody_listens"),
    ("a program listens on another address", "listens_elsewhere", CLOSED, "nobody_listens"),
    ("a port that is not published", "not_published", CLOSED, "published_ports"),
    ("published on another address, or on [::1]", "published_elsewhere", CLOSED, "published_ports"),
    ("a port that another program has", "port_taken", CLOSED, "published_ports"),
    ("ip_forward off", "forwarding_off", WHY, "settings_of_the_host"),
    ("rp_filter", "reverse_path_filter", WHY, "settings_of_the_host"),
    ("no route", "no_route", WHY, "settings_of_the_host"),
    ("a neighbour that does not answer", "neighbour_silent", WHY, "settings_of_the_host"),
    ("a stale neighbour", "stale_neighbour", WHY, "links_and_neighbours"),
    ("a link that is down", "link_down", WHY, "links_and_neighbours"),
    ("a link that is not on its bridge", "link_misplaced", WHY, "links_and_neighbours"),
    ("an address that somebody took away", "address_missing", WHY, "links_and_neighbours"),
    ("the parent down", "parent_down", WHY, "macvlan_and_its_host"),
    ("macvlan and its host", "parent_keeps_host_apart", WHY, "macvlan_and_its_host"),
    ("a VLAN that the peer lacks", "neighbour_silent", LAB, ""),
    ("a DHCP lease that is lost", "lease_lost", RARE, "a_lease_that_the_lan_takes_back"),
    ("an MTU hole, in both directions", "mtu_hole", WHY, "packets_of_full_size"),
    ("a resolver outside that does not answer", "resolver_silent", WHY, "a_resolver_outside_that_does_not_answer"),
    ("a wrong VTEP", "wrong_vtep", WHY, "containers_of_another_host"),
    ("VXLAN's port, closed between the hosts", "tunnel_blocked", WHY, "containers_of_another_host"),
    ("a host that is down", "host_down", WHY, "containers_of_another_host"),
    ("a wrong VTEP of an encrypted network", "wrong_vtep", LAB, ""),
    ("a key that the other host does not take", "key_old", LAB, ""),
    ("conntrack full", "conntrack_full", LAB, ""),
];

/// Faults that one of the others comes before on a kernel, or that stand for none: made of values in
/// `netd/core/tests/why.rs`, or of a link that netd makes again before anybody asks.
const NO_CASE: &[&str] = &["unexplained", "link_missing", "route_elsewhere", "no_entry"];

const WHY: &str = "tests/suites/why.rs";
const CLOSED: &str = "tests/suites/why_closed.rs";
const RARE: &str = "tests/suites/why_rare.rs";
const LAB: &str = "tests/vm/scenarios/why";

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn each_case_has_a_test_that_names_its_fault() {
    for (case, fault, file, test) in CASES {
        let text = read(file);
        let body = match *test {
            "" => text.as_str(),
            name => {
                let body = text.split(&format!("fn {name}() {{")).nth(1);
                body.unwrap_or_else(|| panic!("{case}: {file} has no test `{name}`")).split("\n}\n").next().unwrap()
            }
        };
        assert!(body.contains(fault), "{case}: `{test}` in {file} does not speak of `{fault}`");
    }
}

#[test]
fn each_fault_has_a_case() {
    let text = read("netd/api/src/why.rs");
    let list = text.split("pub enum Fault {").nth(1).unwrap().split('}').next().unwrap();
    let variants = list.lines().filter_map(|line| line.trim().strip_suffix(','));
    let snake = |name: &str| {
        let parts = name.char_indices().map(|(at, c)| match c {
            c if c.is_uppercase() && at > 0 => format!("_{}", c.to_lowercase()),
            c => c.to_lowercase().to_string(),
        });
        parts.collect::<String>()
    };
    let all: BTreeSet<String> = variants.map(snake).collect();
    assert!(all.len() > 30, "{all:?}");
    let tested: BTreeSet<String> = CASES.iter().map(|(_, fault, ..)| (*fault).to_owned()).collect();
    let strange: Vec<_> = tested.difference(&all).collect();
    assert!(strange.is_empty(), "no such faults: {strange:?}");
    let untested: Vec<&str> = all.difference(&tested).map(String::as_str).collect();
    let mut expected = NO_CASE.to_vec();
    expected.sort_unstable();
    assert_eq!(untested, expected);
}
