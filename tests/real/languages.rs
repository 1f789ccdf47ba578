//! Languages: their threads, their processes, and what they take from their limits.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use tests::real::{Life, Real, Row};

/// A client where an image has none: bash opens connections, too.
const GET: &str = "bash -c 'exec 3<>/dev/tcp/app/8080; echo -e \"GET / HTTP/1.0\\n\" >&3; cat <&3'";

/// A folder of programs to be bound into containers.
fn programs(real: &Real, files: &[(&str, &str)]) -> PathBuf {
    let folder = real.host.scratch().join("src");
    std::fs::create_dir_all(&folder).unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(folder.join(name), text).unwrap());
    folder
}

#[test]
fn openjdk() {
    let real = Real::new("OpenJDK", &["java"]);
    let folder = programs(
        &real,
        &[(
            "Main.java",
            r#"import java.util.concurrent.*; import com.sun.net.httpserver.*; import java.net.*; import java.nio.file.*;
public class Main { public static void main(String[] a) throws Exception {
  var pool = Executors.newFixedThreadPool(64); var sum = new java.util.concurrent.atomic.AtomicLong(); var done = new CountDownLatch(64);
  for (int i = 0; i < 64; i++) { int n = i; pool.submit(() -> { sum.addAndGet(n); done.countDown(); }); }
  done.await();
  System.out.println("sum " + sum + " heap " + Runtime.getRuntime().maxMemory() / 1048576 + " cpus " + Runtime.getRuntime().availableProcessors());
  System.out.println(new String(new ProcessBuilder("echo", "spawned").start().getInputStream().readAllBytes()));
  var server = HttpServer.create(new InetSocketAddress(8080), 0);
  server.createContext("/", x -> { Files.writeString(Path.of("visits"), "a visit\n", StandardOpenOption.CREATE); byte[] b = "from java\n".getBytes(); x.sendResponseHeaders(200, b.length); x.getResponseBody().write(b); x.close(); });
  server.setExecutor(Executors.newCachedThreadPool()); server.start();
  Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("shut down in order")));
} }
"#,
        )],
    );
    let source = folder.display();
    let life = Life {
        name: "app",
        start: &format!("-p 8080:8080 --cpus 1 -v {source}:/src:ro -v data:/data -w /data java java /src/Main.java"),
        memory: 256,
        ready: ("logs app", "spawned"),
        by_name: Some((&format!("java {GET}"), "from java")),
        by_port: Some((8080, b"GET / HTTP/1.0\r\n\r\n", "from java")),
        kept: Some(("exec app cat /data/visits", "a visit")),
        log: Some("sum 2016"),
        terminal: ("jshell -s", "", "40 + 2\rSystem.out.println(\"on-\" + (40 + 2))", "on-42"),
        stops: Some((143, "shut down in order")),
        ..Life::default()
    };
    real.starts(&life);
    let said = real.ok("logs app");
    let heap: u64 = said.split("heap ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(said.contains("sum 2016") && said.contains("cpus 1"), "{said}");
    real.row.saw("64 threads and a process");
    assert!(heap <= 128, "a heap of {heap} MiB under a limit of 256 MiB");
    real.row.saw("heap from the memory limit, processors from --cpus");
    real.serves(&life);
    real.ends(&life);
    real.ok(&format!("run --rm -v {source}:/src:ro -w /tmp java sh -c 'javac -d . /src/Main.java && ls Main.class'"));
    real.row.saw("javac");
    real.row.end();
}

