#!/usr/bin/env bash
# Checks the orchestrator binary against the VMs of a config: those of
# $ORCHESTRATOR_CONFIG, else of configs/config.yml, else of a lab of its own.
#
# Environment:
#   PROJECT_ROOT (or BOOTSTRAP_PROJECT_ROOT)  default: two levels up
#   RESULTS_DIR                     default: $PROJECT_ROOT/results
#   ORCHESTRATOR_BIN                default: the newest build under target/
#   ORCHESTRATOR_CONFIG             see above
#   ORCHESTRATOR_SKIP_UNREACHABLE=1 VMs that cannot be reached do not fail the test
#
# On each VM it uses a directory below /tmp, and the one that scripts are sent
# to; what it made there is removed.
#
# Exit code: 0 all checks passed, 1 otherwise.
set -euo pipefail

root=${PROJECT_ROOT:-${BOOTSTRAP_PROJECT_ROOT:-$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)}}
results=${RESULTS_DIR:-$root/results}
stamp=$(date +%Y%m%d_%H%M%S)
report=$results/remote_executor_integration_$stamp.txt

passed=0
failed=0
scratch=''
declare -A remote=() # the directory that is in use on a VM
own_lab=''
bin=''
out=''
err=''
code=0

main() {
    echo "=== Remote Executor integration test ==="
    scratch=$(mktemp -d)
    trap clean_up EXIT
    if prepare; then
        check_vms
    fi
    echo "Test Summary: Passed: $passed Failed: $failed"
    echo "Results written to: $report"
    echo "=== End integration test ==="
    [ "$failed" = 0 ]
}

prepare() {
    if ! bin=$(find_binary); then
        bad "no orchestrator binary: run 'cargo build', or set ORCHESTRATOR_BIN"
        return 1
    fi
    info "binary: $bin"
    if ! choose_config; then
        bad "no config, and the lab does not start"
        return 1
    fi
    info "config: $ORCHESTRATOR_CONFIG"
    run config check
    expect "config loads" 0 || return 1
    run exec --list-hosts all true
    expect "VMs are listed" 0 || return 1
    mapfile -t vms <"$scratch/out"
    if [ "${#vms[@]}" = 0 ]; then
        bad "the config names no VM that is enabled and allowed"
        return 1
    fi
    info "Config loaded. VMs in config: ${vms[*]}"
}

find_binary() {
    if [ -n "${ORCHESTRATOR_BIN:-}" ]; then
        [ -x "$ORCHESTRATOR_BIN" ] && realpath -- "$ORCHESTRATOR_BIN"
        return
    fi
    local target=${CARGO_TARGET_DIR:-$root/target} candidate newest=''
    for candidate in "$target"/{debug,release}/orchestrator; do
        if [ -x "$candidate" ] && { [ -z "$newest" ] || [ "$candidate" -nt "$newest" ]; }; then
            newest=$candidate
        fi
    done
    [ -n "$newest" ] && echo "$newest"
}

choose_config() {
    if [ -z "${ORCHESTRATOR_CONFIG:-}" ]; then
        ORCHESTRATOR_CONFIG=$root/configs/config.yml
        if [ ! -e "$ORCHESTRATOR_CONFIG" ]; then
            warn "no $ORCHESTRATOR_CONFIG: starting a lab"
            own_lab=$scratch/lab
            "$root/scripts/lab.sh" up "$own_lab" || return 1
            ORCHESTRATOR_CONFIG=$own_lab/config.yml
        fi
    fi
    export ORCHESTRATOR_CONFIG
}

