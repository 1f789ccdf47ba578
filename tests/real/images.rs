//! The images themselves: loaded, listed, pushed and pulled as any other.
#![allow(clippy::unwrap_used)]

use tests::images::pull;
use tests::real::{Life, Real};

#[test]
fn docker_registry() {
    let real = Real::new("Docker registry", &["registry", "redis", "tools"]);
    let life = Life {
        name: "registry",
        start: "-p 5000:5000 -v registry:/var/lib/registry -e REGISTRY_HTTP_DRAINTIMEOUT=5s --restart=always registry",
        memory: 256,
        ready: ("logs registry", "listening on"),
        by_name: Some(("tools curl -sS http://registry:5000/v2/_catalog", "team/redis")),
        by_port: Some((5000, b"GET /v2/ HTTP/1.0\r\n\r\n", "200 OK")),
        kept: Some(("run --rm --network app tools curl -sS http://registry:5000/v2/_catalog", "team/redis")),
        log: Some("GET /v2/"),
        terminal: ("sh", "# ", "ls /var/lib/registry/docker/registry/v2/repositories", "team"),
        stops: Some((0, "stopping server gracefully")),
        ..Life::default()
    };
    real.starts(&life);
    real.page(5000, "/v2/", "200 OK");
    real.ok("image tag redis localhost:5000/team/redis:1");
    real.ok("push localhost:5000/team/redis:1");
    real.row.saw("our push");
    real.serves(&life);
    real.ends(&life);
    real.ok("rmi localhost:5000/team/redis:1 redis");
    pull(&real.host, "localhost:5000/team/redis:1");
    assert!(real.ok("run --rm localhost:5000/team/redis:1 redis-server --version").contains("Redis server"));
    real.row.saw("our pull");
    real.row.end();
}