#[test]
fn node() {
    let real = Real::new("Node.js", &["node"]);
    let folder = programs(
        &real,
        &[(
            "app.js",
            r#"const { Worker, isMainThread, parentPort } = require('worker_threads');
if (!isMainThread) { let n = 0; for (let i = 0; i < 1e6; i++) n += i % 7; parentPort.postMessage(n); } else {
  const all = [...Array(8)].map(() => new Promise((ok, no) => { const w = new Worker(__filename); w.on('message', ok); w.on('error', no); }));
  Promise.all(all).then(r => console.log('workers', new Set(r).size));
  require('child_process').exec('echo spawned', (e, out) => console.log(out || e));
  require('dns').lookup(process.env.HOSTNAME, (e, a) => console.log('name', e || a));
  require('crypto').pbkdf2('a', 'b', 1000, 32, 'sha256', (e, k) => console.log('pool', k.length));
  console.log('limit', require('v8').getHeapStatistics().heap_size_limit >> 20);
  const server = require('http').createServer((q, r) => { require('fs').appendFileSync('visits', 'a visit\n'); r.end('from node\n'); }).listen(3000, () => console.log('listening'));
  process.on('SIGTERM', () => server.close(() => { console.log('closed in order'); process.exit(0); }));
}
"#,
        )],
    );
    let fetch = "fetch(\"http://app:3000\").then(r => r.text()).then(console.log)";
    let life = Life {
        name: "app",
        start: &format!(
            "-p 3000:3000 --user 1000:1000 -v {}:/app -v data:/home/node -w /home/node node node /app/app.js",
            folder.display()
        ),
        memory: 256,
        ready: ("logs app", "listening"),
        by_name: Some((&format!("node node -e '{fetch}'"), "from node")),
        by_port: Some((3000, b"GET / HTTP/1.0\r\n\r\n", "from node")),
        kept: Some(("exec app cat visits", "a visit")),
        log: Some("listening"),
        terminal: ("node", "> ", "40+2", "42"),
        stops: Some((0, "closed in order")),
        ..Life::default()
    };
    real.starts(&life);
    for want in ["workers 1", "spawned", "pool 32", "name 172.", "listening"] {
        real.until("logs app", want);
    }
    real.row.saw("worker threads, thread pool, a process, lookups");
    let said = real.ok("logs app");
    let limit: u64 = said.split("limit ").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    // The young generation comes on top of the limit; the host's memory would give 2 GiB and more.
    assert!(limit < 300, "a heap of {limit} MiB under a limit of 256 MiB");
    real.row.saw("heap from the memory limit");
    real.serves(&life);
    real.ends(&life);
    real.ok("run --rm --network none -w /tmp/p node sh -c 'npm init -y && npm pkg set scripts.hi=\"echo said\" && npm run hi'");
    real.row.saw("npm");
    real.row.end();
}

const PYTHON: &str = r#"
import threading, multiprocessing, asyncio, subprocess, concurrent.futures, os, tempfile
def square(n): return n * n
if __name__ == '__main__':
    seen = []
    threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(50)]
    [t.start() for t in threads]; [t.join() for t in threads]
    print('threads', len(seen))
    for way in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(way).Pool(4) as pool: print(way, sum(pool.map(square, range(10))))
    with concurrent.futures.ProcessPoolExecutor(2) as pool: print('executor', sum(pool.map(square, range(10))))
    queue = multiprocessing.Queue(); p = multiprocessing.Process(target=queue.put, args=('item',)); p.start(); print('queue', queue.get()); p.join()
    async def main():
        server = await asyncio.start_server(lambda r, w: w.close(), '127.0.0.1', 0)
        p = await asyncio.create_subprocess_exec('echo', 'x', stdout=subprocess.PIPE)
        print('asyncio', (await p.communicate())[0], await asyncio.to_thread(square, 3))
    asyncio.run(main())
    print('spawned', subprocess.run(['echo', 'posix_spawn'], capture_output=True, close_fds=False).stdout)
    from multiprocessing import shared_memory
    m = shared_memory.SharedMemory(create=True, size=1 << 20); m.close(); m.unlink(); print('shared memory')
    print('cpus', len(os.sched_getaffinity(0)), 'done')
"#;

