//! Databases and caches, as their users run them.
#![allow(clippy::unwrap_used)]

use tests::real::Real;

#[test]
fn redis() {
    let real = Real::new("Redis", &["redis"]);
    let start = "run -d --name cache --network app -p 6379:6379 -v redis-data:/data --memory 128m redis --appendonly yes --maxmemory 64mb";
    real.ok("network create app");
    real.ok(start);
    real.until("exec cache redis-cli ping", "PONG");
    assert_eq!(real.ok("exec cache stat -c %U /proc/1"), "redis");
    assert_eq!(real.ok("exec cache redis-cli config get appendonly").lines().nth(1), Some("yes"));
    real.row.saw("starts as root and drops to its user");
    assert_eq!(real.ok("run --rm --network app redis redis-cli -h cache set key kept"), "OK");
    real.row.saw("a client finds it by name");
    real.outside(6379, "GET key\r\nQUIT\r\n", "kept");
    real.row.saw("published port");
    real.sees_memory("cache", 128 << 20);
    real.on_terminal("exec -it cache redis-cli", "6379>", "get key", "\"kept\"");
    real.row.saw("exec -it");
    real.logs("cache", "Ready to accept connections");
    real.stops("cache", 0, "Redis is now ready to exit, bye bye");
    real.remove("cache");
    real.ok(start);
    real.until("exec cache redis-cli get key", "kept");
    real.row.saw("data in a named volume outlives it");
    // Many connections at once, through the published port's way and the network's.
    real.ok("run --rm --network app redis redis-benchmark -h cache -q -n 2000 -c 50 -t set,get,lpush");
    real.row.saw("50 clients at once");
    real.row.end();
}

#[test]
fn postgres() {
    let real = Real::new("PostgreSQL", &["postgres"]);
    let start = "run -d --name db --network app -p 5432:5432 -e POSTGRES_PASSWORD=secret -e POSTGRES_DB=shop -v pgdata:/var/lib/postgresql/data \
                 --memory 512m --shm-size 256m postgres -c shared_buffers=64MB -c max_connections=50";
    real.ok("network create app");
    real.ok(start);
    // The server of the first steps listens on the socket alone: the name answers when it is the real one.
    let client = "run --rm --network app -e PGPASSWORD=secret postgres psql -h db -U postgres -d shop -Atc";
    real.until(&format!("{client} 'select 40+2'"), "42");
    assert_eq!(real.ok("exec db stat -c %U /proc/1"), "postgres");
    real.row.saw("starts as root and drops to its user");
    real.ok(&format!("{client} 'create table t as select generate_series(1,10000) as n; create index on t(n)'"));
    real.row.saw("a client finds it by name");
    // The first words of its protocol: may I have TLS? This one has none.
    real.outside(5432, b"\0\0\0\x08\x04\xd2\x16\x2f", "N");
    real.row.saw("published port");
    assert_eq!(real.ok("exec -u postgres db psql -U postgres -d shop -Atc 'show shared_buffers'"), "64MB");
    // Parallel workers share memory in /dev/shm.
    let parallel = "set parallel_setup_cost=0; set parallel_tuple_cost=0; set min_parallel_table_scan_size=0; select sum(n) from t";
    assert!(real.ok(&format!("exec db psql -U postgres -d shop -Atc '{parallel}'")).ends_with("50005000"));
    real.row.saw("parallel queries in /dev/shm");
    real.sees_memory("db", 512 << 20);
    real.on_terminal("exec -it db psql -U postgres shop", "shop=#", "select 6*7 as answer;", "42");
    real.row.saw("exec -it");
    real.logs("db", "database system is ready to accept connections");
    real.stops("db", 0, "received fast shutdown request");
    real.remove("db");
    real.ok(start);
    real.until(&format!("{client} 'select count(*) from t'"), "10000");
    real.row.saw("data in a named volume outlives it");
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
    let start = "run -d --name db --network app -p 3306:3306 -e MARIADB_ROOT_PASSWORD=secret -e MARIADB_DATABASE=shop -v mysql:/var/lib/mysql \
                 --memory 512m mariadb --character-set-server=utf8mb4 --innodb-buffer-pool-size=64M --bind-address=*";
    real.ok("network create app");
    real.ok(start);
    let client = "run --rm --network app mariadb mariadb -h db -uroot -psecret shop -Ne";
    real.until(&format!("{client} 'select 40+2'"), "42");
    assert_eq!(real.ok("exec db stat -c %U /proc/1"), "mysql");
    real.row.saw("starts as root and drops to its user");
    real.ok(&format!(
        "{client} 'create table t (n int primary key, s text) engine=innodb; insert into t values (1,\"grün\")'"
    ));
    real.row.saw("a client finds it by name");
    real.outside(3306, "", "MariaDB");
    real.row.saw("published port");
    real.sees_memory("db", 512 << 20);
    real.on_terminal("exec -it db mariadb -uroot -psecret shop", "[shop]>", "select 6*7;", "42");
    real.row.saw("exec -it");
    real.logs("db", "ready for connections");
    real.stops("db", 0, "Shutdown complete");
    real.remove("db");
    real.ok(start);
    real.until(&format!("{client} 'select s from t where n=1'"), "grün");
    real.row.saw("data in a named volume outlives it");
    real.row.end();
}

