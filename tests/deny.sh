#!/usr/bin/env bash
# cargo-deny, built once into the cache if it is not installed. Its advisory database is not asked: it needs the internet.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${RCR_CACHE:-$HOME/.cache/rcr}
export PATH=$PATH:$cache/tools/bin
if ! command -v cargo-deny >/dev/null; then
  echo "building cargo-deny (once)"
  # A target folder of its own, and none of this project's flags: it is a tool, not a part.
  (cd / && CARGO_TARGET_DIR="$cache/tools/target" cargo install --quiet --locked --root "$cache/tools" cargo-deny)
  rm -rf "$cache/tools/target"
fi
cargo deny --locked check bans licenses sources
