"""What each tool is told to do in each workload.

A row gives, for the name of a workload, the words of a command. Words are made
from a `Task`; a tool that lacks a workload is left out of it. Every tool has the
same fan-out, the same key and known_hosts, and knows of no other configuration.
"""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))
FANOUT = 50
CONNECT_TIMEOUT = 5


@dataclass
class Task:
    """One workload, made ready: what the words of a command are made of."""
    hosts: list[str]                # addresses
    ids: list[str]                  # their names in our inventory
    hosts_file: str = ""
    ids_file: str = ""
    commands_file: str = ""
    source: str = ""                # a file or a tree of this machine
    remote: str = ""                # a path on each host
    target: str = ""                # where a pull lands here
    extra: list[str] = field(default_factory=list)


def tools(lab, binary, venv):
    """The rows of what is installed; the first word of `missing` is why not."""
    rows, missing = {"orchestrator": ours(lab, binary)}, []
    ssh = ["ssh", "-F", f"{lab.scratch}/ssh_config"]
    if shutil.which("ssh"):
        rows |= {"ssh": of_ssh(ssh), "ssh ControlMaster": of_control_master(lab), "ssh, one shell": of_one_shell(ssh)}
    for name, row in {"scp": of_scp(ssh), "scp + sha256sum": of_scp_verified(ssh), "sftp": of_sftp(lab),
                      "rsync": of_rsync(ssh)}.items():
        if shutil.which(name.split()[0]):
            rows[name] = row
        else:
            missing.append(name)
    for name, program, row in [("pdsh", shutil.which("pdsh"), of_pdsh), ("bssh", shutil.which("bssh"), of_bssh),
                               ("clush", shutil.which("clush") or in_venv(venv, "clush"), of_clush)]:
        if program:
            rows[name] = row(lab, program)
        else:
            missing.append(name)
    for library, module in [("asyncssh", "asyncssh"), ("paramiko", "paramiko"), ("parallel-ssh", "pssh")]:
        python = in_venv(venv, "python")
        if python and not subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode:
            rows[library] = of_library(lab, python, library)
        else:
            missing.append(library)
    return rows, missing


def ours(lab, binary):
    base = [binary, "--config", f"{lab.scratch}/config.yml", "--quiet"]
    wide = ["-f", str(FANOUT), "--timeout", "170"]
    at = lambda t: f"@file:{t.ids_file}"
    return {
        "W1": lambda t: [*base, "exec", t.ids[0], "true"],
        "W2": lambda t: [*base, "exec", *wide, at(t), "hostname"],
        "W3": lambda t: [*base, "exec", t.ids[0], "--commands", t.commands_file],
        "W4": lambda t: [*base, "push", t.ids[0], t.source, t.remote],
        "W5": lambda t: [*base, "pull", t.ids[0], t.remote, t.target],
        "W6": lambda t: [*base, "push", "-r", t.ids[0], t.source + "/", t.remote],
        "W7": lambda t: [*base, "push", *wide, at(t), t.source, t.remote],
        "W8a": lambda t: [*base, "exec", "--timeout", "170", t.ids[0], f"cat {t.remote}"],
        "W8b": lambda t: [*base, "exec", *wide, at(t), f"cat {t.remote}"],
        "W9": lambda t: [*base, "exec", "--connect-timeout", str(CONNECT_TIMEOUT), *wide, at(t), "hostname"],
        "scale": lambda t: [*base, "exec", "--connect-timeout", str(CONNECT_TIMEOUT), *wide, *t.extra, at(t), "hostname"],
    }


def each(task, words):
    """`words` for every host by xargs, which puts the address for %."""
    return ["xargs", "-a", task.hosts_file, "-P", str(FANOUT), "-I%", *words]


def sh(text, *words):
    return ["sh", "-c", text, "sh", *words]


def of_ssh(ssh):
    return {
        "W1": lambda t: [*ssh, t.hosts[0], "true"],
        "W2": lambda t: each(t, [*ssh, "%", "hostname"]),
        "W3": lambda t: loop(t, ssh),
        "W4": lambda t: sh('exec "$@" < ' + t.source, *ssh, t.hosts[0], f"cat > {t.remote}"),
        "W5": lambda t: sh('exec "$@" > ' + t.target, *ssh, t.hosts[0], f"cat {t.remote}"),
        "W8a": lambda t: [*ssh, t.hosts[0], f"cat {t.remote}"],
        "W8b": lambda t: each(t, [*ssh, "%", f"cat {t.remote}"]),
        # xargs starts nothing more after an exit code of 255.
        "W9": lambda t: each(t, sh('"$@" || exit 1', *ssh, "-o", f"ConnectTimeout={CONNECT_TIMEOUT}", "%", "hostname")),
    }


def of_control_master(lab):
    return {"W3": lambda t: loop(t, ["ssh", "-F", f"{lab.scratch}/ssh_config_master"])}


def of_one_shell(ssh):
    return {"W3": lambda t: sh('exec "$@" < ' + t.commands_file, *ssh, t.hosts[0], "sh")}


def loop(task, ssh):
    text = 'host=$1 list=$2; shift 2; while read -r line; do "$@" -n "$host" "$line" || exit; done < "$list"'
    return sh(text, task.hosts[0], task.commands_file, *ssh)


def of_scp(ssh):
    scp = ["scp", "-q", *ssh[1:]]
    return {
        "W4": lambda t: [*scp, t.source, f"{t.hosts[0]}:{t.remote}"],
        "W5": lambda t: [*scp, f"{t.hosts[0]}:{t.remote}", t.target],
        "W6": lambda t: [*scp, "-r", t.source, f"{t.hosts[0]}:{t.remote}"],
        "W7": lambda t: each(t, [*scp, t.source, f"%:{t.remote}"]),
    }


