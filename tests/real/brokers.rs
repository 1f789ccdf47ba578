//! Brokers of messages.
#![allow(clippy::unwrap_used)]

use tests::real::{Life, Real};

#[test]
fn rabbitmq() {
    let real = Real::new("RabbitMQ", &["rabbitmq"]);
    // A node of another container joins by name, with the cookie of the first, which the volume has.
    let node = "-v mq:/first:ro rabbitmq sh -c 'cd /var/lib/rabbitmq && cp /first/.erlang.cookie . && rabbitmqctl -n rabbit@mq list_users'";
    let life = Life {
        name: "mq",
        // Its data is kept by its host's name.
        start: "--hostname mq -p 5672:5672 -p 15672:15672 -e RABBITMQ_DEFAULT_USER=app -e RABBITMQ_DEFAULT_PASS=secret \
                -v mq:/var/lib/rabbitmq --cpus 2 rabbitmq",
        memory: 1024,
        ready: ("logs mq", "Server startup complete"),
        by_name: Some((node, "administrator")),
        by_port: Some((5672, b"AMQP\0\0\x09\x01", "RabbitMQ")),
        keep: Some(
            "exec mq rabbitmqctl eval 'rabbit_amqqueue:declare(rabbit_misc:r(<<\"/\">>, queue, <<\"kept\">>), true, false, [], none, <<\"app\">>).'",
        ),
        kept: Some(("exec mq rabbitmqctl list_queues name", "kept")),
        log: Some("Server startup complete"),
        terminal: ("bash", "# ", "rabbitmq-diagnostics ping", "Ping succeeded"),
        stops: Some((0, "msg_store_persistent' is stopped")),
    };
    real.starts(&life);
    assert_eq!(real.ok("exec mq stat -c %U /var/lib/rabbitmq/mnesia"), "rabbitmq");
    real.row.saw("starts as root and drops to its user");
    let api = "GET /api/overview HTTP/1.0\r\nAuthorization: Basic YXBwOnNlY3JldA==\r\n\r\n";
    real.outside(15672, api, "rabbit@mq");
    real.row.saw("its pages on a second port");
    // 40% of what it may have.
    let memory = real.ok("exec mq rabbitmqctl status");
    assert!(memory.contains("computed to: 0.429"), "{memory}");
    real.serves(&life);
    real.ends(&life);
    real.row.end();
}

#[test]
fn mosquitto() {
    let real = Real::new("Mosquitto", &["mosquitto"]);
    let subscribe = "mosquitto mosquitto_sub -h mq -t news -C 1 -W 20";
    let publish = format!(
        "mosquitto sh -c 'mosquitto_pub -h mq -t news -m kept -q 1 -r && mosquitto_sub -h mq -t {}'",
        "news -C 1 -W 20"
    );
    let life = Life {
        name: "mq",
        start: "-p 1883:1883 -v mqtt:/mosquitto/data mosquitto",
        memory: 64,
        ready: ("logs mq", "running"),
        by_name: Some((&publish, "kept")),
        // CONNECT of MQTT 3.1.1; its answer is CONNACK.
        by_port: Some((1883, b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02me", "\x20\x02")),
        kept: Some((&format!("run --rm --network app {subscribe}"), "kept")),
        log: Some("New client connected"),
        terminal: ("sh", "# ", "mosquitto_sub -C 1 -t news", "kept"),
        stops: Some((0, "terminating")),
        ..Life::default()
    };
    real.starts(&life);
    assert_eq!(real.ok("exec mq stat -c %U /mosquitto/data"), "mosquitto");
    real.row.saw("drops to its user by itself");
    real.serves(&life);
    real.ends(&life);
    real.row.end();
}
