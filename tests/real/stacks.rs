//! Several programs that need each other.
#![allow(clippy::unwrap_used)]

use tests::real::{Real, Row};

const APP: &str = r#"
import os, time, psycopg2, redis
from flask import Flask
def retry(what, connect):
    for n in range(120):
        try: return connect()
        except Exception as e: print('waiting for', what, flush=True); time.sleep(0.25)
    raise SystemExit(what)
def db(): return psycopg2.connect(host='db', user='postgres', password='secret', dbname='shop', connect_timeout=3)
def first():
    with db() as c: c.cursor().execute('create table if not exists visits (at timestamptz default now())')
    return True
cache = redis.Redis(host='cache', socket_connect_timeout=3)
retry('db', first); retry('cache', cache.ping)
app = Flask(__name__)
@app.route('/')
def visit():
    with db() as c:
        cursor = c.cursor(); cursor.execute('insert into visits default values'); cursor.execute('select count(*) from visits')
        return f"db={cursor.fetchone()[0]} cache={cache.incr('visits')}\n"
"#;

/// The app starts first and waits; the database and the cache come later; the web server last.
#[test]
fn web_app_database_cache() {
    let real = Real::new("stack: nginx, gunicorn, PostgreSQL, Redis", &["nginx", "python", "postgres", "redis"]);
    real.ok("network create front");
    real.ok("network create --internal back");
    let source = real.host.scratch().join("app");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("app.py"), APP).unwrap();
    std::fs::write(
        source.join("default.conf"),
        "server { listen 80; location / { proxy_pass http://app:8000; proxy_connect_timeout 5s; } }\n",
    )
    .unwrap();
    let path = source.display();
    real.ok(&format!(
        "run -d --name app --network front --network back -u 1000 -v {path}:/app:ro -w /app --restart on-failure:5 python \
         gunicorn -b :8000 -w 2 --timeout 120 --access-logfile - app:app"
    ));
    real.until("logs app", "waiting for db");
    real.ok("run -d --name db --network back -e POSTGRES_PASSWORD=secret -e POSTGRES_DB=shop -v pg:/var/lib/postgresql/data postgres");
    real.until("logs app", "waiting for cache");
    real.ok("run -d --name cache --network back redis");
    real.ok(&format!(
        "run -d --name web --network front -p 80:80 -v {path}/default.conf:/etc/nginx/conf.d/default.conf:ro nginx"
    ));
    real.page(80, "/", "db=1 cache=1");
    real.row.saw("start in any order, with retries");
    // The web server is not on the back network, nor may the database go out.
    assert_ne!(real.rcr("exec web getent hosts db").code, 0);
    real.row.saw("two networks, one internal");
    // Each goes and comes back, by restart or as a new container; the rest finds it again by its name.
    real.ok("restart db");
    real.page(80, "/", "cache=");
    real.ok("rm -f cache");
    real.ok("run -d --name cache --network back redis");
    real.page(80, "/", "cache=1\n");
    real.row.saw("a database that restarts, a cache that is replaced");
    real.ok("restart app");
    real.page(80, "/", "cache=2\n");
    real.row.saw("nginx finds the restarted app at the address that it knows");
    real.ok("stop web app cache db");
    real.ok("start db cache app web");
    // Redis writes what it has at its end, into the anonymous volume that stays with the container.
    real.page(80, "/", "cache=3\n");
    real.row.saw("all stopped and started");
    real.row.end();
}

#[test]
fn prometheus_scrapes_by_name() {
    let real = Real::new("Prometheus", &["prometheus", "etcd"]);
    real.ok("network create mon");
    let start = "run -d --name prom --network mon -p 9090:9090 -v prom:/prometheus --memory 256m prometheus";
    real.ok(start);
    real.ok("run -d --name node1 --network mon etcd prometheus-node-exporter");
    // The second is late: its name is unknown at first.
    let query = "/api/v1/query?query=up";
    real.page(9090, query, "\"instance\":\"node1:9100\"");
    real.ok("run -d --name node2 --network mon etcd prometheus-node-exporter");
    let began = std::time::Instant::now();
    loop {
        let page = real.page(9090, "/api/v1/query?query=sum(up)", "success");
        if page.contains(",\"3\"]") {
            break;
        }
        assert!(began.elapsed().as_secs() < 60, "{page}");
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    real.row.saw("scrapes two exporters by name, one late");
    real.row.saw("published port");
    assert_eq!(real.ok("exec prom id -un"), "nobody");
    real.row.saw("USER of the image writes its volume");
    real.sees_memory("prom", 256 << 20);
    real.logs("prom", "Server is ready to receive web requests");
    real.stops("prom", 0, "See you next time!");
    real.remove("prom");
    real.ok(start);
    real.page(9090, "/api/v1/query?query=count_over_time(up%5B1h%5D)", "node1");
    real.row.saw("data in a named volume outlives it");
    real.row.end();
    let row = Row::package("Prometheus node exporter", "prometheus", "prometheus-node-exporter");
    real.logs("node1", "Listening on");
    row.saw("logs");
    row.saw("scraped by name");
    row.end();
}