def of_scp_verified(ssh):
    """What somebody does who wants to know: both digests at once, then compared."""
    verify = ('{ sha256sum < "$local" > "$digest" & }; there=$("$@" "$host" "sha256sum < $remote"); wait; '
              '[ "$there" = "$(cat "$digest")" ]')
    names = 'host=$1 local=$2 remote=$3 config=$4; digest=$local.digest.$$; trap \'rm -f "$digest"\' EXIT; shift 4; '
    copy = {"W4": 'scp -q -F "$config" "$local" "$host:$remote" && ', "W5": 'scp -q -F "$config" "$host:$remote" "$local" && '}
    return {
        "W4": lambda t: sh(names + copy["W4"] + verify, t.hosts[0], t.source, t.remote, ssh[2], *ssh),
        "W5": lambda t: sh(names + copy["W5"] + verify, t.hosts[0], t.target, t.remote, ssh[2], *ssh),
    }


def of_sftp(lab):
    sftp = lambda t, text: sh(f"printf '{text}' | exec sftp -q -b - -F {lab.scratch}/ssh_config {t.hosts[0]}")
    return {
        "W4": lambda t: sftp(t, f"put {t.source} {t.remote}\\n"),
        "W5": lambda t: sftp(t, f"get {t.remote} {t.target}\\n"),
        "W6": lambda t: sftp(t, f"mkdir {t.remote}\\nput -r {t.source}/. {t.remote}\\n"),
    }


def of_rsync(ssh):
    rsync = ["rsync", "-e", shlex.join(ssh)]
    return {
        "W4": lambda t: [*rsync, t.source, f"{t.hosts[0]}:{t.remote}"],
        "W5": lambda t: [*rsync, f"{t.hosts[0]}:{t.remote}", t.target],
        "W6": lambda t: [*rsync, "-r", t.source + "/", f"{t.hosts[0]}:{t.remote}/"],
        "W7": lambda t: each(t, [*rsync, t.source, f"%:{t.remote}"]),
    }


def of_pdsh(lab, program):
    pdsh = ["env", f"PDSH_SSH_ARGS_APPEND=-F {lab.scratch}/ssh_config", program, "-R", "ssh", "-S", "-f", str(FANOUT),
            "-t", str(CONNECT_TIMEOUT)]
    return many(lambda t, more, command: [*pdsh, *more, "-w", f"^{t.hosts_file}", command], ["-u", "10"])


def of_clush(lab, program):
    clush = [program, "-S", "-n", "-f", str(FANOUT), "-t", "10", "-o", f"-F {lab.scratch}/ssh_config"]
    row = many(lambda t, more, command: [*clush, *more, "--hostfile", t.hosts_file, command], ["-u", "10"])
    copy = lambda t: [*clush, "--hostfile", t.hosts_file, "-c", t.source, "--dest", t.remote]
    return row | {"W4": copy, "W7": copy}


def of_bssh(lab, program):
    bssh = [program, "-F", f"{lab.scratch}/ssh_config", "-i", lab.key, "--strict-host-key-checking", "yes",
            "--parallel", str(FANOUT)]
    row = many(lambda t, more, command: [*bssh, *more, "-H", ",".join(t.hosts), command],
               ["--connect-timeout", str(CONNECT_TIMEOUT), "--timeout", "10"])
    copy = lambda t: [*bssh, "-H", ",".join(t.hosts), "upload", t.source, t.remote]
    return row | {"W4": copy, "W7": copy}


def many(run, patience):
    """The workloads of a tool that only runs commands on lists of hosts."""
    return {
        "W1": lambda t: run(t, [], "true"),
        "W2": lambda t: run(t, [], "hostname"),
        "W8a": lambda t: run(t, [], f"cat {t.remote}"),
        "W8b": lambda t: run(t, [], f"cat {t.remote}"),
        "W9": lambda t: run(t, patience, "hostname"),
    }


def of_library(lab, python, library):
    drive = lambda t, *words: [python, f"{HERE}/driver.py", library, t.hosts_file, str(lab.port), lab.key, lab.known_hosts,
                               str(FANOUT), str(CONNECT_TIMEOUT), *words]
    return {
        "W1": lambda t: drive(t, "run", "true"),
        "W2": lambda t: drive(t, "run", "hostname"),
        "W3": lambda t: drive(t, "batch", t.commands_file),
        "W4": lambda t: drive(t, "put", t.source, t.remote),
        "W5": lambda t: drive(t, "get", t.remote, t.target),
        "W6": lambda t: drive(t, "tree", t.source, t.remote),
        "W7": lambda t: drive(t, "put", t.source, t.remote),
        "W8a": lambda t: drive(t, "run", f"cat {t.remote}"),
        "W8b": lambda t: drive(t, "run", f"cat {t.remote}"),
        "W9": lambda t: drive(t, "run", "hostname"),
    }


def in_venv(venv, program):
    path = f"{venv}/bin/{program}"
    return path if os.path.exists(path) else None


def make_venv(venv):
    """Installs the Python peers; where there is no registry they are left out."""
    if os.path.exists(f"{venv}/ready"):
        return ""
    try:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)
        pip = [f"{venv}/bin/pip", "--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "15", "install"]
        subprocess.run([*pip, "asyncssh", "paramiko", "parallel-ssh", "ClusterShell"], check=True, capture_output=True,
                       text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"the Python peers cannot be installed ({error}); they are left out"
    with open(f"{venv}/ready", "w", encoding="ascii"):
        return ""
