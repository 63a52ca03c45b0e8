# Puts a script, which stdin is, into a new directory that nobody else can
# change, and says where it is and what its SHA-256 is there.
#
# Run behind tool.sh and bases.sh, with these arguments after those of tool.sh:
#   a random number in hexadecimal, which names the directory
#   the name of the script
#   its size in bytes
#   `exec` if the file itself is executed, so that the place must allow it
#
# The answer is one line, `orch1 RANDOM OK TOOL DIGEST DIRECTORY`, followed by
# the file itself if TOOL is `none`; or `orch1 RANDOM ERROR KIND CAUSE`.
#
# shellcheck shell=sh disable=SC2012,SC2154

shift 2
random=$1 name=$2 size=$3 need=$4
dir='' uid=$(id -u) causes=''
umask 077
set -f

fail() {
    [ -z "$dir" ] || rm -rf -- "$dir"
    printf 'orch1 %s ERROR %s %s\n' "$random" "$1" "$(printf '%s' "$2" | tr '\n' ' ')"
    exit 1
}

# Remembers why a place does not serve.
unfit() {
    causes="$causes$1; "
    return 1
}

# Whether nobody but root and us can put something else at a path: each
# directory above it belongs to one of the two, and lets others write only if
# they cannot rename what is not theirs.
is_ours() {
    at=${1%/}
    set --
    while [ -n "$at" ]; do
        set -- "$at" "$@"
        at=${at%/*}
    done
    ls -ldn -- / "$@" | (
        left=$(($# + 1))
        while read -r mode _ owner _; do
            left=$((left - 1))
            case $owner in 0 | "$uid") ;; *) exit 1 ;; esac
            case $mode in
                d????????[tT]*) ;;
                d????w* | d???????w*) exit 1 ;;
                d*) ;;
                *) exit 1 ;;
            esac
        done
        [ "$left" = 0 ]
    )
}

# Makes the directories of `$HOME/.cache/orchestrator` that are missing.
make_cache() {
    for part in "$HOME/.cache" "$HOME/.cache/orchestrator"; do
        [ -d "$part" ] && continue
        home=$(cd -P -- "$HOME" 2>/dev/null && pwd -P) || unfit "$HOME: cannot be entered" || return
        is_ours "$home" || unfit "$home: others could change what is there" || return
        # Another script may be making it too.
        said=$(mkdir -m 700 -- "$part" 2>&1) || [ -d "$part" ] || unfit "$part: ${said##*: }" || return
    done
}

# Makes our directory in a place, and sets `dir`.
settle() {
    [ "$1" != "$HOME/.cache/orchestrator" ] || make_cache || return
    base=$(cd -P -- "$1" 2>/dev/null && pwd -P) || unfit "$1: cannot be entered" || return
    is_ours "$base" || unfit "$base: others could change what is there" || return
    new=${base%/}/orch-$random
    said=$(mkdir -m 700 -- "$new" 2>&1) || unfit "$base: ${said##*: }" || return
    # shellcheck disable=SC2046 # split into the fields of ls
    set -- $(ls -ldn -- "$new")
    case "$1 $3" in
        drwx--[-S]---*" $uid") ;;
        *) unfit "$new: is not ours alone" || return ;;
    esac
    if [ "$need" = exec ] && ! can_execute "$new"; then
        rm -rf -- "$new"
        unfit "$base: programs cannot be executed there (noexec), or it is full" || return
    fi
    dir=$new
}

can_execute() {
    printf '#!/bin/sh\nexit 0\n' 2>/dev/null >"$1/.probe" || return
    chmod 700 "$1/.probe" && "$1/.probe" 2>/dev/null && rm -f -- "$1/.probe"
}

store() {
    set -C
    cat >"$dir/$name"
}

each_base settle || fail place "$causes"
said=$(store 2>&1) || fail store "$said"
chmod 700 "$dir/$name" || fail store 'its mode cannot be set'
# shellcheck disable=SC2046 # split into the fields of ls
set -- $(ls -ln -- "$dir/$name")
[ "$5" = "$size" ] || fail store "$5 of $size bytes arrived"
find_tool
if [ "$tool" = none ]; then
    printf 'orch1 %s OK none - %s\n' "$random" "$dir"
    cat "$dir/$name"
else
    digest <"$dir/$name" || fail store 'it cannot be read back'
    printf 'orch1 %s OK %s %s %s\n' "$random" "$tool" "$sum" "$dir"
fi
