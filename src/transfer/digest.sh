# Says the SHA-256 of files.
#
# Run by `/bin/sh -c`, with these arguments:
#   nonce  what begins each line of the answer, so that nothing else is one
#   proof  the SHA-256 of the nonce and a newline: a tool that says another is
#          not believed
#   many   and then paths that no tool writes in another way; or
#   each   and then pairs: how much of the file, and its path
# How much is nothing for all of it, or how many times 65536, 256 and 1 bytes.
#
# shellcheck shell=sh

LC_ALL=C
export LC_ALL
nonce=$1 proof=$2 form=$3
shift 3

say() { echo "orch1 $nonce $*"; }

# What the tool says of stdin.
raw() {
    case $tool in
        sha256sum) sha256sum ;;
        shasum) shasum -a 256 ;;
        openssl) openssl dgst -sha256 ;;
        *) false ;;
    esac
}

# Passes on the first bytes of stdin.
first() {
    { [ "$1" = 0 ] || dd bs=65536 count="$1"; } &&
        { [ "$2" = 0 ] || dd bs=256 count="$2"; } &&
        { [ "$3" = 0 ] || dd bs=1 count="$3"; }
}

# Sets `sum` to the SHA-256 of stdin, of all of it or of the first bytes.
digest() {
    if [ $# = 0 ]; then
        sum=$(raw 2>/dev/null) || return
    else
        # A pipe says nothing of what fails at its head.
        sum=$({ { first "$@" && echo whole >&3; } | raw; } 3>&1 2>/dev/null) || return
        case $sum in whole*) sum=${sum#whole?} ;; *) return 1 ;; esac
    fi
    # openssl says `SHA2-256(stdin)= SUM`, the others `SUM  -`.
    sum=${sum#*= }
    sum=${sum%% *}
}

# Says the SHA-256 of one file, read from stdin: its name never matters.
one() {
    if [ -e "$2" ] && ! [ -f "$2" ]; then
        # Opening a pipe would wait for its other end.
        say N "$index"
    elif why=$({ : <"$2"; } 2>&1); then
        # shellcheck disable=SC2086 # three numbers
        if digest $1 <"$2"; then say H "$index $sum"; else say F "$index"; fi
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
    for tool in sha256sum shasum openssl none; do
        sum=$(echo "$nonce" | { digest && echo "$sum"; })
        [ "$sum" = "$proof" ] && break
    done
    say T "$tool"
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
