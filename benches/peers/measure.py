"""Runs one command and says what it cost.

A process of its own for each measurement. It adopts whatever the command leaves
behind (a ControlPersist master, say), so that user and system time of the whole
tree are counted by the kernel and nothing of it outlives the measurement.

Reads a JSON document on stdin, writes one on stdout; `measure()` is the caller's
side of that.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

PR_SET_CHILD_SUBREAPER = 36
PAGE = os.sysconf("SC_PAGE_SIZE")


def measure(argv, *, env, cwd, stdout, stderr, limit):
    """Runs `argv` with its output in two files, for at most `limit` seconds.

    Gives wall (s), cpu (s, user + system of the tree), memory (bytes, the highest
    sum of the tree's resident sets seen), code and late (whether it was ended).
    """
    job = dict(argv=argv, env=env, cwd=cwd, stdout=stdout, stderr=stderr, limit=limit)
    done = subprocess.run([sys.executable, "-S", "-E", __file__], input=json.dumps(job),
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} was not measured: {done.stderr.strip()}")
    return json.loads(done.stdout)


def run(job):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with open(job["stdout"], "wb") as out, open(job["stderr"], "wb") as err:
        started = time.monotonic()
        process = subprocess.Popen(job["argv"], env=job["env"], cwd=job["cwd"], stdin=subprocess.DEVNULL,
                                   stdout=out, stderr=err, start_new_session=True)
    highest, ended = [0], threading.Event()
    sampler = threading.Thread(target=sample, args=(highest, ended))
    sampler.start()
    late = threading.Event()
    timer = threading.Timer(job["limit"], lambda: (late.set(), end_all()))
    timer.start()
    # Not process.wait(): it would reap without telling what the child used.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - started
    timer.cancel()
    ended.set()
    sampler.join()
    end_all()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return dict(wall=wall, cpu=used.ru_utime + used.ru_stime, memory=max(highest[0], usage.ru_maxrss * 1024),
                code=process.returncode, late=late.is_set())


def sample(highest, ended):
    """Adds up the tree's resident memory, using a twentieth of a core at most."""
    while not ended.is_set():
        started = time.thread_time()
        highest[0] = max(highest[0], sum(map(resident, descendants(os.getpid()))))
        ended.wait(max(0.005, 20 * (time.thread_time() - started)))


def descendants(pid):
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                for child in map(int, children.read().split()):
                    found += [child, *descendants(child)]
    except OSError:
        pass
    return found


def resident(pid):
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def end_all():
    """Ends what is left of the tree and waits until the kernel has counted it."""
    while left := descendants(os.getpid()):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
