//! Databases and caches, as their users run them.
#![allow(clippy::unwrap_used)]

use tests::real::{Check, Life, Real, SHELL};

#[test]
fn redis() {
    let real = Real::new("Redis", &["redis"]);
    let life = Life {
        name: "cache",
        start: "-p 6379:6379 -v redis-data:/data redis --appendonly yes --maxmemory 64mb",
        memory: 128,
        ready: ("exec cache redis-cli ping", "PONG"),
        by_name: Some(("redis redis-cli -h cache set key kept", "OK")),
        by_port: Some((6379, b"GET key\r\nQUIT\r\n", "kept")),
        kept: Some(("exec cache redis-cli get key", "kept")),
        log: Some("Ready to accept connections"),
        terminal: ("redis-cli", "6379>", "get key", "\"kept\""),
        stops: Some((0, "Redis is now ready to exit, bye bye")),
        ..Life::default()
    };
    real.starts(&life);
    assert_eq!(real.ok("exec cache stat -c %U /proc/1"), "redis");
    assert_eq!(real.ok("exec cache redis-cli config get appendonly").lines().nth(1), Some("yes"));
    real.row.saw("starts as root and drops to its user");
    real.serves(&life);
    real.ends(&life);
    // Many connections at once, through the published port's way and the network's.
    real.ok("run --rm --network app redis redis-benchmark -h cache -q -n 2000 -c 50 -t set,get,lpush");
    real.row.saw("50 clients at once");
    real.row.end();
}

#[test]
fn postgres() {
    let real = Real::new("PostgreSQL", &["postgres"]);
    // The server of the first steps listens on the socket alone: the name answers when it is the real one.
    let client = |sql: &str| format!("-e PGPASSWORD=secret postgres psql -h db -U postgres -d shop -Atc '{sql}'");
    let life = Life {
        name: "db",
        start: "-p 5432:5432 -e POSTGRES_PASSWORD=secret -e POSTGRES_DB=shop -v pgdata:/var/lib/postgresql/data --shm-size 256m \
                postgres -c shared_buffers=64MB -c max_connections=50",
        memory: 512,
        ready: (&format!("run --rm --network app {}", client("select 40+2")), "42"),
        by_name: Some((
            &client("create table if not exists t as select generate_series(1,10000) as n"),
            "SELECT 10000",
        )),
        // The first words of its protocol: may I have TLS? This one has none.
        by_port: Some((5432, b"\0\0\0\x08\x04\xd2\x16\x2f", "N")),
        kept: Some((&format!("run --rm --network app {}", client("select count(*) from t")), "10000")),
        log: Some("database system is ready to accept connections"),
        terminal: ("psql -U postgres shop", "shop=#", "select 6*7 as answer;", "42"),
        stops: Some((0, "received fast shutdown request")),
        ..Life::default()
    };
    real.starts(&life);
    assert_eq!(real.ok("exec db stat -c %U /proc/1"), "postgres");
    real.row.saw("starts as root and drops to its user");
    assert_eq!(real.ok("exec -u postgres db psql -U postgres -d shop -Atc 'show shared_buffers'"), "64MB");
    real.serves(&life);
    // Parallel workers share memory in /dev/shm.
    let parallel = "set parallel_setup_cost=0; set parallel_tuple_cost=0; set min_parallel_table_scan_size=0; select sum(n) from t";
    assert!(real.ok(&format!("exec db psql -U postgres -d shop -Atc '{parallel}'")).ends_with("50005000"));
    real.row.saw("parallel queries in /dev/shm");
    real.ends(&life);
    // As a user from the start, on a folder of the host that is that user's.
    let folder = real.host.scratch().join("pg");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(1234), Some(1234)).unwrap();
    let bind = format!(
        "run -d --name own --user 1234:1234 -e POSTGRES_PASSWORD=x -v {}:/var/lib/postgresql/data postgres",
        folder.display()
    );
    real.ok(&bind);
    real.until("logs own", "listening on IPv4");
    real.row.saw("any user on a bind of that user");
    real.row.end();
}

