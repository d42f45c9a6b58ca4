#!/bin/sh
# The workloads of tnstress that are done by other people's tools: a function for each.
#   sh -u scripts.sh FUNCTION SEED WRITER ROUND COUNT
# in a directory where "tree" is watched and "outside" is not. prepare_NAME runs once, before there
# is a watch, and makes in "material" what NAME works with, of about COUNT entries; NAME runs in
# several writers at once, and does about COUNT operations. That one of them fails because another
# writer was faster is part of it.

state=$2 writer=$3 round=$4 count=$5
project=$(cd "$(dirname "$0")/../.." && pwd)
export LC_ALL=C HOME="$PWD/material" GIT_CONFIG_NOSYSTEM=1

# r: 0 to $1 - 1
random() {
    state=$(((state * 1103515245 + 12345) & 0x7fffffff))
    r=$(((state >> 8) % $1))
}

# Calls $1 until $count operations are done, $2 each time: pass is 0, 1, 2 …
repeat() {
    pass=0
    while [ $((pass * $2)) -lt "$count" ]; do
        "$1"
        pass=$((pass + 1))
    done
}

# Part of a source tree that is on any machine: entries is how many.
prepare_source() {
    mkdir -p material/source
    # Without the closed pipe's complaint.
    (cd / && find usr/include usr/share/doc "${project#/}/src" "${project#/}/tests" -type d -o \
        -type l -o -type f -size -64k) 2>/dev/null | head -n "$1" >material/list
    tar -C / --no-recursion --hard-dereference -T material/list -cf material/source.tar
    tar -C material/source --no-same-owner -xf material/source.tar
    entries=$(wc -l <material/list)
    [ "$entries" -ge 50 ]
}

use_source() {
    entries=$(wc -l <material/list)
}

thousand_pass() {
    mkdir -p "tree/r$round-$writer-$pass/a/b/c" && touch "tree/r$round-$writer-$pass/a/b/c/f"
}
prepare_thousand() { :; }
thousand() { repeat thousand_pass 1; }

unpack_pass() {
    random 3
    target=tree/unpacked$r
    mkdir -p "$target"
    random 4
    case $r in
    0) tar -C "$target" --no-same-owner --unlink-first -xf material/source.tar ;;
    1) rm -rf "${target:?}/usr" && tar -C "$target" --no-same-owner -xf material/source.tar ;;
    *) tar -C "$target" --no-same-owner -xf material/source.tar ;;
    esac
}
prepare_unpack() { prepare_source $((count / 2)); }
unpack() { use_source; repeat unpack_pass "$entries"; }

copy_pass() {
    random 3
    from=$r
    random 3
    case $((pass % 4)) in
    0) cp -r material/source "tree/copy$round-$writer-$pass" ;;
    1) cp -a material/source "tree/shared$from" ;;
    2) cp -r "tree/shared$from" "tree/again$r" ;;
    3) cp -r --remove-destination material/source/. "tree/shared$r" ;;
    esac
}
prepare_copy() { prepare_source $((count / 4)); }
copy() { use_source; repeat copy_pass "$entries"; }

remove_pass() {
    random 2
    cp -r material/source "tree/removed$r" &
    rm -rf "tree/removed$((1 - r))"
    wait
    rm -rf "tree/removed${r:?}/usr"
}
prepare_remove() { prepare_source $((count / 4)); }
remove() { use_source; repeat remove_pass $((2 * entries)); }

