#!/usr/bin/env bash
# shellcheck disable=SC2154
# Every upload is whole, the last one is of the last content, and no file is uploaded twice at once.
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir dir target outside

declare -A busy=()
uploads=0 most=0
# follow LINE: keeps account of what is being uploaded.
follow() {
    local name=${1#* }
    case $1 in
    'uploading '*)
        [[ -z ${busy[$name]-} ]] || fail "$name: twice at once"
        busy[$name]=1
        ((${#busy[@]} <= most)) || most=${#busy[@]}
        ;;
    'uploaded '* | 'skipped '*)
        [[ -n ${busy[$name]-} ]] || fail "$1: had not begun"
        unset "busy[$name]"
        [[ $1 == skipped* ]] || ((++uploads))
        ;;
    *) fail "$1" ;;
    esac
}

# until_uploaded NAME...
until_uploaded() {
    local name
    for name; do
        line=
        until [[ $line == "uploaded $name" ]]; do
            next 8
            follow "$line"
        done
    done
}

# random BYTES: so many, at most.
random() { head -c $((RANDOM * 32768 % $1 + 1)) /dev/urandom; }

# 200 files by four writers; some are written again, or moved there.
start "$program" dir target
expect 8 'watching dir'
writers=()
for writer in 0 1 2 3; do
    (
        RANDOM=$writer
        for ((i = writer; i < 200; i += 4)); do
            case $((i / 4 % 5)) in
            0)
                random 100000 >"outside/$i"
                mv "outside/$i" "dir/file $i"
                ;;
            1)
                random 300000 >"dir/file $i"
                random 200000 >"dir/file $i"
                random 100000 >"dir/file $i"
                ;;
            2) random 3000000 >"dir/file $i" ;;
            *) random 50000 >"dir/file $i" ;;
            esac
        done
    ) &
    writers+=($!)
done
wait "${writers[@]}"
kill -INT "$pid"
while IFS= read -r -t "$limit" -u 8 line; do follow "$line"; done
ends 0
[[ $(find target -mindepth 1 | wc -l) == 200 ]] || fail "$(find target)"
for ((i = 0; i < 200; i++)); do
    cmp "dir/file $i" "target/file $i" || fail "file $i"
done
((uploads >= 200 && ${#busy[@]} == 0)) || fail "$uploads uploads, busy: ${!busy[*]}"

# Another start, to another target: what is there already is uploaded once.
mkdir again
uploads=0
start "$program" dir again
while ((uploads < 200)); do
    next 8
    [[ $line == 'watching dir' ]] || follow "$line"
done
kill -INT "$pid"
ends 0
diff -r dir again || fail 'not all was uploaded'

# A partial file that is a pipe without a reader holds its upload up: with seven of the workers
# held, the eighth goes on.
rm -rf dir target
mkdir dir target
start "$program" dir target
expect 8 'watching dir'
for i in {1..7}; do
    mkfifo "target/.slow$i.part"
    random 1000 >"dir/slow$i"
done
for i in {1..7}; do
    next 8
    [[ $line == uploading\ slow? ]] || fail "$line"
    follow "$line"
done
((${#busy[@]} == 7)) || fail "busy: ${!busy[*]}"
for round in {1..20}; do
    echo "$round" >dir/quick
    until_uploaded quick
    [[ $(<target/quick) == "$round" ]] || fail "round $round: $(<target/quick)"
done

# One of the held files is written again, over and over: it waits for itself alone.
for round in {1..50}; do echo "$round" >dir/slow1; done
echo other >dir/other
until_uploaded other
((${#busy[@]} == 7 && most == 8)) || fail "busy: ${!busy[*]}, at most $most"

# The end comes when all are held: what is due is finished first.
mkfifo target/.slow8.part
echo 8 >dir/slow8
next 8
follow "$line"
for i in {1..50}; do echo "$i" >"dir/due$i"; done
kill -INT "$pid"
for i in {1..8}; do
    timeout "$limit" cat "target/.slow$i.part" >"outside/slow$i" || fail "slow$i: not uploaded"
    until_uploaded "slow$i"
    cmp "dir/slow$i" "outside/slow$i" || fail "slow$i"
done
while IFS= read -r -t "$limit" -u 8 line; do follow "$line"; done
ends 0
[[ -f target/slow1 ]] || fail 'slow1: was not uploaded again'
cmp dir/slow1 target/slow1 || fail 'slow1: not its last content'
for i in {1..50}; do cmp "dir/due$i" "target/due$i" || fail "due$i"; done

# What is gone, or no file, is skipped; what fails is told at the end, too.
rm -rf dir target
mkdir dir target
start "$program" dir target
expect 8 'watching dir'
mkdir dir/sub target/.bad.part
ln -s slow1 outside/link
mv outside/link dir
expect 8 'uploading link' 'skipped link'
echo bad >dir/bad
expect 8 'uploading bad' 'failed bad: Is a directory'
kill -INT "$pid"
ends 1
wrong none target
