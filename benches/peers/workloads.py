"""The workloads: how each is made ready, and how its result is checked.

Nothing counts that was not checked: exit codes, bytes, how many hosts answered.
"""

import filecmp
import glob
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from lab import HOME, Dead, dead_name, name, write
from tools import CONNECT_TIMEOUT, Task

MIB = 1 << 20
LINE = "%08d the quick brown fox jumps over the lazy dog and packs five dozen\n"
TREE_FILES, TREE_SIZE, COMMANDS = 2000, 4096, 100


@dataclass
class Sizes:
    """What is moved; smaller with --quick."""
    big: int = 1024 * MIB
    each: int = 10 * MIB


class Payloads:
    """The files that are sent and printed, on `data`; made once."""

    def __init__(self, data, sizes):
        self.directory, self.sizes = f"{data}/payload", sizes
        os.makedirs(f"{self.directory}/tree")
        self.big, self.each, self.tree = f"{self.directory}/big", f"{self.directory}/each", f"{self.directory}/tree"
        self.big_text, self.each_text = f"{self.directory}/big.txt", f"{self.directory}/each.txt"
        block = os.urandom(16 * MIB)
        with open(self.big, "wb") as file:
            for number in range(sizes.big // len(block)):
                # No two blocks alike, so that one in the wrong place is noticed.
                file.write(number.to_bytes(8, "little") + block[8:])
        with open(self.each, "wb") as file:
            file.write(os.urandom(sizes.each))
        for path, size in [(self.big_text, sizes.big), (self.each_text, sizes.each)]:
            text = "".join(LINE % number for number in range(16384))
            with open(path, "w", encoding="ascii") as file:
                for _ in range(size // len(text)):
                    file.write(text)
        for number in range(TREE_FILES):
            os.makedirs(f"{self.tree}/d{number // 100:02d}", exist_ok=True)
            with open(f"{self.tree}/d{number // 100:02d}/f{number:04d}", "wb") as file:
                file.write(os.urandom(TREE_SIZE))
        subprocess.run(["chmod", "-R", "a+rX", data], check=True)


class Workload:
    """One row of a table of figures. `row` names the tools' commands."""

    def __init__(self, key, title, against, wall, cpu, hosts=1, row=None):
        self.key, self.title, self.against, self.hosts, self.row = key, title, against, hosts, row or key
        # The most that ours may take, as a share of what `against` takes.
        self.wall, self.cpu = wall, cpu

    def prepare(self, lab, payloads, dead=()):
        """The task, with what earlier runs left taken away."""
        numbers = range(1, self.hosts + 1)
        task = Task(hosts=[lab.address(n) for n in numbers], ids=[name(n) for n in numbers])
        for at, (kind, address) in zip(range(7, self.hosts, 9), dead):
            task.hosts[at], task.ids[at] = address, dead_name(kind, 0)
        work = f"{lab.data}/mine"
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work)
        for number in numbers:
            self.clear(lab.home(number))
        self.fill(task, lab, payloads)
        task.hosts_file, task.ids_file, task.commands_file = f"{work}/hosts", f"{work}/ids", f"{work}/commands"
        write(task.hosts_file, "\n".join(task.hosts) + "\n")
        write(task.ids_file, "\n".join(task.ids) + "\n")
        write(task.commands_file, "true\n" * COMMANDS)
        return task

    @staticmethod
    def clear(home):
        for left in glob.glob(f"{home}/*"):
            shutil.rmtree(left) if os.path.isdir(left) else os.unlink(left)

    def fill(self, task, lab, payloads):
        """What this workload needs beside its hosts."""

    def check(self, task, lab, payloads, done, stdout, stderr):
        """Nothing if all is well, else what is not."""
        return f"exit code {done['code']}" if done["code"] else ""


class Hostnames(Workload):
    def check(self, task, lab, payloads, done, stdout, stderr):
        seen = hostnames(stdout)
        if seen != set(task.ids):
            return f"{len(seen)} of {len(task.ids)} hosts answered"
        return super().check(task, lab, payloads, done, stdout, stderr)


class Push(Workload):
    """One file to every host."""

    def fill(self, task, lab, payloads):
        task.source, task.remote = payloads.big if self.hosts == 1 else payloads.each, f"{HOME}/file"

    def check(self, task, lab, payloads, done, stdout, stderr):
        arrived = [f"{lab.home(n)}/file" for n in range(1, self.hosts + 1)]
        wrong = sum(not os.path.isfile(path) or not filecmp.cmp(path, task.source, shallow=False) for path in arrived)
        return super().check(task, lab, payloads, done, stdout, stderr) or (f"{wrong} files differ" if wrong else "")


class Pull(Workload):
    def fill(self, task, lab, payloads):
        os.link(payloads.big, f"{lab.home(1)}/file")
        task.source, task.remote, task.target = payloads.big, f"{HOME}/file", f"{lab.data}/mine/file"

    def check(self, task, lab, payloads, done, stdout, stderr):
        if not os.path.isfile(task.target) or not filecmp.cmp(task.target, task.source, shallow=False):
            return "the file differs"
        return super().check(task, lab, payloads, done, stdout, stderr)


class Tree(Workload):
    def fill(self, task, lab, payloads):
        task.source, task.remote = payloads.tree, f"{HOME}/tree"

    def check(self, task, lab, payloads, done, stdout, stderr):
        differs = subprocess.run(["diff", "-rq", task.source, f"{lab.home(1)}/tree"], capture_output=True, check=False)
        if differs.returncode:
            return f"{len(differs.stdout.splitlines())} files differ"
        return super().check(task, lab, payloads, done, stdout, stderr)


class Output(Workload):
    """Text printed by every host; what arrives must be all of its lines."""

    def fill(self, task, lab, payloads):
        text = payloads.big_text if self.hosts == 1 else payloads.each_text
        for number in range(1, self.hosts + 1):
            os.link(text, f"{lab.home(number)}/text")
        task.source, task.remote = text, f"{HOME}/text"

    def check(self, task, lab, payloads, done, stdout, stderr):
        tail = LINE.split(" ", 1)[1].encode()
        expected, found = (count(path, tail) for path in (task.source, stdout))
        # Without labels lines of several hosts may be torn, but no byte is missing.
        whole = os.path.getsize(stdout) == os.path.getsize(task.source) * self.hosts
        if found != expected * self.hosts and not whole:
            return f"{found} of {expected * self.hosts} lines arrived"
        return super().check(task, lab, payloads, done, stdout, stderr)


class WithDead(Workload):
    """One of each kind of dead is among the hosts, spread over the list."""

    def prepare(self, lab, payloads):
        self.dead = Dead(lab, 1)
        dead = self.dead.__enter__()
        return super().prepare(lab, payloads, dead)

    def check(self, task, lab, payloads, done, stdout, stderr):
        self.dead.__exit__()
        seen, live = hostnames(stdout), {host for host in task.ids if not host.startswith("dead")}
        if seen != live:
            return f"{len(seen)} of {len(live)} live hosts answered"
        # xargs says 123 or 124; what matters is that it is not success.
        return "" if done["code"] else "exit code 0 with five dead hosts"


def hostnames(path):
    with open(path, "rb") as file:
        return {found.decode() for found in re.findall(rb"\bh\d{4}$", file.read(), re.MULTILINE)}


def count(path, text):
    """How often `text`, which ends a line, is in the file."""
    found, rest = 0, b""
    with open(path, "rb") as file:
        while chunk := file.read(16 * MIB):
            whole, end, tail = (rest + chunk).rpartition(b"\n")
            found += (whole + end).count(text)
            rest = tail
    return found


def all_workloads(hosts, sizes):
    big, each = sizes.big // MIB, sizes.each // MIB
    many = min(50, hosts)
    timeout = ("timeout", CONNECT_TIMEOUT)
    return [
        Workload("W1", "cold `true` on one host, the whole process", "ssh", 0.40, 0.6),
        *(Hostnames(f"W2-{n}", f"`hostname` on {n} hosts", "bssh asyncssh", 0.95, 0.8, n, "W2")
          for n in (50, 200, 500) if n <= hosts),
        Workload("W3", f"{COMMANDS} commands one after the other on one host", "ssh ControlMaster", 0.35, 0.10),
        Push("W4", f"push {big} MiB", "scp", 1.0, 1.0),
        Pull("W5", f"pull {big} MiB", "scp", 1.0, 1.0),
        Tree("W6", f"push {TREE_FILES} files of {TREE_SIZE // 1024} KiB", "rsync", 0.9, 1.0),
        Push("W7", f"push {each} MiB to {many} hosts", "bssh scp", 0.9, 0.9, many),
        Output("W8a", f"one command prints {big} MiB", "ssh", 0.9, 0.9),
        Output("W8b", f"{many} hosts print {each} MiB each", "ssh", 0.6, 0.3, many),
        *([WithDead("W9", f"`hostname` on 50 hosts, five of them dead, {timeout[1]} s to connect", timeout, 1.05, None, 50)]
          if hosts >= 50 else []),
    ]
