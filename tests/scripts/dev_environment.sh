# A program that keeps development environments: a router that all projects share, a database with a volume and a
# health check, a web container with the project mounted; dumps and restores; stops, starts and lists by labels.
. "$(dirname "$0")/lib.sh"
site=com.example.site-name

rcr version --format '{{json .}}' > /dev/null
rcr context inspect 2> /dev/null && fail "there are no contexts"
rcr network inspect dev_default > /dev/null 2>&1 || rcr network create dev_default --label com.example.platform=dev > /dev/null
rcr volume create --name=shop-mariadb --label "$site=shop" > /dev/null

# A database: its volume is looked at by a helper first.
rcr run --rm --entrypoint= -v shop-mariadb:/mnt alpine sh -c 'echo 1 > /mnt/db_version && ls -la /mnt >/dev/null'
is "$(rcr run --rm -v shop-mariadb:/mnt/v alpine cat /mnt/v/db_version)" 1
rcr run -d --name dev-shop-db --label "$site=shop" --label com.docker.compose.service=db --network dev_default \
  --network-alias db --hostname shop-db -v shop-mariadb:/var/lib/mysql --health-cmd 'test -e /tmp/ready' \
  --health-interval=200ms --health-start-period=10s --health-retries=100 --stop-timeout 60 --restart=no \
  -e TZ=UTC --user "1000:1000" --expose 3306 --publish 127.0.0.1::3306 --ulimit nofile=4096:4096 alpine \
  sh -c 'touch /tmp/ready; trap "exit 0" TERM; while :; do sleep 1 & wait $!; done' > /dev/null
until_ok sh -c '[ "$(rcr inspect -f "{{.State.Health.Status}}" dev-shop-db)" = healthy ]'

# The web container, with the project.
mkdir -p project && echo '<h1>shop</h1>' > project/index.html
rcr run -d --name dev-shop-web --label "$site=shop" --label com.docker.compose.service=web --network dev_default \
  --mount type=bind,source="$PWD/project",target=/var/www/html,consistency=cached --tmpfs /tmp:rw,mode=1777 \
  --add-host host.docker.internal:host-gateway --link dev-shop-db:mysql --cap-add SYS_PTRACE -w /var/www/html \
  -p 127.0.0.1:0:80 -l com.example.approot="$PWD/project" alpine \
  sh -c 'mkdir -p /srv && exec nc -ll -p 80 -e cat /var/www/html/index.html' > /dev/null
port=$(rcr inspect -f '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}' dev-shop-web)
case $port in [1-9]*) ;; *) fail "port: $port" ;; esac
is "$(rcr exec dev-shop-web sh -c 'nc -w 2 127.0.0.1 80 < /dev/null')" '<h1>shop</h1>'
rcr exec dev-shop-web ping -c 1 -W 2 db > /dev/null
rcr exec dev-shop-web grep -q host.docker.internal /etc/hosts
is "$(rcr inspect -f "{{ index .Config.Labels \"com.example.approot\" }}" dev-shop-web)" "$PWD/project"

# Lists by labels, in the forms that programs read.
is "$(rcr ps -q --filter "label=$site=shop" --filter "label=com.docker.compose.service=web" | wc -l)" 1
rcr ps -a --filter "label=$site" --format '{{json .}}' | grep -q '"Names":"dev-shop-db"'
is "$(rcr ps --filter "label=$site=shop" --format '{{.Names}}:{{.State}}' | sort | xargs)" \
  "dev-shop-db:running dev-shop-web:running"
is "$(rcr ps --filter health=healthy --filter network=dev_default --format '{{.Names}}')" dev-shop-db
is "$(rcr ps --filter volume=shop-mariadb --format '{{.Names}}')" dev-shop-db

# A dump out, and in again; streams keep every byte.
rcr exec -i -u 0 dev-shop-db sh -c 'cat > /var/lib/mysql/dump' < /bin/busybox 2> /dev/null || \
  rcr exec -i -u 0 dev-shop-db sh -c 'cat > /var/lib/mysql/dump' < "$0"
rcr exec dev-shop-db cat /var/lib/mysql/dump > dump.out
rcr cp dev-shop-db:/var/lib/mysql/dump dump.copy
cmp dump.out dump.copy
rcr run --rm -i -v shop-mariadb:/from:ro alpine tar -C /from -cf - . | tar -tf - | grep -q dump

# Down and up: the volume and the names stay.
rcr stop -t 5 $(rcr ps -q --filter "label=$site=shop") > /dev/null
is "$(rcr ps -q --filter "label=$site=shop")" ""
rcr start dev-shop-db dev-shop-web > /dev/null
is "$(rcr exec dev-shop-db cat /var/lib/mysql/db_version)" 1
rcr logs --tail 5 --since 10m dev-shop-web > /dev/null
rcr restart -t 1 dev-shop-web > /dev/null
rcr rm -f -v $(rcr ps -aq --filter "label=$site=shop") > /dev/null
is "$(rcr volume ls -q --filter "label=$site=shop")" shop-mariadb
rcr volume rm $(rcr volume ls -q --filter "label=$site=shop") > /dev/null
rcr network rm dev_default > /dev/null
