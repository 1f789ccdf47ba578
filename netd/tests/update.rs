//! A change of a network that is interrupted: the next netd takes it back, whole.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::lab::*;
use netd_api::*;

#[test]
fn a_crash_in_the_middle_of_an_update_is_undone() {
    for at in ["mtu:abort", "mtu:abort:after", "sysctl:abort:after", "address:abort:after", "elements:abort"] {
        let mut lab = Lab::bare();
        lab.start();
        lab.network("blue");
        let (a, b) = (lab.container("a", "blue"), lab.container("b", "blue"));
        // Our bridge has no IPv6 then: what it would do with router advertisements says nothing.
        let idle = |line: &&str| !(line.contains("/conf/br-") && line.contains("accept_ra"));
        let on_host = |lab: &Lab| lab.dump().lines().filter(idle).collect::<Vec<_>>().join("\n");
        let state = |lab: &Lab| on_host(lab) + &a.netns.sh("ip -o addr; ip link; ip route; ip -6 route");
        let before = state(&lab);
        lab.kill();
        lab.start_with(&[("NETD_FAILPOINT".into(), at.into())]);
        let subnets = vec![SubnetRequest {
            subnet: "fd77::/64".parse().unwrap(),
            gateway: None,
            no_gateway: false,
            ip_range: None,
            aux_addresses: Default::default(),
        }];
        let change = NetworkChange { mtu: Some(1300), subnets, ..NetworkChange::default() };
        let _ = lab.request(Call::NetworkUpdate { network: "blue".into(), change: change.clone(), dry_run: false });
        assert!(lab.crashed(), "{at}: the update does not get there");
        lab.start_with(&[]);
        assert!(lab.log().contains("undoing half an update"), "{at}");
        let now = state(&lab);
        assert!(before == now, "{at}\n{}", difference(&before, &now));
        assert!(a.netns.ping(b.ip(false)), "{at}");
        let Reply::Network(info) = lab.call(Call::NetworkInspect { network: "blue".into() }) else { panic!() };
        assert_eq!((info.subnets.len(), info.ipv6), (1, false), "{at}");
        // Once more, without a crash.
        lab.call(Call::NetworkUpdate { network: "blue".into(), change, dry_run: false });
        assert!(a.netns.sh("ip -o link show eth0").contains("mtu 1300"), "{at}");
        assert!(a.netns.sh("ip -6 addr show eth0").contains("fd77::"), "{at}");
    }
}
