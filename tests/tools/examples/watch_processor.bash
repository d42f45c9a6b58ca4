#!/usr/bin/env bash
# shellcheck disable=SC2154
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir one two

start "$program" one two
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
wrong none none
