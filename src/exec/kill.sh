# Ends every process of one attempt and says what became of them.
#
# Sent on stdin to `/bin/sh -s`, with these set in front of it:
#   mark   the attempt's mark
#   root   the process id that the attempt reported, or 0
#   grace  seconds between TERM and KILL
#
# A process belongs to the attempt if its environment or its command line
# carries the mark, if it is in the process group or session of one that leads
# it and does, or if its parent belongs. The mark is looked for again before
# every signal, so that a process id that was given to somebody else is safe.
#
# shellcheck shell=sh disable=SC2013,SC2154

# Some shells take a bare parenthesis for the end of something else.
end_of_name=') '

# Sets `tree` to the living processes of the attempt.
find_tree() {
    tree=' '
    for file in $(grep -slF -- "$mark" /proc/[0-9]*/environ /proc/[0-9]*/cmdline); do
        pid=${file#/proc/}
        pid=${pid%/*}
        case $tree in *" $pid "*) ;; *) tree="$tree$pid " ;; esac
    done
    table=
    for stat in /proc/[0-9]*/stat; do
        { read -r line <"$stat"; } 2>/dev/null || continue
        pid=${line%% *}
        # The name in parentheses may hold anything, so count from its end.
        # shellcheck disable=SC2086 # split into the fields of stat
        set -- ${line##*"$end_of_name"}
        case $1 in Z | X | x) continue ;; esac
        table="$table$pid $2 $3 $4
"
    done
    alive=' '
    changed=1
    while [ "$changed" = 1 ]; do
        changed=0
        while read -r pid parent group session; do
            case "$alive $$ " in *" $pid "*) continue ;; esac
            [ -n "$pid" ] || continue
            for relative in "$pid" "$parent" "$group" "$session"; do
                case $tree in
                    *" $relative "*)
                        alive="$alive$pid "
                        case $tree in *" $pid "*) ;; *) tree="$tree$pid " ;; esac
                        changed=1
                        break
                        ;;
                esac
            done
        done <<TABLE
$table
TABLE
    done
    tree=$alive
}

# Adds the tree to `seen` and sends it a signal.
signal_tree() {
    for pid in $tree; do
        case $seen in *" $pid "*) ;; *) seen="$seen$pid " ;; esac
        kill -s "$1" "$pid" 2>/dev/null
    done
}

# Whether any process that is known of the tree is still alive.
still_there() {
    for pid in $tree; do
        { read -r line <"/proc/$pid/stat"; } 2>/dev/null || continue
        case ${line##*"$end_of_name"} in Z* | X* | x*) ;; *) return 0 ;; esac
    done
    return 1
}

# Waits until the tree is gone, for a number of tenths of a second.
wait_gone() {
    tenths=$1
    while [ "$tree" != ' ' ] && [ "$tenths" -gt 0 ]; do
        if sleep 0.1 2>/dev/null; then
            tenths=$((tenths - 1))
        else
            sleep 1
            tenths=$((tenths - 10))
        fi
        # All processes of a busy host are many to look at again and again.
        still_there || find_tree
    done
    # Whoever gets a signal next must be ours even then.
    [ "$tree" = ' ' ] || find_tree
}

main() {
    if ! [ -r /proc/self/stat ]; then
        # Without /proc only the process group can be ended, and nothing be
        # proved; ps must show the mark first.
        # shellcheck disable=SC2009 # pgrep does not show environments
        if ps eww -p "$root" 2>/dev/null | grep -qF -- "$mark"; then
            kill -s TERM -- "-$root"
            sleep "$grace"
            kill -s KILL -- "-$root"
        fi
        echo "orch1 $mark K unknown"
        return
    fi
    seen=' '
    find_tree
    signal_tree TERM
    wait_gone $((grace * 10))
    rounds=20
    while [ "$tree" != ' ' ] && [ "$rounds" -gt 0 ]; do
        signal_tree KILL
        wait_gone 1
        rounds=$((rounds - 1))
    done
    count=0
    for pid in $seen; do count=$((count + 1)); done
    left=
    for pid in $tree; do
        count=$((count - 1))
        { read -r name <"/proc/$pid/comm"; } 2>/dev/null || name='?'
        left="$left $pid:$name"
    done
    echo "orch1 $mark K $count$left"
}

main </dev/null 2>/dev/null
exit
