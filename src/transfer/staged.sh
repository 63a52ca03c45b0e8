# Copies a file to a new name that nobody else can have made, and proves it.
#
# Run by `/bin/sh -c` behind tool.sh, with these arguments after its own:
#   install  and then: the staged file, the new name beside the target, the
#            target, the SHA-256, a mode or nothing, the mode of a new file, and
#            whether to keep the staged file's time (1 or nothing)
#   fetch    and then: the file, the new name, and its owner (1000:1000)
#
# All that is done to the new file is done to the open file, not to its name,
# which could be somebody else's by then.
#
# shellcheck shell=sh disable=SC2154

verb=$3
shift 3

# Gives up, for this reason.
fail() {
    say X "$1"
    rm -f -- "$new"
}

# Runs a command with the new file open as 3, and `$at` its name.
with_new() {
    opened=
    set -C
    umask 077
    { opened=1 && set +C && "$@"; } 3>"$new"
    set +C
    [ -n "$opened" ] || say X create
}

# Copies to the new file and sets `sum`, or fails.
copy() {
    # shellcheck disable=SC2015 # the second is for systems without the first
    [ -e "/proc/$$/fd/3" ] && at=/proc/$$/fd/3 || at=$new
    cat <"$1" >&3 || { fail copy; return 1; }
    { sync "$at" || sync; } 2>/dev/null
    if [ "$tool" != none ]; then
        digest <"$at" || { fail digest; return 1; }
    elif cmp -s -- "$1" "$at"; then
        # The staged file was proven, and this is the same.
        sum=$2
    else
        fail digest
        return 1
    fi
}

# One class of a mode as chmod takes it, from how ls shows it.
class() {
    mode=$mode$1=
    case $2 in r*) mode=${mode}r ;; esac
    case $2 in ?w*) mode=${mode}w ;; esac
    case $2 in
        ??x) mode=${mode}x ;;
        ??s) mode=${mode}xs ;;
        ??S) mode=${mode}s ;;
        ??t) mode=${mode}xt ;;
        ??T) mode=${mode}t ;;
    esac
}

# Sets `mode` and `owner` to those of the target.
learn() {
    # shellcheck disable=SC2046 # the first of its words are none of a name
    set -f -- $(ls -ldn -- "$target")
    set +f
    owner=$3:$4
    rest=${1#?} mode=
    class u "${rest%"${rest#???}"}"
    rest=${rest#???} mode=$mode,
    class g "${rest%"${rest#???}"}"
    rest=${rest#???} mode=$mode,
    class o "${rest%"${rest#???}"}"
}

place() {
    copy "$staged" "$want" || return
    [ "$sum" = "$want" ] || { fail mismatch; return; }
    mode=$new_mode
    if [ -e "$target" ]; then
        learn
        # Only root can give files away; nobody else's must be run as theirs.
        if ! chown "$owner" "$at"; then
            [ "$(id -u)" != 0 ] || { fail owner; return; }
            mode=$mode,ug-s
        fi
    fi
    chmod "${given:-$mode}" "$at" || { fail mode; return; }
    [ -z "$keep" ] || touch -r "$staged" -- "$at" || { fail time; return; }
    mv -f -- "$new" "$target" || { fail rename; return; }
    say P "$sum"
}

hand_over() {
    copy "$file" '' || return
    size=$(wc -c <"$at") || { fail digest; return; }
    chown "$owner" "$at" || { fail owner; return; }
    # shellcheck disable=SC2086 # some put blanks before it
    say P "$sum" $size
}

find_tool
if [ "$verb" = install ]; then
    staged=$1 new=$2 target=$3 want=$4 given=$5 new_mode=$6 keep=$7
    if [ -h "$target" ]; then
        say X symlink
    elif [ -e "$target" ] && ! [ -f "$target" ]; then
        say X file
    else
        with_new place
    fi
else
    file=$1 new=$2 owner=$3
    if ! [ -e "$file" ]; then
        say X missing
    elif ! [ -f "$file" ]; then
        say X file
    elif [ "$tool" = none ]; then
        say X digest
    else
        with_new hand_over
    fi
fi
say Z
