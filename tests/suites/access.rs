//! Who may ask a registry, by which way, and what the processes that do so may do themselves.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tests::Host;
use tests::archive::Archive;
use tests::images::{base, command, config, count, noise, pull, rcr, refused, run, skopeo};
use tests::registry::{Fake, Fault, Real, proxy};
use tests::terminal::Terminal;

const FAKE: &str = "127.0.0.1:5000";

#[test]
fn passwords_are_checked_kept_and_forgotten() {
    let host = Host::bare();
    let registry = Real::start(&host, Some(("me", "secret")));
    let fake = Fake::start(&host, "127.0.0.1:5001");
    fake.image("1", &[base(), Archive::new().file("mark", b"pushed").end()], |_, _| ());
    let name = format!("{}/t/a:1", registry.name);
    host.ok(&["pull", "-q", &fake.name("x:1")]);
    host.ok(&["tag", &fake.name("x:1"), &name]);
    let error = rcr(&host, &["push", &name], &[]);
    assert!(error.code == 1 && error.stderr.contains("rcr login"), "{error:?}");
    let login = |password: &str| {
        let mut command = command(&host, &["login", "-u", "me", "--password-stdin", registry.name], &[]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), password.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = login("wrong\n");
    assert!(code == 1 && said.contains("does not accept"), "{said}");
    let file = host.scratch().join("docker/config.json");
    assert!(!file.exists());
    let (code, said) = login("secret\n");
    assert!(code == 0 && said.contains("Login Succeeded"), "{said}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let ran = rcr(&host, &["push", &name], &[]);
    assert!(ran.code == 0 && ran.stdout.contains("digest: sha256:"), "{ran:?}");
    // What was pushed is what skopeo and we ourselves find there.
    skopeo(&host, &format!("inspect --tls-verify=false --creds me:secret docker://{name}"));
    host.ok(&["rmi", "-f", &name, &fake.name("x:1")]);
    assert_eq!(count(&host, "layers"), 0);
    pull(&host, &name);
    assert_eq!(host.ok(&["run", "--rm", "--network", "none", &name, "cat", "/mark"]), "pushed");
    // Docker's `--config` names the folder of the credentials.
    let other = host.scratch().join("other");
    std::fs::create_dir(&other).unwrap();
    let pull_with = || rcr(&host, &["--config", other.to_str().unwrap(), "pull", &name], &[]);
    assert!(pull_with().stderr.contains("rcr login"));
    std::fs::copy(&file, other.join("config.json")).unwrap();
    assert_eq!(pull_with().code, 0);
    assert!(rcr(&host, &["logout", registry.name], &[]).stdout.contains("Removing"));
    assert!(refused(&host, &name).contains("rcr login"));
    assert!(!std::fs::read_to_string(&file).unwrap().contains("localhost:5000"));
}

#[test]
fn tokens_helpers_mirrors_proxies_and_plain_http() {
    let host = Host::bare();
    let fake = Fake::start(&host, "198.51.100.1:5000");
    fake.image("1", &[noise("a", 100_000)], |_, _| ());
    let name = fake.name("x:1");
    // Not on loopback: TLS is spoken, unless the configuration says otherwise.
    assert!(refused(&host, &name).contains("cannot reach the registry"));
    let insecure = config(
        &host,
        "[images]\ninsecure = [\"198.51.100.1:5000\", \"images.example\"]\nmirrors = { \"docker.io\" = [\"198.51.100.1:5000\"] }",
    );
    let with = |args: &[&str], env: &[(&str, &str)]| rcr(&host, &[&["--config", &insecure], args].concat(), env);
    assert_eq!(with(&["pull", &name], &[]).code, 0);
    // A mirror of Docker Hub, asked under the path that is the Hub's.
    assert_eq!(with(&["pull", "x:1"], &[]).code, 0);
    assert!(fake.requests().iter().any(|r| r.contains("/v2/library/x/manifests/1")), "{:?}", fake.requests());
    assert!(host.ok(&["images"]).lines().any(|line| line.starts_with("x ")));
    // A proxy, for a name that only it knows.
    let ran = with(&["pull", "images.example/deep/x:1"], &[("HTTP_PROXY", "http://198.51.100.1:5000")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(fake.requests().iter().any(|r| r.contains("http://images.example/v2/deep/x/")), "{:?}", fake.requests());
    // A token, which a credential helper's user gets.
    fake.need_bearer("bWU6c2VjcmV0");
    host.ok(&["image", "prune", "-af"]);
    assert!(with(&["pull", &name], &[]).stderr.contains("rcr login"));
    let bin = host.scratch().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let helper = bin.join("docker-credential-test");
    std::fs::write(&helper, "#!/bin/sh\nread url\n[ \"$1 $url\" = \"get 198.51.100.1:5000\" ] || exit 1\necho '{\"Username\":\"me\",\"Secret\":\"secret\"}'\n").unwrap();
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    let docker = host.scratch().join("docker");
    std::fs::create_dir_all(&docker).unwrap();
    std::fs::write(docker.join("config.json"), r#"{"credHelpers":{"198.51.100.1:5000":"test"}}"#).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let ran = with(&["pull", &name], &[("PATH", &path)]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn the_processes_that_touch_hostile_bytes_can_do_nothing_else() {
    let host = Host::bare();
    let fake = Fake::start(&host, FAKE);
    let layers = fake.image("1", &[noise("a", 3_000_000)], |_, _| ());
    fake.fault(&layers[0], &[Fault::Stall(2_000_000)]);
    let mut child = command(&host, &["pull", &fake.name("x:1")], &[]).stdout(Stdio::null()).spawn().unwrap();
    let own = |name: &str| {
        let mut all = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        all.find(|path| {
            let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
            status.contains(&format!("Name:\t{name}\n")) && status.contains(&format!("PPid:\t{}\n", child.id()))
        })
    };
    tests::eventually("the unpacker has begun", || {
        own("rcr-unpack").is_some_and(|p| std::fs::read_link(p.join("root")).is_ok_and(|root| root != Path::new("/")))
    });
    let field = |path: &PathBuf, name: &str| {
        let status = std::fs::read_to_string(path.join("status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix(&format!("{name}:\t")).map(str::to_owned)).unwrap()
    };
    let (unpack, registry) = (own("rcr-unpack").unwrap(), own("rcr-registry").unwrap());
    // CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP (capabilities(7)).
    let file_powers: u64 = [0, 1, 3, 4, 27, 31].iter().map(|bit| 1u64 << bit).sum();
    for set in ["CapEff", "CapPrm"] {
        assert_eq!(u64::from_str_radix(&field(&unpack, set), 16).unwrap() & !file_powers, 0, "{set}");
        assert_eq!(u64::from_str_radix(&field(&registry, set), 16).unwrap(), 0, "{set}");
    }
    for process in [&unpack, &registry] {
        assert_eq!(field(process, "CapInh").trim_start_matches('0'), "");
        assert_eq!(field(process, "NoNewPrivs"), "1");
    }
    let root = std::fs::read_link(unpack.join("root")).unwrap();
    assert!(root.starts_with(host.root().join("images/tmp")), "{root:?}");
    let netns = |path: &PathBuf| std::fs::read_link(path.join("ns/net")).unwrap();
    assert_ne!(netns(&unpack), netns(&registry));
    // Nothing is open but what it was given.
    let open =
        std::fs::read_dir(unpack.join("fd")).unwrap().flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
    for target in open {
        let inside = target.starts_with(&root) || target.starts_with(host.root().join("images/partial"));
        assert!(inside || target.to_string_lossy().starts_with("pipe:"), "{target:?}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn certificates_are_checked_and_plain_registries_are_named() {
    let host = Host::bare();
    let (registry, certificate) = Real::with_tls(&host);
    let fake = Fake::start(&host, "127.0.0.1:5001");
    fake.image("1", &[noise("a", 10_000)], |_, _| ());
    let name = format!("{}/t/a:1", registry.name);
    host.ok(&["pull", "-q", &fake.name("x:1")]);
    host.ok(&["tag", &fake.name("x:1"), &name]);
    let ran = rcr(&host, &["push", &name], &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("invalid peer certificate") && ran.stderr.contains("SSL_CERT_FILE="), "{ran:?}");
    let trust = [("SSL_CERT_FILE", certificate.to_str().unwrap())];
    let ran = rcr(&host, &["push", &name], &trust);
    assert_eq!(ran.code, 0, "{ran:?}");
    host.ok(&["image", "prune", "-af"]);
    assert!(refused(&host, &name).contains("SSL_CERT_FILE="));
    assert_eq!(rcr(&host, &["pull", &name], &trust).code, 0);
    // The certificate is for an address: by another one it is no better than none.
    let ran = rcr(&host, &["pull", "[2001:db8::1]:5000/t/a:1"], &trust);
    assert!(ran.code == 1 && ran.stderr.contains("invalid peer certificate"), "{ran:?}");
    // Where a certificate is wanted and none is shown, the way out is another one.
    let plain = Fake::start(&host, "198.51.100.1:5002");
    let said = refused(&host, &plain.name("x:1"));
    assert!(said.contains("hint: `insecure` in [images]"), "{said}");
    let web = host.netns.inside(|| std::net::TcpListener::bind("198.51.100.1:5003").unwrap());
    std::thread::spawn(move || {
        for mut stream in web.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let said = refused(&host, "198.51.100.1:5003/x:1");
    assert!(said.contains("hint: `insecure` in [images]"), "{said}");
    // A certificate where podman has it, in a mount namespace of the command's own; and one that is none.
    let folder = host.scratch().join("certs.d/198.51.100.1:5000");
    std::fs::create_dir_all(&folder).unwrap();
    let pull_with = |content: &[u8]| {
        std::fs::write(folder.join("ca.crt"), content).unwrap();
        let script = format!(
            "mount -t tmpfs none /etc/containers && mkdir /etc/containers/certs.d && mount --bind {} /etc/containers/certs.d && exec {} pull -q {name}",
            folder.parent().unwrap().display(),
            tests::bin().join("rcr").display()
        );
        let mut command = host.netns.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).env_remove("SSL_CERT_FILE");
        run(command.env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir()))
    };
    host.ok(&["image", "prune", "-af"]);
    assert_eq!(pull_with(&std::fs::read(&certificate).unwrap()).code, 0);
    let bad = pull_with(b"");
    assert!(bad.code == 1 && bad.stderr.contains("ca.crt`: it contains no certificate"), "{bad:?}");
    // By way of a proxy, too.
    let asked = proxy(&host, "127.0.0.1:3128");
    host.ok(&["image", "prune", "-af"]);
    let ran = rcr(&host, &["pull", &name], &[trust[0], ("HTTPS_PROXY", "http://127.0.0.1:3128")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(asked.lock().unwrap().iter().all(|line| line.starts_with("CONNECT 198.51.100.1:5000 ")), "{asked:?}");
    assert!(!asked.lock().unwrap().is_empty());
}

#[test]
fn proxies_are_not_asked_for_what_is_near() {
    let host = Host::bare();
    let (near, far) = (Fake::start(&host, FAKE), Fake::start(&host, "198.51.100.1:5001"));
    near.image("1", &[noise("a", 1000)], |_, _| ());
    far.image("1", &[noise("b", 1000)], |_, _| ());
    let settings = config(&host, "[images]\ninsecure = [\"198.51.100.1:5001\"]\nconnect_timeout = 1");
    let dead = "http://127.0.0.1:9";
    let with = |name: &str, env: &[(&str, &str)]| rcr(&host, &["--config", &settings, "pull", name], env).code;
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        assert_eq!(with(&near.name("x:1"), &[(variable, dead)]), 0, "{variable}");
        assert_eq!(with(&far.name("x:1"), &[(variable, dead)]), 1, "{variable}");
        for exempt in ["NO_PROXY", "no_proxy"] {
            assert_eq!(with(&far.name("x:1"), &[(variable, dead), (exempt, "198.51.100.0/24")]), 0, "{exempt}");
            assert_eq!(with(&near.name("x:1"), &[(variable, dead), (exempt, "198.51.100.0/24")]), 0, "{exempt}");
        }
    }
}

#[test]
fn mirrors_that_fail_are_passed_over() {
    let host = Host::bare();
    let (mirror, origin) = (Fake::start(&host, "127.0.0.1:5001"), Fake::start(&host, FAKE));
    let layers = origin.image("1", &[noise("a", 100_000)], |_, _| ());
    mirror.image("1", &[noise("a", 100_000)], |_, _| ());
    let settings = config(
        &host,
        "[images]\nconnect_timeout = 1\nmirrors = { \"127.0.0.1:5000\" = [\"127.0.0.1:9\", \"127.0.0.1:5001\"] }",
    );
    let pull = |name: &str| {
        let ran = rcr(&host, &["--config", &settings, "pull", &origin.name(name)], &[]);
        assert_eq!(ran.code, 0, "{ran:?}");
        host.ok(&["image", "prune", "-af"]);
    };
    // One that is down, then one that has it.
    pull("x:1");
    assert_eq!((mirror.asked(&layers[0]), origin.requests().len()), (1, 0));
    // It breaks off in the middle, every time: the registry itself gives the rest.
    mirror.fault(&layers[0], &vec![Fault::Status(503); 20]);
    pull("x:1");
    assert_eq!(origin.asked(&layers[0]), 1, "{:?}", origin.requests());
    // It lacks the image.
    origin.image("2", &[noise("b", 1000)], |_, _| ());
    pull("x:2");
}

#[test]
fn a_credential_store_keeps_passwords() {
    let host = Host::bare();
    let registry = Real::start(&host, Some(("me", "secret")));
    let scratch = host.scratch();
    let (bin, docker, kept) = (scratch.join("bin"), scratch.join("docker"), scratch.join("kept"));
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::create_dir_all(&docker).unwrap();
    // The protocol of docker-credential-helpers: store, get, erase; one that has nothing says so and fails.
    let script = format!(
        "#!/bin/sh\nkept={}\ncase $1 in\nstore) cat > $kept ;;\nget) cat $kept 2>/dev/null && exit 0; echo 'credentials not found in native keychain'; exit 1 ;;\n\
         erase) rm $kept ;;\nesac\n",
        kept.display()
    );
    let helper = bin.join("docker-credential-test");
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    let before = "{\n  \"credsStore\": \"test\",\n  \"psFormat\": \"kept as it is\"\n}";
    std::fs::write(docker.join("config.json"), before).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let with = |args: &[&str]| rcr(&host, args, &[("PATH", &path)]);
    assert!(with(&["pull", "localhost:5000/no/such"]).stderr.contains("rcr login"));
    let ran = with(&["login", "-u", "me", "-p", "secret", registry.name]);
    assert!(ran.code == 0 && ran.stderr.contains("warning: "), "{ran:?}");
    let said: serde_json::Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    assert_eq!(said, serde_json::json!({ "ServerURL": "localhost:5000", "Username": "me", "Secret": "secret" }));
    assert_eq!(std::fs::read_to_string(docker.join("config.json")).unwrap(), before, "no password in the file");
    assert!(with(&["pull", "localhost:5000/no/such"]).stderr.contains("has no image"));
    assert!(with(&["logout", registry.name]).stdout.contains("Removing"));
    assert!(!kept.exists());
    assert!(with(&["logout", registry.name]).stdout.contains("Not logged in"));
    // A helper that is not there, one that hangs up, one that says nonsense: each is named.
    for (name, script, words) in
        [("gone", "", "ENOENT"), ("dead", "#!/bin/sh\nexit 3\n", "failed"), ("odd", "#!/bin/sh\necho no\n", "no JSON")]
    {
        if !script.is_empty() {
            let helper = bin.join(format!("docker-credential-{name}"));
            std::fs::write(&helper, script).unwrap();
            std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
        }
        std::fs::write(docker.join("config.json"), format!("{{\"credsStore\":\"{name}\"}}")).unwrap();
        let ran = with(&["pull", "localhost:5000/no/such"]);
        assert!(ran.code == 1 && ran.stderr.contains(&format!("docker-credential-{name}")), "{ran:?}");
        assert!(ran.stderr.contains(words), "{ran:?}");
    }
}

#[test]
fn a_password_is_typed_unseen_and_the_terminal_stays_as_it_was() {
    let host = Host::bare();
    let registry = Real::start(&host, Some(("me", "secret")));
    let start = || {
        let script = format!("{} login {}; stty -a", tests::bin().join("rcr").display(), registry.name);
        let mut command = host.netns.command("sh");
        command.args(["-c", &script]).env("DOCKER_CONFIG", host.scratch().join("docker"));
        command.env("RCR_ROOT", host.root()).env("RCR_RUN", host.run_dir()).env("TERM", "xterm");
        Terminal::start(command)
    };
    let mut terminal = start();
    terminal.expect("Username: ");
    terminal.send("me\n");
    terminal.expect("Password: ");
    // A typing error, taken back.
    terminal.send("secrex\u{7f}t\n");
    terminal.expect("Login Succeeded");
    terminal.expect(" echo ");
    assert_eq!(terminal.wait(), 0);
    assert!(!terminal.seen().contains("secre"), "{}", terminal.seen());
    // Interrupted: what is typed is seen again.
    let mut terminal = start();
    terminal.expect("Username: ");
    terminal.send("me\n");
    terminal.expect("Password: ");
    terminal.send("secr\u{3}");
    terminal.expect("icanon");
    terminal.wait();
    assert!(terminal.seen().contains(" echo ") && !terminal.seen().contains("Succeeded"), "{}", terminal.seen());
}
