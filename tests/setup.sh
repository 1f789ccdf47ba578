#!/usr/bin/env bash
# Installs what is missing, by apt where there is apt; else says what to install. Starts no daemon.
#   tests/setup.sh demo|overlay|test|bench
set -euo pipefail
want=$1
# program:package
demo=(make:make gcc:gcc protoc:protobuf-compiler curl:curl ip:iproute2 busybox:busybox-static ping:iputils-ping dash:dash xz:xz-utils
  mmdebstrap:mmdebstrap setfattr:attr flock:util-linux)
test=("${demo[@]}" nft:nftables conntrack:conntrack script:bsdutils strace:strace
  docker-registry:docker-registry skopeo:skopeo podman:podman buildah:buildah setpriv:util-linux umoci:umoci htpasswd:apache2-utils openssl:openssl zstd:zstd
  qemu-system-x86_64:qemu-system-x86 mkfs.erofs:erofs-utils cpio:cpio modprobe:kmod
  dnsmasq:dnsmasq-base etcd:etcd-server etcdctl:etcd-client vagrant:vagrant tshark:tshark dot:graphviz)
# The peers that rcr is measured against.
bench=("${test[@]}" crun:crun /usr/lib/podman/netavark:netavark /usr/lib/podman/aardvark-dns:aardvark-dns dockerd:docker.io iptables:iptables)
case $want in
  demo) list=("${demo[@]}") ;;
  overlay) list=("${demo[@]}" etcd:etcd-server) ;;
  test) list=("${test[@]}") ;;
  bench) list=("${bench[@]}") ;;
  *) echo "usage: tests/setup.sh demo|overlay|test|bench" >&2; exit 64 ;;
esac

missing=()
for pair in "${list[@]}"; do
  PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
# busybox must be the static one: a container's root has no loader for another.
if command -v busybox >/dev/null && ldd "$(command -v busybox)" >/dev/null 2>&1; then missing+=(busybox-static); fi
[ -e /usr/lib/x86_64-linux-gnu/libc.a ] || [ -n "$(find /usr/lib -name libc.a -print -quit 2>/dev/null)" ] || missing+=(libc6-dev)

# Docker's seccomp profile, which ours is compared with: out of a package whose other files nobody needs.
fetch_profile() {
  local cache=${RCR_CACHE:-$HOME/.cache/rcr} dir
  [ -s "$cache/docker-seccomp.json" ] && return
  mkdir -p "$cache"
  dir=$(mktemp -d)
  download() { apt-get download -qq golang-github-docker-docker-dev >/dev/null 2>"$dir/errors"; }
  # apt may not know yet what there is.
  (cd "$dir" && chmod 755 . && { download || { apt-get update -qq && download; }; } \
    && dpkg-deb --fsys-tarfile ./*.deb | tar -xO --wildcards '*/profiles/seccomp/default.json' > "$cache/docker-seccomp.json.new" \
    && mv "$cache/docker-seccomp.json.new" "$cache/docker-seccomp.json") || { cat "$dir/errors" >&2; rm -rf "$dir"; return 1; }
  rm -rf "$dir"
}

# protoc without the definitions that it comes with builds nothing of etcd's.
[ -e /usr/include/google/protobuf/any.proto ] || [ -e /usr/local/include/google/protobuf/any.proto ] || missing+=(libprotobuf-dev)

if [ ${#missing[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "missing, please install: ${missing[*]} (names of Debian's packages)" >&2
    exit 1
  fi
  echo "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  # While it is there, no package's script starts a service (invoke-rc.d(8)).
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap '$sudo rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod 755 $policy
  fi
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
elif [ ! -x /usr/sbin/nginx ] && command -v apt-get >/dev/null && [ -z "$(find /var/lib/apt/lists -name '*Packages*' -print -quit 2>/dev/null)" ]; then
  # nginx is taken out of its package: apt must know where it is.
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  $sudo apt-get update -qq
fi
if [ "$want" = test ]; then fetch_profile; fi
if ! command -v cargo >/dev/null; then
  echo "missing: a Rust toolchain (cargo), 1.91 or newer; see https://rustup.rs" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ]; then
  echo "containers need root: run this as root" >&2
  exit 1
fi
