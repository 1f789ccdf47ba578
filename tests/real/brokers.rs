//! Brokers of messages.
#![allow(clippy::unwrap_used)]

use tests::real::Real;

#[test]
fn rabbitmq() {
    let real = Real::new("RabbitMQ", &["rabbitmq"]);
    // Its data is kept by its host's name.
    let start = "run -d --name mq --hostname mq --network app -p 5672:5672 -p 15672:15672 -e RABBITMQ_DEFAULT_USER=app -e RABBITMQ_DEFAULT_PASS=secret \
                 -v mq:/var/lib/rabbitmq --memory 1g --cpus 2 rabbitmq";
    real.ok("network create app");
    real.ok(start);
    real.until("logs mq", "Server startup complete");
    assert_eq!(real.ok("exec mq stat -c %U /var/lib/rabbitmq/mnesia"), "rabbitmq");
    real.row.saw("starts as root and drops to its user");
    real.outside(5672, b"AMQP\0\0\x09\x01", "RabbitMQ");
    let api = |call: &str| format!("GET {call} HTTP/1.0\r\nAuthorization: Basic YXBwOnNlY3JldA==\r\n\r\n");
    real.outside(15672, api("/api/overview"), "rabbit@mq");
    real.row.saw("published port");
    // A node of another container joins by name, with the cookie of the first.
    let cookie = real.ok("exec mq cat /var/lib/rabbitmq/.erlang.cookie");
    real.until(
        &format!(
            "run --rm --network app rabbitmq sh -c 'cd /var/lib/rabbitmq && umask 077 && echo {cookie} > .erlang.cookie && \
             rabbitmqctl -n rabbit@mq list_users'"
        ),
        "administrator",
    );
    real.row.saw("a client finds it by name");
    real.until("exec mq rabbitmqctl eval 'rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"kept\">>), true, false, [], none, <<\"app\">>).'", "new");
    // 40% of what it may have.
    let memory = real.ok("exec mq rabbitmqctl status");
    assert!(memory.contains("computed to: 0.429"), "{memory}");
    real.sees_memory("mq", 1 << 30);
    real.on_terminal("exec -it mq bash", "# ", "rabbitmq-diagnostics ping", "Ping succeeded");
    real.row.saw("exec -it");
    real.logs("mq", "Server startup complete");
    real.stops("mq", 0, "msg_store_persistent' is stopped");
    real.remove("mq");
    real.ok(start);
    real.until("exec mq rabbitmqctl list_queues name", "kept");
    real.row.saw("data in a named volume outlives it");
    real.row.end();
}

#[test]
fn mosquitto() {
    let real = Real::new("Mosquitto", &["mosquitto"]);
    let start = "run -d --name mq --network app -p 1883:1883 -v mqtt:/mosquitto/data --memory 64m mosquitto";
    real.ok("network create app");
    real.ok(start);
    real.until("logs mq", "running");
    assert_eq!(real.ok("exec mq stat -c %U /mosquitto/data"), "mosquitto");
    real.row.saw("drops to its user by itself");
    let client = "run --rm --network app mosquitto";
    real.ok(&format!("{client} mosquitto_pub -h mq -t news -m kept -q 1 -r"));
    assert_eq!(real.ok(&format!("{client} mosquitto_sub -h mq -t news -C 1 -W 20")), "kept");
    real.row.saw("a client finds it by name");
    // CONNECT of MQTT 3.1.1; its answer is CONNACK.
    real.outside(1883, b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02me", "\x20\x02");
    real.row.saw("published port");
    real.sees_memory("mq", 64 << 20);
    real.logs("mq", "New client connected");
    real.stops("mq", 0, "terminating");
    real.remove("mq");
    real.ok(start);
    real.until(&format!("{client} mosquitto_sub -h mq -t news -C 1 -W 20"), "kept");
    real.row.saw("data in a named volume outlives it");
    real.row.end();
}
