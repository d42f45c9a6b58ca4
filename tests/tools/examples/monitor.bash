#!/usr/bin/env bash
# shellcheck disable=SC2154
# A directory and all below it, now and later.
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir -p one/sub

start "$program" one
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
wrong none
