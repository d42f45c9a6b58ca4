#!/usr/bin/env bash
# shellcheck disable=SC2154
# The counts are those of what happened.
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir -p tree/sub

start "$program" tree file
expect 8 'watching tree'
: >tree/a
: >tree/sub/b
: >tree/sub/c
mv tree/a tree/sub/d
rm tree/sub/b
: >tree/e
kill -USR1 "$pid"
declare -A count=()
sum=0
until next 8 && [[ $line == -- ]]; do
    read -ra words <<<"$line"
    [[ $line == '<'* ]] || count[${words[0]}]=${words[-1]}
    [[ $line != IN_* || $line == IN_ISDIR* ]] || ((sum += words[-1]))
done
wanted='4 4 1 1 1'
[[ "${count[IN_CREATE]} ${count[IN_CLOSE_WRITE]} ${count[IN_MOVED_FROM]} ${count[IN_MOVED_TO]} ${count[IN_DELETE]}" == "$wanted" ]] ||
    fail "counts: ${count[*]}"
[[ ${count[delivered]} == "$sum" && ${count[watches]} == 2 && ${count[dropped]} == 0 ]] ||
    fail "delivered ${count[delivered]} of $sum at ${count[watches]} watches"

# The file has what happened until the end, and is never written over.
: >tree/last
interrupt
[[ $(stat -c %a file) == 600 ]] || fail "$(ls -l file)"
grep -q '^IN_CREATE  *@*  *5$' file || fail "$(<file)"
cp file before
start "$program" tree file
expect 8 'watching tree'
kill -INT "$pid"
ends 1
[[ $rest == *'File exists'* ]] || fail "$rest"
cmp file before || fail 'written over'
wrong none other
