#!/usr/bin/env bash
# A lab of four VMs, vm01 to vm04: real OpenSSH servers on loopback, with fresh
# keys, known_hosts and a config. Needs no privileges.
set -euo pipefail
umask 077
export PATH="$PATH:/usr/sbin:/sbin"

readonly VMS=(vm01 vm02 vm03 vm04)
readonly ROLES=(ingest-parser database analysis-jupyter orchestrator-n8n)

usage() {
    cat <<'USAGE'
Usage: scripts/lab.sh up|down|status|env [DIR]

  up      start the four VMs; nothing happens to those that run already
  down    stop them and everything that runs on them
  status  say which of them run (exit code 1: not all of them)
  env     print what to eval so that orchestrator uses the lab

DIR holds keys, known_hosts, config.yml and the audit log (default: .lab in the checkout).
USAGE
}

main() {
    local verb=${1:-}
    local root
    root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
    lab=$(realpath -m -- "${2:-$root/.lab}")
    case $verb in
        up) up ;;
        down) down ;;
        status) status ;;
        env) print_env ;;
        -h | --help | help) usage ;;
        *) usage >&2; exit 2 ;;
    esac
}

up() {
    command -v sshd >/dev/null || fail "openssh-server is not installed (Debian: apt-get install openssh-server)"
    command -v ssh-keygen >/dev/null || fail "ssh-keygen is not installed (Debian: apt-get install openssh-client)"
    case $lab in *[[:space:]\"\'\\]*) fail "$lab: sshd_config cannot name such a directory" ;; esac
    if ! all_run; then
        stop_everything
        make_keys
        start_all
        write_known_hosts
        write_config
    fi
    status
}

down() {
    stop_everything
    echo "The lab in $lab is down."
}

status() {
    local vm pid all=0
    for vm in "${VMS[@]}"; do
        if pid=$(running_pid "$vm"); then
            echo "$vm  $(cat "$lab/$vm/address")  running (pid $pid)"
        else
            echo "$vm  down"
            all=1
        fi
    done
    return "$all"
}

print_env() {
    printf 'export ORCHESTRATOR_CONFIG=%q\n' "$lab/config.yml"
}

all_run() {
    local vm
    for vm in "${VMS[@]}"; do
        running_pid "$vm" >/dev/null || return 1
    done
}

# The pid of the VM's sshd. A pid file may be stale and its number somebody else's.
running_pid() {
    local pid
    pid=$(cat "$lab/$1/sshd.pid" 2>/dev/null) || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$lab/$1/sshd_config" || return 1
    echo "$pid"
}

# One key pair per VM for us; a host key and a home of its own for each VM, so that
# nobody's own shell start-up files slow it down or get in the way.
make_keys() {
    mkdir -p "$lab/keys"
    local vm
    for vm in "${VMS[@]}"; do
        mkdir -p "$lab/$vm/home/.ssh"
        rm -f "$lab/keys/id_ed25519_$vm"* "$lab/$vm/host_key"{,.pub}
        ssh-keygen -q -t ed25519 -N '' -C "lab_$vm" -f "$lab/keys/id_ed25519_$vm"
        ssh-keygen -q -t ed25519 -N '' -C "$vm" -f "$lab/$vm/host_key"
        cp "$lab/keys/id_ed25519_$vm.pub" "$lab/$vm/home/.ssh/authorized_keys"
    done
}

# An address for each VM and one port where that works, else one address and
# four ports. Ports may be taken, by another lab say.
start_all() {
    local try form
    for form in addresses ports; do
        for try in {0..19}; do
            if start_form "$form" $((2222 + 10 * try)); then
                return
            fi
            stop_everything
        done
    done
    cat "$lab"/vm0?/sshd.log >&2
    fail "cannot start sshd: its log is above"
}

start_form() {
    local form=$1 port=$2 i address
    for i in "${!VMS[@]}"; do
        case $form in
            addresses) address=127.0.1.$((i + 1)):$port ;;
            ports) address=127.0.0.1:$((port + i)) ;;
        esac
        start_vm "${VMS[i]}" "$address" || return 1
    done
}

