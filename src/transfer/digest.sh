# Says the SHA-256 of files.
#
# Run by `/bin/sh -c` behind tool.sh, with these arguments after its own: the tool
# to be tried first, or nothing; and
#   many   and then paths that no tool writes in another way; or
#   each   and then pairs: how much of the file, and its path
# How much is nothing for all of it, or how many times 65536, 256 and 1 bytes.
#
# `favourite` is what tool.sh tries first.
#
# shellcheck shell=sh disable=SC2034,SC2154

favourite=$3 form=$4
shift 4

# Says the SHA-256 of one file, read from stdin: its name never matters.
one() {
    if [ -e "$2" ] && ! [ -f "$2" ]; then
        # Opening a pipe would wait for its other end.
        say N "$index"
    elif why=$({ : <"$2"; } 2>&1); then
        # shellcheck disable=SC2086 # three numbers
        if digest ${1:+first $1} <"$2"; then say H "$index $sum"; else say F "$index"; fi
    else
        case $why in
            *'ermission denied'*) say D "$index" ;;
            *'o such file'* | *'ot a directory'*) say M "$index" ;;
            *) say F "$index" ;;
        esac
    fi
    index=$((index + 1))
}

# Whether a tool can be given all of these at once.
regular() {
    for file; do
        [ -f "$file" ] && [ -r "$file" ] || return 1
    done
}

main() {
    find_tool
    [ "$tool" = none ] && return
    index=0
    if [ "$form" = each ]; then
        while [ $# -gt 0 ]; do
            one "$1" "$2"
            shift 2
        done
        return
    fi
    lines=
    if [ "$tool" != openssl ] && regular "$@"; then
        case $tool in
            sha256sum) lines=$(sha256sum -- "$@" 2>/dev/null) || lines= ;;
            shasum) lines=$(shasum -a 256 -- "$@" 2>/dev/null) || lines= ;;
        esac
    fi
    if [ -n "$lines" ]; then
        say B
        # Not by echo, which may read a meaning into a name: none has a
        # backslash, and these lines begin with a digit or a letter.
        echo "$lines"
    else
        for file; do one '' "$file"; done
    fi
}

main "$@" </dev/null
say Z
