# Commands as people post them, with `rcr` in place of `docker`: `oneliners.sh PART`. The text of a command is theirs, but
# for addresses and names of images that are not here.
. "${0%/*}/lib.sh"

has() {
  case $1 in *"$2"*) ;; *) echo "line ${BASH_LINENO[0]}: '$2' is not in '$1'" >&2; exit 1 ;; esac
}

# refused COMMAND…: it fails; what it says is in $said.
refused() {
  if said=$("$@" 2>&1); then
    echo "line ${BASH_LINENO[0]}: it was not refused: $*" >&2
    exit 1
  fi
}

# answers ADDRESS[:PORT]: nginx does.
answers() {
  local port=80
  [[ $1 == *:* ]] && port=${1#*:}
  timeout 2 bash -c "exec 3<>/dev/tcp/${1%:*}/$port; printf 'GET / HTTP/1.0\r\n\r\n' >&3; grep -q Welcome <&3"
}

running() {
  rcr run -d -p 8080:80 --name web nginx
  until_ok answers "$(ip -4 -o addr show dev up0 | awk '{ split($4, a, "/"); print a[1]; exit }'):8080"
  echo text > note
  is "$(rcr run --rm -v "$PWD":/app -w /app alpine ls)" note
  is "$(rcr run --rm --user "$(id -u)":"$(id -g)" -v "$(pwd)":/src -w /src alpine id -u)" "$(id -u)"
  is "$(rcr run --rm --mount type=bind,source="$(pwd)",target=/app,readonly alpine ls /app)" note
  rcr run --rm --mount type=bind,source="$(pwd)",target=/app,readonly alpine touch /app/x && fail 'it is not read-only'
  id=$(rcr run -d --restart unless-stopped --log-opt max-size=10m --log-opt max-file=3 alpine sleep 1d)
  is "$(rcr inspect -f '{{.HostConfig.RestartPolicy.Name}} {{index .HostConfig.LogConfig.Config "max-file"}}' "$id")" 'unless-stopped 3'
  id=$(rcr run -d --name gluetun --cap-add=NET_ADMIN --device /dev/net/tun qmcgaw/gluetun sleep 1d)
  is "$(rcr exec gluetun ls /dev/net/tun)" /dev/net/tun
  id=$(rcr run -d --privileged=true -e MYSQL_ROOT_PASSWORD=123456 mysql sleep 1d)
  is "$(rcr exec "$id" sh -c 'echo $MYSQL_ROOT_PASSWORD')" 123456
  rcr run -d --name app --link web:web alpine sleep 1d
  rcr exec app ping -c 1 -W 2 web
  rcr run --rm --cpuset-cpus=0 --cpu-shares=512 -m 256m alpine true
}

looking() {
  rcr run -d --name web --health-cmd true --health-interval 100ms nginx
  rcr run --name ended alpine true
  has "$(rcr ps -a --format "table {{.ID}}\t{{.Image}}\t{{.Names}}")" "$(rcr ps -q -f name=web)   nginx"
  rcr rm $(rcr ps -a -q -f status=exited)
  is "$(rcr ps -a --format '{{.Names}}')" web
  address=$(rcr inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web)
  until_ok answers "$address"
  rcr wait --condition healthy web
  is "$(rcr inspect --format='{{.State.Health.Status}}' web)" healthy
  rcr cp web:/etc/hosts .
  has "$(cat hosts)" "$address"
  rcr run -d --name talk alpine sh -c 'seq 20; sleep 2; echo late'
  until_ok sh -c 'rcr logs talk | grep -qx 20'
  is "$(rcr logs --tail 10 -f talk | tr '\n' ' ')" '11 12 13 14 15 16 17 18 19 20 late '
  stats=$(rcr stats --no-stream)
  has "$stats" 'CPU %'
  has "$stats" web
  is "$(echo 'echo in; exit' | rcr exec -i web sh)" in
  rcr stop -t 0 $(rcr ps -aq) && rcr rm $(rcr ps -aq)
  is "$(rcr ps -aq)" ''
  [ -z "$(rcr ps -q -f name=^web$)" ] && echo 'right branch' || fail 'wrong branch'
  if none=$(rcr inspect -f '{{.State.Running}}' web 2>/dev/null); then fail 'it is found'; fi
  is "$none" ''
}

tidying() {
  rcr run --name one -v /anonymous -v named:/named alpine true
  rcr network create unused
  has "$(rcr system prune -af --volumes)" 'Total reclaimed space: '
  is "$(rcr ps -aq)$(rcr images -q)$(rcr network ls -q -f type=custom)" ''
  is "$(rcr volume ls -q)" named
  rcr volume prune -f
  is "$(rcr volume ls -q)" named
  rcr volume prune -af
  is "$(rcr volume ls -q)" ''
}

networks() {
  rcr network create --driver=bridge --subnet=172.28.0.0/16 --ip-range=172.28.5.0/24 --gateway=172.28.5.254 br0
  is "$(rcr network inspect -f '{{(index .IPAM.Config 0).Gateway}}' br0)" 172.28.5.254
  has "$(rcr run --rm --network br0 alpine ip -4 -o addr show dev eth0)" 172.28.5.
  own=$(ip -4 -o addr show dev up0 | awk '{ split($4, a, "/"); print a[1]; exit }')
  rcr network create -o "com.docker.network.bridge.host_binding_ipv4"="$own" simple-network
  rcr run -d --name bound --network simple-network -p 8081:80 nginx
  is "$(rcr port bound 80)" "$own:8081"
  rcr network create -d macvlan -o parent=up0 --subnet 192.168.1.0/24 --gateway 192.168.1.1 --ip-range 192.168.1.128/26 \
    --aux-address 'host=192.168.1.128' bobnet
  has "$(rcr run --rm --network bobnet alpine ip -4 -o addr show dev eth0)" 192.168.1.129/24
  rcr network create -d overlay --attachable erp-backend
  has "$(rcr run --rm --network erp-backend alpine ip -o addr show dev eth0)" 'inet '
  for _ in 1 2; do
    rcr network inspect stack >/dev/null 2>&1 || rcr network create stack
  done
  is "$(rcr network ls -q -f name=^stack$ | wc -l)" 1
  rcr run -d --name vpn -p 8082:80 alpine sleep 1d
  rcr run -d --network=container:vpn nginx
  until_ok answers "$own:8082"
  rcr restart -t 0 vpn
  until_ok answers "$own:8082"
  rcr network rm bobnet
  # This kernel may have no ipvlan; then it says so.
  if ! said=$(rcr network create -d ipvlan --subnet=192.168.214.0/24 --subnet=10.1.214.0/24 -o ipvlan_mode=l3 -o parent=up0 \
    ipnet210 2>&1); then
    has "$said" 'ipvlan'
  fi
}

elsewhere() {
  printf 'FROM alpine\nCMD ["echo", "built"]\n' > Dockerfile
  rcr build -t myapp .
  is "$(rcr run --rm myapp)" built
  refused rcr compose up -d
  has "$said" 'hint: '
  refused rcr swarm init
  has "$said" '[cluster]'
}

"$1" >&2
