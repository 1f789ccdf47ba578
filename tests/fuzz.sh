#!/usr/bin/env bash
# Fuzzes what reads other people's bytes, each target for some seconds: `tests/fuzz.sh [SECONDS [TARGET…]]`, 600 seconds each by default.
# Each begins with the files in images/fuzz/seeds/TARGET; what it finds on top stays in the cache.
# No cargo-fuzz and no nightly toolchain: libFuzzer needs only coverage marks, which a stable compiler sets, too.
set -euo pipefail
cd "$(dirname "$0")/../images/fuzz"
seconds=${1:-600}
[ $# -gt 0 ] && shift
targets=("${@:-tar_walk tar_headers packing documents archives credentials names}")
read -ra targets <<<"${targets[*]}"
cache=${RCR_CACHE:-$HOME/.cache/rcr}
export CARGO_TARGET_DIR=${FUZZ_TARGET_DIR:-$cache/fuzz/target}
triple=$(rustc -vV | sed -n 's/^host: //p')
command -v g++ >/dev/null || { echo "fuzzing needs a C++ compiler (g++)" >&2; exit 1; }
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --release --quiet --target "$triple"
failed=()
for target in "${targets[@]}"; do
  corpus=$cache/fuzz/corpus/$target
  mkdir -p "$corpus" "$cache/fuzz/found/$target"
  echo "-- $target, $seconds seconds"
  "$CARGO_TARGET_DIR/$triple/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$cache/fuzz/found/$target/" "$corpus" "seeds/$target" >"$cache/fuzz/$target.log" 2>&1 || failed+=("$target")
  grep -E 'stat::number_of_executed_units|stat::new_units|SUMMARY|panicked' "$cache/fuzz/$target.log" || true
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "found something: ${failed[*]}; see $cache/fuzz" >&2
  exit 1
fi
