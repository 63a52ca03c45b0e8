# Removes directories of scripts, wherever they are. Each line of stdin is `now`
# or `idle` and a name; an idle one stays if a living process has it in its
# command line. So the names must not stand in an argument list here.
#
# Every line is answered by `orch1 NAME gone` or `orch1 NAME left`.
#
# shellcheck shell=sh

remove_from() {
    if [ -d "$1/$name" ] && [ ! -h "$1/$name" ] && [ -O "$1/$name" ]; then
        chmod 700 "$1/$name"
        rm -rf -- "${1:?}/$name" || left=left
    fi
    # And on to the next place.
    return 1
}

# What cannot be told counts as yes.
is_busy() {
    [ "$when" = idle ] || return
    # Without /proc, ps shows the same.
    if [ -r /proc/self/cmdline ]; then
        # shellcheck disable=SC2062 # the pattern is stdin
        grep -qsF -f - -- /proc/[0-9]*/cmdline <<NAME
$name
NAME
        # Processes that end meanwhile make it 2.
        case $? in 1 | 2) return 1 ;; esac
    else
        case $(ps -A -ww -o args) in
            '' | *"$name"*) ;;
            *) return 1 ;;
        esac
    fi
}

while read -r when name; do
    left=gone
    if is_busy; then left=left; else each_base remove_from; fi
    printf 'orch1 %s %s\n' "$name" "$left"
done 2>/dev/null