#[test]
fn python_and_gunicorn() {
    let mut real = Real::new("Python", &["python"]);
    let app = "import os\nfrom flask import Flask\napp = Flask(__name__)\n@app.route('/')\ndef hello(): return f'from worker {os.getpid()}'\n";
    let folder = programs(&real, &[("all.py", PYTHON), ("app.py", app)]);
    let said = real.ok(&format!("run --rm -v {}:/src python python3 /src/all.py", folder.display()));
    let wanted = "threads 50; fork 285; spawn 285; forkserver 285; executor 285; queue item; asyncio b'x\\n' 9; spawned b'posix_spawn\\n'; \
                  shared memory; done";
    for want in wanted.split("; ") {
        assert!(said.contains(want), "{want}: {said}");
    }
    real.row.saw("50 threads, multiprocessing by fork, spawn and forkserver, asyncio, shared memory");
    assert_eq!(real.ok("run --rm -u 1000 python python3 -c 'import ssl, sqlite3, ctypes, lzma; print(open(\"/dev/stdout\", \"w\").write(\"x\"))'").len(), 2);
    real.row.saw("any user writes to /dev/stdout");
    let fetch = "python python3 -c 'import urllib.request; print(urllib.request.urlopen(\"http://web:8000\").read())'";
    let served = Life {
        name: "web",
        // It has no word for SIGTERM, which process 1 then does not hear.
        start: "--init -p 8000:8000 -v site:/site -w /site python python3 -m http.server",
        memory: 128,
        ready: ("logs web", "Serving HTTP"),
        by_name: Some((fetch, "Directory listing")),
        by_port: Some((8000, b"GET / HTTP/1.0\r\n\r\n", "Directory listing")),
        keep: Some("exec web python3 -c 'open(\"kept\", \"w\").write(\"kept\")'"),
        kept: Some(("exec web cat kept", "kept")),
        log: Some("\"GET / HTTP/1.0\" 200"),
        terminal: ("python3", ">>> ", "print(40+2)", "42"),
        stops: Some((143, "Serving HTTP")),
    };
    real.lives(&served);
    real.remove("web");
    real.row.end();
    gunicorn(&mut real, served, &folder, fetch);
}

/// The same site by gunicorn.
fn gunicorn(real: &mut Real, site: Life<'_>, folder: &std::path::Path, fetch: &str) {
    real.row = Row::package("gunicorn", "python", "gunicorn");
    let served = Life {
        start: &format!(
            "-p 8000:8000 -u 1000:1000 -v {}:/app -v site:/site -w /app python gunicorn -b 0.0.0.0:8000 -w 3 --threads 4 --access-logfile - app:app",
            folder.display()
        ),
        ready: ("logs web", "Listening at"),
        by_name: Some((fetch, "from worker")),
        by_port: Some((8000, b"GET / HTTP/1.0\r\n\r\n", "from worker")),
        keep: Some("exec -u 0 web sh -c 'echo kept by gunicorn > /site/kept'"),
        kept: Some(("exec web cat /site/kept", "kept by gunicorn")),
        log: Some("\"GET / HTTP/1.0\" 200"),
        stops: Some((0, "Shutting down: Master")),
        ..site
    };
    real.starts(&served);
    // All three answer: a signal that meets a worker at its first steps is lost in gunicorn itself.
    let mut workers = std::collections::BTreeSet::new();
    for _ in 0..500 {
        let page = real.page(8000, "/", "from worker");
        workers.insert(page.rsplit(' ').next().unwrap().to_owned());
        if workers.len() == 3 {
            break;
        }
    }
    assert_eq!(workers.len(), 3, "{workers:?}");
    real.row.saw("three workers of four threads");
    real.serves(&served);
    real.ends(&served);
    real.row.end();
}

