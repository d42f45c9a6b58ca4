# shellcheck shell=bash disable=SC2034
# For the scripts here, each of which gets its example's program: SCRIPT PROGRAM
# shellcheck source=SCRIPTDIR/../lib.bash
. "$(dirname "${BASH_SOURCE[0]}")/../lib.bash"
program=$(realpath "$1")
cd "$work" || exit 1

# interrupt: ^C ends it, and it has nothing more to say.
interrupt() {
    kill -INT "$pid"
    ends 0
}

# freeze: it does nothing until a kill -CONT.
freeze() {
    kill -STOP "$pid"
    until [[ $(<"/proc/$pid/stat") == *') '[TZ]' '* ]]; do :; done
}

# wrong ARGUMENT...: what the first names is not there; no argument at all is told, too.
wrong() {
    run 2 "$program"
    [[ $rest == usage:* ]] || fail "$rest"
    run 1 "$program" "$@"
    [[ $rest == *'No such file or directory'* && $rest != *Sanitizer* ]] || fail "$rest"
}
