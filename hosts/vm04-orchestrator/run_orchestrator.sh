#!/bin/sh
# The one way in for n8n, cron and other automation: finds the binary, goes to
# the project's root and becomes `orchestrator`, with the arguments byte for byte.
#
# Usage: run_orchestrator.sh ARGUMENT...
#
# Exit code: that of orchestrator; 2 where it cannot be run.
#
# Environment (relative paths are relative to the project's root):
#   PROJECT_ROOT (or BOOTSTRAP_PROJECT_ROOT)   default: two levels up
#   ORCHESTRATOR_BIN        default: target/release, target/debug, else that of PATH
#   ORCHESTRATOR_CONFIG     default: configs/config.yml
set -u
umask 077

usage() {
    cat <<'USAGE'
Usage: run_orchestrator.sh ARGUMENT...

  run_orchestrator.sh exec vm01 --json -- uptime
  run_orchestrator.sh --help       the help of orchestrator itself
USAGE
}

fail() {
    echo "run_orchestrator.sh: $*" >&2
    exit 2
}

find_binary() {
    if [ -n "${ORCHESTRATOR_BIN:-}" ]; then
        is_program "$ORCHESTRATOR_BIN" || fail "ORCHESTRATOR_BIN: $ORCHESTRATOR_BIN is not a program"
        bin=$ORCHESTRATOR_BIN
    elif is_program target/release/orchestrator; then
        bin=target/release/orchestrator
    elif is_program target/debug/orchestrator; then
        bin=target/debug/orchestrator
    else
        bin=$(command -v orchestrator) ||
            fail "no orchestrator in $root/target or PATH: run 'cargo build --release', or set ORCHESTRATOR_BIN"
    fi
    # Without a slash it would be looked up in PATH.
    case $bin in */*) ;; *) bin=./$bin ;; esac
}

is_program() { [ -f "$1" ] && [ -x "$1" ]; }

if [ $# = 0 ]; then
    usage >&2
    exit 2
fi

# What cron and services may lack: the home directory, and places where
# programs are installed.
if [ -z "${HOME:-}" ]; then
    HOME=$(getent passwd "$(id -u)" 2>/dev/null | cut -d: -f6)
    [ -n "$HOME" ] || fail "HOME is not set, and this account has no home directory"
fi
PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:$HOME/.cargo/bin
export HOME PATH

root=${PROJECT_ROOT:-${BOOTSTRAP_PROJECT_ROOT:-}}
if [ -z "$root" ]; then
    root=$(dirname -- "$(readlink -f -- "$0")")/../..
fi
CDPATH='' cd -- "$root" 2>/dev/null || fail "no directory $root: set PROJECT_ROOT"
root=$PWD
find_binary

# Once replaced by the binary we could not say that it does not run, and the
# shell's 126 or 127 would pass for a command's.
"$bin" --version >/dev/null 2>&1 </dev/null || fail "$bin does not run: try $bin --version"
exec "$bin" "$@"
