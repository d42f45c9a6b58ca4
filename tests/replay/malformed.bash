#!/usr/bin/env bash
# malformed.bash REPLAY: what is no script is refused, with the line and the reason; and what differs fails.
set -euo pipefail
replay=$1
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
failed=0

# refused STATUS "what it says" "the script"
refused() {
    local status=0 said
    printf '%b' "$3" >"$directory/s"
    said=$("$replay" "$directory/s" 2>&1) || status=$?
    if [[ $status != "$1" || $said != *"$2"* ]]; then
        printf 'status %s, wanted %s with "%s":\n%s\nof:\n%b\n' "$status" "$1" "$2" "$said" "$3"
        failed=1
    fi
}

start='mkdir w\nadd w tree CREATE|DELETE|MOVE\n'
end='watched w\n'

refused 2 's:1: "mkdri" is no step' 'mkdri w\n'
refused 2 's:1: mkdir: something is missing' 'mkdir\n'
refused 2 's:1: mkdir: "b" is too much' 'mkdir a b\n'
refused 2 's:1: mkdir: "/a" is no path below' 'mkdir /a\n'
refused 2 's:1: add: "CRATE" is no mask' 'add w tree CRATE\n'
refused 2 's:1: add: "bush" is no flags' 'add w bush CREATE\n'
refused 2 's:3: add: "as" and a name' "${start}add w tree CREATE as\n$end"
refused 2 's:1: stats: "x" is no number' 'stats read x\n'
refused 2 's:1: before: "read2" is no call' 'before read2 1\nend\n'
refused 2 's:1: fail: "EWHAT" is no name' 'fail mark EWHAT 1\n'
refused 2 's:1: record: "/w" is no object' 'record /w CREATE f\n'
refused 2 's:1: the block has no end' 'before mark 1\n'
refused 2 's:1: no block begins' 'end\n'
refused 2 's:2: a block in a block' 'before mark 1\nbefore mark 1\nend\n'
refused 2 's:2: read can'"'"'t stand in a block' 'before mark 1\nread\nend\n'
refused 2 's:1: a mask and a path are missing' 'expect x: CREATE\n'
refused 2 's:1: "CRATE" is no mask' 'expect CRATE w\n'
refused 2 's:1: "oddly" is nothing that an event tells' 'expect CREATE w oddly\n'
refused 2 's:3: "@x" is no label' "${start}record @x CREATE f\n$end"
refused 2 's:3: "moods" is no counter' "${start}stats moods 1\n$end"
refused 2 's:1: no line says what is watched' 'mkdir w\n'
refused 2 'nothing in it' '# a comment\n'
refused 2 'nothing in it' ''

refused 0 '' "$start$end"
refused 1 's:1: rmdir w: No such file' "rmdir w\n$end"
refused 1 's:3: record: no watch stands on "v" now' "${start}record v CREATE f\n$end"
refused 1 's:5: expected  DELETE w:f' "${start}record w CREATE f\nread\nexpect DELETE w:f\n$end"
refused 1 'got       CREATE w:f' "${start}record w CREATE f\nread\nnothing\n$end"
refused 1 'got       CREATE w:f' "${start}record w CREATE f\nread\n$end"
refused 1 'got       nothing in its place' "${start}read\nexpect CREATE w:f\n$end"
refused 1 'is not there, and its going was not told: f' "${start}record w CREATE f\nread\nanything\n$end"
refused 1 'is there, and was not told: w/f' "${start}create w/f\n$end"
refused 1 'has no watch: w/d' "${start}mkdir w/d\n$end"
refused 1 'what is watched differs' "${start}watched\n"
refused 1 'moves: expected 1, got 0' "${start}stats moves 1\n$end"
refused 1 's:3: this never came' "${start}before mark 9\ncreate w/f\nend\nread\n$end"
exit "$failed"
