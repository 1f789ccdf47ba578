#!/usr/bin/env bash
# Retypes a transcript of a page, as a reader would: runs its commands one by one, and compares what they print.
#   tests/transcript.sh PAGE NAME      (the block behind `<!-- transcript: NAME -->`)
# A line that begins with `# ` is typed; what follows up to the next one is printed; `…` stands for anything.
set -uo pipefail
page=$1 name=$2
block=$(awk -v mark="<!-- transcript: $name -->" '$0 == mark { found = 1; next } found && /^```console/ { on = 1; next } on && /^```/ { exit } on' "$page")
[ -n "$block" ] || { echo "no transcript \`$name\` in $page" >&2; exit 2; }

typed='' expected='' failed=0 count=0
try() {
  local printed pattern
  [ -n "$typed" ] || return 0
  count=$((count + 1))
  printed=$(bash -c "$typed" 2>&1)
  pattern=${expected%$'\n'}
  pattern=${pattern//\\/\\\\}
  pattern=${pattern//\*/\\*}
  pattern=${pattern//\?/\\?}
  pattern=${pattern//\[/\\[}
  pattern=${pattern//…/*}
  # shellcheck disable=SC2053 # a pattern it is
  if [[ $printed != $pattern ]]; then
    failed=1
    printf 'FAIL %s: `%s` printed\n%s\ninstead of\n%s\n' "$name" "$typed" "$printed" "${expected%$'\n'}"
  fi
}
while IFS= read -r line; do
  case $line in
    '# '*) try; typed=${line#\# } expected='' ;;
    *) expected+=$line$'\n' ;;
  esac
done <<< "$block"
try
echo "$name: $count commands"
exit $failed
