# A program that keeps machines of a cluster as containers: finds or makes its network, starts nodes at once, waits for
# a line in their logs, reads ports and addresses by templates, runs commands in them, loads images, removes all.
. "$(dirname "$0")/lib.sh"
cluster=io.example.cluster role=io.example.role

# What the host can do, as JSON.
rcr info --format '{{json .}}' > info.json
grep -q '"CgroupVersion":"[12]"' info.json || fail "no cgroup version: $(cat info.json)"
grep -q '"CgroupDriver":' info.json || fail "no cgroup driver"
grep -q '"MemoryLimit":true' info.json || fail "no memory limit"
grep -q '"PidsLimit":true' info.json || fail "no pids limit"
rcr info --format '{{json .SecurityOptions}}' | grep -q 'name=seccomp' || fail "no seccomp"
rcr info -f '{{.Driver}}' > /dev/null

# The network is made only once.
is "$(rcr network ls '--filter=name=^nodes$' '--format={{.ID}}')" ""
mtu=$(rcr network inspect bridge -f '{{ index .Options "com.docker.network.driver.mtu" }}')
case $mtu in '' | [0-9]*) ;; *) fail "mtu: $mtu" ;; esac
rcr network create -d=bridge -o com.docker.network.bridge.enable_ip_masquerade=true \
  -o com.docker.network.driver.mtu=1400 --ipv6 --subnet fc00:f853:ccd:e793::/64 nodes > network.id
id=$(rcr network ls '--filter=name=^nodes$' '--format={{.ID}}')
is "${#id}" 12
case $(cat network.id) in "$id"*) ;; *) fail "another id" ;; esac
subnets=$(rcr network inspect -f '{{range (index (index . "IPAM") "Config")}}{{index . "Subnet"}} {{end}}' nodes)
case $subnets in *fc00:f853:ccd:e793::/64*) ;; *) fail "subnets: $subnets" ;; esac
if rcr network create -d=bridge --subnet fc00:f853:ccd:e793::/64 other 2> overlap; then fail "two networks overlap"; fi

# Nodes, side by side.
mkdir -p extra && echo data > extra/file
node() {
  local name=$1 kind=$2
  shift 2
  KEPT=here rcr run --name "$name" --hostname "$name" --label "$role=$kind" --privileged \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --tmpfs /tmp --tmpfs /run --volume /var \
    --volume /lib/modules:/lib/modules:ro -e KEPT -e ABSENT --detach --tty --label "$cluster=dev" --net nodes \
    --restart=on-failure:1 --init=false --cgroupns=private --userns=host \
    --sysctl=net.ipv6.conf.all.disable_ipv6=0 --sysctl=net.ipv6.conf.all.forwarding=1 \
    "--volume=$PWD/extra:/extra:ro,rslave" "$@" alpine \
    sh -c 'trap "exit 0" TERM; echo "reached the target"; while :; do sleep 1 & wait $!; done' > /dev/null 2>> node.err
}
[ -d /lib/modules ] || mkdir -p /lib/modules
node dev-control control --publish=127.0.0.1:0:6443/TCP &
first=$!
node dev-worker worker &
second=$!
wait $first || fail "the first node: $(cat node.err)"
wait $second || fail "the second node: $(cat node.err)"
for name in dev-control dev-worker; do
  until_ok sh -c "timeout 5 rcr logs -f $name 2>&1 | grep -m1 -q 'reached the target'"
done

# What there is.
is "$(rcr ps -a --filter "label=$cluster" --format "{{.Label \"$cluster\"}}" | sort -u)" dev
is "$(rcr ps -a --filter "label=$cluster=dev" --format '{{.Names}}' | sort | xargs)" "dev-control dev-worker"
is "$(rcr inspect --format "{{ index .Config.Labels \"$role\"}}" dev-control)" control
is "$(rcr inspect --format '{{ index .Config.Labels "desktop.docker.io/ports/6443/tcp" }}' dev-control)" ""
at=$(rcr inspect --format \
  '{{ with (index (index .NetworkSettings.Ports "6443/tcp") 0) }}{{ printf "%s\t%s" .HostIp .HostPort }}{{ end }}' \
  dev-control)
case $at in 127.0.0.1$'\t'[1-9]*) ;; *) fail "endpoint: $at" ;; esac
addresses=$(rcr inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}},{{.GlobalIPv6Address}}{{end}}' dev-worker)
case $addresses in [1-9]*.*,fc00:f853:ccd:e793:*) ;; *) fail "addresses: $addresses" ;; esac
rcr inspect dev-control dev-worker > inspect.json

# Commands in nodes: with input, with variables, with their exit codes; names between them.
is "$(echo input | rcr exec --privileged -i -e A=b dev-control sh -c 'cat; echo $A$KEPT${ABSENT-unset}' | xargs)" \
  "input bhereunset"
code=0
rcr exec --privileged dev-control sh -c 'exit 3' || code=$?
is $code 3
rcr exec --privileged dev-worker ping -c 1 -W 2 dev-control > /dev/null
rcr exec --privileged dev-control sh -c 'mount --make-rshared / && mkdir -p /var/new && cat /extra/file' | grep -q data
rcr exec --privileged -i dev-control cp /dev/stdin /kubeconfig < extra/file
is "$(rcr exec dev-control cat /kubeconfig)" data

# Images go in.
is "$(rcr image inspect -f '{{ .Id }}' alpine)" "$(rcr images --no-trunc -q alpine)"
rcr save -o images.tar alpine
rcr exec --privileged -i dev-worker sh -c 'tar -x -O -f - manifest.json | grep -q Config' < images.tar

rcr rm -f -v dev-control dev-worker > /dev/null
is "$(rcr ps -aq)" ""
is "$(rcr volume ls -q)" ""
rcr network rm nodes > /dev/null