check_vms() {
    local vm reachable=()
    for vm in "${vms[@]}"; do
        run exec --exit-code table "$vm" "echo 'hello'"
        if [ "$code" = 4 ]; then
            unreachable "$vm"
            continue
        fi
        reachable+=("$vm")
        expect "$vm: echo 'hello'" 0 "hello" || true
        run exec "$vm" "exit 23"
        expect "$vm: the exit code is passed through" 23 || true
        run exec --exit-code table "$vm" "vi /etc/hosts"
        expect "$vm: an interactive command is refused" 7 || true
        check_files "$vm"
        check_script "$vm"
    done
    run exec no-such-vm true
    expect "an invalid VM id is rejected by exec" 2 || true
    run push no-such-vm "$ORCHESTRATOR_CONFIG" /tmp/
    expect "an invalid VM id is rejected by push" 2 || true
    if [ "${#reachable[@]}" != 0 ]; then
        check_timeout "${reachable[0]}"
        check_unknown_host_key "${reachable[0]}"
        check_audit "${reachable[0]}"
    fi
}

unreachable() {
    if [ "${ORCHESTRATOR_SKIP_UNREACHABLE:-}" = 1 ]; then
        warn "$1: unreachable, skipped"
    else
        bad "$1: unreachable (ORCHESTRATOR_SKIP_UNREACHABLE=1 skips such VMs)"
        quote "$err"
    fi
}

# A command that prints the SHA-256 of its stdin, by the first program there is.
readonly sha256='{ sha256sum || shasum -a 256 || openssl dgst -sha256 -r; } 2>/dev/null | cut -c 1-64'

# Up, up again, down. Both digests are computed by what each end has for it, not
# by orchestrator.
check_files() {
    local vm=$1 file=$scratch/payload name="the file's name" dir
    run exec "$vm" 'umask 077 && mktemp -d /tmp/orchestrator-integration.XXXXXX'
    dir=$out
    if [[ ! $dir =~ ^/tmp/orchestrator-integration\.[A-Za-z0-9]{6}$ ]]; then
        bad "$vm: no directory below /tmp: \"$dir\""
        quote "$err"
        return
    fi
    remote[$vm]=$dir
    head -c 1234567 /dev/urandom >"$file"
    run push "$vm" "$file" "$dir/$name"
    expect "$vm: a file is uploaded" 0 || true
    run exec "$vm" -C "$dir" "{ $sha256; } <\"$name\""
    expect "$vm: SHA-256 is the same there and here" 0 "$(bash -c "$sha256" <"$file")" || true
    run push --json "$vm" "$file" "$dir/$name"
    expect_text "$vm: uploaded again, it is unchanged" '"unchanged":true'
    run pull "$vm" "$dir/$name" "$scratch/back"
    expect "$vm: the file is downloaded" 0 || true
    if cmp -s "$file" "$scratch/back"; then
        good "$vm: what came back is what was sent"
    else
        bad "$vm: what came back is not what was sent"
    fi
    rm -f "$file" "$scratch/back"
    run exec "$vm" -C "$dir" 'ls -A'
    expect "$vm: nothing lies beside the file" 0 "$name" || true
    remove_remote "$vm"
    run exec "$vm" -- test -e "$dir"
    expect "$vm: the directory below /tmp is removed" 1 || true
}

# The script tells where it lies.
check_script() {
    local vm=$1 file=$scratch/script.sh place
    # shellcheck disable=SC2016 # the VM's shell expands it
    printf '%s\n' '#!/bin/sh' 'printf "%s\n" "$0" "$@"' 'exit 24' >"$file"
    run script "$vm" "$file" -- 'two  words' "it's"
    place=${out%%$'\n'*}
    expect "$vm: a script runs, with arguments and exit code" 24 "$place"$'\ntwo  words\nit\'s' ||
        return 0
    run exec "$vm" -- test -e "$place"
    expect "$vm: the script is removed" 1 || true
}

# The command tells its pid before it sleeps.
check_timeout() {
    local vm=$1 pid
    # shellcheck disable=SC2016 # the VM's shell expands it
    run exec --exit-code table --timeout 2s "$vm" 'echo $$; exec sleep 600'
    pid=$out
    expect "$vm: a timeout ends the command" 3 || return 0
    run exec "$vm" "kill -0 ${pid:-none} 2>/dev/null && echo alive || echo gone"
    expect "$vm: nothing of it is left" 0 "gone" || true
}

