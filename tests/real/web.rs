//! Web servers, proxies and what stands behind them.
#![allow(clippy::unwrap_used)]

use tests::real::Real;

#[test]
fn nginx() {
    let real = Real::new("nginx", &["nginx", "tools"]);
    real.ok("network create app");
    let site = real.host.scratch().join("site");
    std::fs::create_dir(&site).unwrap();
    std::fs::write(site.join("index.html"), "a page of the host\n").unwrap();
    let start = format!(
        "run -d --name web --network app -p 8080:80 --memory 64m -v {}:/usr/share/nginx/html:ro nginx",
        site.display()
    );
    real.ok(&start);
    real.page(8080, "/", "a page of the host");
    real.row.saw("published port");
    real.row.saw("a page of a bind mount");
    real.until("run --rm --network app tools curl -sS http://web/", "a page of the host");
    real.row.saw("a client finds it by name");
    // Its log is the standard output that the master opened, written by workers of another user.
    real.logs("web", "\"GET / HTTP/1.1\" 200");
    real.page(8080, "/missing", "404 Not Found");
    real.logs("web", "open() \"/usr/share/nginx/html/missing\" failed");
    real.sees_memory("web", 64 << 20);
    real.on_terminal("exec -it web bash", "# ", "nginx -t; id -un", "test is successful");
    real.row.saw("exec -it");
    // A new configuration without a lost connection, as its users do it.
    real.ok("exec web nginx -s reload");
    real.ok("kill -s HUP web");
    real.logs("web", "reconfiguring");
    real.page(8080, "/", "a page of the host");
    real.row.saw("reload by HUP");
    real.stops("web", 0, "gracefully shutting down");
    real.remove("web");
    // Read-only, with what it writes in memory; and its logs reopened by a user who is not root.
    real.ok("run -d --name ro --read-only --tmpfs /run --tmpfs /var/lib/nginx -p 8081:80 nginx");
    real.page(8081, "/", "Welcome to nginx!");
    real.row.saw("--read-only with --tmpfs");
    real.row.end();
}

#[test]
fn apache() {
    let real = Real::new("Apache", &["httpd", "tools"]);
    real.ok("network create app");
    real.ok("run -d --name web --network app -p 8080:80 --memory 128m -v htdocs:/var/www/html httpd");
    real.page(8080, "/", "It works!");
    real.row.saw("published port");
    real.row.saw("a new volume has the image's content");
    real.until("run --rm --network app tools curl -sS http://web/", "It works!");
    real.row.saw("a client finds it by name");
    real.logs("web", "\"GET / HTTP/1.1\" 200");
    real.sees_memory("web", 128 << 20);
    real.on_terminal("exec -it web bash", "# ", "apache2ctl -t 2>&1", "Syntax OK");
    real.row.saw("exec -it");
    real.stops("web", 0, "caught SIGWINCH, shutting down gracefully");
    real.row.end();
}

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
    std::fs::write(
        &config,
        "global\n  log stdout format raw local0\ndefaults\n  mode http\n  log global\n  option httplog\n  timeout connect 2s\n  timeout client 10s\n  \
         timeout server 10s\nresolvers own\n  parse-resolv-conf\n  hold valid 1s\n  hold obsolete 1s\nfrontend front\n  bind *:80\n  default_backend all\n\
         backend all\n  balance roundrobin\n  server-template web 3 web:80 check inter 200 resolvers own init-addr none\n",
    )
    .unwrap();
    real.ok(&format!(
        "run -d --name lb --network app -p 80:80 --sysctl net.ipv4.ip_unprivileged_port_start=0 -v {}:/usr/local/etc/haproxy/haproxy.cfg:ro haproxy",
        config.display()
    ));
    for n in 1..=3 {
        real.page(80, "/", &format!("replica-{n}"));
    }
    real.row.saw("USER of the image on port 80");
    real.row.saw("three replicas behind one alias");
    real.row.saw("published port");
    // One goes: nobody who asks afterwards meets it.
    real.ok("rm -f web2");
    real.until("logs lb", "DOWN");
    let said: Vec<String> = (0..6).map(|_| real.page(80, "/", "replica-")).collect();
    assert!(said.iter().all(|page| !page.contains("replica-2")), "{said:?}");
    real.row.saw("a replica that goes is left out");
    real.logs("lb", "all/web");
    real.stops("lb", 0, "Exiting Master process");
    real.row.end();
}

#[test]
fn php_fpm_behind_nginx_over_a_shared_volume() {
    let real = Real::new("PHP-FPM", &["php", "nginx"]);
    real.ok("network create app");
    let config = real.host.scratch().join("default.conf");
    std::fs::write(
        &config,
        "server { listen 80; root /var/www/html; index index.php;\n location ~ \\.php$ { fastcgi_pass php:9000; include fastcgi_params;\n  \
         fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; } }\n",
    )
    .unwrap();
    real.ok("run -d --name php --network app -v code:/var/www/html -e GREETING=hello --memory 128m php");
    real.ok("run --rm -v code:/c php sh -c 'echo \"<?php echo getenv(\\\"GREETING\\\"), 6*7, posix_getpwuid(posix_geteuid())[\\\"name\\\"]; \
             error_log(\\\"note of the script\\\");\" > /c/index.php'");
    real.ok(&format!("run -d --name web --network app -p 8080:80 -v code:/var/www/html:ro -v {}:/etc/nginx/conf.d/default.conf nginx", config.display()));
    real.page(8080, "/index.php", "hello42www-data");
    real.row.saw("nginx reaches it by name, over a shared volume");
    real.row.saw("published port");
    real.logs("php", "note of the script");
    real.sees_memory("php", 128 << 20);
    real.on_terminal("exec -it php bash", "# ", "php -r 'echo 40+2, PHP_EOL;'", "42");
    real.row.saw("exec -it");
    real.stops("php", 0, "exiting, bye-bye!");
    real.row.end();
}

#[test]
fn squid() {
    let real = Real::new("Squid", &["squid", "nginx", "tools"]);
    real.ok("network create app");
    real.ok("run -d --name web --network app nginx");
    real.ok("run -d --name proxy --network app -p 3128:3128 -v spool:/var/spool/squid squid");
    real.until(
        "run --rm --network app -e http_proxy=http://proxy:3128 tools curl -sS http://web/",
        "Welcome to nginx!",
    );
    real.row.saw("a client finds it by name");
    real.outside(3128, "GET http://web/ HTTP/1.0\r\n\r\n", "Welcome to nginx!");
    real.row.saw("published port");
    real.logs("proxy", "http://web/");
    real.stops("proxy", 0, "Squid Cache");
    real.row.end();
}
