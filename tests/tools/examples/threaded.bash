#!/usr/bin/env bash
# shellcheck disable=SC2154
# A step of it is a line on its standard input.
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir -p one/sub two/sub

start "$program" one two
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
wrong none none
