# Says what a path leads to, as whoever runs this sees it.
#
# Run by `/bin/sh -c`, with these arguments:
#   nonce  what begins each line of the answer, so that nothing else is one
#   path
#
# Says K and `dir`, `file`, `none` or `other`; A, permissions in octal and
# seconds since 1970, where they can be had; and for a symbolic link L, followed
# to the end of the answer by where it leads.
#
# shellcheck shell=sh

LC_ALL=C
export LC_ALL
say() { echo "orch1 $nonce $*"; }
nonce=$1
case $2 in -*) path=./$2 ;; *) path=$2 ;; esac

if [ -d "$path" ]; then
    say K dir
elif [ -f "$path" ]; then
    say K file
elif [ -e "$path" ]; then
    say K other
else
    say K none
fi
# GNU and busybox have the one, BSD and macOS the other.
say A "$(stat -L -c '%a %Y' "$path" 2>/dev/null || stat -L -f '%Lp %m' "$path" 2>/dev/null)"
if [ -L "$path" ]; then
    say L
    readlink -f "$path"
fi
