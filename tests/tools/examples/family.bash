#!/usr/bin/env bash
# shellcheck disable=SC2154
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir one
: >one/c

start "$program" one
expect 8 'watching one'
: >one/l
mv one/l one/m
rm one/m
expect 8 'default: IN_CREATE one/l' 'close: IN_CLOSE_WRITE one/l' 'move: IN_MOVED_FROM one/l' \
    'move: IN_MOVED_TO one/m from one/l' 'default: IN_DELETE one/m'
cat one/c
expect 8 'close: IN_CLOSE_NOWRITE one/c'
interrupt
wrong none
