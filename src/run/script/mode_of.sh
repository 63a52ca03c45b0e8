# Says where a path is in full, and what its mode and the umask are.
#
#   $1  a random number in hexadecimal
#   $2  the path
#
# The answer is one line, `orch1 RANDOM OK UMASK MODE PATH`, where MODE is as
# in `ls -l`, or `new` if nothing is there.
#
# shellcheck shell=sh

case $2 in
    /*) path=$2 ;;
    *) path=$(pwd)/$2 ;;
esac
mode=new
if [ -e "$path" ]; then
    # shellcheck disable=SC2046 # split into the fields of ls
    set -f -- "$1" "$2" $(ls -ldnL -- "$path")
    mode=$3
fi
printf 'orch1 %s OK %s %s %s\n' "$1" "$(umask)" "$mode" "$path"
