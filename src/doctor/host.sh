# Says something about this host and changes nothing. Run by `/bin/sh -c`
# behind bases.sh of the scripts, with these arguments:
#   $1  a random number in hexadecimal
#   $2  what is asked: system, sudo, places, clock or disk
#
# Each line of the answer is `orch1 RANDOM WORD TEXT`; the last is
# `orch1 RANDOM end`.
#
# shellcheck shell=sh

random=$1 asked=$2

say() { echo "orch1 $random $*"; }

# The first line of stdin.
head_line() {
    read -r line || [ -n "$line" ] && echo "$line"
}

system() {
    say system "$(uname -sr)"
    link=$(ls -l /bin/sh)
    case $link in *' -> '*) say sh "${link##* -> }" ;; esac
    say login "$SHELL"
}

has() { command -v "$1" >/dev/null; }

# Never asks for a password, and so is never answered one.
sudo_kind() {
    [ "$(id -u)" != 0 ] || say root
    for program in sudo doas; do
        has "$program" || continue
        say program "$program"
        [ "$program" = doas ] || say version "$(sudo -V </dev/null | head_line)"
        if said=$("$program" -n true 2>&1 </dev/null); then
            say may
        else
            say said "$(echo "$said" | head_line)"
        fi
        return
    done
}

# The options of the file system that is mounted at "$1".
options_of() {
    found=
    if [ -r /proc/self/mounts ]; then
        while read -r _ on _ options _; do
            # What was mounted last hides what was there.
            [ "$on" != "$1" ] || found=$options
        done </proc/self/mounts
        echo "$found"
    else
        mount | while read -r line; do
            case $line in *" on $1 "*) echo "$line" ;; esac
        done
    fi
}

# Says what can be done with a place where scripts may lie; what is missing will
# be made where it is missing.
place() {
    at=$1
    while [ ! -e "$at" ] && [ -n "${at%/*}" ]; do at=${at%/*}; done
    state=usable
    mounted=$(df -P -- "$at" | { read -r _ && read -r _ _ _ _ _ on && echo "$on"; })
    case $(options_of "$mounted") in *noexec*) state=noexec ;; esac
    [ -d "$at" ] && [ -w "$at" ] && [ -x "$at" ] || state=closed
    say place "$state $1"
    # And on to the next.
    return 1
}

# In units of 1024 bytes.
disk() {
    for dir in "$HOME" /tmp; do
        df -P -k -- "$dir" | {
            read -r _ && read -r _ total _ free _ && say disk "$total $free $dir"
        }
    done
}

{
    case $asked in
        system) system ;;
        sudo) sudo_kind ;;
        places) each_base place ;;
        clock) say clock "$(date +%s.%N)" ;;
        disk) disk ;;
    esac
    say end
} 2>/dev/null
