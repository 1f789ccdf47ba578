//! Web servers, proxies and what stands behind them.
#![allow(clippy::unwrap_used)]

use tests::real::{Life, Real, SHELL};

/// What a client outside asks a web server.
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n";

#[test]
fn nginx() {
    let real = Real::new("nginx", &["nginx", "tools"]);
    let life = Life {
        name: "web",
        start: "-p 8080:80 -v site:/usr/share/nginx/html nginx",
        memory: 64,
        ready: ("run --rm --network app tools curl -sS http://web/", "Welcome to nginx!"),
        by_name: Some(("tools curl -sS http://web/", "Welcome to nginx!")),
        by_port: Some((8080, GET, "Welcome to nginx!")),
        keep: Some("exec web sh -c 'echo kept > /usr/share/nginx/html/more.html'"),
        kept: Some(("run --rm --network app tools curl -sS http://web/more.html", "kept")),
        // Its log is the standard output that the master opened, written by workers of another user.
        log: Some("\"GET / HTTP/1.1\" 200"),
        terminal: ("bash", "# ", "nginx -t; id -un", "test is successful"),
        stops: Some((0, "gracefully shutting down")),
    };
    real.starts(&life);
    real.row.saw("a new volume has the image's content");
    real.serves(&life);
    real.page(8080, "/missing", "404 Not Found");
    real.logs("web", "open() \"/usr/share/nginx/html/missing\" failed");
    // A new configuration without a lost connection, as its users do it.
    real.ok("exec web nginx -s reload");
    real.ok("kill -s HUP web");
    real.logs("web", "reconfiguring");
    real.page(8080, "/", "Welcome to nginx!");
    real.row.saw("reload by HUP");
    real.ends(&life);
    let site = real.host.scratch().join("site");
    std::fs::create_dir(&site).unwrap();
    std::fs::write(site.join("index.html"), "a page of the host\n").unwrap();
    real.ok(&format!("run -d --name bound -p 8082:80 -v {}:/usr/share/nginx/html:ro nginx", site.display()));
    real.page(8082, "/", "a page of the host");
    real.row.saw("a page of a bind mount");
    // Read-only, with what it writes in memory; and its logs reopened by a user who is not root.
    real.ok("run -d --name ro --read-only --tmpfs /run --tmpfs /var/lib/nginx -p 8081:80 nginx");
    real.page(8081, "/", "Welcome to nginx!");
    real.row.saw("--read-only with --tmpfs");
    real.row.end();
}

#[test]
fn apache() {
    let real = Real::new("Apache", &["httpd", "tools"]);
    real.lives(&Life {
        name: "web",
        start: "-p 8080:80 -v htdocs:/var/www/html httpd",
        memory: 128,
        ready: ("run --rm --network app tools curl -sS http://web/", "It works!"),
        by_name: Some(("tools curl -sS http://web/", "It works!")),
        by_port: Some((8080, GET, "It works!")),
        keep: Some("exec web sh -c 'echo kept > /var/www/html/more.html'"),
        kept: Some(("run --rm --network app tools curl -sS http://web/more.html", "kept")),
        log: Some("\"GET / HTTP/1.1\" 200"),
        terminal: ("bash", "# ", "apache2ctl -t 2>&1", "Syntax OK"),
        stops: Some((0, "caught SIGWINCH, shutting down gracefully")),
    });
    real.row.saw("a new volume has the image's content");
    real.row.end();
}

const HAPROXY: &str = "global\n  log stdout format raw local0\ndefaults\n  mode http\n  log global\n  option httplog\n  timeout connect 2s\n  \
     timeout client 10s\n  timeout server 10s\nresolvers own\n  parse-resolv-conf\n  hold valid 1s\n  hold obsolete 1s\nfrontend front\n  \
     bind *:80\n  default_backend all\nbackend all\n  balance roundrobin\n  server-template web 3 web:80 check inter 200 resolvers own init-addr none\n";

