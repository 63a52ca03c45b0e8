"""What a connection costs in memory that is held while its command runs.

The process is looked at when every host has answered and none may end yet. `run`
gives a Markdown table; what is beyond the memory with one connection is divided
by the others.
"""

import json
import os
import statistics
import subprocess
import sys

from lab import name, write
from measure import resident

MIB, KB = 1 << 20, 1000
COUNTS = (200, 500)
GOAL = 150  # KB
LIMIT = "170"  # seconds; all handshakes at once take a while


def run(lab, binary, reps, env):
    hosts = lab.count * lab.aliases
    counts = [1, *(count for count in COUNTS if count <= hosts)]
    if len(counts) == 1:
        counts.append(hosts)
    samples = {count: [] for count in counts}
    for turn in range(reps):
        for count in counts:
            sample = hold(lab, binary, env, count)
            samples[count].append(sample)
            print(f"{turn} {count} held: {sample}", file=sys.stderr, flush=True)
    head = ("| Connections held | Runs | Resident MiB (min–max) | Each beyond the first, KB | Goal | Found |\n"
            "|--:|--:|--:|--:|---|---|\n")
    return head + "".join(line(count, samples) for count in counts)


def hold(lab, binary, env, count):
    """The resident bytes with so many connections, and what went wrong."""
    gate, targets, errors = (f"{lab.data}/{what}" for what in ("hold", "targets", "stderr"))
    write(gate, "")
    write(targets, "".join(f"{name(n)}\n" for n in range(1, count + 1)))
    command = f"echo held; while test -e {gate}; do sleep 1; done"
    argv = [binary, "--config", f"{lab.scratch}/config.yml", "--quiet", "exec", "-f", str(count), "--connect-timeout",
            LIMIT, "--timeout", LIMIT, "-o", "ndjson", f"@file:{targets}", command]
    with open(errors, "w", encoding="utf-8") as stderr, subprocess.Popen(
            argv, env=env, cwd=lab.scratch, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True) as ours:
        try:
            answered = answers(ours.stdout, count)
            memory = resident(ours.pid)
        finally:
            os.unlink(gate)
        ours.stdout.read()
    wrong = f"{answered} answered, exit {ours.returncode}" if answered < count or ours.returncode else ""
    return {"memory": memory, "wrong": wrong}


def answers(events, count):
    """How many hosts answered before any ended."""
    answered = set()
    for event in map(json.loads, events):
        if event["type"] == "host_finished":
            break
        if event["type"] == "output":
            answered.add(event["vm_id"])
        if len(answered) == count:
            break
    return len(answered)


def line(count, samples):
    good = {held: [sample["memory"] for sample in runs if not sample["wrong"]] for held, runs in samples.items()}
    bad = [sample["wrong"] for sample in samples[count] if sample["wrong"]]
    found = "as it must be" if not bad else f"{len(bad)} of {len(samples[count])} runs wrong: {bad[-1]}"
    memory = good[count]
    if not memory:
        return f"| {count} | 0 | – | – | – | {found} |\n"
    each, goal = "–", "–"
    if count > 1 and good[1]:
        more = statistics.median(memory) - statistics.median(good[1])
        each, goal = f"{more / (count - 1) / KB:.0f}", f"{GOAL} KB at most"
    spread = f"{statistics.median(memory) / MIB:.1f} ({min(memory) / MIB:.1f}–{max(memory) / MIB:.1f})"
    return f"| {count} | {len(memory)} | {spread} | {each} | {goal} | {found} |\n"
