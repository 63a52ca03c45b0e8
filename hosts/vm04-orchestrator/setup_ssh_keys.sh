#!/usr/bin/env bash
# Sets up key login from this machine to the VMs: for each, a key of its own, a
# trusted host key, the key on the VM, a login by it, and a name for ssh.
set -euo pipefail
umask 077

readonly HARDENING='# Written by setup_ssh_keys.sh --harden.
PasswordAuthentication no
KbdInteractiveAuthentication no
PubkeyAuthentication yes
PermitRootLogin prohibit-password
X11Forwarding no
MaxAuthTries 3
ClientAliveInterval 300
ClientAliveCountMax 2'

usage() {
    cat <<'USAGE'
Usage: hosts/vm04-orchestrator/setup_ssh_keys.sh [OPTIONS] [VM...]

Does for each VM (default: vm01 vm02 vm03 vm04), and goes on past one that fails:
  1. make a key, unless there is one        orchestrator keys generate
  2. trust its host key                     orchestrator hosts trust
  3. put the key there and log in with it   orchestrator keys deploy
  4. run a command there                    orchestrator exec
  5. make "ssh VM" work                     ~/.ssh/config

  -i FILE                       log in by this key, which is there already
  --ask-pass                    log in by password this once; asked for, or the first line of stdin
  --fingerprint VM=SHA256:...   the fingerprint of a VM's host key, from its console; without
                                it a person is asked
  --force                       make new keys; those that are there are kept under another name
  --no-passphrase               make keys without a passphrase
  --harden                      then let sshd there take no passwords (needs sudo there); undone by
                                itself if nobody can log in afterwards

Environment: ORCHESTRATOR (the program), ORCHESTRATOR_CONFIG, SSH_CONFIG (default ~/.ssh/config).
Exit code 1: not every VM is set up; run it again for those.
USAGE
}

main() {
    local generate=() deploy=() vms=() harden=no ask=no password=
    declare -A fingerprints=()
    while [ $# -gt 0 ]; do
        case $1 in -i | --fingerprint) [ $# -ge 2 ] || wrong "$1 needs a value" ;; esac
        case $1 in
            -i) deploy=(-i "$2") && shift ;;
            --ask-pass) ask=yes ;;
            --fingerprint) add_fingerprint "$2" && shift ;;
            --force | --no-passphrase) generate+=("$1") ;;
            --harden) harden=yes ;;
            -h | --help) usage && exit ;;
            -*) wrong "there is no option $1" ;;
            *) vms+=("$1") ;;
        esac
        shift
    done
    [ "${#vms[@]}" -gt 0 ] || vms=(vm01 vm02 vm03 vm04)
    find_program
    if [ "$ask" = yes ]; then
        [ "${#deploy[@]}" = 0 ] || wrong "-i and --ask-pass are two ways to log in: choose one"
        deploy=(--ask-pass)
        read_password
    fi
    set_up_all
}

add_fingerprint() {
    case $1 in
        ?*=SHA256:?*) fingerprints[${1%%=*}]=${1#*=} ;;
        *) wrong "--fingerprint $1: write VM=SHA256:..." ;;
    esac
}

find_program() {
    local root
    root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
    if [ -z "${ORCHESTRATOR_CONFIG:-}" ] && [ -e "$root/configs/config.yml" ]; then
        export ORCHESTRATOR_CONFIG=$root/configs/config.yml
    fi
    program=${ORCHESTRATOR:-orchestrator}
    if [ -z "${ORCHESTRATOR:-}" ] && [ -x "$root/target/release/orchestrator" ]; then
        program=$root/target/release/orchestrator
    fi
    command -v -- "$program" >/dev/null || fail "$program is not installed (cargo build --release, or set ORCHESTRATOR)"
}

# Once for all VMs. It is given to the program on stdin and stands in no
# argument list.
read_password() {
    if [ -t 0 ]; then
        read -rsp "SSH password: " password
        echo >&2
    else
        IFS= read -r password || [ -n "$password" ] || fail "--ask-pass: stdin has no password"
    fi
}

set_up_all() {
    local vm step done=() failed=()
    for vm in "${vms[@]}"; do
        echo "== $vm"
        step=
        if set_up "$vm"; then
            done+=("$vm")
        else
            echo "$vm: failed at: $step" >&2
            failed+=("$vm")
        fi
    done
    echo "== ${#done[@]} of ${#vms[@]} set up${done[*]:+: ${done[*]}}"
    if [ "${#failed[@]}" -gt 0 ]; then
        echo "== ${#failed[@]} failed: ${failed[*]}"
        exit 1
    fi
}

# Called as a condition, where `set -e` means nothing: every step says itself
# what follows its failure.
set_up() {
    local vm=$1 trust=()
    step="making its key"
    "$program" keys generate "$vm" "${generate[@]}" || return 1
    step="trusting its host key"
    [ -z "${fingerprints[$vm]:-}" ] || trust=(--fingerprint "${fingerprints[$vm]}")
    "$program" hosts trust "$vm" "${trust[@]}" || return 1
    step="putting the key there"
    printf '%s\n' "$password" | "$program" keys deploy "$vm" "${deploy[@]}" || return 1
    step="running a command there"
    "$program" exec "$vm" true </dev/null || return 1
    step="writing ${SSH_CONFIG:-$HOME/.ssh/config}"
    write_stanza "$vm" || return 1
    if [ "$harden" = yes ]; then
        step="hardening its sshd"
        harden "$vm" || return 1
    fi
}