# The same config, with a known_hosts file that is empty.
check_unknown_host_key() {
    local vm=$1 config=$scratch/stranger.yml
    : >"$scratch/nobody"
    local line="  known_hosts: [\"$scratch/nobody\"]"
    if grep -q '^  known_hosts: *[^ #]' "$ORCHESTRATOR_CONFIG"; then
        sed "s|^  known_hosts:.*|$line|" "$ORCHESTRATOR_CONFIG" >"$config"
    elif ! grep -q '^ssh:' "$ORCHESTRATOR_CONFIG"; then
        { cat "$ORCHESTRATOR_CONFIG"; printf '\nssh:\n%s\n' "$line"; } >"$config"
    else
        warn "unknown host keys are not checked: cannot tell where $ORCHESTRATOR_CONFIG sets known_hosts"
        return
    fi
    run --config "$config" exec --exit-code table "$vm" true
    expect "$vm: an unknown host key is refused" 5 || true
}

check_audit() {
    local vm=$1 event before=() i=0
    local events=(exec.attempt exec.result file.attempt file.result)
    for event in "${events[@]}"; do
        before+=("$(records "$event")")
    done
    run exec "$vm" true
    run pull "$vm" /etc/hosts "$scratch/"
    for event in "${events[@]}"; do
        expect_more "audit: $event is recorded" "${before[i]}" "$(records "$event")"
        i=$((i + 1))
    done
    run audit verify
    expect "audit: the log is whole" 0 || true
}

# How many records of that event the log holds.
records() {
    "$bin" audit export --format jsonl 2>/dev/null | grep -cF "\"event\":\"$1\"" || true
}

# Runs orchestrator; leaves $out, $err (both without the last newline) and $code.
run() {
    code=0
    "$bin" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || code=$?
    out=$(<"$scratch/out")
    err=$(<"$scratch/err")
}

# expect WHAT CODE [STDOUT], of the last run.
expect() {
    local what=$1 wanted=$2
    if [ "$code" != "$wanted" ]; then
        bad "$what: exit code $code, not $wanted"
    elif [ $# -gt 2 ] && [ "$out" != "$3" ]; then
        bad "$what: not \"$3\" but \"$out\""
    else
        good "$what"
        return
    fi
    quote "$err"
    return 1
}

# expect_text WHAT TEXT, somewhere in what the last run printed.
expect_text() {
    case $out in
        *"$2"*) good "$1" ;;
        *) bad "$1: $2 is missing" && quote "$out$err" ;;
    esac
}

expect_more() {
    if [ "$3" -gt "$2" ]; then
        good "$1"
    else
        bad "$1: $2 records before, $3 after"
    fi
}

good() {
    passed=$((passed + 1))
    info "passed: $1"
}

bad() {
    failed=$((failed + 1))
    echo "[ERR] FAILED: $1"
}

info() { echo "[INFO] $1"; }
warn() { echo "[WARN] $1"; }

quote() {
    [ -z "$1" ] || printf '      | %s\n' "${1//$'\n'/$'\n'      | }"
}

# The name was held against what it must look like.
remove_remote() {
    "$bin" exec "$1" -- rm -rf -- "${remote[$1]}" >/dev/null 2>&1 </dev/null || true
    unset "remote[$1]"
}

clean_up() {
    local vm
    for vm in "${!remote[@]}"; do
        remove_remote "$vm"
    done
    [ -z "$own_lab" ] || "$root/scripts/lab.sh" down "$own_lab"
    rm -rf "$scratch"
}

# The report has no colours, the terminal does.
colour() {
    if [ -n "$coloured" ]; then
        sed -u $'s/^\\[INFO\\]/\e[32m&\e[0m/; s/^\\[WARN\\]/\e[33m&\e[0m/; s/^\\[ERR\\]/\e[31m&\e[0m/'
    else
        cat
    fi
}

coloured=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    coloured=1
fi
mkdir -p "$results"
cd "$root"
# A subshell: its exit trap must run before the report is complete.
(main) 2>&1 | tee "$report" | colour
