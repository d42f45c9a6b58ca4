#!/usr/bin/env bash
# shellcheck disable=SC2154
# The examples on real directories: test_examples.bash MONITOR THREADED FAMILY WATCH_PROCESSOR
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
monitor=$(realpath "$1")
threaded=$(realpath "$2")
family=$(realpath "$3")
watch_processor=$(realpath "$4")
cd "$work" || exit 1
mkdir -p one/sub two/sub

# A directory and all below it, now and later.
start "$monitor" one
expect 8 'Watching: one'
: >one/a
: >one/sub/b
mkdir one/new
expect 8 'Create: one/a' 'Create: one/sub/b' 'Create: one/new'
mkdir one/new/er
expect 8 'Create: one/new/er'
rm -r one/new one/a
expect 8 'Remove: one/new/er' 'Remove: one/new' 'Remove: one/a'
: >one/last
kill -INT "$pid"
expect 8 'Create: one/last'
ends 0

start "$threaded" one two
expect 8 'watching one and two'
: >one/c
expect 8 'IN_CREATE one/c'
: >two/sub/d
expect 8 'IN_CREATE two/sub/d'
echo >&7
expect 8 'removed one alone'
: >one/e
: >one/sub/f
expect 8 'IN_CREATE one/sub/f'
: >two/g
expect 8 'IN_CREATE two/g'
echo >&7
expect 8 'removed two and all below'
: >two/h
: >two/sub/i
: >one/sub/j
expect 8 'IN_CREATE one/sub/j'
: >one/sub/k
echo >&7
expect 8 'IN_CREATE one/sub/k' 'stopped'
ends 0

start "$family" one
expect 8 'watching one'
: >one/l
mv one/l one/m
rm one/m
expect 8 'default: IN_CREATE one/l' 'close: IN_CLOSE_WRITE one/l' 'move: IN_MOVED_FROM one/l' \
    'move: IN_MOVED_TO one/m from one/l' 'default: IN_DELETE one/m'
cat one/c
expect 8 'close: IN_CLOSE_NOWRITE one/c'
kill -INT "$pid"
ends 0

start "$watch_processor" one two
expect 8 'watching one and two'
: >one/n
expect 8 "notifier's: IN_CREATE one/n"
: >two/o
expect 8 'own: IN_CREATE two/o'
rm one/n
expect 8 "notifier's: IN_DELETE one/n"
exec 7>&-
next 8
released=$line
next 8
[[ $released$line == "released: ownreleased: notifier's" || $released$line == "released: notifier'sreleased: own" ]] ||
    fail "$released, $line"
ends 0

wrong() {
    run 2 "$1"
    [[ $rest == usage:* ]] || fail "$rest"
    run 1 "$@"
    [[ $rest == *'No such file or directory'* ]] || fail "$rest"
}
wrong "$monitor" none
wrong "$threaded" none none
wrong "$family" none
wrong "$watch_processor" none none

echo "examples: all is as it should be"
