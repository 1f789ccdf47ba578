#!/usr/bin/env bash
# The main job, from an empty folder: two containers on a network of their own find each other by name, and a published port
# answers. Runs in a network namespace of its own unless DEMO_HOST=1; leaves nothing behind, also when it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${RCR_CACHE:-$HOME/.cache/rcr}
bin=${RCR_BIN:?"run it by 'make demo'"}
rcr=$bin/rcr

if [ "${1:-}" != inside ] && [ "${DEMO_HOST:-0}" != 1 ]; then
  # A new network namespace plays the host; state lies in a folder of its own.
  exec unshare --net --mount --propagation private "$0" inside
fi

export PATH=$PATH:/usr/sbin:/sbin
state=$(mktemp -d /tmp/rcr-demo.XXXXXX)
export RCR_ROOT=$state/root RCR_RUN=$state/run
outside=
say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

cleanup() {
  local status=$?
  for id in $("$rcr" ps -aq 2>/dev/null); do "$rcr" rm -f "$id" >/dev/null 2>&1 || true; done
  "$rcr" network rm -f eui_bridge >/dev/null 2>&1 || true
  # The default network's bridge goes a moment after its last container, and netd is what removes it.
  if [ "${DEMO_HOST:-0}" = 1 ]; then
    for _ in $(seq 50); do ip link show rcr0 >/dev/null 2>&1 || break; sleep 0.1; done
  fi
  if [ -s "$RCR_RUN/netd.pid" ]; then kill "$(cat "$RCR_RUN/netd.pid")" 2>/dev/null || true; fi
  if [ -n "$outside" ]; then kill "$outside" 2>/dev/null || true; fi
  rm -rf "$state"
  if [ $status = 0 ]; then say "done; everything is cleaned up"; else say "FAILED (status $status); everything is cleaned up"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fetch_from() { # HOST-ADDRESS: from outside if there is an outside, else from here
  if [ -n "$outside" ]; then
    run nsenter --net=/proc/"$outside"/ns/net curl -sS --max-time 5 "http://$1/"
  else
    run curl -sS --max-time 5 "http://$1/"
  fi
}

if [ "${1:-}" = inside ]; then
  say "a network namespace plays the host, another one the world outside (198.51.100.0/24)"
  ip link set lo up
  unshare --net sleep 600 &
  outside=$!
  sleep 0.3
  ip link add up0 type veth peer name world netns "$outside"
  ip addr add 198.51.100.1/24 dev up0
  ip link set up0 up
  nsenter --net=/proc/"$outside"/ns/net sh -c 'ip link set lo up; ip addr add 198.51.100.2/24 dev world; ip link set world up'
  ip route add default via 198.51.100.2
  address=198.51.100.1
else
  address=127.0.0.1
fi

say "images made on this machine: one of a root file system, one of layers that share it"
run "$rcr" image import "$cache/alpine.tar.gz" alpine
run "$rcr" load -i "$cache/nginx.image.tar"
if [ "${DEMO_REDIS:-1}" = 1 ]; then
  # Debian's redis, packed by tests/real/build in the shape of the popular image; its layers lie apart and come in by a pipe.
  mapfile -t parts < <(tests/real/build --parts redis)
  tar -cf - "${parts[@]}" | run "$rcr" load
fi
run "$rcr" images

say "a network, and a container on it"
run "$rcr" network create -d bridge eui_bridge
run "$rcr" network ls
run "$rcr" container run -d --name c1 --network eui_bridge alpine sleep 1d

say "a second container finds the first one by name"
run "$rcr" run --rm --name c2 --network eui_bridge alpine ping -c 3 c1

say "a web server on published ports"
run "$rcr" run -d --name web -p 5000:80 -p 80:80 nginx
run "$rcr" ps
sleep 0.5
fetch_from "$address:5000" | tee "$state/page5000"
fetch_from "$address:80" | tee "$state/page80"
grep -q 'Welcome to nginx' "$state/page5000"
grep -q 'Welcome to nginx' "$state/page80"

client=("$rcr" run --rm --network eui_bridge redis redis-cli -h cache)
await() {
  for _ in $(seq 100); do
    if "${client[@]}" ping 2>/dev/null | grep -q PONG; then return; fi
    sleep 0.1
  done
  echo "redis does not answer" >&2
  return 1
}

if [ "${DEMO_REDIS:-1}" = 1 ]; then
  say "a real redis, found by name; what it was told outlives its container"
  run "$rcr" run -d --name cache --network eui_bridge -v cache:/data --memory 128m redis --appendonly yes
  await
  run "${client[@]}" set visitors 42
  run "$rcr" stop cache
  run "$rcr" rm cache
  run "$rcr" run -d --name cache --network eui_bridge -v cache:/data redis --appendonly yes
  await
  run "${client[@]}" get visitors | tee "$state/visitors"
  grep -q 42 "$state/visitors"
else
  say "no redis here: DEMO_REDIS=0"
fi

say "and all of it goes again"
run "$rcr" rm -f c1 web
if [ "${DEMO_REDIS:-1}" = 1 ]; then
  run "$rcr" rm -f cache
  run "$rcr" volume rm cache
fi
run "$rcr" network rm eui_bridge
