# Adds one key to the login user's ~/.ssh/authorized_keys, or takes it out.
#
# Run by `/bin/sh -c` with these arguments:
#   $1  add or remove
#   $2  the key: type, blank, base64
#   $3  what is written after it, possibly nothing
#
# The last line on stdout says what was done: added, present, removed or
# absent; or `failed` and why. The file is replaced as a whole or not at all.
#
# shellcheck shell=sh

set -u
umask 077
LC_ALL=C
export LC_ALL

change=$1
key=$2
type=${key%% *}
blob=${key#* }
line=$key${3:+ $3}
tab=$(printf '\t')
cr=$(printf '\r')
temp=

answer() {
    [ -z "$temp" ] || rm -f -- "$temp"
    printf 'orch-keys %s\n' "$*"
    exit 0
}

full() {
    answer failed "$dir: the new file cannot be written; the disk may be full"
}

# Whether `$1` is a line of the key: the same blob after the same type, with
# options before them or not. A blob inside an option or a comment is not it.
is_the_key() {
    case $1 in *"$blob"*) ;; *) return 1 ;; esac
    rest=$1
    skip_blanks
    case $rest in "#"*) return 1 ;; esac
    begins_with_key && return
    past_options
    skip_blanks
    begins_with_key
}

skip_blanks() {
    while :; do
        case $rest in " "* | "$tab"*) rest=${rest#?} ;; *) return ;; esac
    done
}

begins_with_key() {
    whole=$rest
    first_word
    [ "$word" = "$type" ] || return 1
    rest=${rest#"$type"}
    skip_blanks
    first_word
    rest=$whole
    [ "${word%"$cr"}" = "$blob" ]
}

first_word() {
    word=${rest%%" "*}
    word=${word%%"$tab"*}
}

# Cuts the options off `rest`, as sshd does: they end at the first blank
# outside quotes.
past_options() {
    quoted=0
    while [ -n "$rest" ]; do
        case $rest in
            '\"'*) rest=${rest#??} ;;
            '"'*)
                rest=${rest#?}
                quoted=$((1 - quoted))
                ;;
            " "* | "$tab"*)
                [ "$quoted" = 1 ] || return
                rest=${rest#?}
                ;;
            *) rest=${rest#?} ;;
        esac
    done
}

find_file() {
    [ -n "${HOME:-}" ] || answer failed "the login user has no HOME"
    dir=$HOME/.ssh
    if ! [ -d "$dir" ]; then
        [ "$change" = add ] || answer absent
        mkdir -- "$dir" || [ -d "$dir" ] || answer failed "$dir cannot be made"
    fi
    file=$dir/authorized_keys
    follow_links
    if [ -e "$file" ]; then
        [ -f "$file" ] || answer failed "$file is not a regular file"
        [ -r "$file" ] || answer failed "$file cannot be read"
        [ -w "$file" ] || answer failed "$file is read-only"
    fi
    dir=${file%/*}
    [ -w "${dir:=/}" ] || answer failed "$dir cannot be written to"
}

# A link to the file stays; what it leads to is replaced.
follow_links() {
    hops=0
    while [ -L "$file" ]; do
        hops=$((hops + 1))
        [ "$hops" -le 40 ] || answer failed "$file: too many levels of links"
        link=$(readlink -- "$file") || answer failed "$file cannot be followed"
        case $link in /*) file=$link ;; *) file=${file%/*}/$link ;; esac
    done
}

# Keeps other edits of this kind out, where the host can do that: several VMs
# may share one home.
lock() {
    if [ -r "$dir" ] && command -v flock >/dev/null; then
        exec 9<"$dir"
        # Some shells keep 9 to themselves; the lock belongs to what it has open.
        flock 0 <&9
    fi
}

# A copy beside the file, with its mode and owner where we may give them.
copy() {
    # VMs that share a home may have the same process ids.
    temp=$dir/.authorized_keys.$(uname -n).$$
    rm -f -- "$temp"
    if [ -e "$file" ]; then
        cp -p -- "$file" "$temp" || full
        [ "$(wc -c <"$file")" -eq "$(wc -c <"$temp")" ] || full
    else
        (set -C && : >"$temp") || full
    fi
}

put_in_place() {
    # Where sync knows no files it syncs everything, which is slow and right.
    sync -- "$temp" || :
    mv -f -- "$temp" "$file" || answer failed "$file cannot be replaced"
    temp=
    # What SELinux wants to see before sshd may read it.
    ! command -v restorecon >/dev/null || restorecon -F -- "$dir" "$file" || :
}

add() {
    if [ -e "$file" ]; then
        while IFS= read -r entry || [ -n "$entry" ]; do
            ! is_the_key "$entry" || answer present
        done <"$file"
    fi
    copy
    # An unfinished last line would swallow ours.
    if [ -s "$temp" ] && [ -n "$(tail -c 1 -- "$temp")" ]; then
        echo >>"$temp" || full
    fi
    before=$(wc -c <"$temp")
    printf '%s\n' "$line" >>"$temp" || full
    # Not every shell tells that the disk was full.
    [ "$(wc -c <"$temp")" -eq $((before + ${#line} + 1)) ] || full
    put_in_place
    answer added
}

remove() {
    [ -e "$file" ] || answer absent
    copy
    found=0
    kept=0
    written=1
    while IFS= read -r entry || [ -n "$entry" ]; do
        if is_the_key "$entry"; then
            found=1
        else
            printf '%s\n' "$entry" || written=0
            kept=$((kept + 1))
        fi
    done <"$file" >"$temp"
    [ "$found" = 1 ] || answer absent
    [ "$written" = 1 ] || full
    [ "$(wc -l <"$temp")" -eq "$kept" ] || full
    put_in_place
    answer removed
}

find_file
lock
"$change"
