#!/bin/sh
# Health of vm03, where analysts work (analysis-jupyter).
#
# Usage: health_check.sh [ROOT]      on the VM; ROOT is the project's directory there
#        orchestrator script vm03 hosts/vm03-analysis/health_check.sh
#
# Prints a line for each check, then how many passed, failed and are warnings.
# Exit code: 1 if something failed, else 0. What is not there is a warning.
# Needs no privileges, changes nothing and sends nothing to other hosts.
#
# Environment:
#   JUPYTER_PORT       default 8888
#   JUPYTER_UNITS      default jupyterlab.service jupyter.service jupyterhub.service
#   SSHD_PORT          default: the port of this SSH session, else 22
#   HEALTH_REQUIRE=1   what is not there is a failure
set -uf

role_checks() {
    # shellcheck disable=SC2086 # words
    service jupyter "${JUPYTER_PORT:-8888}" \
        ${JUPYTER_UNITS:-jupyterlab.service jupyter.service jupyterhub.service}
}

# --- Common part: the same in every health_check.sh, because each is sent alone.
export LC_ALL=C
PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin
passed=0 failed=0 warnings=0
mounts='|'                          # file systems that were looked at
required=${HEALTH_REQUIRE:-0}       # 1: what is missing has failed
limit=5                             # seconds for one external command

main() {
    root=${1:-}
    disk /
    disk /var
    [ -z "$root" ] || directory project "$root"
    memory
    load
    clock
    port=${SSH_CONNECTION:-22}
    service sshd "${SSHD_PORT:-${port##* }}" ssh.service ssh.socket sshd.service
    failed_units
    role_checks
    printf 'Passed: %d\nFailed: %d\nWarnings: %d\n' "$passed" "$failed" "$warnings"
    [ "$failed" = 0 ]
}

# disk PATH: its file system. Each is looked at once.
disk() {
    found=$(bounded df -P -- "$1" 2>/dev/null | percentage)
    mount=${found#* }
    [ -n "$found" ] || mount=$1
    case $mounts in *"|$mount|"*) return ;; esac
    mounts="$mounts$mount|"
    level "disk $1" "${found%% *}" 80 90
    # Some file systems have no fixed number of inodes.
    found=$(bounded df -P -i -- "$1" 2>/dev/null | percentage)
    [ -z "$found" ] || level "inodes $1" "${found%% *}" 80 90
}

# Of what df -P says: the percentage and the mount point.
percentage() { sed -n '2s/.* \([0-9][0-9]*\)% \(.*\)/\1 \2/p'; }

# directory NAME PATH: is it there, and how full is its file system?
directory() {
    if [ -d "$2" ]; then
        good "$1: $2 is there"
        disk "$2"
    else
        missing "$1: no directory $2"
    fi
}

memory() {
    level memory "$(awk '/^MemTotal:/ { all = $2 } /^MemAvailable:/ { free = $2; told = 1 }
        END { if (all && told) print int((all - free) * 100 / all) }' /proc/meminfo 2>/dev/null)" 90 95
}

# A busy host is not a broken one: load never fails.
load() {
    average=$(awk '{ print $2 }' /proc/loadavg 2>/dev/null)
    cpus=$(getconf _NPROCESSORS_ONLN 2>/dev/null || nproc 2>/dev/null || echo 1)
    if [ -z "$average" ]; then
        odd "load: cannot be told"
    elif awk "BEGIN { exit !($average < 2 * $cpus) }"; then
        good "load: $average on $cpus CPUs, over 5 minutes"
    else
        odd "load: $average on $cpus CPUs, over 5 minutes"
    fi
}

clock() {
    case $(bounded timedatectl show -p NTPSynchronized --value 2>/dev/null ||
        bounded chronyc -n tracking 2>/dev/null) in
        yes | *"Leap status"*Normal*) good "clock: synchronised" ;;
        no | *"Leap status"*) odd "clock: not synchronised" ;;
        *) odd "clock: whether it is synchronised cannot be told" ;;
    esac
}

failed_units() {
    [ -d /run/systemd/system ] || return 0
    if ! units=$(bounded systemctl list-units --state=failed --plain --no-legend 2>/dev/null); then
        odd "systemd: does not answer"
    elif [ -n "$units" ]; then
        odd "systemd: failed: $(echo "$units" | awk 'NR <= 5 { printf "%s ", $1 } END { print "(" NR ")" }')"
    else
        good "systemd: no unit has failed"
    fi
}

# service NAME PORT[/udp] UNIT...: does something listen there? Where one of the
# systemd units is enabled, something should.
service() {
    name=$1 port=$2
    shift 2
    if ! is_port "${port%/udp}"; then
        bad "$name: '$port' is not a port"
    elif listens "$port"; then
        good "$name: listens on port $port"
    elif [ ! -r /proc/net/tcp ]; then
        odd "$name: whether it listens on port $port cannot be told"
    elif unit=$(enabled_one "$@"); then
        bad "$name: nothing listens on port $port, but $unit is enabled"
    else
        missing "$name: nothing listens on port $port"
    fi
}

is_port() {
    case $1 in '' | 0* | *[!0-9]* | ??????*) return 1 ;; esac
}

# Asks the kernel: that needs no tool and no privilege, and disturbs no service.
listens() {
    case $1 in
        */udp) protocol=udp state=07 ;;
        *) protocol=tcp state=0A ;;
    esac
    cat "/proc/net/$protocol" "/proc/net/${protocol}6" 2>/dev/null |
        awk -v port="$(printf ':%04X' "${1%/udp}")" -v state="$state" '
            $4 == state && substr($2, length($2) - 4) == port { found = 1 }
            END { exit !found }'
}

enabled_one() {
    [ -d /run/systemd/system ] || return 1
    for unit; do
        if bounded systemctl is-enabled --quiet "$unit" 2>/dev/null; then
            echo "$unit"
            return 0
        fi
    done
    return 1
}

# level NAME PERCENT WARN FAIL
level() {
    if [ -z "$2" ]; then
        odd "$1: cannot be told"
    elif [ "$2" -ge "$4" ]; then
        bad "$1: $2 % used"
    elif [ "$2" -ge "$3" ]; then
        odd "$1: $2 % used"
    else
        good "$1: $2 % used"
    fi
}

missing() {
    if [ "$required" = 1 ]; then
        bad "$1"
    else
        odd "$1 (not installed?)"
    fi
}

good() { passed=$((passed + 1)) && printf '[PASS] %s\n' "$1"; }
odd() { warnings=$((warnings + 1)) && printf '[WARN] %s\n' "$1"; }
bad() { failed=$((failed + 1)) && printf '[FAIL] %s\n' "$1"; }

if timeout 1 true 2>/dev/null; then
    bounded() { timeout "$limit" "$@"; }
else
    bounded() { "$@"; }
fi
# --- End of the common part.

# The script may itself come on stdin, so nothing below may read that.
main "$@" </dev/null