#[test]
fn haproxy_over_an_alias_with_three_replicas() {
    let real = Real::new("HAProxy", &["haproxy", "nginx"]);
    real.ok("network create app");
    for n in 1..=3 {
        real.ok(&format!(
            "run -d --name web{n} --network app --network-alias web nginx sh -c \
             'echo replica-{n} > /usr/share/nginx/html/index.html; exec nginx -g \"daemon off;\"'"
        ));
    }
    let config = real.host.scratch().join("haproxy.cfg");
    std::fs::write(&config, HAPROXY).unwrap();
    real.ok(&format!("run --rm -u 0 -v config:/c -v {}:/haproxy.cfg:ro haproxy cp /haproxy.cfg /c/", config.display()));
    let life = Life {
        name: "lb",
        start: "-p 80:80 -v config:/usr/local/etc/haproxy haproxy",
        memory: 128,
        ready: ("run --rm --network app nginx curl -sS http://lb/", "replica-"),
        by_name: Some(("nginx curl -sS http://lb/", "replica-")),
        by_port: Some((80, GET, "replica-1")),
        kept: Some(("run --rm --network app nginx curl -sS http://lb/", "replica-")),
        log: Some("all/web"),
        terminal: SHELL,
        stops: Some((0, "Exiting Master process")),
        ..Life::default()
    };
    real.starts(&life);
    real.row.saw("USER of the image on port 80");
    real.serves(&life);
    for n in 2..=3 {
        real.page(80, "/", &format!("replica-{n}"));
    }
    real.row.saw("three replicas behind one alias");
    // One goes: nobody who asks afterwards meets it.
    real.ok("rm -f web2");
    real.until("logs lb", "DOWN");
    let said: Vec<String> = (0..6).map(|_| real.page(80, "/", "replica-")).collect();
    assert!(said.iter().all(|page| !page.contains("replica-2")), "{said:?}");
    real.row.saw("a replica that goes is left out");
    real.ends(&life);
    real.row.end();
}

/// A request of FastCGI: its beginning, its parameters, no body.
const FASTCGI: &[u8] = b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0\
    \x01\x04\0\x01\0\x3b\0\0\x0f\x17SCRIPT_FILENAME/var/www/html/index.php\x0e\x03REQUEST_METHODGET\
    \x01\x04\0\x01\0\0\0\0\x01\x05\0\x01\0\0\0\0";

#[test]
fn php_fpm_behind_nginx_over_a_shared_volume() {
    let real = Real::new("PHP-FPM", &["php", "nginx"]);
    let config = real.host.scratch().join("default.conf");
    std::fs::write(
        &config,
        "server { listen 80; root /var/www/html; index index.php;\n location ~ \\.php$ { fastcgi_pass php:9000; include fastcgi_params;\n  \
         fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; } }\n",
    )
    .unwrap();
    let life = Life {
        name: "php",
        start: "-p 9000:9000 -v code:/var/www/html -e GREETING=hello php",
        memory: 128,
        ready: ("logs php", "ready to handle connections"),
        by_name: Some(("nginx curl -sS http://web/index.php", "hello42www-data")),
        by_port: Some((9000, FASTCGI, "hello42www-data")),
        kept: Some(("exec php php /var/www/html/index.php", "hello42root")),
        log: Some("note of the script"),
        terminal: ("bash", "# ", "php -r 'echo \"on-\", 40+2, PHP_EOL;'", "on-42"),
        stops: Some((0, "exiting, bye-bye!")),
        ..Life::default()
    };
    real.starts(&life);
    real.ok("run --rm -v code:/c php sh -c 'echo \"<?php echo getenv(\\\"GREETING\\\"), 6*7, posix_getpwuid(posix_geteuid())[\\\"name\\\"]; \
             error_log(\\\"note of the script\\\");\" > /c/index.php'");
    real.ok(&format!(
        "run -d --name web --network app -p 8080:80 -v code:/var/www/html:ro -v {}:/etc/nginx/conf.d/default.conf nginx",
        config.display()
    ));
    real.page(8080, "/index.php", "hello42www-data");
    real.row.saw("nginx reaches it by name, over a shared volume");
    real.serves(&life);
    real.ends(&life);
    real.row.end();
}

#[test]
fn squid() {
    let real = Real::new("Squid", &["squid", "nginx", "tools"]);
    real.ok("network create app");
    real.ok("run -d --name web --network app nginx");
    let client = "run --rm --network app -e http_proxy=http://proxy:3128 tools curl -sSi http://web/";
    real.lives(&Life {
        name: "proxy",
        start: "-p 3128:3128 -v spool:/var/spool/squid squid",
        memory: 256,
        ready: (client, "Welcome to nginx!"),
        by_name: Some(("-e http_proxy=http://proxy:3128 tools curl -sS http://web/", "Welcome to nginx!")),
        by_port: Some((3128, b"GET http://web/ HTTP/1.0\r\n\r\n", "Welcome to nginx!")),
        // From its volume alone: who was asked first is gone.
        keep: Some("rm -f web"),
        kept: Some((client, "Welcome to nginx!")),
        log: Some("http://web/"),
        terminal: ("bash", "# ", "squid -k parse 2>/dev/null && echo fine-$((40+2))", "fine-42"),
        stops: Some((0, "Squid Cache")),
    });
    real.row.saw("serves from its volume what is gone");
    real.row.end();
}
