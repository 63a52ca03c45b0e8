#!/usr/bin/env bash
# Checks everything: formatting, lints, all tests, documentation, scripts, and
# the integration script and the examples on a lab of their own.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Command, and the Debian package it comes from.
readonly NEEDS=(
    sshd:openssh-server ssh:openssh-client dropbear:dropbear-bin
    dash:dash zsh:zsh ksh:ksh tcsh:tcsh fish:fish busybox:busybox mksh:mksh
    localedef:libc-bin locale-gen:locales
    python3:python3 sudo:sudo shellcheck:shellcheck pgrep:procps ss:iproute2 strace:strace
    bwrap:bubblewrap git:git
)

results=()
failures=0

main() {
    need_packages
    check "formatting" cargo fmt --check
    check "lints" cargo clippy --locked --all-targets -- -D warnings
    check "lints, library alone" cargo clippy --locked --lib --no-default-features -- -D warnings
    if cargo nextest --version >/dev/null 2>&1; then
        check "tests" cargo nextest run --locked
    else
        check "tests" cargo test --locked --lib --bins --tests --examples
    fi
    check "doc tests" cargo test --locked --doc
    check "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
    if cargo deny --version >/dev/null 2>&1; then
        check "dependencies" cargo deny --offline check bans licenses sources
    fi
    check "scripts" check_scripts
    check "integration script, examples" integration
    summary
}

need_packages() {
    local need missing=()
    for need in "${NEEDS[@]}"; do
        command -v "${need%%:*}" >/dev/null || missing+=("${need#*:}")
    done
    # Debian has this apart; the tests install ClusterShell by it, to compare with.
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    [ "${#missing[@]}" != 0 ] || return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing ${missing[*]}"
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"
    else
        fail "the tests need these packages: sudo apt-get install ${missing[*]}"
    fi
}

# Runs one step; a failure is counted and the next step runs all the same.
check() {
    local name=$1 started=$SECONDS verdict="${green}ok${plain}    "
    shift
    printf '\n%s== %s%s\n' "$bold" "$name" "$plain"
    if ! "$@"; then
        verdict="${red}FAILED${plain}"
        failures=$((failures + 1))
        echo "FAILED: $name ($(printf '%q ' "$@"))" >&2
    fi
    results+=("$verdict  $(printf '%4d s' $((SECONDS - started)))  $name")
}

check_scripts() {
    local scripts
    mapfile -d '' -t scripts < <(
        find . \( -path ./target -o -path ./.git -o -path ./.lab \) -prune -o -name '*.sh' -print0
    )
    shellcheck "${scripts[@]}" .ci/run
}

# In a subshell: the lab goes down whatever happens. (`check` calls this in a
# condition, where "set -e" does not work.)
integration() (
    lab=$(mktemp -d) || exit 1
    trap 'scripts/lab.sh down "$lab"; rm -rf "$lab"' EXIT
    cargo build --locked || exit 1
    scripts/lab.sh up "$lab" || exit 1
    ORCHESTRATOR_CONFIG=$lab/config.yml \
        ORCHESTRATOR_BIN=${CARGO_TARGET_DIR:-$root/target}/debug/orchestrator \
        tests/integration/run_remote_executor_integration.sh || exit 1
    local example
    for example in automation_job blocking_job; do
        cargo run --quiet --locked --example "$example" -- "$lab/config.yml" || exit 1
    done
)

summary() {
    printf '\n%s== Summary%s\n' "$bold" "$plain"
    printf '%s\n' "${results[@]}"
    echo
    if [ "$failures" = 0 ]; then
        echo "All ${#results[@]} checks passed in $SECONDS s."
    else
        fail "$failures of ${#results[@]} checks failed."
    fi
}

fail() {
    echo "test.sh: $*" >&2
    exit 1
}

bold='' green='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi
main "$@"
