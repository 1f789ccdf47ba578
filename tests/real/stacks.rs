//! Several programs that need each other.
#![allow(clippy::unwrap_used)]

use tests::real::{Check, Life, Real, Row, SHELL};

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
    real.row.without(&Check::ALL, "its programs have rows of their own");
    real.row.end();
}

#[test]
fn prometheus_scrapes_by_name() {
    let mut real = Real::new("Prometheus", &["prometheus", "etcd"]);
    let ask = "GET /api/v1/query?query=up HTTP/1.0\r\n\r\n";
    let promtool = "--entrypoint promtool prometheus query instant http://prom:9090";
    let life = Life {
        name: "prom",
        start: "-p 9090:9090 -v prom:/prometheus prometheus",
        memory: 256,
        ready: ("logs prom", "Server is ready to receive web requests"),
        by_name: Some((&format!("{promtool} up"), "node1:9100")),
        by_port: Some((9090, ask.as_bytes(), "\"instance\":\"node1:9100\"")),
        kept: Some((&format!("run --rm --network app {promtool} count_over_time(up[1h])"), "node1:9100")),
        log: Some("Server is ready to receive web requests"),
        terminal: ("sh", "$ ", "promtool query instant http://localhost:9090 up", "node1:9100"),
        stops: Some((0, "See you next time!")),
        ..Life::default()
    };
    real.starts(&life);
    let exporter = Life {
        name: "node1",
        start: "-p 9100:9100 etcd prometheus-node-exporter",
        memory: 64,
        ready: ("logs node1", "Listening on"),
        by_name: Some((&format!("{promtool} 'up{{instance=\"node1:9100\"}}'"), "=> 1")),
        by_port: Some((9100, b"GET /metrics HTTP/1.0\r\n\r\n", "node_memory_MemTotal_bytes")),
        log: Some("Listening on"),
        terminal: SHELL,
        // Go's own end, where a program has none for SIGTERM.
        stops: Some((2, "Listening on")),
        ..Life::default()
    };
    real.starts(&exporter);
    real.serves(&life);
    // The second is late: its name is unknown at first.
    real.ok("run -d --name node2 --network app etcd prometheus-node-exporter");
    real.wait_for("three are up", || real.page(9090, "/api/v1/query?query=sum(up)", "success").contains(",\"3\"]"));
    real.row.saw("scrapes two exporters by name, one late");
    assert_eq!(real.ok("exec prom id -un"), "nobody");
    real.row.saw("USER of the image writes its volume");
    real.ends(&life);
    real.row.end();
    real.row = Row::package("Prometheus node exporter", "prometheus", "prometheus-node-exporter");
    real.serves(&exporter);
    real.ends(&exporter);
    real.row.without(&[Check::Volume], "keeps nothing on a disk");
    real.row.end();
}

/// The Prometheus takes what netd counts: `promtool` finds nothing to say about it, and a query has its numbers.
#[test]
fn prometheus_scrapes_netd() {
    let mut real = Real::new("Prometheus, of netd", &["prometheus"]);
    real.host.configure("[metrics]\naddress = \"127.0.0.1:9469\"\n");
    let config = real.host.scratch().join("prometheus.yml");
    let scraped = "global: {scrape_interval: 1s}\n\
                   scrape_configs: [{job_name: netd, static_configs: [{targets: ['127.0.0.1:9469']}]}]\n";
    std::fs::write(&config, scraped).unwrap();
    real.ok("network create app");
    let mount = format!("-v {}:/etc/prometheus/prometheus.yml:ro", config.display());
    real.ok(&format!("run -d --name prom --network host {mount} prometheus"));
    real.ok("run -d --name one --network app --entrypoint sleep prometheus 1000");
    let query = |text: &str, want: &str| {
        real.until(&format!("exec prom promtool query instant http://127.0.0.1:9090 '{text}'"), want);
    };
    query("netd_writer_up", "=> 1");
    query("netd_network_containers{network=\"app\"}", "=> 1");
    query("netd_attach_seconds_count > 0", "netd_attach_seconds_count");
    query("count(netd_store_write_seconds_bucket{durability=\"durable\"}) > bool 5", "=> 1");
    query("netd_dns_queries_total{source=\"local\",answer=\"NOERROR\"}", "answer=\"NOERROR\"");
    // It asks for OpenMetrics; promtool reads the older text.
    let text = real.host.netns.inside(|| {
        let mut stream = std::net::TcpStream::connect("127.0.0.1:9469").unwrap();
        std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    });
    let check =
        ["run", "--rm", "-i", "--network", "none", "--entrypoint", "promtool", "prometheus", "check", "metrics"];
    let ran = real.host.rcr_with(&check, &text);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""), "{text}");
    // It finds something to say where there is something.
    let ran = real.host.rcr_with(&check, &text.replace("netd_dns_queries_total", "netd_dns_queries"));
    assert_ne!(ran.code, 0, "{ran:?}");
    real.remove("prom one");
}
