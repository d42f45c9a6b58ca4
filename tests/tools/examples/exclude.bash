#!/usr/bin/env bash
# shellcheck disable=SC2154
# What is excluded is neither told nor watched.
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir -p tree/src/deep tree/build/deep tree/node_modules/one/two
printf '%s\n' '# comment' '' '/node_modules$' '^tree/build$' '\.o$' >list

start "$program" tree list
watched=()
until next 8 && [[ $line == ready ]]; do watched+=("$line"); done
diff <(printf 'watching %s\n' tree tree/src tree/src/deep) <(printf '%s\n' "${watched[@]}" | sort) >&2 ||
    fail 'watched'
: >tree/src/deep/a.o
: >tree/build/deep/file
: >tree/node_modules/one/file
rmdir tree/node_modules/one/two
: >tree/src/a.c
expect 8 'IN_CREATE tree/src/a.c'
: >tree/src/save~
: >tree/src/save.bak
: >tree/src/SAVE.BAK
: >tree/src/a.O
expect 8 'IN_CREATE tree/src/a.O'
mkdir -p tree/src/node_modules/three tree/src/build/four
expect 8 'IN_CREATE tree/src/build' 'IN_CREATE tree/src/build/four'
: >tree/src/node_modules/three/file
: >tree/src/build/four/file.o
mv tree/src/a.c tree/src/b.o
expect 8 'IN_MOVED_FROM tree/src/a.c'
rm tree/src/a.O
expect 8 'IN_DELETE tree/src/a.O'
interrupt

wrong none list
run 1 "$program" tree none
[[ $rest == 'none: No such file or directory'* ]] || fail "$rest"
echo '(' >list
run 1 "$program" tree list
[[ $rest == 'list: Invalid argument'* ]] || fail "$rest"
echo tree >list
run 1 "$program" tree list
[[ $rest == 'tree: Operation canceled'* ]] || fail "$rest"