#[test]
fn ruby() {
    let real = Real::new("Ruby", &["ruby"]);
    let app = "require 'webrick'\n$stdout.sync = true\nputs 20.times.map { |n| Thread.new { n } }.sum(&:value)\nputs `echo spawned`\n\
               r, w = IO.pipe\nfork { w.puts 'forked' }\nProcess.wait\nputs r.gets\ns = WEBrick::HTTPServer.new(Port: 4567)\n\
               s.mount_proc('/') { |q, a| File.write('visits', 'a visit'); a.body = 'from ruby' }\ntrap('TERM') { s.shutdown }\ns.start\nputs 'ended in order'\n";
    let folder = programs(&real, &[("app.rb", app)]);
    let fetch = "ruby ruby -rnet/http -e 'puts Net::HTTP.get(URI(\"http://app:4567/\"))'";
    let life = Life {
        name: "app",
        start: &format!("-p 4567:4567 -v {}:/src -v data:/data -w /data ruby ruby /src/app.rb", folder.display()),
        memory: 128,
        ready: ("logs app", "WEBrick::HTTPServer#start"),
        by_name: Some((fetch, "from ruby")),
        by_port: Some((4567, b"GET / HTTP/1.0\r\n\r\n", "from ruby")),
        kept: Some(("exec app cat /data/visits", "a visit")),
        log: Some("WEBrick::HTTPServer#start"),
        terminal: ("irb", "> ", "puts \"on-#{40+2}\"", "on-42"),
        stops: Some((0, "ended in order")),
        ..Life::default()
    };
    real.starts(&life);
    let said = real.until("logs app", "WEBrick::HTTPServer#start");
    assert!(said.contains("190") && said.contains("spawned") && said.contains("forked"), "{said}");
    real.row.saw("threads, fork and spawn");
    real.serves(&life);
    real.ends(&life);
    real.row.end();
}

#[test]
fn go_compiled_inside() {
    let real = Real::new("Go", &["golang"]);
    let main = r#"package main
import ("fmt"; "net"; "net/http"; "os"; "os/exec"; "os/signal"; "os/user"; "runtime"; "sync"; "syscall")
// #include <pthread.h>
// static void *one(void *x) { return x; }
// static int threads(void) { pthread_t t; int n = 0; for (int i = 0; i < 16; i++)
//   n += pthread_create(&t, 0, one, 0) == 0 && pthread_join(t, 0) == 0; return n; }
import "C"
func main() {
	var wait sync.WaitGroup
	for i := 0; i < 200; i++ { wait.Add(1); go func() { runtime.LockOSThread(); exec.Command("true").Run(); wait.Done() }() }
	wait.Wait()
	out, err := exec.Command("echo", "spawned").Output()
	fmt.Println("cgo threads", C.threads(), string(out), err)
	u, err := user.Current(); fmt.Println("user", u.Username, err)
	names, err := net.LookupHost("app"); fmt.Println("lookup", len(names), err)
	go http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { os.WriteFile("visits", []byte("a visit"), 0o644); fmt.Fprintln(w, "from go") }))
	c := make(chan os.Signal, 1); signal.Notify(c, syscall.SIGTERM); fmt.Println("ready"); <-c; fmt.Println("ended in order")
}
"#;
    let folder = programs(&real, &[("main.go", main), ("go.mod", "module app\n\ngo 1.19\n")]);
    real.ok(&format!(
        "run --rm -v {}:/src -v gocache:/root/.cache -w /src -e CGO_ENABLED=1 golang go build -o app .",
        folder.display()
    ));
    real.row.saw("compiled inside, with cgo");
    let life = Life {
        name: "app",
        start: &format!("-p 8080:8080 -v {}:/src -v data:/data -w /data golang /src/app", folder.display()),
        memory: 128,
        ready: ("logs app", "ready"),
        by_name: Some((&format!("golang {GET}"), "from go")),
        by_port: Some((8080, b"GET / HTTP/1.0\r\n\r\n", "from go")),
        kept: Some(("exec app cat /data/visits", "a visit")),
        log: Some("ready"),
        terminal: ("sh", "# ", "go env GOVERSION", "\ngo1."),
        stops: Some((0, "ended in order")),
        ..Life::default()
    };
    real.starts(&life);
    let said = real.ok("logs app");
    for want in ["cgo threads 16 spawned", "user root <nil>", "lookup 1 <nil>"] {
        assert!(said.contains(want), "{want}: {said}");
    }
    real.row.saw("200 locked threads, cgo's threads, processes, lookups by libc");
    real.serves(&life);
    real.ends(&life);
    real.row.end();
}