#[test]
fn mariadb() {
    let real = Real::new("MariaDB", &["mariadb"]);
    let client = |sql: &str| format!("mariadb mariadb -h db -uroot -psecret shop -Ne '{sql}'");
    let make =
        "create table t (n int primary key, s text) engine=innodb; insert into t values (1,\"grün\"); select 40+2";
    let life = Life {
        name: "db",
        start: "-p 3306:3306 -e MARIADB_ROOT_PASSWORD=secret -e MARIADB_DATABASE=shop -v mysql:/var/lib/mysql mariadb \
                --character-set-server=utf8mb4 --innodb-buffer-pool-size=64M --bind-address=*",
        memory: 512,
        ready: (&format!("run --rm --network app {}", client("select 40+2")), "42"),
        by_name: Some((&client(make), "42")),
        by_port: Some((3306, b"", "MariaDB")),
        kept: Some((&format!("run --rm --network app {}", client("select s from t where n=1")), "grün")),
        log: Some("ready for connections"),
        terminal: ("mariadb -uroot -psecret shop", "[shop]>", "select 6*7;", "42"),
        stops: Some((0, "Shutdown complete")),
        ..Life::default()
    };
    real.starts(&life);
    assert_eq!(real.ok("exec db stat -c %U /proc/1"), "mysql");
    real.row.saw("starts as root and drops to its user");
    real.serves(&life);
    real.ends(&life);
    real.row.end();
}

#[test]
fn memcached() {
    let real = Real::new("memcached", &["memcached", "redis"]);
    let life = Life {
        name: "mem",
        // Its own -m is the server's, not ours.
        start: "-p 11211:11211 memcached -m 48 -t 4 -vv",
        memory: 128,
        ready: ("exec mem sh -c 'grep -q :2BCB /proc/net/tcp && echo listens'", "listens"),
        by_name: Some((
            "redis sh -c 'printf \"set k 0 0 4\\r\\nkept\\r\\nget k\\r\\nquit\\r\\n\" | nc mem 11211'",
            "kept",
        )),
        by_port: Some((11211, b"get k\r\nquit\r\n", "kept")),
        log: Some("client connection"),
        terminal: SHELL,
        stops: Some((0, "Exiting normally")),
        ..Life::default()
    };
    real.starts(&life);
    let settings = real.outside(11211, "stats settings\r\nquit\r\n", "maxbytes");
    assert!(settings.contains("maxbytes 50331648") && settings.contains("num_threads 4"), "{settings}");
    real.row.saw("its own -m and four threads");
    assert_eq!(real.ok("exec mem id -un"), "memcache");
    real.row.saw("USER of the image");
    real.serves(&life);
    real.ends(&life);
    real.row.without(&[Check::Volume], "keeps nothing on a disk");
    real.row.end();
}

#[test]
fn etcd() {
    let real = Real::new("etcd", &["etcd"]);
    let start = |n: u32| {
        format!(
            "-p {}:2379 -v etcd{n}:/etcd-data etcd etcd --name etcd{n} --data-dir /etcd-data \
             --initial-advertise-peer-urls http://etcd{n}:2380 --listen-peer-urls http://0.0.0.0:2380 \
             --advertise-client-urls http://etcd{n}:2379 --listen-client-urls http://0.0.0.0:2379 --initial-cluster-state new \
             --initial-cluster etcd1=http://etcd1:2380,etcd2=http://etcd2:2380,etcd3=http://etcd3:2380",
            2378 + n
        )
    };
    real.ok("network create app");
    for n in 1..=2 {
        real.ok(&format!("run -d --name etcd{n} --network app {}", start(n)));
    }
    let all = "http://etcd1:2379,http://etcd2:2379,http://etcd3:2379";
    let client = format!("etcd etcdctl --endpoints {all}");
    let life = Life {
        name: "etcd3",
        start: &start(3),
        memory: 256,
        ready: (&format!("run --rm --network app {client} endpoint health"), "is healthy"),
        by_name: Some((&format!("{client} put key kept"), "OK")),
        by_port: Some((2381, b"GET /health HTTP/1.0\r\n\r\n", "true")),
        kept: Some(("exec etcd3 etcdctl --endpoints http://etcd3:2379 get key", "kept")),
        log: Some("serving"),
        terminal: ("sh", "# ", "etcdctl endpoint health 2>&1", "is healthy"),
        stops: Some((0, "terminated")),
        ..Life::default()
    };
    real.starts(&life);
    real.row.saw("three members find each other by name");
    real.serves(&life);
    real.ends(&life);
    // One member goes and comes back with what it has.
    real.stops("etcd2", 0, "terminated");
    real.until(&format!("run --rm --network app {client} put key newer"), "OK");
    real.ok("start etcd2");
    real.until("exec etcd2 etcdctl --endpoints http://etcd2:2379 get key", "newer");
    real.row.saw("a member that is stopped and started catches up");
    real.row.end();
}
