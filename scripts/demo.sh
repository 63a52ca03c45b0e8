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

    step "A host whose key we do not know: nothing is sent"
    : >"$lab/nobody"
    sed "s|^  known_hosts:.*|  known_hosts: [\"$lab/nobody\"]|" "$lab/config.yml" >"$lab/stranger.yml"
    chmod 600 "$lab/stranger.yml"
    show 5 env ORCHESTRATOR_CONFIG="$lab/stranger.yml" orchestrator exec --exit-code table vm04 hostname

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
  orchestrator audit tail

Stop them:

  scripts/lab.sh down
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

# Echoes a command, runs it, and insists on its exit code.
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
    [ "$code" = "$expected" ] || fail "the exit code should have been $expected"
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
