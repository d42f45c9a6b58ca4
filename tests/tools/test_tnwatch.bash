#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2016,SC1003
# tnwatch on real directories: test_tnwatch.bash TNWATCH
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
tnwatch=$(realpath "$1")

# Starts it in an empty directory "tree", and waits until its watches stand.
watch() {
    rm -rf "$work/tree"
    mkdir "$work/tree"
    cd "$work/tree" || exit 1
    start "$tnwatch" "$@"
    await 9 'tnwatch: ready: * watch* in *.* s'
    ready=$line
}

end() {
    kill -INT "$pid"
    ends 0
}

# One line for each event, in order, with the path; the current directory is the default.
watch
[[ $ready == 'tnwatch: ready: 1 watch in '* ]] || fail "$ready"
echo text >file
mv file other
rm other
mkdir sub
rmdir sub
expect 8 'IN_CREATE          ./file' 'IN_MODIFY          ./file' 'IN_CLOSE_WRITE     ./file' \
    'IN_MOVED_FROM      ./file' 'IN_MOVED_TO        ./file -> ./other' 'IN_DELETE          ./other' \
    'IN_CREATE|IN_ISDIR ./sub' 'IN_DELETE|IN_ISDIR ./sub'
end

# SIGTERM ends it as ^C does, and what happened before is still printed. A second signal at once
# is the same one.
watch -e create
: >one
: >two
kill -TERM "$pid"
kill -TERM "$pid" 2>/dev/null
expect 8 'IN_CREATE          ./one' 'IN_CREATE          ./two'
ends 0

# -r -a: what is there and what comes; the paths are those of the arguments, in any form.
mkdir -p "$work/two/below"
watch -r -a -e create -e DELETE,IN_MOVE . "$work/two"
[[ $ready == 'tnwatch: ready: 3 watches in '* ]] || fail "$ready"
: >"$work/two/below/file"
expect 8 "IN_CREATE          $work/two/below/file"
mkdir a
expect 8 'IN_CREATE|IN_ISDIR ./a'
mkdir a/b
next 8
[[ $line =~ ^'IN_CREATE|IN_ISDIR'('|SYNTHETIC')?' ./a/b'$ ]] || fail "$line"
mv a c
await 8 'IN_MOVED_TO|IN_ISDIR ./a -> ./c'
: >c/file
expect 8 'IN_CREATE          ./c/file'
end

# Without -r, what is below is not told. Everything that is asked for with -e is.
watch -e all_events
mkdir d
: >d/file
expect 8 'IN_CREATE|IN_ISDIR ./d'
: <d/file
: >last
expect 8 'IN_CREATE          ./last'
await 8 'IN_CLOSE_WRITE     ./last'
end

# Names are bytes: a line stays a line.
watch -e create
: >$'new\nline\t\x01\\'
: >$'bad\xff'
: >'snow ☃'
expect 8 'IN_CREATE          ./new\nline\t\x01\\' 'IN_CREATE          ./bad\xff' \
    'IN_CREATE          ./snow ☃'
end

# --json
watch --json -e create,move
: >$'a"\n\xff'
mv $'a"\n\xff' b
mkdir d
next 8
[[ $line == '{"events":["IN_CREATE"],"mask":256,"path":".","name":"a\"\u000a\ufffd","name_bytes":"61220aff","pathname":"./a\"\u000a\ufffd","pathname_bytes":"2e2f61220aff","src_pathname":null,"cookie":0,"wd":'[0-9]*',"dir":false,"synthetic":false,"path_unknown":false,"unwatched":false,"gap":null,"error":null,"sequence":'[0-9]*'}' ]] || fail "$line"
next 8
[[ $line == '{"events":["IN_MOVED_FROM"],'*'"cookie":'[1-9]* ]] || fail "$line"
next 8
[[ $line == '{"events":["IN_MOVED_TO"],'*'"pathname":"./b","src_pathname":"./a\"\u000a\ufffd","src_pathname_bytes":"2e2f61220aff","cookie":'[1-9]* ]] || fail "$line"
next 8
[[ $line == '{"events":["IN_CREATE","IN_ISDIR"],"mask":1073742080,'*'"dir":true,'* ]] || fail "$line"
end

