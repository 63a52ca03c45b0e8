#!/usr/bin/env bash
# Checks that this machine can do the orchestrator's work: system, binary,
# configuration, keys, reach. Goes on past failures, to show all of them.
#
# May be run at any time. It makes the state directory where there is none; that
# it connects is recorded in the audit log, as always.
set -uo pipefail
umask 077

here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
export PROJECT_ROOT=${PROJECT_ROOT:-${BOOTSTRAP_PROJECT_ROOT:-$(realpath -- "$here/../..")}}
state=''
reach=1
failures=0
scratch=''

usage() {
    cat <<'USAGE'
Usage: bootstrap_env.sh [--no-reach] [ROOT]

  --no-reach  connect to nothing
  ROOT        the project's root (default: PROJECT_ROOT, else two levels up)

Binary and configuration are those of run_orchestrator.sh.
Exit code: 0 ready, 1 do not proceed, 2 wrong usage.
USAGE
}

main() {
    parse "$@"
    trap '[ -z "$scratch" ] || rm -rf -- "$scratch"' EXIT
    step "A. System"
    check_system
    step "B. Binary"
    check_binary
    step "C. Configuration"
    check_config
    step "D. Keys"
    check_keys
    step "E. Reach"
    check_reach
    echo
    if [ "$failures" != 0 ]; then
        echo "BOOTSTRAP FAILED. Exit code: 1. Do not proceed."
        exit 1
    fi
    echo "BOOTSTRAP SUCCESS. Exit code: 0. Environment is ready."
}

parse() {
    local word
    for word; do
        case $word in
            --no-reach) reach='' ;;
            -h | --help) usage; exit 0 ;;
            -*) usage >&2; exit 2 ;;
            *) PROJECT_ROOT=$word ;;
        esac
    done
}

# No ssh is looked for: the binary brings its own.
check_system() {
    if [ -d "$PROJECT_ROOT" ]; then
        ok "project root $PROJECT_ROOT"
    else
        bad "no project root $PROJECT_ROOT: set PROJECT_ROOT"
    fi
    scratch=$(mktemp -d) || bad "no place for temporary files: set TMPDIR"
    if [ -z "${XDG_STATE_HOME:-}${HOME:-}" ]; then
        bad "no place for state: set HOME"
        return
    fi
    state=${XDG_STATE_HOME:-$HOME/.local/state}/orchestrator
    if [ -d "$state" ]; then
        writable "state directory" "$state"
    elif mkdir -p -- "$state" 2>/dev/null; then
        ok "state directory $state, just made"
    else
        bad "state directory $state: make it, with mode 700, for $(id -un)"
    fi
}

check_binary() {
    possible "$scratch" || return
    run --version
    if [ "$code" = 0 ]; then
        ok "$out"
        have_binary=1
    else
        bad "$err"
    fi
}

check_config() {
    possible "$have_binary" || return
    run config check
    local file found log_dir
    file=$(field config)
    found=$(field found)
    if [ -z "$file" ]; then
        bad "${ORCHESTRATOR_CONFIG:-configs/config.yml} does not load"
    elif [ "$code" != 0 ]; then
        bad "$file: $found"
    elif [ -n "$err" ]; then
        odd "$file: $found"
    else
        ok "$file: hosts $(field hosts)"
    fi
    quote "$err"
    [ -n "$file" ] || return
    have_config=1
    log_dir=$(dirname -- "$(field "audit log")")
    if [ -d "$log_dir" ] && [ "$log_dir" != "$state" ]; then
        writable "directory of the audit log" "$log_dir"
    fi
}

# One of the values that config check shows.
field() {
    sed -n "s/^$1  *//p" <<<"$out"
}

check_keys() {
    possible "$have_config" || return
    run keys --help
    if [ "$code" != 0 ]; then
        odd "this binary cannot tell the age of keys: build a newer one"
        return
    fi
    run keys status
    local vm state rest
    while read -r vm state rest; do
        case $vm,$state in
            , | ID,*) ;;
            *,ok) ok "$vm: key ok, $rest" ;;
            *,expiring) odd "$vm: key expiring, $rest" ;;
            *,missing) bad "$vm: no key ${rest##* }" ;;
            *) bad "$vm: key ${state%:}, $rest" ;;
        esac
    done < <(tr -s ' ' <<<"$out")
    expect_told "keys status"
    quote "$err"
}

check_reach() {
    possible "$have_config" || return
    if [ -z "$reach" ]; then
        odd "not checked, as --no-reach asks"
        return
    fi
    run hosts check
    local vm state rest
    while read -r vm state rest; do
        case $vm,$state in
            ,) ;;
            hint:,*) quote "$vm $state${rest:+ $rest}" ;;
            *,ok) ok "$vm: $rest" ;;
            *) bad "$vm: $state${rest:+, $rest}" ;;
        esac
    done < <(tr -s ' ' <<<"$out")
    expect_told "hosts check"
    # With lines for hosts it only sums them up.
    [ -n "$out" ] || quote "$err"
}

# What an earlier step did not find, a later one cannot use.
possible() {
    [ -n "$1" ] || echo "       not checked, because of the above"
    [ -n "$1" ]
}

writable() {
    if [ -w "$2" ] && [ -x "$2" ]; then
        ok "$1 $2"
    else
        bad "$1 $2: make it writable for $(id -un)"
    fi
}

# Runs orchestrator as automation does; sets out, err and code. Variables that
# change what it prints are not for us.
run() {
    failures_before=$failures
    code=0
    out=$(env -u ORCHESTRATOR_JSON -u ORCHESTRATOR_QUIET ORCHESTRATOR_COLOR=never \
        "$here/run_orchestrator.sh" "$@" 2>"$scratch/err") || code=$?
    err=$(<"$scratch/err")
}

# Its exit code counts, whatever was made of its lines.
expect_told() {
    if [ "$code" != 0 ] && [ "$failures" = "$failures_before" ]; then
        bad "orchestrator $1: exit code $code"
    fi
}

step() { echo "[STEP] $1"; }
ok() { echo "[OK]   $1"; }
odd() { echo "[WARN] $1"; }

bad() {
    echo "[FAIL] $1"
    failures=$((failures + 1))
}

# What orchestrator says, its hints above all.
quote() {
    [ -z "$1" ] || printf '       %s\n' "${1//$'\n'/$'\n'       }"
}

out='' err='' code=0 failures_before=0 have_binary='' have_config=''
main "$@"
