#!/usr/bin/env bash
# shellcheck disable=SC2154
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir dir

# printed NAME: the next line is the event of this name, in full.
printed() {
    next 8
    [[ $line == "<Event dir=False mask="*" name=$1 path=dir pathname=dir/$1 "*" >" ]] || fail "$line"
}

start "$program" dir
expect 8 'watching dir'
: >dir/.hidden
: >dir/text
printed text
expect 8 'other: text'
: >dir/one.png
printed one.png
expect 8 'picture: one.png'
mv dir/text dir/two.png
printed two.png
expect 8 'picture: two.png'
mv dir/two.png dir/.hidden.png
mv dir/one.png dir/png
printed png
expect 8 'other: png'
interrupt
wrong none
