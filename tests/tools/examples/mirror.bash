#!/usr/bin/env bash
# shellcheck disable=SC2154
# The list is the tree, after any operations.
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir -p tree/there/since outside
: >tree/there/file

# same WHEN: reads a list, and compares it with the tree.
same() {
    local list=()
    until next 8 && [[ $line == -- ]]; do list+=("$line"); done
    diff <(find tree -mindepth 1 | sort) <(printf '%s\n' "${list[@]}" | sed '/^$/d' | sort) >&2 ||
        fail "$1: the list is not the tree"
}
# check WHEN: when it is asked.
check() {
    kill -USR1 "$pid"
    same "$1"
}

start "$program" tree
expect 8 'watching tree'
check 'what was there'
mkdir -p tree/a/b/c tree/ab
: >tree/a/b/c/file
: >tree/ab/file
check 'deep at once'
mv tree/a tree/moved
check 'a directory moves'
mv tree/moved/b tree/ab
: >tree/ab/b/c/later
check 'to another directory'
mv tree/ab/b tree/ab/file outside
check 'out of the tree'
mv outside/b outside/file tree/moved
: >tree/moved/b/c/again
check 'and in again'
: >tree/one
: >tree/two
mv tree/one tree/two
mkdir tree/empty
mv -T tree/moved tree/empty
check 'in the place of another'
mkdir tree/left tree/right
: >tree/left/l
: >tree/right/r
mv tree/left tree/between
mv tree/right tree/left
mv tree/between tree/right
check 'two change places'
rm -r tree/*
check 'all is deleted'

# pick ROOT ARGUMENT...: one of what find finds there, into $picked.
pick() {
    mapfile -t found < <(find "$@")
    picked=${found[RANDOM % ${#found[@]}]}
}
RANDOM=${SEED:=$RANDOM}
for round in {1..12}; do
    for _ in {1..25}; do
        pick tree outside -type d
        directory=$picked
        pick tree outside
        item=$picked
        name=$directory/$((RANDOM % 6))
        case $((RANDOM % 8)) in
        0) mkdir -p "$name/$((RANDOM % 6))/$((RANDOM % 6))" ;;
        1) (: >"$name") ;;
        2) cp -r "$item" "$name" ;;
        3) [[ $item == tree || $item == outside ]] || rm -r "$item" ;;
        *) [[ $item == tree || $item == outside ]] || mv -T "$item" "$name" ;;
        esac
    done 2>/dev/null
    check "round $round of seed $SEED"
done

# The end prints it, too, with all that happened before.
freeze
kill -INT "$pid"
mkdir -p tree/last/{a..z}/{1..20}
kill -CONT "$pid"
same 'the end'
ends 0
[[ -z $rest ]] || fail "$rest"
wrong none
