# shellcheck shell=bash disable=SC2034
# For the scripts here: runs a program and reads its lines as they come. Nothing sleeps; every wait
# is for a line or an end, and a time limit fails it.
set -u
limit=20

work=$(mktemp -d)
mkdir "$work/io"
pid=
finish() {
    [[ -z $pid ]] || { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "FAILED: ${BASH_SOURCE[-1]##*/}:${BASH_LINENO[-2]}: $*" >&2
    [[ ! -s $work/io/log ]] || tail -n 20 "$work/io/log" | sed 's/^/  | /' >&2
    exit 1
}

# Starts a program with its input at descriptor 7, its output at 8 and its messages at 9.
start() {
    rm -f "$work/io/"*
    mkfifo "$work/io/in" "$work/io/out" "$work/io/err"
    "$@" <"$work/io/in" >"$work/io/out" 2>"$work/io/err" &
    pid=$!
    exec 7>"$work/io/in" 8<"$work/io/out" 9<"$work/io/err"
}

# next FD: the next line into $line.
next() {
    IFS= read -r -t "$limit" -u "$1" line || fail "no line at $1, only '$line'"
    printf '%s\n' "$line" >>"$work/io/log"
}

# expect FD LINE...: the next lines are these.
expect() {
    local fd=$1 wanted
    shift
    for wanted; do
        next "$fd"
        [[ $line == "$wanted" ]] || fail "expected '$wanted', got '$line'"
    done
}

# await FD PATTERN: skips lines until one matches.
await() {
    # shellcheck disable=SC2053
    until next "$1" && [[ $line == $2 ]]; do :; done
}

# ends STATUS: the program ends by itself or has been told to, and has said nothing more to its
# output. What is left of its messages goes into $rest.
ends() {
    local status more
    rest=
    exec 7>&-
    if IFS= read -r -t "$limit" -u 8 more; then
        fail "one line too many: '$more'"
    elif (($? > 128)); then
        fail "it does not end"
    fi
    while IFS= read -r -t "$limit" -u 9 more; do rest+=$more$'\n'; done
    wait "$pid"
    status=$?
    pid=
    exec 8<&- 9<&-
    [[ $status == "$1" ]] || fail "exit status $status, expected $1; $rest"
}

# run STATUS COMMAND...: a program that ends; its output into $out, its messages into $rest.
run() {
    local wanted=$1 status
    shift
    out=$(timeout "$limit" "$@" 2>"$work/io/messages" </dev/null)
    status=$?
    rest=$(<"$work/io/messages")
    [[ $status == "$wanted" ]] || fail "$*: exit status $status, expected $wanted; $rest"
}
