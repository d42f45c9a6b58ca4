#!/usr/bin/env bash
# shellcheck disable=SC2154
# However the file is changed, the configuration in use is the last good one.
# shellcheck source=SCRIPTDIR/lib.bash
. "$(dirname "$0")/lib.bash"
mkdir etc other
printf 'threads = 2\ntitle = first\n' >etc/app.conf

start "$program" etc/app.conf
expect 8 'loaded: threads 2, title first'

# Written in place.
printf '# two\n\nthreads = 3\ntitle = in place\n' >etc/app.conf
expect 8 'reloaded: threads 3, title in place'

# Replaced, as editors and deployments do: again and again, and from elsewhere.
for i in 1 2 3; do
    printf 'threads = %d\n' "$i" >etc/app.conf.new
    mv etc/app.conf.new etc/app.conf
    expect 8 "reloaded: threads $i, title untitled"
done
printf 'threads = 64\n' >other/app.conf
mv other/app.conf etc
expect 8 'reloaded: threads 64, title untitled'
printf 'title = after\n' >etc/app.conf
expect 8 'reloaded: threads 1, title after'

# Bad content, in every way that it can come.
for bad in 'threads = 0' 'threads = 65' 'threads = many' 'colour = red' $'threads = 9\ncolour'; do
    echo "$bad" >etc/new
    mv etc/new etc/app.conf
    expect 9 'etc/app.conf: Invalid argument'
    expect 8 'kept: threads 1, title after'
done
mkdir other/app.conf
rm etc/app.conf
mv -T other/app.conf etc/app.conf

# Other files, and the end of this one, do not matter.
rm -r etc/app.conf
: >etc/app.conf~
mv etc/app.conf~ etc/app
echo 'title = back' >etc/app.conf
expect 8 'reloaded: threads 1, title back'
interrupt

# By its name alone, and by a path that is not relative.
cd etc || exit 1
start "$program" app.conf
expect 8 'loaded: threads 1, title back'
echo 'threads = 4' >app.conf
expect 8 'reloaded: threads 4, title untitled'
interrupt
cd "$work" || exit 1
start "$program" "$work/etc/app.conf"
expect 8 'loaded: threads 4, title untitled'
echo 'threads = 5' >etc/app.conf
expect 8 'reloaded: threads 5, title untitled'
interrupt

wrong none/app.conf
run 1 "$program" etc/none
