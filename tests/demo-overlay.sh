#!/usr/bin/env bash
# One network over two hosts: a container on the first pings one on the second by name. The hosts are network namespaces on one
# kernel, each with a netd and folders of its own; a real etcd runs beside them. Leaves nothing behind, also when it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${RCR_CACHE:-$HOME/.cache/rcr}
bin=${RCR_BIN:?"run it by 'make demo-overlay'"}
if [ "${1:-}" != inside ]; then
  exec unshare --net --mount --propagation private "$0" inside
fi

export PATH=$PATH:/usr/sbin:/sbin
state=$(mktemp -d /tmp/rcr-overlay.XXXXXX)
pids=()
say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
cleanup() {
  local status=$?
  for host in host1 host2; do
    [ -e "$state/$host.pid" ] || continue
    for id in $(on $host rcr ps -aq 2>/dev/null); do on $host rcr rm -f "$id" >/dev/null 2>&1 || true; done
    if [ -s "$state/$host/run/netd.pid" ]; then kill "$(cat "$state/$host/run/netd.pid")" 2>/dev/null || true; fi
  done
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$state"
  if [ $status = 0 ]; then say "done; everything is cleaned up"; else say "FAILED (status $status); everything is cleaned up"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# machine NAME NUMBER: a network namespace with 192.0.2.NUMBER on the network between the hosts.
machine() {
  unshare --net sleep 600 &
  pids+=($!)
  echo $! > "$state/$1.pid"
  until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done
  ip link add "to-$1" type veth peer name lan0 netns $!
  ip link set "to-$1" master lan up
  inside "$1" sh -c "ip link set lo up; ip addr add 192.0.2.$2/24 dev lan0; ip link set lan0 up"
}
inside() { local name=$1; shift; nsenter --net=/proc/"$(cat "$state/$name.pid")"/ns/net "$@"; }
# on HOST COMMAND...: as if it was typed on that host.
on() {
  local host=$1
  shift
  RCR_ROOT=$state/$host/root RCR_RUN=$state/$host/run RCR_CONFIG=$state/$host/config.toml PATH=$bin:$PATH inside "$host" "$@"
}
run() { printf '%s $ %s\n' "$1" "${*:2}"; on "$@"; }

say "a network between machines (192.0.2.0/24), etcd on one of them, two hosts"
ip link set lo up
ip link add lan type bridge stp_state 0 forward_delay 0
ip link set lan up
machine store 2
inside store etcd --data-dir "$state/etcd" --listen-client-urls http://192.0.2.2:2379 --advertise-client-urls http://192.0.2.2:2379 \
  --listen-peer-urls http://127.0.0.1:2380 --log-level error > "$state/etcd.log" 2>&1 &
pids+=($!)
for number in 1 2; do
  machine "host$number" "1$number"
  mkdir "$state/host$number"
  printf '[cluster]\nstore = "etcd://192.0.2.2:2379"\nnode_name = "node%s"\n' "$number" > "$state/host$number/config.toml"
done
echo "node1's /etc/rcr/config.toml:"
sed 's/^/  /' "$state/host1/config.toml"
for host in host1 host2; do on $host rcr image import "$cache/alpine.tar.gz" alpine > /dev/null; done

say "the hosts know each other by naming the same store"
for _ in $(seq 50); do
  on host2 rcr node ls > /dev/null 2>&1 || true
  [ "$(on host1 rcr node ls -q 2>/dev/null | wc -l)" = 2 ] && break
  sleep 0.2
done
run host1 rcr node ls

say "a network that is made on one host is there on the other"
run host1 rcr network create -d overlay --subnet 10.4.0.0/16 mesh
run host1 rcr run -d --name c1 --network mesh alpine sleep 1d
until on host2 rcr network inspect mesh > /dev/null 2>&1; do sleep 0.1; done
run host2 rcr network ls

say "a container on the second host finds the one on the first by name"
run host2 rcr run --rm --name c2 --network mesh alpine ping -c 3 c1

say "and all of it goes again"
run host1 rcr rm -f c1
run host2 rcr network rm mesh