#[test]
fn memcached() {
    let real = Real::new("memcached", &["memcached", "redis"]);
    real.ok("network create app");
    // Its own -m is the server's, not ours.
    real.ok("run -d --name mem --network app -p 11211:11211 --memory 128m memcached -m 48 -t 4 -v");
    let settings = real.outside(11211, "stats settings\r\nquit\r\n", "maxbytes");
    assert!(settings.contains("maxbytes 50331648") && settings.contains("num_threads 4"), "{settings}");
    real.row.saw("its own -m and four threads");
    real.row.saw("published port");
    let client = "run --rm --network app redis sh -c 'printf \"set k 0 0 4\\r\\nkept\\r\\nget k\\r\\nquit\\r\\n\" | nc mem 11211'";
    assert!(real.ok(client).contains("kept"));
    real.row.saw("a client finds it by name");
    assert_eq!(real.ok("exec mem id -un"), "memcache");
    real.row.saw("USER of the image");
    real.sees_memory("mem", 128 << 20);
    real.ok("stop -t 30 mem");
    assert_eq!(real.host.inspect("mem", "/State/ExitCode"), 0);
    real.logs("mem", "Exiting normally");
    real.row.saw("stop is graceful");
    real.row.end();
}

#[test]
fn etcd() {
    let real = Real::new("etcd", &["etcd"]);
    real.ok("network create app");
    for n in 1..=3 {
        let start = format!(
            "run -d --name etcd{n} --network app -p {}:2379 -v etcd{n}:/etcd-data etcd etcd --name etcd{n} --data-dir /etcd-data \
             --initial-advertise-peer-urls http://etcd{n}:2380 --listen-peer-urls http://0.0.0.0:2380 \
             --advertise-client-urls http://etcd{n}:2379 --listen-client-urls http://0.0.0.0:2379 --initial-cluster-state new \
             --initial-cluster etcd1=http://etcd1:2380,etcd2=http://etcd2:2380,etcd3=http://etcd3:2380",
            2378 + n
        );
        real.ok(&start);
    }
    let all = "http://etcd1:2379,http://etcd2:2379,http://etcd3:2379";
    let client = format!("run --rm --network app etcd etcdctl --endpoints {all}");
    real.until(&format!("{client} endpoint health"), "is healthy");
    real.until(&format!("{client} put key kept"), "OK");
    real.row.saw("three members find each other by name");
    real.row.saw("a client finds it by name");
    real.page(2379, "/health", "true");
    real.row.saw("published port");
    // One member goes and comes back with what it has.
    real.logs("etcd3", "serving");
    real.stops("etcd3", 0, "terminated");
    real.until(&format!("{client} get key"), "kept");
    real.ok("start etcd3");
    real.until("exec etcd3 etcdctl --endpoints http://etcd3:2379 get key", "kept");
    real.row.saw("a member that is stopped and started catches up");
    real.row.saw("data in a named volume outlives it");
    real.row.end();
}
