#!/usr/bin/env bash
# shellcheck disable=SC2154
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir -p tree/sub/deep flow
: >tree/sub/deep/file
few='now IN_CREATE|IN_DELETE'
more='now IN_MODIFY|IN_CLOSE_WRITE|IN_CREATE|IN_DELETE'

# The new mask holds for the root and what is below, from the update on.
start "$program" tree
expect 8 "$few"
for round in 1 2 3; do
    echo text >>tree/sub/deep/file
    : >tree/$round
    expect 8 "IN_CREATE tree/$round"
    kill -USR1 "$pid"
    expect 8 "$more"
    echo text >>tree/sub/deep/file
    : >tree/$round.more
    expect 8 'IN_MODIFY tree/sub/deep/file' 'IN_CLOSE_WRITE tree/sub/deep/file' \
        "IN_CREATE tree/$round.more" "IN_CLOSE_WRITE tree/$round.more"
    mkdir tree/sub/new$round
    expect 8 "IN_CREATE tree/sub/new$round"
    echo text >tree/sub/new$round/file
    expect 8 "IN_CREATE tree/sub/new$round/file" "IN_MODIFY tree/sub/new$round/file" \
        "IN_CLOSE_WRITE tree/sub/new$round/file"
    kill -USR2 "$pid"
    expect 8 "$few"
done
interrupt

# While events flow, none of what is always asked for is lost or told twice.
start "$program" flow
expect 8 "$few"
(for ((i = 0; i < 5000; i++)); do : >"flow/$i"; done) &
writer=$!
created=0 closed=0 updates=0 signal=USR1
while ((created < 5000)); do
    next 8
    case $line in
    "IN_CREATE flow/$created")
        ((++created % 250)) || kill -$signal "$pid"
        ;;
    IN_CLOSE_WRITE*) ((++closed)) ;;
    "$more") signal=USR2 updates=$((updates + 1)) ;;
    "$few") signal=USR1 updates=$((updates + 1)) ;;
    *) fail "$line instead of $created" ;;
    esac
done
wait "$writer"
kill -INT "$pid"
while IFS= read -r -t "$limit" -u 8 line; do
    [[ $line != IN_CREATE* ]] || fail "$line"
done
ends 0
((updates > 1)) || fail "$updates updates"
wrong none
