#!/usr/bin/env bash
# Shows what orchestrator does, on a lab of four VMs on this machine.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
lab=$root/.lab
cd "$root"

main() {
    need_openssh
    step "Building"
    # The dev profile: a release build takes about three times as long and
    # nobody would see the difference on loopback.
    cargo build --locked
    PATH="${CARGO_TARGET_DIR:-$root/target}/debug:$PATH"

    step "Starting four VMs"
    scripts/lab.sh up
    export ORCHESTRATOR_CONFIG=$lab/config.yml

    step "A command on one VM"
    # shellcheck disable=SC2016 # the VM's shell expands it
    show 0 orchestrator exec vm01 'echo "hello from $(hostname), I am $(id -un)"'

    step "The same on all four"
    show 0 orchestrator exec 'vm[01-04]' -- hostname

    step "A command that fails: its exit code is ours"
    show 42 orchestrator exec vm02 'echo "cannot do that" >&2; exit 42'

    step "A command that takes too long: its whole process tree is ended on the VM"
    show 3 orchestrator exec --exit-code table --timeout 2s vm03 'sleep 600 & sleep 600'

    step "A script for each role: sent, proven, run and removed"
    # A full disk here is a finding of theirs, not a failure of ours.
    local role
    for role in vm01-ingest vm02-database vm03-analysis vm04-orchestrator; do
        show '[01]' orchestrator script "${role%%-*}" "hosts/$role/health_check.sh"
    done

    step "A file for all four: whole or not at all, its SHA-256 computed by each of them"
    head -c 8000000 /dev/urandom >"$lab/app.tar"
    show 0 orchestrator push 'vm[01-04]' .lab/app.tar app.tar

    step "Once more: what is there already is not sent"
    show 0 orchestrator push 'vm[01-04]' .lab/app.tar app.tar

    step "And back, from each into a directory of its own"
    rm -rf "$lab/fetched"
    show 0 orchestrator pull 'vm[01-04]' app.tar .lab/fetched
    show 0 sha256sum .lab/app.tar .lab/fetched/vm01/app.tar .lab/fetched/vm02/app.tar \
        .lab/fetched/vm03/app.tar .lab/fetched/vm04/app.tar

    step "A transfer that is cut short: the old file is still there, and nothing else"
    head -c 8000000 /dev/urandom >"$lab/new.tar"
    show 3 orchestrator push vm01 .lab/new.tar app.tar --bwlimit 1M --timeout 2s
    show 0 orchestrator exec vm01 'sha256sum app.tar; ls -A'
    [ "$(orchestrator exec vm01 'sha256sum <app.tar')" = "$(sha256sum <"$lab/app.tar")" ] ||
        fail "vm01 has lost the old file"

    step "The keys that we log in with, and a new one for vm02"
    show 0 orchestrator keys status
    show 0 orchestrator keys rotate vm02
    show 0 orchestrator exec vm02 'echo "the new key opens this door"'

    step "A host whose key we do not know: nothing is sent"
    : >"$lab/nobody"
    sed "s|^  known_hosts:.*|  known_hosts: [\"$lab/nobody\"]|" "$lab/config.yml" >"$lab/stranger.yml"
    chmod 600 "$lab/stranger.yml"
    show 5 orchestrator exec --config .lab/stranger.yml --exit-code table vm04 hostname

    step "Everything above is on record, and the record is whole"
    show 0 orchestrator audit verify

    step "Your turn"
    cat <<TRY
The VMs are up. Try:

  $(scripts/lab.sh env)
  export PATH="${CARGO_TARGET_DIR:-$root/target}/debug:\$PATH"
  orchestrator hosts list
  orchestrator exec all 'uptime'
  orchestrator exec --json vm01 'date'
  orchestrator push all README.md docs/ --mkdir
  orchestrator audit tail

Stop them:

  scripts/lab.sh down

VMs of your own: docs/guide/getting-started.md, and for their keys
hosts/vm04-orchestrator/setup_ssh_keys.sh --help
TRY
}

need_openssh() {
    if command -v sshd >/dev/null && command -v ssh-keygen >/dev/null; then
        return
    fi
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        step "Installing openssh-server"
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends openssh-server openssh-client
    else
        fail "the lab needs OpenSSH's server; on Debian: sudo apt-get install openssh-server"
    fi
}

# Echoes a command, runs it, and insists on its exit code (a pattern).
show() {
    local expected=$1 code=0 word line='$'
    shift
    for word in "$@"; do
        case $word in
            *[!A-Za-z0-9_./=-]*) line+=" ${word@Q}" ;;
            *) line+=" $word" ;;
        esac
    done
    echo "$bold$line$plain"
    "$@" || code=$?
    echo "(exit code $code)"
    # shellcheck disable=SC2053 # a pattern
    [[ $code == $expected ]] || fail "the exit code should have been $expected"
}

step() {
    printf '\n%s== %s%s\n' "$bold" "$1" "$plain"
}

fail() {
    echo "demo.sh: $*" >&2
    exit 1
}

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' plain=$'\e[0m'
fi
main "$@"
