//! What scripts read: templates, JSON, filters.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use tests::Host;
use tests::host::sleeper;

fn web(host: &Host) {
    host.ok(&["network", "create", "n"]);
    let flags = ["--network", "n", "-p", "5000:80", "--label", "a.b=c", "-v", "data:/data", "-e", "X=1"];
    sleeper(host, "web", &flags);
}

#[test]
fn templates_as_people_post_them() {
    let host = Host::new();
    web(&host);
    let address = host.address("web", "n");
    let id = host.inspect("web", "/Id").as_str().unwrap().to_owned();
    for (template, want) in [
        ("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", address.as_str()),
        ("{{.NetworkSettings.Networks.n.IPAddress}}", &address),
        (r#"{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}"#, "5000"),
        (
            r#"{{range $p, $conf := .NetworkSettings.Ports}}{{$p}} -> {{(index $conf 0).HostPort}}{{end}}"#,
            "80/tcp -> 5000",
        ),
        ("{{.State.Running}} {{.State.Status}} {{.State.ExitCode}}", "true running 0"),
        (r#"{{index .Config.Labels "a.b"}}"#, "c"),
        (r#"[{{index .Config.Labels "none"}}]"#, "[]"),
        ("{{.Name}}", "/web"),
        ("{{.Id}}|{{.ID}}", &format!("{id}|{id}")),
        ("{{range .Mounts}}{{.Name}}:{{.Destination}}:{{.RW}}{{end}}", "data:/data:true"),
        ("{{json .Config.Cmd}}", r#"["sleep","1000"]"#),
        ("{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.NetworkMode}}", "no n"),
        ("{{json .HostConfig.PortBindings}}", r#"{"80/tcp":[{"HostIp":"","HostPort":"5000"}]}"#),
        ("{{range .Config.Env}}{{if eq . \"X=1\"}}found{{end}}{{end}}", "found"),
        ("{{if .State.Running}}yes{{else}}no{{end}}", "yes"),
        ("{{len .NetworkSettings.Networks}} {{join .Config.Cmd \" \"}}", "1 sleep 1000"),
        ("{{upper .State.Status}} {{printf \"%.12s\" .Id}}", &format!("RUNNING {}", &id[..12])),
    ] {
        assert_eq!(host.ok(&["inspect", "-f", template, "web"]), want, "{template}");
        assert_eq!(host.ok(&["container", "inspect", "--format", template, "web"]), want, "{template}");
    }
    assert_eq!(host.ok(&["inspect", "-f", "{{.Name}}", "web", "web"]), "/web\n/web");
    assert_eq!(
        host.ok(&["network", "inspect", "-f", "{{range .IPAM.Config}}{{.Gateway}}{{end}}", "n"]).matches('.').count(),
        3
    );
    assert_eq!(
        host.ok(&["image", "inspect", "-f", "{{.Os}}/{{.Architecture}} {{len .RootFS.Layers}}", "alpine"]),
        "linux/amd64 1"
    );
    assert_eq!(host.ok(&["volume", "inspect", "-f", "{{.Driver}}", "data"]), "local");
    assert!(host.ok(&["version", "-f", "{{.Server.APIVersion}} {{.Client.Version}}"]).starts_with("1."));
    assert!(host.ok(&["info", "-f", "{{.Driver}} {{.NCPU}}"]).starts_with("overlay2 "));
}

#[test]
fn listings_by_template_and_as_docker_names_them() {
    let host = Host::new();
    web(&host);
    let id = host.ok(&["ps", "-q"]);
    let table = host.ok(&["ps", "-a", "--format", r"table {{.ID}}\t{{.Image}}\t{{.Names}}"]);
    assert_eq!(table, format!("CONTAINER ID   IMAGE     NAMES\n{id}   alpine    web"));
    assert_eq!(host.ok(&["ps", "--format", r#"{{.Names}} {{.Label "a.b"}} {{.State}}"#]), "web c running");
    assert_eq!(host.ok(&["ps", "--format", "{{.Ports}}"]), "0.0.0.0:5000->80/tcp, [::]:5000->80/tcp");
    let line: Value = serde_json::from_str(&host.ok(&["ps", "--format", "json"])).unwrap();
    let line2: Value = serde_json::from_str(&host.ok(&["ps", "--format", "{{json .}}"])).unwrap();
    assert_eq!(line, line2);
    let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(&line),
        "Command CreatedAt ID Image Labels LocalVolumes Mounts Names Networks Ports RunningFor Size State Status"
    );
    let first = |args: &[&str]| -> Value {
        let text = host.ok(args);
        serde_json::from_str(text.lines().next().unwrap()).unwrap()
    };
    assert_eq!(
        keys(&first(&["images", "--format", "json"])),
        "Containers CreatedAt CreatedSince Digest ID Repository SharedSize Size Tag UniqueSize VirtualSize"
    );
    assert_eq!(
        keys(&first(&["network", "ls", "--format", "json"])),
        "CreatedAt Driver ID IPv4 IPv6 Internal Labels Name Scope"
    );
    assert_eq!(keys(&first(&["volume", "ls", "--format", "json"])), "Driver Labels Links Mountpoint Name Scope Size");
    assert_eq!(host.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]), "alpine:latest");
    assert_eq!(host.ok(&["volume", "ls", "--format", "{{.Name}}"]), "data");
    assert_eq!(host.ok(&["network", "ls", "-f", "type=custom", "--format", "{{.Name}}"]), "n");
    let sizes = host.ok(&["ps", "--format", "{{.Size}}"]);
    assert!(sizes.contains("(virtual "), "{sizes}");
    let sized: Value = serde_json::from_str(&host.ok(&["inspect", "-s", "web"])).unwrap();
    assert!(sized[0]["SizeRootFs"].as_u64().unwrap() > 1_000_000, "{}", sized[0]["SizeRootFs"]);
}

#[test]
fn a_template_that_fails_prints_nothing_and_says_why() {
    let host = Host::new();
    web(&host);
    for (args, why) in [
        (&["inspect", "-f", "{{.State.Health.Status}}", "web"][..], "no field `Status`"),
        (&["inspect", "-f", "{{.Nonsense}}", "web"], "no field `Nonsense`"),
        (&["ps", "--format", "{{.Names}}{{.Nonsense}}"], "no field `Nonsense`"),
        (&["ps", "--format", "table {{.Nonsense}}"], "no field `Nonsense`"),
        (&["ps", "--format", "{{.Names"], "unclosed action"),
        (&["ps", "--format", "{{.Names | shout}}"], "shout"),
        (&["inspect", "-f", "{{index .Args 7}}", "web"], "index out of range"),
    ] {
        let ran = host.rcr(args);
        assert!(ran.code != 0 && ran.stdout.is_empty() && ran.stderr.contains(why), "{args:?} {ran:?}");
    }
    let missing = host.rcr(&["inspect", "-f", "{{.Name}}", "nothing"]).expect_code(1);
    assert!(missing.stdout.is_empty(), "{missing:?}");
    assert!(host.rcr(&["inspect", "nothing"]).expect_code(1).stdout.is_empty());
    assert_eq!(host.rcr(&["inspect", "-f", "{{.Name}}", "nothing", "web"]).expect_code(1).out(), "/web");
}

#[test]
fn filters_of_containers() {
    let host = Host::new();
    web(&host);
    host.rcr(&["run", "--name", "done", "--network", "none", "--expose", "99", "alpine", "sh", "-c", "exit 3"])
        .expect_code(3);
    sleeper(&host, "last", &["--network", "none", "--expose", "7000-7010/udp", "-v", "/tmp:/t"]);
    let id = host.ok(&["ps", "-q", "--no-trunc", "-f", "name=web"]);
    for (filters, want) in [
        (&["name=^/web$"][..], "web"),
        (&["name=^we$"], ""),
        (&["name=web", "name=last"], "last web"),
        (&[&format!("id={}", &id[..8])], "web"),
        (&["exited=3"], "done"),
        (&["exited=0"], ""),
        (&["status=exited"], "done"),
        (&["status=running", "status=exited"], "last done web"),
        (&["label=a.b"], "web"),
        (&["label=a.b=c", "label=none"], ""),
        (&["label!=a.b"], "last"),
        (&["ancestor=alpine", "name=web"], "web"),
        (&["ancestor=none"], ""),
        (&["before=done"], "web"),
        (&["since=done"], "last"),
        (&["volume=data"], "web"),
        (&["volume=/t"], "last"),
        (&["publish=80"], "web"),
        (&["publish=79-81/tcp"], "web"),
        (&["publish=80/udp"], ""),
        (&["expose=7005/udp"], "last"),
        (&["network=n"], "web"),
        (&["health=none", "name=web"], "web"),
        (&["health=healthy"], ""),
        (&["is-task=true"], ""),
    ] {
        let mut args = vec!["ps", "--format", "{{.Names}}"];
        filters.iter().for_each(|filter| args.extend(["-f", filter]));
        assert_eq!(host.ok(&args).replace('\n', " "), want, "{filters:?}");
    }
    assert_eq!(host.ok(&["ps", "-l", "--format", "{{.Names}}"]), "last");
    assert_eq!(host.ok(&["ps", "-n", "2", "--format", "{{.Names}}"]), "last\ndone");
    // The first line of many scripts.
    assert_eq!(host.ok(&["ps", "-q", "-f", "name=^nothing$"]), "");
    assert!(host.refused(&["ps", "-f", "nme=x"]).contains("did you mean `name`"));
    assert!(host.refused(&["ps", "-f", "before=nobody"]).contains("no such container"));
    host.ok(&["rm", &host.ok(&["ps", "-a", "-q", "-f", "status=exited"])]);
    assert_eq!(host.ok(&["ps", "-aq"]).lines().count(), 2);
}

#[test]
fn filters_of_other_objects() {
    let host = Host::new();
    host.ok(&["image", "import", "-c", "LABEL tier=db", tests::rootfs("alpine").to_str().unwrap(), "team/db:1"]);
    for (filter, want) in [
        ("reference=alpine", "alpine"),
        ("reference=team/*", "team/db"),
        ("label=tier=db", "team/db"),
        ("label!=tier", "alpine"),
        ("dangling=true", ""),
        ("before=alpine", ""),
    ] {
        assert_eq!(host.ok(&["images", "-f", filter, "--format", "{{.Repository}}"]), want, "{filter}");
    }
    host.ok(&["volume", "create", "--label", "tier=db", "data"]);
    let chosen = host.ok(&["volume", "create"]);
    assert!(chosen.len() == 64, "{chosen}");
    host.ok(&["create", "--name", "c", "--network", "none", "-v", "used:/x", "alpine", "true"]);
    let volumes = |filter: &str| host.ok(&["volume", "ls", "-q", "-f", filter]);
    assert_eq!(volumes("label=tier"), "data");
    assert_eq!(volumes("dangling=false"), "used");
    assert_eq!(volumes("name=^da"), "data");
    assert_eq!(volumes("driver=nfs"), "");
    host.ok(&["network", "create", "--label", "x", "blue"]);
    let networks = |filter: &str| host.ok(&["network", "ls", "--format", "{{.Name}}", "-f", filter]);
    assert_eq!(networks("type=builtin"), "bridge\nhost\nnone");
    assert_eq!(
        (networks("name=^blu"), networks("label=x"), networks("dangling=true")),
        ("blue".into(), "blue".into(), "blue".into())
    );
    assert_eq!(networks("scope=swarm"), "");
    assert_eq!(host.inspect("data", "/Labels"), json!({ "tier": "db" }));
}

#[test]
fn prunes_take_what_nobody_uses_and_the_filters_let_go() {
    let host = Host::new();
    host.ok(&["volume", "create", "named"]);
    let anonymous = host.ok(&["volume", "create"]);
    host.ok(&["create", "--name", "kept", "--label", "keep", "--network", "none", "alpine", "true"]);
    host.ok(&["create", "--name", "gone", "--network", "none", "-v", "/x", "alpine", "true"]);
    host.ok(&["network", "create", "unused"]);
    assert_eq!(host.ok(&["container", "prune", "-f", "--filter", "until=1h"]), "Total reclaimed space: 0B");
    let pruned = host.ok(&["container", "prune", "-f", "--filter", "label!=keep"]);
    assert!(pruned.starts_with("Deleted Containers:\n") && pruned.contains("\n\nTotal reclaimed space: "), "{pruned}");
    assert_eq!(host.ok(&["ps", "-a", "--format", "{{.Names}}"]), "kept");
    let df = host.ok(&["system", "df"]);
    assert!(df.contains("Images          1         1") && df.contains("Local Volumes   3         0"), "{df}");
    assert!(host.ok(&["system", "df", "-v"]).contains("named"));
    let answer = host.rcr_with(&["system", "prune"], "n\n").expect_code(0);
    assert!(answer.stderr.contains("[y/N]") && answer.stdout.is_empty(), "{answer:?}");
    let volumes = host.ok(&["volume", "prune", "-f"]);
    assert!(volumes.contains(&anonymous) && !volumes.contains("named"), "{volumes}");
    assert_eq!(host.ok(&["network", "prune", "-f"]), "Deleted Networks:\nunused");
    let all = host.ok(&["system", "prune", "-af", "--volumes"]);
    for what in ["Deleted Containers:", "untagged: alpine:latest", "Total reclaimed space: "] {
        assert!(all.contains(what), "{all}");
    }
    assert_eq!(host.ok(&["volume", "ls", "-q"]), "named");
    assert!(host.ok(&["volume", "prune", "-af"]).contains("named"));
    assert_eq!(host.ok(&["volume", "rm", "-f", "named"]), "named");
    assert!(host.ok(&["ps", "-aq"]).is_empty() && host.ok(&["images", "-q"]).is_empty());
}
