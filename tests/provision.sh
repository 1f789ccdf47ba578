#!/bin/sh
# Makes a machine a node of a cluster: programs, the nodes' names, configuration, and etcd on the first one. The machines of the Vagrantfile
# are made nodes by it, and those of the lab (tests/vm/scenarios/overlay). Can be run again.
#   NODE_ID=1 NODES=3 NET=192.168.56 FROM=/vagrant/dist tests/provision.sh
# The nodes are $NET.11, $NET.12, …; FROM is what `make static` made; PREFIX names the nodes (node1, …); CONFIG is the file to write.
set -eu
: "${NODE_ID:?}" "${NODES:?}" "${NET:?}" "${FROM:?}"
PREFIX=${PREFIX:-node}
CONFIG=${CONFIG:-/etc/rcr/config.toml}
here=$NET.1$NODE_ID store=$NET.11:2379

number=1
while [ "$number" -le "$NODES" ]; do
  grep -q " $PREFIX$number\$" /etc/hosts || echo "$NET.1$number $PREFIX$number" >> /etc/hosts
  number=$((number + 1))
done
modprobe -a overlay vxlan bridge veth nf_tables 2>/dev/null || true

# A machine with a root of its own gets the programs installed; the lab's small ones have them on their path.
if [ -w /usr/local ]; then cp -r "$FROM/usr/local/." /usr/local/; fi
mkdir -p "$(dirname "$CONFIG")"
cat > "$CONFIG" <<END
[cluster]
store = "etcd://$store"
node_name = "$PREFIX$NODE_ID"
node_address = "$here"
END

if [ "$NODE_ID" = 1 ]; then
  if ! command -v etcd > /dev/null; then
    # Without starting Debian's own service: this one has its own.
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends etcd-server > /dev/null
    rm /usr/sbin/policy-rc.d
  fi
  set -- etcd --data-dir /var/lib/rcr-etcd --listen-client-urls "http://$here:2379" --advertise-client-urls "http://$here:2379" \
    --listen-peer-urls http://127.0.0.1:2380 --log-level error
  if [ -d /run/systemd/system ]; then
    systemctl is-active -q rcr-etcd || systemd-run -q --unit rcr-etcd --property Restart=on-failure "$@"
  else
    # The lab's small machines have no init that would keep it.
    mkdir -p "${ETCD_DATA:=/tmp/etcd}"
    shift 3
    etcd --data-dir "$ETCD_DATA" "$@" > /run/etcd.log 2>&1 &
    echo $! > /run/etcd.pid
  fi
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl enable -q netd rcr-boot
  systemctl restart netd
  if [ -s "$FROM/alpine.tar.gz" ]; then rcr image import "$FROM/alpine.tar.gz" alpine > /dev/null; fi
  rcr version
fi
