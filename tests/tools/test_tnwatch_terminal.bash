#!/usr/bin/env bash
# shellcheck disable=SC2154
# tnwatch on a terminal: colours and the progress line. test_tnwatch_terminal.bash TNWATCH
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
tnwatch=$(realpath "$1")
command -v script >/dev/null || exit 77
mkdir "$work/tree"
cd "$work/tree" || exit 1

# on_terminal VARIABLE=VALUE...: prints one creation on a terminal of its own.
on_terminal() {
    rm -f file
    start env -u NO_COLOR TERM=xterm "$@" script -qefc "exec '$tnwatch' -e create,oneshot ." /dev/null
    await 8 'tnwatch: ready: *'
    : >file
    next 8
    event=${line%$'\r'}
    next 8
    ends 0
}

on_terminal
[[ $event == $'\e[32mIN_CREATE\e[m          ./file' ]] || fail "$(printf %q "$event")"
for plain in NO_COLOR=1 TERM=dumb; do
    on_terminal "$plain"
    [[ $event == 'IN_CREATE          ./file' ]] || fail "$plain: $(printf %q "$event")"
done
on_terminal NO_COLOR=
[[ $event == $'\e[32m'* ]] || fail "$(printf %q "$event")"

echo "tnwatch on a terminal: all is as it should be"
