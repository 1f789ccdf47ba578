#!/usr/bin/env bash
# What a network driver can, tried out: prints its row of the table in docs/networking.md.
#   tests/drivers.sh "macvlan" | "ipvlan l3" | "bridge" | "overlay" | "host" | "none"
# Runs `rcr` of PATH on the image `alpine`. PARENT, LAN (a subnet), RANGE (a part of it) say where macvlan and ipvlan l2 find a LAN.
set -uo pipefail
driver=$1
name=${driver%% *} mode=${driver#* }
parent=${PARENT:-eth0}
host_port=17777
work=$(mktemp -d)
# The host's own service: one answer per connection.
( while busybox nc -l -p $host_port < /dev/null > /dev/null 2>&1; do :; done ) &
server=$!

clear() {
  for one in a b c; do rcr rm -f $one; done
  rcr network rm net
} > /dev/null 2>&1
finish() {
  clear
  kill $server 2>/dev/null
  # The one that waits for a connection.
  (exec 3<> /dev/tcp/127.0.0.1/$host_port) 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT

quietly() { "$@" > /dev/null 2> "$work/why"; }
again() {
  local i
  for i in 1 2 3 4 5 6 7 8; do "$@" && return 0; sleep 0.3; done
  return 1
}

# create OPTIONS...: the network `net` of this driver; host and none are there from the start.
net=net
create() {
  local place=()
  case $name in
    host | none) net=$name; return 1 ;;
    macvlan) place=(-o parent="$parent" --subnet "${LAN:-192.168.77.0/24}" --ip-range "${RANGE:-192.168.77.128/25}") ;;
    ipvlan)
      place=(-o parent="$parent" -o mode="$mode")
      if [ "$mode" = l2 ]; then place+=(--subnet "${LAN:-192.168.77.0/24}" --ip-range "${RANGE:-192.168.77.128/25}"); fi ;;
  esac
  quietly rcr network create -d "$name" "${place[@]}" "$@" net
}
run() { local it=$1; shift; quietly rcr run -d --name "$it" "$@" alpine sh -c 'while :; do echo hello | nc -l -p 18080 > /dev/null; done'; }
inside() { local it=$1; shift; quietly rcr exec "$it" "$@"; }
answers() { [ "$( (exec 3<> /dev/tcp/127.0.0.1/28080 && timeout 2 head -n 1 <&3) 2>/dev/null)" = hello ]; }

# Each prints a cell.
dns() {
  case $name in
    host) quietly rcr network create net && run a --network host && run b --network net && inside b nslookup a && echo yes || echo no ;;
    *) create || true; run a --network $net && run b --network $net && inside b nslookup a && echo yes || echo no ;;
  esac
}
publish() {
  create || true
  if run a --network $net -p 28080:18080 && again answers; then echo yes; return; fi
  clear
  if create -o host_access=true && run a --network net -p 28080:18080 && again answers; then echo "with host access"; else echo no; fi
}
live() {
  create || true
  quietly rcr network create other
  run a --network $net
  run b --network other && quietly rcr network connect $net b && again inside b ping -c 1 -W 2 a && quietly rcr network disconnect $net b && echo yes || echo no
  { rcr rm -f b; rcr network rm other; } > /dev/null 2>&1
}
ipv6() {
  create --subnet fd17::/64 --ip-range fd17::8000/113 || true
  case $name in
    host) run a --network host && inside a grep -q . /proc/net/if_inet6 && echo yes || echo no ;;
    none) run a --network none && inside a ping -6 -c 1 -W 1 fd17::1 && echo yes || echo no ;;
    *) run a --network net && run b --network net && again inside b ping -6 -c 1 -W 2 a && echo yes || echo no ;;
  esac
}
# reaches OPTIONS...: whether a container opens a connection to the host.
reaches() {
  create "$@" || true
  run a --network $net && {
    for to in $(ip -4 -o addr show | sed 's/.*inet \([0-9.]*\).*/\1/'); do inside a timeout 2 nc -w 1 "$to" $host_port && [ "$to" != 127.0.0.1 -o $name = host ] && return 0; done
    return 1
  }
}
access() {
  if reaches; then echo yes; return; fi
  clear
  if [ $net = net ] && reaches -o host_access=true; then echo "by option"; else echo no; fi
}
internal() {
  if create --internal && run a --network net && run b --network net && again inside b ping -c 1 -W 2 a && ! rcr exec a ip route | grep -q default; then echo yes; else echo no; fi
}

clear
row="| $driver |"
for cell in dns publish live ipv6 access internal; do
  row+=" $($cell) |"
  clear
done
echo "$row"
