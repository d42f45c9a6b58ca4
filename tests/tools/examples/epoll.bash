#!/usr/bin/env bash
# shellcheck disable=SC2154
# Each descriptor is served, whatever comes from the others.
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir -p tree/sub

start "$program" tree
expect 8 'watching tree'
: >tree/a
expect 8 'IN_CREATE tree/a'
echo hello >&7
expect 8 'input: hello'
mkdir tree/new
: >tree/new/b
expect 8 'IN_CREATE tree/new' 'IN_CREATE tree/new/b'
rm tree/a
expect 8 'IN_DELETE tree/a'
echo again >&7
expect 8 'input: again'

# Many events, and a line every 100 of them. Each is told once and in order; one read may take two
# lines.
(for ((i = 0; i < 3000; i++)); do : >"tree/sub/$i"; done) &
writer=$!
created=0 sent=0 served=0
while ((created < 3000 || served < sent)); do
    next 8
    if [[ $line == "IN_CREATE tree/sub/$created" ]]; then
        ((++created % 100)) || echo "$((sent++))" >&7
    elif [[ ${line#input: } == "$served" ]]; then
        ((++served))
    else
        fail "$line, $created, $served"
    fi
done
wait "$writer"
((served == 30)) || fail "served $served"

# ^C: what happened before it is served is still told. Both wait for the program here, and ^C first.
freeze
kill -INT "$pid"
: >tree/last
kill -CONT "$pid"
expect 8 'IN_CREATE tree/last'
ends 0

# The end of standard input, too.
start "$program" tree
expect 8 'watching tree'
: >tree/more
exec 7>&-
expect 8 'IN_CREATE tree/more'
ends 0
wrong none
