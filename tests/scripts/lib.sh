# What all scripts here share. They are run with `rcr` first in PATH, where scripts for Docker say `docker`, with the
# image `alpine` there, and in a folder of their own.
set -eu

fail() {
  echo "line ${BASH_LINENO[0]}: $*" >&2
  exit 1
}

# is WHAT WANTED
is() {
  [ "$1" = "$2" ] || { echo "line ${BASH_LINENO[0]}: got '$1', wanted '$2'" >&2; exit 1; }
}

# until_ok COMMAND…: tries for half a minute.
until_ok() {
  local end=$((SECONDS + 30))
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "line ${BASH_LINENO[0]}: never came true: $*" >&2; exit 1; }
    sleep 0.1
  done
}