start_vm() {
    local vm=$1 address=$2
    local dir=$lab/$vm
    echo "$address" >"$dir/address"
    cat >"$dir/sshd_config" <<CONFIG
ListenAddress $address
HostKey $dir/host_key
AuthorizedKeysFile $dir/home/.ssh/authorized_keys
PidFile $dir/sshd.pid
SetEnv ORCHESTRATOR_LAB=$lab ORCHESTRATOR_LAB_VM=$vm HOME=$dir/home
Subsystem sftp $(sftp_server)
ForceCommand /bin/sh $dir/login
LogLevel VERBOSE
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
StrictModes no
UsePAM no
CONFIG
    # Each VM has a home of its own, where commands and SFTP begin.
    cat >"$dir/login" <<'LOGIN'
cd "$HOME" || exit
command=${SSH_ORIGINAL_COMMAND:-}
unset SSH_ORIGINAL_COMMAND
[ -n "$command" ] || exec "$SHELL"
exec "$SHELL" -c "$command"
LOGIN
    [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
    : >"$dir/sshd.log"
    launch "$vm" "$(command -v sshd)" -f "$dir/sshd_config" -E "$dir/sshd.log" || return 1
    local _
    for _ in {1..200}; do
        if grep -q '^Server listening on' "$dir/sshd.log" && running_pid "$vm" >/dev/null; then
            return
        fi
        ! grep -Eq '^(error: Bind|fatal:|Cannot bind)' "$dir/sshd.log" || return 1
        sleep 0.05
    done
    return 1
}

sftp_server() {
    local file
    for file in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec; do
        if [ -x "$file/sftp-server" ]; then
            echo "$file/sftp-server"
            return
        fi
    done
    fail "there is no sftp-server (Debian: apt-get install openssh-sftp-server)"
}

# Runs a command, with the VM's name as host name where we may give it one.
launch() {
    local vm=$1
    shift
    if unshare --uts hostname "$vm" 2>/dev/null; then
        # shellcheck disable=SC2016 # the inner shell expands them
        unshare --uts sh -c 'hostname "$1" && shift && exec "$@"' sh "$vm" "$@"
    else
        "$@"
    fi
}

write_known_hosts() {
    local vm address
    for vm in "${VMS[@]}"; do
        address=$(cat "$lab/$vm/address")
        echo "[${address%:*}]:${address#*:} $(cut -d' ' -f1,2 "$lab/$vm/host_key.pub")"
    done >"$lab/known_hosts"
}

write_config() {
    local i address
    {
        echo "# Written by scripts/lab.sh; a new \"up\" writes it anew."
        echo "vms:"
        for i in "${!VMS[@]}"; do
            address=$(cat "$lab/${VMS[i]}/address")
            cat <<VM
  ${VMS[i]}:
    name: "lab-${VMS[i]}"
    ip: "${address%:*}"
    role: "${ROLES[i]}"
    enabled: true
    ssh_user: "$(id -un)"
    ssh_port: ${address#*:}
VM
        done
        cat <<REST
remote_execution:
  default_timeout: 30
  default_retry: 3
  max_parallel_commands: 4
  key_storage_type: plain_dir
  key_storage_path: "$lab/keys"
ssh:
  known_hosts: ["$lab/known_hosts"]
audit:
  path: "$lab/audit.jsonl"
REST
    } >"$lab/config.yml"
}

# The servers, their sessions and what runs in them. The listeners are halted
# first, so that they take no connection meanwhile.
stop_everything() {
    local vm pid pids=() below=()
    for vm in "${VMS[@]}"; do
        if pid=$(running_pid "$vm"); then
            kill -STOP "$pid" 2>/dev/null || continue
            pids+=("$pid")
        fi
    done
    mapfile -t below < <(descendants "${pids[@]}")
    end "${below[@]}" "${pids[@]}"
    # Orphans: commands whose session is gone.
    local environ
    for environ in $(grep -lzsx -- "ORCHESTRATOR_LAB=$lab" /proc/[0-9]*/environ || true); do
        end "$(basename "$(dirname "$environ")")"
    done
    rm -f "$lab"/vm0?/sshd.pid
}

end() {
    local pid
    for pid in "$@"; do
        kill -KILL "$pid" 2>/dev/null || true
    done
}

# All processes below the given ones.
descendants() {
    cat /proc/[0-9]*/stat 2>/dev/null | sed 's/(.*)/-/' | awk -v roots="$*" '
        { parent[$1] = $4 }
        END {
            count = split(roots, root)
            for (i = 1; i <= count; i++) below[root[i]] = 1
            do {
                grew = 0
                for (pid in parent)
                    if (!(pid in below) && (parent[pid] in below)) { below[pid] = 1; print pid; grew = 1 }
            } while (grew)
        }'
}

fail() {
    echo "lab.sh: $*" >&2
    exit 1
}

main "$@"
