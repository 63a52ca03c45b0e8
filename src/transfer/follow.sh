# Says the SHA-256 of a file that is still being written.
#
# Run by `/bin/sh -c` behind tool.sh, with these arguments after its own: the tool
# to be tried first, or nothing; and the path. Stdin has a line for each stretch
# that has been written since the last one: how many times 1048576 bytes. `end`
# is the last: all is there, and what is left is read to its end.
#
# shellcheck shell=sh disable=SC2034,SC2154

favourite=$3 path=$4

# Passes on the file, stdin, as far as it is said on 4 to be there.
follow() {
    while read -r more <&4; do
        [ "$more" = end ] && {
            cat
            return
        }
        dd bs=1048576 count="$more" || return
    done
    # Nobody is there any more to be told.
    return 1
}

find_tool </dev/null
if [ "$tool" != none ]; then
    if digest follow 4<&0 <"$path"; then say H 0 "$sum"; else say F 0; fi
fi
say Z