# -x: neither watched nor reported.
watch -r -a -e create -x '/skip$' -x '\.o$'
mkdir skip
: >skip/file
: >x.o
: >x.c
expect 8 'IN_CREATE          ./x.c'
end

# --threads and --order
for order in tree notifier directory path none TREE; do
    watch --threads 3 --order $order -e create
    : >file
    expect 8 'IN_CREATE          ./file'
    end
done

# It ends by itself when what it watches is gone.
mkdir "$work/gone"
watch -e create,delete_self "$work/gone"
rmdir "$work/gone"
expect 8 "IN_DELETE_SELF     $work/gone"
ends 0
[[ $rest == *'nothing is left to watch'* ]] || fail "$rest"

# A file; with oneshot, its first event ends it. IN_IGNORED is printed if asked for.
: >"$work/file"
watch -e attrib,oneshot,ignored "$work/file"
touch "$work/file"
expect 8 "IN_ATTRIB          $work/file" "IN_IGNORED         $work/file"
ends 0

# -v: counters at the end.
watch -v -e create
: >file
expect 8 'IN_CREATE          ./file'
end
[[ $rest == *delivered* ]] || fail "no counters: $rest"

# Many at once: each whole, once and in order.
watch -r -a -e create
(for ((i = 0; i < 3000; i++)); do : >"$i"; done)
for ((i = 0; i < 3000; i++)); do expect 8 "IN_CREATE          ./$i"; done
end

# A directory that cannot be watched is told, and does not end it.
if ((EUID == 0)) && command -v setpriv >/dev/null &&
    setpriv --reuid 65534 --clear-groups "$tnwatch" --version >/dev/null 2>&1; then
    chmod 755 "$work"
    mkdir -p "$work/locked/in"
    chmod 700 "$work/locked/in"
    chmod 755 "$work/locked"
    start setpriv --reuid 65534 --clear-groups "$tnwatch" -r -e create "$work/locked"
    expect 8 "IN_ISDIR|UNWATCHED $work/locked/in: Permission denied"
    await 9 "tnwatch: cannot watch '$work/locked/in': Permission denied"
    : >"$work/locked/file"
    expect 8 "IN_CREATE          $work/locked/file"
    end
fi

# A reader that goes away ends it; so does a full disk, with a message.
watch -e create
exec 8<&-
: >file
exec 8</dev/null
ends 1
[[ $rest == '' ]] || fail "$rest"
start bash -c 'exec "$0" -e create . >/dev/full' "$tnwatch"
await 9 'tnwatch: ready: *'
: >another
ends 1
[[ $rest == 'tnwatch: standard output: No space left on device'* ]] || fail "$rest"

# Wrong paths: each is told.
run 1 "$tnwatch" "$work/none" . "$work/neither"
[[ $rest == "tnwatch: cannot watch '$work/none': No such file or directory
tnwatch: cannot watch '$work/neither': No such file or directory" ]] || fail "$rest"
run 1 "$tnwatch" -x tree "$work/tree"
[[ $rest == *'excluded by -x'* ]] || fail "$rest"
run 1 "$tnwatch" -e create,onlydir "$work/file"

# Wrong usage.
for wrong in '--none' '-e none' '-e mask_add' '-e' '-x [' '--threads 0' '--threads 2000' \
    '--threads x' '--order up' '--json=1' '-e create,'; do
    read -ra words <<<"$wrong"
    run 2 "$tnwatch" "${words[@]}"
    [[ $rest == 'tnwatch: '*$'\n'"Try 'tnwatch --help' for more information." ]] || fail "$wrong: $rest"
    [[ -z $out ]] || fail "$wrong: $out"
done

run 0 "$tnwatch" --version
[[ $out =~ ^tnwatch\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "$out"
run 0 "$tnwatch" --help
[[ $out == 'Usage: tnwatch '*'--recursive'*'--auto-add'*'--verbose'*'--events EVENTS'*'--exclude REGEX'*'--json'*'--threads N'*'--order ORDER'* ]] || fail "$out"
run 1 bash -c '"$0" --help >/dev/full' "$tnwatch"

echo "tnwatch: all is as it should be"
