"""Many hosts, dead hosts, few descriptors, held connections: does it hold, and what does it cost?

`run` gives two Markdown tables; a run whose result is wrong is named in them.
"""

import json
import os
import statistics
import sys
from datetime import datetime

import held
from lab import EACH_MAX, HOME, Dead, dead_name, name, write
from measure import measure
from tools import CONNECT_TIMEOUT, FANOUT

MIB = 1 << 20
LIMIT = 300
PRINTED = 10 * MIB
DEAD_KINDS = {"refused": "connect_failed", "black-holed": "connect_timeout", "silent": "connect_timeout",
              "changed key": "host_key_changed"}


def run(lab, binary, reps, env):
    half, all_hosts = lab.count, lab.count * lab.aliases
    each = min(EACH_MAX, max(1, all_hosts // 10 // len(DEAD_KINDS)))
    live = [name(n) for n in range(1, all_hosts - each * len(DEAD_KINDS) + 1)]
    dead = {dead_name(kind, n): code for kind, code in DEAD_KINDS.items() for n in range(each)}
    printing = [name(n) for n in range(1, min(50, half) + 1)]
    for host in printing:
        path = f"{lab.data}/hosts/{host}/text"
        write(path, "0123456789abcde\n" * (PRINTED // 16))
    few = ["prlimit", "--nofile=64"]
    rows = [
        Row(f"`hostname` on {half} hosts", [name(n) for n in range(1, half + 1)], goal="memory below 150 MiB"),
        Row(f"`hostname` on {half} hosts, 64 descriptors", [name(n) for n in range(1, half + 1)], before=few,
            goal="all succeed"),
        Row(f"`hostname` on {len(live)} hosts", live),
        Row(f"the same and {len(dead)} dead hosts among them, {CONNECT_TIMEOUT} s to connect", live, dead=dead, each=each,
            goal="the live ones within 1.3 × of the row above"),
        Row(f"{len(printing)} hosts print {PRINTED // MIB} MiB each", printing, command=f"cat {HOME}/text",
            goal="memory below 100 MiB"),
    ]
    for turn in range(reps):
        for row in rows:
            row.measure(lab, binary, env, turn)
    head = ("| Run | Runs | Live hosts done after s (min–max) | Whole run s | Client CPU s | Peak MiB | Goal | Found |\n"
            "|---|--:|--:|--:|--:|--:|---|---|\n")
    return head + "".join(row.line() for row in rows) + "\n" + held.run(lab, binary, reps, env)


class Row:
    def __init__(self, title, live, dead=None, each=0, before=(), command="hostname", goal=""):
        self.title, self.live, self.dead, self.each = title, live, dead or {}, each
        self.before, self.command, self.goal = list(before), command, goal
        self.samples = []

    def measure(self, lab, binary, env, turn):
        targets, ids = f"{lab.data}/targets", spread(self.live, list(self.dead))
        write(targets, "\n".join(ids) + "\n")
        argv = [*self.before, binary, "--config", f"{lab.scratch}/config.yml", "--quiet", "exec", "-f", str(FANOUT),
                "--connect-timeout", str(CONNECT_TIMEOUT), "--timeout", "170", "-o", "ndjson", f"@file:{targets}", self.command]
        with Dead(lab, self.each):
            sample = measure(argv, env=env, cwd=lab.scratch, stdout=f"{lab.data}/stdout", stderr=f"{lab.data}/stderr", limit=LIMIT)
        with open(f"{lab.data}/stdout", encoding="utf-8") as file:
            sample |= self.read(file)
        os.unlink(f"{lab.data}/stdout")
        self.samples.append(sample)
        print(f"{turn} {self.title}: {sample}", file=sys.stderr, flush=True)

    def read(self, lines):
        """When the last live host had succeeded, and what is wrong."""
        started = last = None
        wrong, printed, left = [], 0, set(self.live) | set(self.dead)
        for line in lines:
            # Most lines are output; only its amount matters.
            event = json.loads(line)
            if event["type"] == "run_started":
                started = at(event)
            elif event["type"] == "output":
                printed += len(event.get("data", ""))
            elif event["type"] == "host_finished":
                host, code = event["vm_id"], (event["error"] or {}).get("code")
                left.discard(host)
                if code != self.dead.get(host):
                    wrong.append(f"{host}: {event['status']} {code}")
                if host not in self.dead:
                    last = at(event)
        wrong += [f"{host} has no result" for host in left]
        if self.command != "hostname" and printed != PRINTED * len(self.live):
            wrong.append(f"{printed} bytes printed")
        return {"live": (last - started).total_seconds() if last else 0, "wrong": wrong[:3]}

    def line(self):
        good = [sample for sample in self.samples if not sample["wrong"]]
        bad = [sample["wrong"] for sample in self.samples if sample["wrong"]]
        found = "as it must be" if not bad else f"{len(bad)} of {len(self.samples)} runs wrong: {'; '.join(bad[-1])}"
        if not good:
            return f"| {self.title} | 0 | – | – | – | – | {self.goal} | {found} |\n"
        median = lambda key: statistics.median(sample[key] for sample in good)
        live = [sample["live"] for sample in good]
        return (f"| {self.title} | {len(good)} | {median('live'):.2f} ({min(live):.2f}–{max(live):.2f}) | {median('wall'):.2f} "
                f"| {median('cpu'):.2f} | {median('memory') / MIB:.0f} | {self.goal} | {found} |\n")


def spread(live, dead):
    """The dead evenly among the living."""
    if not dead:
        return live
    step, mixed = len(live) // len(dead), []
    for index, host in enumerate(dead):
        mixed += [host, *live[index * step:(index + 1) * step]]
    return mixed + live[len(dead) * step:]


def at(event):
    return datetime.fromisoformat(event["ts"].replace("Z", "+00:00"))