# A text or number of a JSON document in one line, by its name.
member() {
    sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"
}

# Replaces what stands between our two lines in ssh's configuration, or appends
# it. A stanza of the user's own for this very name is left alone.
write_stanza() {
    local vm=$1 config list show real begin="# BEGIN orchestrator $1" end="# END orchestrator $1"
    config=${SSH_CONFIG:-$HOME/.ssh/config}
    mkdir -p -- "$(dirname -- "$config")" || return 1
    # A link to it stays.
    config=$(readlink -f -- "$config") || return 1
    [ -e "$config" ] || : >"$config" || return 1
    if without_block "$begin" "$end" "$config" | names_host "$vm"; then
        echo "$config has a Host $vm of your own; it is left as it is"
        return 0
    fi
    list=$("$program" hosts list "$vm" --json) || return 1
    show=$("$program" hosts show "$vm" --json) || return 1
    real=$(mktemp -- "$config.XXXXXX") || return 1
    if { without_block "$begin" "$end" "$config" && stanza; } >"$real" && mv -f -- "$real" "$config"; then
        echo "ssh $vm is in $config"
    else
        rm -f -- "$real"
        return 1
    fi
}

stanza() {
    local port alias known
    port=$(member ssh_port <<<"$list")
    alias=$(sed -n 's/.*"host_key_alias":{"value":"\([^"]*\)".*/\1/p' <<<"$show")
    known=$(sed -n 's/.*"host_keys":\[{[^]]*"origin":"\([^"]*\):[0-9]*".*/\1/p' <<<"$show")
    echo "$begin"
    echo "Host $vm"
    echo "    HostName $(member ip <<<"$list")"
    echo "    User $(member ssh_user <<<"$list")"
    [ "$port" = 22 ] || echo "    Port $port"
    echo "    IdentityFile \"$(member key_file <<<"$show")\""
    echo "    IdentitiesOnly yes"
    case $alias in "" | - | none) ;; *) echo "    HostKeyAlias $alias" ;; esac
    # ssh looks into these by itself.
    case $known in
        "" | "$HOME/.ssh/known_hosts" | "$HOME/.ssh/known_hosts2" | /etc/ssh/ssh_known_hosts) ;;
        *) echo "    UserKnownHostsFile \"$known\"" ;;
    esac
    echo "$end"
}

without_block() {
    awk -v begin="$1" -v end="$2" '
        $0 == begin { within = 1 }
        !within { print }
        $0 == end { within = 0 }' "$3"
}

# Whether a Host line on stdin has this name, and not one that begins like it.
names_host() {
    awk -v vm="$1" '
        tolower($1) == "host" { for (i = 2; i <= NF; i++) if ($i == vm) found = 1 }
        END { exit !found }'
}

# The change is undone on the VM after a minute, unless we could log in anew and
# say that it may stay.
harden() {
    local vm=$1 dir=/etc/ssh/sshd_config.d
    # shellcheck disable=SC2016 # the shell on the VM expands them
    local text='set -eu
        PATH=$PATH:/usr/sbin:/sbin
        file=$1/60-orchestrator.conf
        reload="systemctl reload ssh || systemctl reload sshd || service ssh reload || service sshd reload"
        undo() { rm -f "$file" "$file.unconfirmed"; sh -c "$reload" >/dev/null 2>&1 || :; }
        give_up() { echo "$1: undone" >&2; undo; exit 1; }
        [ -d "$1" ] || { echo "there is no $1: this sshd reads no drop-ins" >&2; exit 1; }
        : >"$file.unconfirmed"
        printf "%s\n" "$2" >"$file"
        chmod 600 "$file"
        sshd -t || give_up "sshd -t refuses it"
        sshd -T | grep -qix "passwordauthentication no" || give_up "sshd_config overrides the drop-in"
        setsid sh -c "sleep 60; [ ! -e \"\$1.unconfirmed\" ] || { rm -f \"\$1\" \"\$1.unconfirmed\"; $reload; }" \
            sh "$file" </dev/null >/dev/null 2>&1 &
        sh -c "$reload" >/dev/null 2>&1 || give_up "sshd cannot be reloaded"'
    "$program" exec "$vm" --sudo -- sh -c "$text" sh "$dir" "$HARDENING" </dev/null || return 1
    if "$program" hosts check "$vm" </dev/null &&
        "$program" exec "$vm" --sudo -- rm "$dir/60-orchestrator.conf.unconfirmed" </dev/null; then
        echo "sshd on $vm takes keys only"
    else
        echo "$vm: no login after the change; it is undone there within a minute" >&2
        return 1
    fi
}

wrong() {
    echo "setup_ssh_keys.sh: $*" >&2
    usage >&2
    exit 2
}

fail() {
    echo "setup_ssh_keys.sh: $*" >&2
    exit 1
}

main "$@"
