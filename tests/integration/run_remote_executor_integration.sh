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
# Exit code: 0 all checks passed, 1 otherwise.
set -euo pipefail

root=${PROJECT_ROOT:-${BOOTSTRAP_PROJECT_ROOT:-$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)}}
results=${RESULTS_DIR:-$root/results}
stamp=$(date +%Y%m%d_%H%M%S)
report=$results/remote_executor_integration_$stamp.txt

passed=0
failed=0
scratch=''
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
    done
    run exec no-such-vm true
    expect "an invalid VM id is rejected" 2 || true
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
    local vm=$1 attempts results
    attempts=$(records attempt)
    results=$(records result)
    run exec "$vm" "true"
    expect_more "audit: the attempt is recorded" "$attempts" "$(records attempt)"
    expect_more "audit: the result is recorded" "$results" "$(records result)"
    run audit verify
    expect "audit: the log is whole" 0 || true
}

# How many records of that kind the log holds.
records() {
    "$bin" audit export --format jsonl 2>/dev/null | grep -c "\"event\":\"exec\.$1\"" || true
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

clean_up() {
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