/// What programs take their limits from; the lab asks the same programs on cgroup v2
/// (tests/vm/scenarios/cgroup2-languages).
#[test]
fn what_programs_see_of_their_limits() {
    let real = Real::new("limits", &["java", "node", "python", "golang"]);
    let sees = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("real/sees");
    let run = |flags: &str, command: &str| {
        real.ok(&format!("run --rm --memory 256m {flags} -v {}:/sees:ro {command}", sees.display()))
    };
    let number = |said: &str, after: &str| -> u64 {
        let word = said.split(after).nth(1).and_then(|rest| rest.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no number after {after:?} in {said}"))
    };
    let (java, node) = ("java java /sees/Sees.java", "node node /sees/sees.js");
    let (python, go) = ("python python3 /sees/sees.py", "golang go run /sees/sees.go");
    for (command, language) in [(java, "java"), (node, "node"), (python, "python"), (go, "go")] {
        let said = run("--cpuset-cpus 0", command);
        assert_eq!(number(&said, &format!("{language} cpus ")), 1, "{said}");
        match language {
            "python" => assert_eq!(number(&said, "python limit "), 256, "{said}"),
            "go" => assert_eq!(number(&said, "go limit "), 256 << 20, "{said}"),
            // What is young comes on top of the limit.
            _ => assert!(number(&said, "heap ") < 300, "{said}"),
        }
    }
    // A part of the time of all processors: Java makes a number of it, others show what there is.
    let said = run("--cpus 1", java);
    assert_eq!(number(&said, "java cpus "), 1, "{said}");
    let said = run("--cpus 0.5", go);
    assert!(said.contains("go quota 50000"), "{said}");
    let all = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!(number(&said, "go cpus "), all, "{said}");
    assert_eq!(run("--cpuset-cpus 0", "python nproc"), "1");
    assert_eq!(run("--cpus 0.5", "python nproc"), all.to_string());
    // As with Docker: the kernel has one /proc/meminfo, the machine's.
    let here = std::fs::read_to_string("/proc/meminfo").unwrap();
    let said = run("", "python free -k");
    assert_eq!(number(&said, "Mem:"), number(&here, "MemTotal:"), "{said}");
}

#[test]
fn gcc_builds_a_thousand_files() {
    let real = Real::new("gcc", &["gcc"]);
    let script = "mkdir /tmp/b; cd /tmp/b; for i in $(seq 1000); do echo \"int f$i(int n) { return n + $i; }\" > f$i.c; done; \
                  { echo \"#include <stdio.h>\"; for i in $(seq 1000); do echo \"int f$i(int);\"; done; echo \"int main(void) { long s = 0;\"; \
                  for i in $(seq 1000); do echo \"s += f$i(0);\"; done; echo \"printf(\\\"%ld\\\\n\\\", s); }\"; } > main.c; \
                  printf \"all: \\$(patsubst %%.c,%%.o,\\$(wildcard *.c))\\n\\t\\$(CC) -o all \\$^\\n\" > Makefile; make -s -j4 CFLAGS=-O0 && ./all";
    assert_eq!(real.ok(&format!("run --rm -v build:/tmp gcc bash -c '{script}'")), "500500");
    real.row.saw("make -j4 of a thousand files");
    // Processes that end out of order, many at once, under a limit of memory: all are buried.
    let flood = "for i in $(seq 300); do (sleep 0.1 &) ; done; sleep 1; ls /proc | grep -c \"^[0-9]\"";
    let left: usize = real.ok(&format!("run --rm --init -m 128m gcc bash -c '{flood}'")).parse().unwrap();
    assert!(left < 12, "{left} processes are left");
    real.row.saw("--init buries 300 orphans");
    real.works_in(
        "gcc",
        (
            "bash",
            "# ",
            "echo 'int main(void) { return 42; }' | gcc -x c - -o /work/a; /work/a; echo gave-$?",
            "gave-42",
        ),
        "exec box bash -c 'echo \"int main(void) { return 42; }\" | gcc -x c - -o /work/kept'",
        ("exec box sh -c '/work/kept; echo gave-$?'", "gave-42"),
    );
    real.row.end();
}
