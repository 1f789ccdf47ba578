# What scenarios share; sourced by each. A scenario is a list of checks; it ends with `finish`.
set -uo pipefail
passed=0
failed=0

# check WHAT COMMAND...: the command succeeds.
check() {
  local what=$1 output status
  shift
  output=$("$@" 2>&1)
  status=$?
  if [ $status = 0 ]; then
    passed=$((passed + 1))
    echo "ok   $what"
  else
    failed=$((failed + 1))
    echo "FAIL $what: \`$*\` gave status $status"
    printf '%s\n' "$output" | tail -n 12 | sed 's/^/     /'
  fi
}

# refuse WHAT TEXT COMMAND...: the command fails, and its output contains TEXT (a basic regular expression).
refuse() {
  local what=$1 text=$2 output
  shift 2
  if output=$("$@" 2>&1); then
    failed=$((failed + 1))
    echo "FAIL $what: \`$*\` succeeded"
  elif ! grep -q -e "$text" <<< "$output"; then
    failed=$((failed + 1))
    echo "FAIL $what: \`$*\` did not say \`$text\`"
    printf '%s\n' "$output" | sed 's/^/     /'
  else
    passed=$((passed + 1))
    echo "ok   $what"
  fi
}

# same WHAT WANT GOT
same() {
  if [ "$2" = "$3" ]; then
    passed=$((passed + 1))
    echo "ok   $1"
  else
    failed=$((failed + 1))
    echo "FAIL $1: wanted \`$2\`, got \`$3\`"
  fi
}

# says TEXT COMMAND...: the command succeeds, and its output contains TEXT (a basic regular expression). All of it is read first: in a pipe
# `grep -q` ends at the first match, whoever still writes dies of SIGPIPE, and pipefail makes that the answer.
says() {
  local text=$1 output
  shift
  output=$("$@") && grep -q -e "$text" <<< "$output"
}

# eventually COMMAND...: again and again for a minute, until it succeeds.
eventually() {
  local until=$((SECONDS + 60))
  while [ $SECONDS -lt $until ]; do
    "$@" && return 0
    sleep 0.25
  done
  "$@"
}

# mark NAME / await VM NAME: one machine waits until another one has come to a point. The scenario's own time limits it.
mark() { : > "/run/marks/$1"; }
await() {
  local until=$((SECONDS + 600))
  while [ $SECONDS -lt $until ]; do
    timeout 3 /bin/busybox wget -q -O /dev/null "http://$1:7777/$2" 2>/dev/null && return 0
    sleep 0.5
  done
  echo "FAIL $1 never came to \`$2\`"
  return 1
}

images() {
  for name in "$@"; do
    case $name in
      alpine) rcr image import /payload/images/alpine.tar.gz alpine >/dev/null || exit 1 ;;
      nginx) rcr load -i /payload/images/nginx.image.tar >/dev/null || exit 1 ;;
    esac
  done
}

# gone: soon after the last container, no link and no cgroup of ours is left.
gone() { eventually nothing_of_ours || { ip -o link; find /sys/fs/cgroup/rcr; return 1; }; }
nothing_of_ours() {
  ! says 'alias rcr:\|: veth' ip -o link && [ -z "$(find /sys/fs/cgroup/rcr -mindepth 1 -type d 2>/dev/null)" ]
}

# gone_off VM: it has not served its marks three times in a row, as a machine that is off.
gone_off() {
  local miss=0
  while [ $miss -lt 3 ]; do
    if timeout 3 /bin/busybox wget -q -O /dev/null "http://$1:7777/up" 2>/dev/null; then miss=0; else miss=$((miss + 1)); fi
    sleep 0.5
  done
}

# The first machine goes last, and the others go when it is done: no mark goes with its machine before it was seen.
finish() {
  local id
  mark ended
  if [ "$VM_id" != 1 ]; then
    await vm1 ended || failed=$((failed + 1))
    # The first one still has to see that this one has ended.
    sleep 3
  else
    for id in $(seq 2 "$VM_n"); do gone_off "vm$id"; done
  fi
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ] && [ "$passed" != 0 ]
  exit
}
