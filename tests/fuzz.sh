#!/usr/bin/env bash
# Fuzzes what reads other people's bytes, each target for some seconds: `tests/fuzz.sh [SECONDS [TARGET…]]`, 600 seconds each by default.
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
for tool in gzip zstd; do command -v $tool >/dev/null || { echo "fuzzing needs $tool, for files to begin with" >&2; exit 1; }; done
command -v g++ >/dev/null || { echo "fuzzing needs a C++ compiler (g++)" >&2; exit 1; }
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --release --quiet --target "$triple"
failed=()
for target in "${targets[@]}"; do
  corpus=$cache/fuzz/corpus/$target
  mkdir -p "$corpus" "$cache/fuzz/found/$target"
  # Good files to begin with.
  case $target in
    tar_walk) for format in gnu pax ustar oldgnu; do tar --format=$format --exclude=target -C "$PWD" -cf "$corpus/seed-$format" .; done ;;
    documents)
      printf '%s' '{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1}]}' > "$corpus/seed-manifest"
      printf '\0%s' '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}' >> "$corpus/seed-manifest"
      printf '%s' '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"platform":{"os":"linux","architecture":"amd64","variant":"v8"}}]}' > "$corpus/seed-index" ;;
    packing)
      seq 2000 > "$corpus/seed-plain"
      gzip -c "$corpus/seed-plain" > "$corpus/seed-gzip"
      cat "$corpus/seed-gzip" "$corpus/seed-gzip" > "$corpus/seed-two"
      for level in 1 9 19; do zstd -q -c -$level "$corpus/seed-plain" > "$corpus/seed-zstd$level"; done
      { cat "$corpus/seed-zstd1"; printf '\x5a\x2a\x4d\x18\x03\0\0\0abc'; cat "$corpus/seed-zstd9"; } > "$corpus/seed-frames" ;;
    archives)
      printf '%s' '[{"Config":"c.json","RepoTags":["localhost:5000/a/b:1","x"],"Layers":["a/layer.tar","b"]},{"Config":"c","RepoTags":null,"Layers":[]}]' > "$corpus/seed-docker"
      printf '%s' '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"annotations":{"org.opencontainers.image.ref.name":"docker.io/library/a:1","io.containerd.image.name":"b:2"}}]}' > "$corpus/seed-index" ;;
    credentials)
      printf '%s' '{"auths":{"https://index.docker.io/v1/":{"auth":"bWU6c2VjcmV0"},"a":{"identitytoken":"t"}},"credsStore":"x","credHelpers":{"localhost:5000":"y"}}' > "$corpus/seed-config"
      printf '%s' '{"ServerURL":"a","Username":"me","Secret":"secret"}' > "$corpus/seed-helper"
      printf '%s' 'Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull", Basic realm="x\"y"' > "$corpus/seed-challenge" ;;
    names) printf '%s' 'localhost:5000/a/b:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' > "$corpus/seed-name"; printf 'linux/arm64/v8' > "$corpus/seed-platform" ;;
    tar_headers) printf '\0%s' '30 mtime=1350244992.023960108
20 SCHILY.xattr.user.a=b
' > "$corpus/seed-pax"; printf '\2%s' 'a/very/long/name' > "$corpus/seed-long" ;;
  esac
  echo "-- $target, $seconds seconds"
  "$CARGO_TARGET_DIR/$triple/release/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$cache/fuzz/found/$target/" "$corpus" >"$cache/fuzz/$target.log" 2>&1 || failed+=("$target")
  grep -E 'stat::number_of_executed_units|stat::new_units|SUMMARY|panicked' "$cache/fuzz/$target.log" || true
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "found something: ${failed[*]}; see $cache/fuzz" >&2
  exit 1
fi
