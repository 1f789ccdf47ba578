#!/usr/bin/env bash
# All tests: seconds per stage, a summary at the end. A failure in one stage does not hide the next.
set -uo pipefail
cd "$(dirname "$0")/.."
failed=()
summary=()
stage() {
  local name=$1 start=$SECONDS status
  shift
  echo "-- $name"
  "$@"
  status=$?
  summary+=("$name: $((SECONDS - start)) s, $([ $status = 0 ] && echo ok || echo FAILED)")
  [ $status = 0 ] || failed+=("$name")
}
stage build make --no-print-directory build-test
[ ${#failed[@]} = 0 ] || { echo "the build failed" >&2; exit 1; }
stage images make --no-print-directory images
stage real-images tests/real/build
# The table of programs is of this run.
"${RCR_BIN:?}/compatibility" begin
if cargo nextest --version >/dev/null 2>&1; then
  stage tests cargo nextest run --release --locked --workspace --no-fail-fast
else
  stage tests cargo test --release --locked --workspace --no-fail-fast -- --test-threads 2
fi
stage compatibility "$RCR_BIN/compatibility" check
# Every row of the bench once: a figure can't fail, a row that does not run can.
stage bench "$RCR_BIN/bench" smoke
stage doc-tests cargo test --release --locked --workspace --doc --quiet
stage demo tests/demo.sh
stage demo-overlay tests/demo-overlay.sh
stage vm tests/vm/run
echo
printf '%s\n' "${summary[@]}"
if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
