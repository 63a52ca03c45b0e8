"""Times orchestrator and its peers, side by side, against sshds on loopback.

Started by scripts/bench.sh. Needs root (the hosts have mount namespaces of their
own), an sshd and Python 3.9; changes nothing outside its scratch directory and
target/bench.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

import scale
import table
from lab import CIPHER, DEAD, EACH_MAX, KEX, USER, Lab, dead_name, name, write
from measure import measure
from tools import make_venv, tools
from workloads import MIB, Payloads, Sizes, all_workloads

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIMIT = 180  # seconds for one run of one tool
SLOW = 45    # what takes longer is run once


def main():
    args = arguments()
    binary = os.path.abspath(args.binary or build())
    venv = f"{ROOT}/target/bench/venv"
    os.makedirs(os.path.dirname(venv), exist_ok=True)
    notes = [note for note in [make_venv(venv)] if note]
    sizes = Sizes(64 * MIB, 1 * MIB) if args.quick else Sizes()
    where = table.machine()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    if not memory:
        notes.append("no tmpfs at /dev/shm: the files are on a disk, whose speed is part of the figures")
    # The audit log must be on a real disk: its fsync is a cost of ours.
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as scratch, \
            tempfile.TemporaryDirectory(prefix="bench-", dir=memory) as data, \
            Lab(scratch, data, args.hosts, aliases=2 if args.scale else 1) as lab:
        configure(lab)
        if args.scale:
            os.makedirs(f"{scratch}/home", mode=0o700)
            report = scale.run(lab, binary, args.reps, environment(lab))
        else:
            rows, missing = tools(lab, binary, venv)
            if missing:
                notes.append(f"not installed, so left out: {', '.join(missing)}")
            report = compare(args, lab, rows, Payloads(data, sizes))
    command = shlex.join(["scripts/bench.sh", *sys.argv[1:]])
    report = table.preface(command, CIPHER, KEX, notes, where) + "\n" + report
    if args.out:
        table.put_into(args.out, report)
    print(report)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="64 MiB, 50 hosts, two runs: does it work at all?")
    parser.add_argument("--only", default="", metavar="W1,W4", help="these workloads")
    parser.add_argument("--tools", default="", metavar="A,B", help="these tools")
    parser.add_argument("--reps", type=int, metavar="N", help="runs of each tool (5)")
    parser.add_argument("--hosts", type=int, metavar="N", help="sshds (500)")
    parser.add_argument("--scale", action="store_true", help="instead of the peers: many hosts, dead hosts, few descriptors, "
                        "held connections")
    parser.add_argument("--out", metavar="FILE", help="write the report there too; between the markers if it has them")
    parser.add_argument("--binary", metavar="FILE", help="measure this one instead of a release build")
    args = parser.parse_args()
    args.hosts = args.hosts or (50 if args.quick else 500)
    args.reps = args.reps or (2 if args.quick else 5)
    return args


def build():
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    return os.path.join(os.environ.get("CARGO_TARGET_DIR", f"{ROOT}/target"), "release/orchestrator")


def configure(lab):
    """What the tools need to know of the hosts."""
    base = (f"Host *\n  User {USER}\n  Port {lab.port}\n  IdentityFile {lab.key}\n  IdentitiesOnly yes\n  BatchMode yes\n"
            f"  StrictHostKeyChecking yes\n  UserKnownHostsFile {lab.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
            "  LogLevel ERROR\n")
    write(f"{lab.scratch}/ssh_config", base)
    write(f"{lab.scratch}/ssh_config_master",
          base + f"  ControlMaster auto\n  ControlPersist 60\n  ControlPath {lab.scratch}/master-%C\n")
    vm = f"  %s: {{ ip: %s, ssh_user: {USER}, ssh_port: {lab.port}, identity_file: {lab.key} }}\n"
    hosts = [(name(n), lab.address(n)) for n in range(1, lab.count * lab.aliases + 1)]
    hosts += [(dead_name(kind, i), lab.dead_address(kind, i)) for kind in DEAD for i in range(EACH_MAX)]
    write(f"{lab.scratch}/config.yml", "vms:\n" + "".join(vm % host for host in hosts) +
          f"ssh:\n  known_hosts: [{lab.known_hosts}]\naudit:\n  path: {lab.scratch}/state/audit.jsonl\n"
          f"runs:\n  path: {lab.scratch}/state/runs.db\n")
    os.chmod(f"{lab.scratch}/config.yml", 0o600)


def environment(lab):
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": f"{lab.scratch}/home", "TMPDIR": f"{lab.scratch}/tmp",
            "XDG_STATE_HOME": f"{lab.scratch}/state"}


def compare(args, lab, rows, payloads):
    os.makedirs(f"{lab.scratch}/home/.ssh", mode=0o700)
    reports = []
    workloads = all_workloads(args.hosts, payloads.sizes)
    only = [key for key in args.only.split(",") if key]
    for workload in workloads:
        if only and not {workload.key, workload.row} & set(only):
            continue
        wanted = args.tools.split(",") if args.tools else rows
        chosen = [tool for tool, row in rows.items() if workload.row in row and tool in wanted]
        samples = {tool: [] for tool in chosen}
        for run in range(args.reps):
            # One after the other, so that a busy minute of the machine hits all;
            # each is first once, so that none profits from its neighbour.
            turn = run % max(1, len(chosen))
            for tool in chosen[turn:] + chosen[:turn]:
                if any(sample["wall"] > SLOW for sample in samples[tool]):
                    continue
                sample = once(workload, rows[tool], lab, payloads)
                samples[tool].append(sample)
                note(workload, tool, sample)
        reports.append(table.table(workload, samples))
    return "\n".join(reports)


def once(workload, row, lab, payloads):
    task = workload.prepare(lab, payloads)
    stdout, stderr = f"{lab.data}/stdout", f"{lab.data}/stderr"
    sample = measure(row[workload.row](task), env=environment(lab), cwd=lab.scratch, stdout=stdout, stderr=stderr, limit=LIMIT)
    late = f"ended after {LIMIT} s" if sample["late"] else ""
    sample["wrong"] = workload.check(task, lab, payloads, sample, stdout, stderr) or late
    if sample["wrong"]:
        with open(stderr, encoding="utf-8", errors="replace") as file:
            sample["wrong"] += "".join(f" ({line.strip()})" for line in file.read(300).splitlines()[:1])
    os.unlink(stdout)
    for left in os.listdir(lab.scratch):
        if left.startswith("master-"):
            os.unlink(f"{lab.scratch}/{left}")
    return sample


def note(workload, tool, sample):
    verdict = sample["wrong"] or "ok"
    print(f"{workload.key:6} {tool:18} wall {sample['wall']:7.3f}  cpu {sample['cpu']:7.3f}  "
          f"memory {sample['memory'] / MIB:5.0f} MiB  {verdict}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    if not shutil.which("ssh-keygen") or not os.path.exists("/usr/sbin/sshd"):
        sys.exit("bench: install openssh-server and openssh-client")
    main()
