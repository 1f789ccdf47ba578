# Shared by mkalpine and mknginx: a tree in the layout of Alpine Linux, out of Debian's packages. Sourced, not run.

# fetch PACKAGE PROGRAM FOLDER: unpacks the package below FOLDER unless PROGRAM is on this machine already.
fetch() {
  local package=$1 program=$2 folder=$3
  mkdir -p "$folder"
  if [ -n "$program" ] && { [ -x "$program" ] || [ -x "/usr$program" ]; }; then
    return
  fi
  # nginx's program lies in a package of its own in some releases; its dependencies tell.
  command -v apt-get >/dev/null || { echo "mkalpine: $program is missing, and there is no apt-get to fetch $package with" >&2; return 1; }
  local debs
  debs=$(mktemp -d)
  chmod 755 "$debs"
  (cd "$debs" && apt-get download "$package" >/dev/null 2>"$debs/log") || { cat "$debs/log" >&2; rm -rf "$debs"; return 1; }
  local deb
  for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$folder"; done
  rm -rf "$debs"
}

# find_program NAME FOLDER: where it is, below FOLDER or on this machine.
find_program() {
  local path
  for path in "$2"/{usr/sbin,usr/bin,sbin,bin}/"$1" {/usr/sbin,/usr/bin,/sbin,/bin}/"$1"; do
    if [ -x "$path" ]; then echo "$path"; return; fi
  done
  echo "cannot find $1" >&2
  return 1
}

# copy_libraries PROGRAM ROOT: what the dynamic linker would load, and the linker itself.
copy_libraries() {
  local line path
  ldd "$1" | while read -r line; do
    case $line in
      *'not found'*) echo "library missing for $1: $line" >&2; return 1 ;;
      *'=> /'*) path=${line#*=> }; path=${path%% (*} ;;
      /*) path=${line%% (*} ;;
      *) continue ;;
    esac
    # The linker must be where the program's header says; libraries go where it looks.
    case $path in
      */ld-linux*|*/ld64*) install -D -m 755 "$path" "$2/lib64/$(basename "$path")" ;;
      *) install -D -m 755 "$path" "$2/lib/$(uname -m)-linux-gnu/$(basename "$path")" ;;
    esac
  done
}

# alpine_tree ROOT BUSYBOX
alpine_tree() {
  local root=$1 busybox=$2 applet
  mkdir -p "$root"/{bin,dev,etc,home,lib,lib64,media,mnt,opt,proc,run,sbin,srv,sys,usr/bin,usr/sbin,usr/lib,usr/share,var/log,var/cache,var/lib}
  install -d -m 1777 "$root/tmp"
  install -d -m 700 "$root/root"
  ln -s ../run "$root/var/run"
  install -m 755 "$busybox" "$root/bin/busybox"
  "$busybox" --list-full | while read -r applet; do
    case $applet in */busybox|linuxrc) continue ;; esac
    mkdir -p "$root/$(dirname "$applet")"
    ln -s /bin/busybox "$root/$applet"
  done
  # Debian's busybox shell prefers its own applets to what lies in PATH, so that `ping` would be the one that wants a raw
  # socket: the shell is dash.
  rm -f "$root/bin/ping" "$root/bin/ping6" "$root/bin/sh"
  install -m 755 /bin/dash "$root/bin/sh"
  copy_libraries /bin/dash "$root"
  ln -s ping "$root/bin/ping6"
  cat > "$root/etc/passwd" <<'FILE'
root:x:0:0:root:/root:/bin/sh
bin:x:1:1:bin:/bin:/sbin/nologin
daemon:x:2:2:daemon:/sbin:/sbin/nologin
nobody:x:65534:65534:nobody:/:/sbin/nologin
FILE
  cat > "$root/etc/group" <<'FILE'
root:x:0:root
bin:x:1:root,bin,daemon
daemon:x:2:root,bin,daemon
tty:x:5:
nobody:x:65534:
FILE
  printf 'root:*::0:::::\nnobody:!::0:::::\n' > "$root/etc/shadow"
  chmod 640 "$root/etc/shadow"
  printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' > "$root/etc/hosts"
  printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
  printf 'NAME="alpine-style"\nID=alpine-style\nPRETTY_NAME="alpine-style root of rcr"\n' > "$root/etc/os-release"
  printf '/bin/sh\n' > "$root/etc/shells"
  echo localhost > "$root/etc/hostname"
}

# layer FOLDER OUTPUT: the same tree makes the same bytes.
layer() {
  tar -C "$1" --sort=name --mtime=@0 --numeric-owner --owner=0 --group=0 -cf "$2" .
}

# pack ROOT OUTPUT: a layer, packed.
pack() {
  layer "$1" - | gzip -n -6 > "$2.part"
  mv "$2.part" "$2"
}
