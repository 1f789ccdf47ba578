# A script that deploys: builds with the commit as the tag, looks whether an image is there, replaces the running
# container by a new one that is checked first, goes back when the check fails, and cleans up.
. "$(dirname "$0")/lib.sh"
app=shop

mkdir -p source && cat > source/Dockerfile <<'END'
FROM alpine AS build
ARG VERSION
RUN printf '%s' "$VERSION" > /version
FROM alpine
LABEL org.opencontainers.image.source=example
COPY --from=build /version /version
EXPOSE 8080
HEALTHCHECK --interval=200ms --retries=3 CMD test "$(cat /version)" != broken
CMD ["sh", "-c", "exec nc -ll -p 8080 -e cat /version"]
END
build() {
  rcr build --pull=false --build-arg VERSION="$1" --label "commit=$1" -t "registry.example/$app:$1" -t "registry.example/$app:latest" \
    --provenance=false -f source/Dockerfile source > build.log 2>&1 || fail "$(cat build.log)"
}

deploy() {
  local version=$1 image=registry.example/$app:$1
  [ -n "$(rcr images -q "$image")" ] || fail "no image $image"
  rcr image inspect "$image" > /dev/null
  rcr network inspect web > /dev/null 2>&1 || rcr network create web > /dev/null
  if [ "$(rcr ps -q -f "name=^/${app}-new$")" ]; then rcr rm -f ${app}-new > /dev/null; fi
  rcr run -d --name ${app}-new --restart unless-stopped --network web --network-alias $app --env-file env -m 64m --cpus 0.5 \
    --log-opt max-size=10m --log-opt max-file=3 --read-only --tmpfs /tmp "$image" > /dev/null
  local end=$((SECONDS + 30)) status=
  while [ "$status" != healthy ] && [ "$status" != unhealthy ]; do
    [ $SECONDS -lt $end ] || fail "no health"
    status=$(rcr inspect --format='{{json .State.Health.Status}}' ${app}-new | tr -d '"')
    sleep 0.1
  done
  if [ $status = unhealthy ]; then
    rcr logs ${app}-new > failed.log 2>&1
    rcr rm -f ${app}-new > /dev/null
    return 1
  fi
  rcr stop $app > /dev/null 2>&1 || true
  rcr rm $app > /dev/null 2>&1 || true
  rcr rename ${app}-new $app
}

printf '# comment\nKEY=value with spaces\nEMPTY=\n' > env
running() { rcr inspect -f '{{.Config.Image}}' $app; }
asks() { rcr run --rm --network web alpine sh -c "nc -w 2 $app 8080 < /dev/null"; }
build v1 && deploy v1
is "$(running)" registry.example/$app:v1
is "$(asks)" v1
is "$(rcr exec $app sh -c 'echo "$KEY"')" "value with spaces"
build broken
if deploy broken; then fail "a broken version was deployed"; fi
is "$(running)" registry.example/$app:v1
is "$(asks)" v1
build v2 && deploy v2
is "$(asks)" v2
is "$(rcr inspect -f '{{.HostConfig.RestartPolicy.Name}} {{.RestartCount}} {{.State.Running}}' $app)" "unless-stopped 0 true"
is "$(rcr inspect --format '{{ index .Config.Labels "commit" }}' registry.example/$app:latest)" v2
is "$(rcr ps --format 'table {{.Names}}\t{{.Image}}' | tail -1 | xargs)" "$app registry.example/$app:v2"

# Old versions go, the one that runs stays.
rcr rmi $(rcr images --format '{{.Repository}}:{{.Tag}}' "registry.example/$app" | grep -v -e v2 -e latest) > /dev/null
rcr system prune -f > /dev/null
rcr image prune -a -f --filter 'until=240h' > /dev/null
rcr builder prune -f > /dev/null
is "$(rcr images --format '{{.Tag}}' "registry.example/$app" | sort | xargs)" "latest v2"
rcr save "registry.example/$app:v2" | gzip > image.tgz
rcr rm -f $app > /dev/null
rcr rmi -f "registry.example/$app:v2" "registry.example/$app:latest" > /dev/null
gunzip -c image.tgz | rcr load | grep -q "registry.example/$app:v2"
rcr system df > /dev/null
