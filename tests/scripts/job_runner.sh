# A program that runs jobs of a continuous integration: a network and a label for each job, services with health
# checks, a container that steps are run in by exec, an action as a container, and everything away at the end.
. "$(dirname "$0")/lib.sh"
label=job42af

version=$(rcr version --format '{{.Server.APIVersion}}')
case $version in 1.[3-9][0-9]) ;; *) fail "server: $version" ;; esac
version=$(rcr version --format '{{.Client.APIVersion}}')
case $version in 1.[3-9][0-9]) ;; *) fail "client: $version" ;; esac

# What an earlier job has left.
rcr create --name stale --label $label alpine true > /dev/null
rcr network create --label $label stale_network > /dev/null
for id in $(rcr ps --all --quiet --no-trunc --filter "label=$label"); do
  is ${#id} 64
  rcr rm --force "$id" > /dev/null
done
rcr network prune --force --filter "label=$label" > /dev/null
is "$(rcr network ls -q --filter "label=$label")" ""

network=job_network_0f
rcr network create --label $label $network > /dev/null
mkdir -p work tools home
mkdir -p docker-config && echo '{"auths":{}}' > docker-config/config.json
rcr --config docker-config image inspect alpine > /dev/null

# The container of the steps.
job=$(rcr create --name job_alpine --label $label --workdir /__w/project --network $network \
  -e "HOME=/github/home" -e EMPTY= -e CI=true -v "$PWD/work":"/__w" -v "$PWD/tools":"/__t":ro \
  -v "$PWD/home":"/github/home" -v /var/run/x --entrypoint "tail" alpine "-f" "/dev/null")
is ${#job} 64
rcr start "$job" > /dev/null
is "$(rcr ps --all --filter "id=$job" --filter status=running --no-trunc --format '{{.ID}} {{.Status}}' | cut -d' ' -f1,2)" \
  "$job Up"
rcr inspect --format '{{range .Config.Env}}{{println .}}{{end}}' "$job" > env
grep -qx CI=true env || fail "no CI: $(cat env)"
grep -q '^PATH=' env || fail "no PATH: $(cat env)"

# A service with a check: it is waited for, and found by its alias.
service=$(rcr create --name service_redis --label $label --network $network --network-alias redis -p 6379 \
  --health-cmd "test -e /ready" --health-interval 200ms --health-timeout 5s --health-retries 50 \
  -e GITHUB_ACTIONS=true -e CI=true alpine sh -c 'sleep 1; touch /ready; exec nc -ll -p 6379 -e echo pong')
rcr start "$service" > /dev/null
rcr ps --all --filter "id=$service" --filter status=running --no-trunc --format '{{.ID}} {{.Status}}' | grep -q "$service"
port=$(rcr port "$service" | head -1)
case $port in "6379/tcp -> 0.0.0.0:"*) ;; *) fail "port: $port" ;; esac
is "$(rcr inspect --format='{{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}' "$job")" ""
healthy() {
  [ "$(rcr inspect --format='{{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}' "$service")" = healthy ]
}
until_ok healthy
rcr logs --details "$service" > service.log 2>&1

# Steps: variables by name, a folder to work in, input, exit codes.
mkdir -p work/project && echo 'echo "$SECRET in $(pwd) of $HOME"' > work/step.sh
is "$(SECRET=s3 rcr exec -i --workdir /__w/project -e SECRET -e HOME "$job" sh -e /__w/step.sh)" "s3 in /__w/project of $HOME"
is "$(rcr exec -i "$job" sh -c 'nc -w 2 redis 6379 < /dev/null')" pong
code=0
rcr exec -i --workdir /__w "$job" sh -e -c 'false; true' || code=$?
is $code 1
is "$(rcr exec "$job" sh -c 'touch /__t/x 2>/dev/null || echo read-only')" read-only

# An action as a container of its own.
INPUT_WHO=me rcr run --name action_1 --label $label --workdir /github/workspace --rm -e INPUT_WHO -e GITHUB_ACTIONS=true \
  -e CI=true --entrypoint "/bin/sh" --network $network -v "$PWD/sock":"/sock" \
  -v "$PWD/work":"/github/workspace" alpine "-c" 'echo "hello $INPUT_WHO" > out; id -u' > action.out
is "$(cat work/out)" "hello me"
is "$(cat action.out)" 0

for id in $(rcr ps --all --quiet --no-trunc --filter "label=$label"); do rcr rm --force "$id" > /dev/null; done
rcr network rm $network > /dev/null
is "$(rcr network ls --format '{{.Name}}' --filter "label=$label")" ""
