# A program that compiles in containers: asks for the platform, mounts the project under its user, or copies it into a
# volume and back, stops and removes.
. "$(dirname "$0")/lib.sh"

is "$(rcr version -f '{{ .Server.Os }},,,{{ .Server.Arch }}' | cut -d, -f1,2,3)" "linux,,"
is "$(rcr version -f '{{ .Client.Os }}')" linux
rcr --help > /dev/null
rcr info > /dev/null

# On this machine: the project is mounted, files belong to the caller.
mkdir -p project target
echo 'int main;' > project/main.c
chown 1234:1234 project target
name=cross-1.0-target-0123
state() { rcr ps -a --format '{{.State}}' --filter "name=^/$name\$"; }
is "$(state)" ""
rcr run --userns host -e 'PKG_CONFIG_ALLOW_CROSS=1' -e 'XARGO_HOME=/xargo' -e CARGO_TARGET_DIR=/target \
  -e CROSS_RUNNER= --name $name --rm --user 1234:1234 -v "$PWD/project:/project:z,ro" -v "$PWD/target:/target:z" \
  -w /project -i alpine sh -c 'PATH="$PATH":/rust/bin && cp main.c /target/out && id -g' > compile.out < /dev/null
is "$(cat compile.out)" 1234
is "$(stat -c %u:%g target/out)" 1234:1234

# Elsewhere: a volume, a container that waits, copies in and out.
rcr volume create toolchain > /dev/null
rcr volume inspect toolchain > /dev/null
if rcr volume inspect missing > /dev/null 2>&1; then fail "a volume that is not there"; fi
is "$(rcr volume ls --format '{{.Name}}' --filter 'name=^toolchain')" toolchain
rcr run --name $name -d -v toolchain:/cross -e CROSS_REMOTE=1 -t --user 0:0 alpine sh > run.id
is "$(state)" running
is "$(rcr ps -a --filter "name=^/$name\$" --format '{{.Names}}: {{.State}}')" "$name: running"
rcr exec $name sh -c "mkdir -p '/cross/project/target'"
chmod 640 project/main.c && touch -d '2020-01-02 03:04:05 UTC' project/main.c
ln -s main.c project/link
rcr cp -a project "$name:/cross"
is "$(rcr exec $name stat -c '%a %u %Y' /cross/project/main.c)" "640 0 1577934245"
is "$(rcr exec $name readlink /cross/project/link)" main.c
code=0
rcr exec $name sh -c "[ -d '/cross/none' ]" || code=$?
is $code 1
rcr exec -w /cross/project -e A=1 --user 0:0 $name sh -c 'cat link > target/result; echo built' > build.out
is "$(cat build.out)" built
rcr cp -a "$name:/cross/project/target" out
is "$(cat out/result)" 'int main;'
rcr stop $name --time 2 > /dev/null
is "$(state)" exited
rcr rm $name > /dev/null
rcr volume rm toolchain > /dev/null

# Images of its own.
is "$(rcr images --format '{{.Repository}}:{{.Tag}} {{.ID}}' --filter dangling=false | cut -d' ' -f1)" alpine:latest
is "$(rcr images --format '{{.Repository}}' --filter label=org.example.for-target)" ""
mkdir image && printf 'FROM alpine\nARG TARGET\nRUN echo $TARGET > /target\n' > image/Dockerfile.custom
rcr buildx build --label 'org.example.for-target=t1' --tag example/custom:t1 --build-arg TARGET=t1 --load \
  --file image/Dockerfile.custom --progress plain image 2> build.log || fail "$(cat build.log)"
is "$(rcr images --format '{{.Repository}}:{{.Tag}}' --filter label=org.example.for-target)" example/custom:t1
is "$(rcr run --rm --network none example/custom:t1 cat /target)" t1
rcr rmi example/custom:t1 > /dev/null
