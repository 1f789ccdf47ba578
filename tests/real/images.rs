//! The images themselves: loaded, listed, pushed and pulled as any other.
#![allow(clippy::unwrap_used)]

use tests::images::pull;
use tests::real::Real;

#[test]
fn docker_registry() {
    let real = Real::new("Docker registry", &["registry", "redis"]);
    let start = "run -d --name registry -p 5000:5000 -v registry:/var/lib/registry --restart=always registry";
    real.ok(start);
    real.page(5000, "/v2/", "200 OK");
    real.row.saw("published port");
    real.ok("image tag redis localhost:5000/team/redis:1");
    real.ok("push localhost:5000/team/redis:1");
    real.row.saw("our push");
    real.ok("stop registry");
    real.ok("rm registry");
    real.ok("rmi localhost:5000/team/redis:1 redis");
    real.ok(start);
    real.page(5000, "/v2/_catalog", "team/redis");
    real.row.saw("data in a named volume outlives it");
    pull(&real.host, "localhost:5000/team/redis:1");
    assert!(real.ok("run --rm localhost:5000/team/redis:1 redis-server --version").contains("Redis server"));
    real.row.saw("our pull");
    real.logs("registry", "GET /v2/");
    real.row.end();
}