mv_pass() {
    random 4
    from=tree/m$r
    random 4
    to=tree/m$r
    random 8
    case $r in
    0) mv "$from" outside ;;
    1) mv "outside/${from#tree/}" "$to" ;;
    2 | 3) mv "$from/usr" "$to/u$pass" ;;
    4) mv -T "$from" "$to" ;;
    5) mv "$from"/u*/include/* "$to" ;;
    *) mv "$from" "$to" ;;
    esac
}
prepare_mv() { prepare_source $((count / 4)); }
mv_() {
    [ -e "tree/m$writer" ] || cp -r material/source "tree/m$writer"
    repeat mv_pass 10
}

# Versions of a repository that have little in common: other directories, and files where there
# were directories.
commits() {
    awk -v state="$state" -v files=$((count / 4)) '
        function random(bound) { state = state * 16807 % 2147483647; return state % bound }
        BEGIN {
            state = state % 2147483646 + 1
            for (version = 1; version <= 6; version++) {
                print "commit refs/heads/v" version
                print "committer Nobody <nobody@example.org> " 1700000000 + version " +0000"
                print "data 1\n" version
                if (version > 1)
                    print "from refs/heads/v" version - 1
                print "deleteall"
                for (i = 0; i < files; i++) {
                    top = "d" random(5) "/e" (version + random(3)) % 4
                    if (random(3))
                        top = top "/deep/" random(4)
                    print "M " (random(8) ? "100644" : "100755") " inline " top "/f" i
                    print "data 8\n" sprintf("%07d", random(9999999))
                }
                for (i = 0; i < 8; i++) {
                    if ((i + version) % 2)
                        print "M 100644 inline changes" i "/into/a/directory\ndata 2\nx"
                    else
                        print "M " (i % 3 ? "100644" : "120000") " inline changes" i "\ndata 2\nd0"
                }
            }
        }'
}
git_pass() {
    random 3
    clone=tree/clone$writer-$r
    random 6
    version=v$((r + 1))
    if [ ! -d "$clone" ]; then
        git clone -q --no-local --branch "$version" material/repository "$clone"
        return
    fi
    random 8
    case $r in
    0) rm -rf "$clone" ;;
    1) mv "$clone" "tree/clone$writer-$((pass % 3))" ;;
    2) git -C "$clone" gc -q --prune=now ;;
    3) rm -rf "$clone/d1" "$clone/changes1" && git -C "$clone" stash -q ;;
    *) git -C "$clone" checkout -q -f "origin/$version" ;;
    esac
}
prepare_git() {
    git init -q --bare material/repository
    git config --global user.name Nobody
    git config --global user.email nobody@example.org
    git config --global gc.auto 0
    git config --global advice.detachedHead false
    git config --global safe.directory '*'
    commits | git -C material/repository fast-import --quiet
    git -C material/repository symbolic-ref HEAD refs/heads/v1
    git -C material/repository rev-parse -q --verify v6
}
git_() { repeat git_pass $((200 + count / 20)); }

rsync_pass() {
    random 3
    from=material/v$r/
    random 2
    to=tree/synced$r/
    random 6
    case $r in
    0) rsync -a --delete "$from" "$to" ;;
    1) rsync -a --delete-before --ignore-times "$from" "$to" ;;
    2) rsync -a --delay-updates --delete-after "$from" "$to" ;;
    3) rsync -a --backup --backup-dir="../backup$writer" --delete "$from" "$to" ;;
    4) rsync -a --inplace --force "$from" "$to" ;;
    5) rsync -a --temp-dir=../temporary --delete "$from" "$to" ;;
    esac
}
prepare_rsync() {
    prepare_source $((count / 4))
    cp -r material/source material/v0
    # v1: a third of the files is longer, every fifth directory or file has another name.
    cp -r material/source material/v1
    find material/v1 -depth -mindepth 3 | awk 'NR % 5 == 0' |
        while read -r path; do mv "$path" "$path.renamed"; done
    find material/v1 -type f | awk 'NR % 3 == 0' |
        while read -r path; do echo more >>"$path"; done
    # v2: what is a file in v0 is a directory.
    cp -r material/v1 material/v2
    find material/v0 -type f | awk 'NR % 7 == 0' | while read -r path; do
        rm -f "material/v2/${path#material/v0/}"
        mkdir -p "material/v2/${path#material/v0/}/was/a/file"
    done
}
rsync_() { mkdir -p tree/temporary; use_source; repeat rsync_pass "$entries"; }

# A package is put together under a temporary name and renamed; one that stands there is renamed
# aside first, and removed afterwards. $1: the directory of node_modules; $2: how deep.
install_package() {
    random 4
    package=p$r
    modules=$1/node_modules
    staged=$modules/.$package-$writer$pass$2
    mkdir -p "$staged/lib/internal"
    for file in package.json lib/index.js lib/internal/util.js; do
        echo "$file" >"$staged/$file"
    done
    [ "$2" = 0 ] || install_package "$staged" $(($2 - 1))
    # The deeper call has set them to its own.
    modules=$1/node_modules
    staged=$(echo "$modules"/.p?-"$writer$pass$2")
    package=${staged#"$modules"/.}
    package=${package%%-*}
    mv -T "$modules/$package" "$modules/.old-$writer-$pass$2"
    mv -T "$staged" "$modules/$package"
    rm -rf "$modules/.old-$writer-$pass$2"
}
npm_pass() {
    random 2
    application=tree/application$r
    random 4
    install_package "$application" "$r"
    random 12
    [ "$r" != 0 ] || rm -rf "$application/node_modules"
    echo "$pass" >"$application/.package-lock.json.$writer"
    mv "$application/.package-lock.json.$writer" "$application/package-lock.json"
}
prepare_npm() { :; }
npm() { repeat npm_pass 30; }

editors_pass() {
    random 3
    directory=tree/text$r
    random 4
    name=file$r
    file=$directory/$name
    mkdir -p "$directory"
    random 7
    case $r in
    0) # vim: tries whether it may write there; the old file becomes the backup
        : >"$directory/.$name.swp"
        : >"$directory/4913" && rm "$directory/4913"
        mv "$file" "$file~" && echo "$pass" >"$file" && rm "$file~"
        rm "$directory/.$name.swp"
        ;;
    1) # vim with backup kept, and the backup as a copy
        cp "$file" "$file~" && echo "$pass" >"$file"
        ;;
    2) # a new file renamed over the old one
        echo "$pass" >"$file.tmp$writer" && mv "$file.tmp$writer" "$file"
        ;;
    3) # in place
        echo "$pass" >"$file"
        ;;
    4) # emacs: lock, autosave, backup
        ln -s "user@host.$writer:1" "$directory/.#$name"
        echo "$pass" >"$directory/#$name#"
        [ -e "$file~" ] || mv "$file" "$file~"
        echo "$pass" >"$file"
        rm "$directory/#$name#" "$directory/.#$name"
        ;;
    5)
        sed -i "1i$pass" "$file"
        ;;
    6) # the directory itself is replaced
        cp -r "$directory" "$directory.new$writer" && rm -rf "$directory.old"
        mv -T "$directory" "$directory.old" && mv -T "$directory.new$writer" "$directory"
        ;;
    esac
}
prepare_editors() { :; }
editors() { repeat editors_pass 6; }

mkdir -p material
case $1 in
git | mv | rsync) "$1_" ;; # else they would call themselves
*) "$1" ;;
esac
