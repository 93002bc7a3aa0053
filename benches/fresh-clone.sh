#!/bin/sh
# Clones HEAD into a temporary folder and times there what the README promises a stranger: two
# commands, and the first HELLO of the lecture's programs. Prints a Markdown table.
#
# usage: benches/fresh-clone.sh [--quick]      --quick: the lecture's first HELLO alone
#
# Crates that cargo has already downloaded are not downloaded again; a first download comes on top.
set -eu

case "${1-}" in
'') quick= ;;
--quick) quick=yes ;;
*)
    echo "usage: $0 [--quick]" >&2
    exit 2
    ;;
esac

root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
place=$(mktemp -d)
server=
child=

tidy_up() {
    for pid in $child $server; do
        kill "$pid" 2>/dev/null || :
    done
    rm -rf "$place"
}
trap tidy_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A target directory of the caller's would not be fresh.
unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR

# In the background and awaited, so that a signal is heard while a build goes on. A shell gives
# what is in the background /dev/null to read; descriptor 3 keeps what the caller gave.
in_time() {
    timeout --kill-after=10 1800 "$@" <&3 3<&- &
    child=$!
    status=0
    wait "$child" || status=$?
    child=
    return "$status"
} 3<&0

now_ms() { date +%s%3N; }

row() {
    printf '| %s | %d.%d s | %s |\n' "$1" $(($2 / 1000)) $(($2 % 1000 / 100)) "$3"
}

git clone --quiet --no-hardlinks "$root" "$place/stentor"
cd "$place/stentor"
commit=$(git rev-parse --short HEAD)
echo "fresh-clone: $commit, $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)" >&2

printf '| in a fresh clone | time | result |\n|---|---|---|\n'

# Port 0, so that nothing of the caller's is in the way; the server says which one it got.
from=$(now_ms)
mkfifo "$place/ready"
in_time cargo build -q -p lecture --bin tcp_server --bin tcp_client
"$PWD/target/debug/tcp_server" 0 >"$place/ready" &
server=$!
read -r line <"$place/ready"
port=${line##* }
echo hello >"$place/hello"
answer=$(timeout 30 cargo run -q -p lecture --bin tcp_client -- 127.0.0.1 "$port" <"$place/hello")
took=$(($(now_ms) - from))
kill "$server"
server=
case "$answer" in
*'From Server: HELLO') row "the lecture's first HELLO" "$took" HELLO ;;
*) row "the lecture's first HELLO" "$took" "**wrong: $answer**"; exit 1 ;;
esac
[ -z "$quick" ] || exit 0

from=$(now_ms)
in_time cargo run --release <"$place/hello" >"$place/answer" 2>"$place/log" ||
    { tail -20 "$place/log" >&2; row '`echo hello \| cargo run --release`' 0 '**failed**'; exit 1; }
one=$(($(now_ms) - from))
answer=$(cat "$place/answer")
[ "$answer" = HELLO ] || { row '`echo hello \| cargo run --release`' "$one" "**wrong: $answer**"; exit 1; }
row '`echo hello \| cargo run --release`' "$one" HELLO

from=$(now_ms)
verdict=passed
in_time cargo test --workspace </dev/null >"$place/tests" 2>&1 || verdict='**failed**'
two=$(($(now_ms) - from))
passed=$(awk '/^test result:/ { sum += $4 } END { print sum + 0 }' "$place/tests")
row '`cargo test --workspace`' "$two" "$verdict, $passed tests"
row 'both commands' $((one + two)) ''
[ "$verdict" = passed ] || { grep -E '^(test .* FAILED|error)|panicked' "$place/tests" >&2; exit 1; }
