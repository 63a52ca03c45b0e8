"""Samples become Markdown."""

import os
import platform
import re
import statistics
import subprocess
import time

MIB = 1 << 20
BEGIN, END = "<!-- figures: written by scripts/bench.sh -->", "<!-- figures end -->"


def table(workload, samples):
    """One workload: a row for each tool, the fastest first; `×` is the share of the reference's median."""
    good = {tool: [s for s in runs if not s["wrong"]] for tool, runs in samples.items()}
    median = {tool: {key: statistics.median(s[key] for s in runs) for key in ("wall", "cpu", "memory")}
              for tool, runs in good.items() if runs}
    against, reference = reference_of(workload, median)
    lines = [f"### {workload.key}: {workload.title}", "", goal(workload, against), "",
             "| Tool | Runs | Wall s (min–max) | × | Client CPU s (min–max) | × | Peak MiB | Exit |",
             "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for tool in sorted(median, key=lambda tool: median[tool]["wall"]):
        own, runs = median[tool], good[tool]
        shares = [share(own, reference, "wall"), share(own, reference, "cpu")]
        codes = ", ".join(map(str, sorted({s["code"] for s in runs})))
        label = f"**{tool}**" if tool == "orchestrator" else tool
        lines.append(f"| {label} | {len(runs)} | {spread(runs, 'wall')} | {shares[0]} | {spread(runs, 'cpu')} | {shares[1]} "
                     f"| {own['memory'] / MIB:.0f} | {codes} |")
    for tool, runs in samples.items():
        wrong = [s["wrong"] for s in runs if s["wrong"]]
        if wrong:
            lines.append(f"\n{tool}: {len(wrong)} of {len(runs)} runs do not count: {wrong[-1]}.")
    return "\n".join(lines) + "\n"


def reference_of(workload, median):
    if isinstance(workload.against, tuple):
        what, seconds = workload.against
        return f"the {what} of {seconds} s", {"wall": seconds}
    for tool in ("bssh", "asyncssh", "ssh ControlMaster", "ssh", "scp", "rsync"):
        if tool in names(workload.against) and tool in median:
            return tool, median[tool]
    return "nothing, its reference is not installed", {}


def names(against):
    return ["ssh ControlMaster"] if against == "ssh ControlMaster" else against.split()


def goal(workload, against):
    cpu = "" if workload.cpu is None else f", client CPU {workload.cpu} ×"
    return f"× is of {against}. The goal for orchestrator: wall {workload.wall} ×{cpu} at most."


def share(own, reference, key):
    return f"{own[key] / reference[key]:.2f}" if reference.get(key) else "–"


def spread(runs, key):
    values = [s[key] for s in runs]
    return f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g})"


def machine():
    """Where it was measured, in words."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.read().split()[1]) / MIB
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr.split(",")[0]
    name = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return (f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), {memory:.0f} GiB of memory, {name}, "
            f"Linux {platform.release()}, {ssh}; the hosts are sshds on the same cores, reached over loopback; "
            f"load average {os.getloadavg()[0]:.1f} when it began")


def preface(command, cipher, kex, notes, where):
    lines = [f"Measured on {time.strftime('%Y-%m-%d')} by `{command}` on {where}.",
             f"All tools: {cipher}, {kex.split(',')[0]}, Ed25519 keys."]
    return "\n".join([*lines, *(f"- {note}" for note in notes)]) + "\n"


def put_into(path, text):
    """Writes the text between the two markers of a document, or the whole of another file."""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            document = file.read()
        if BEGIN in document and END in document:
            head, tail = document.split(BEGIN)[0], document.split(END)[1]
            text = f"{head}{BEGIN}\n\n{text}\n{END}{tail}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
