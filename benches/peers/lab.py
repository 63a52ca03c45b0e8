"""The hosts of a benchmark: one sshd per loopback address, and some that are dead.

Each sshd has its own configuration, mount and UTS namespace, so that `hostname`
and the home directory are the host's own. The account that logs in exists in
those namespaces only. Cipher and key exchange are pinned by the servers, so they
are the same for every client. Nothing of the machine is changed; all ends with
this process.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from measure import descendants

SSHD = "/usr/sbin/sshd"
SFTP_SERVER = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"]
USER, UID, HOME = "bench", 47110, "/mnt"
CIPHER, KEX = "aes128-gcm@openssh.com", "curve25519-sha256,curve25519-sha256@libssh.org"  # two names of one
PR_SET_PDEATHSIG = 1
LISTEN_MAX = 16  # addresses of one sshd, as compiled in
EACH_MAX = 2 * LISTEN_MAX
DEAD = ("refused", "black-holed", "banner and no more", "silent", "changed key")


class Lab:
    """`count` hosts; `scratch` is on a disk, `data` on a tmpfs if there is one."""

    def __init__(self, scratch, data, count, aliases=1):
        self.scratch, self.data, self.count, self.aliases = scratch, data, count, aliases
        self.key, self.known_hosts = f"{scratch}/id_ed25519", f"{scratch}/known_hosts"
        self.servers = []

    def __enter__(self):
        if os.geteuid():
            raise SystemExit("bench: hosts with a home of their own need mount namespaces: run this as root")
        for directory in (f"{self.scratch}/conf", f"{self.scratch}/tmp", f"{self.data}/hosts", "/run/sshd"):
            os.makedirs(directory, exist_ok=True)
        os.chmod(self.scratch, 0o755)
        os.chmod(self.data, 0o755)
        for key in ("id_ed25519", "host_key", "other_host_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", f"{self.scratch}/{key}"],
                           check=True)
        shutil.copy(f"{self.key}.pub", f"{self.scratch}/authorized_keys")
        shutil.copy("/etc/passwd", f"{self.scratch}/passwd")
        append(f"{self.scratch}/passwd", f"{USER}:x:{UID}:{UID}::{HOME}:/bin/sh\n")
        self.port = free_port(self.address(1))
        try:
            for number in range(1, self.count + 1):
                self.start(name(number), "host_key", [self.address(number + i * self.count) for i in range(self.aliases)])
            for first in range(0, EACH_MAX, LISTEN_MAX):
                addresses = [self.dead_address("changed key", first + i) for i in range(LISTEN_MAX)]
                self.start(f"changed{first}", "other_host_key", addresses)
            self.write_known_hosts()
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for server in self.servers:
            for pid in [server.pid, *descendants(server.pid)]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for server in self.servers:
            server.wait()

    def address(self, number):
        return f"127.88.{number // 200}.{number % 200 + 1}"

    def dead_address(self, kind, number):
        return f"127.89.{DEAD.index(kind)}.{number + 1}"

    def home(self, number):
        """The home directory of a host, as this machine sees it."""
        return f"{self.data}/hosts/{name(number)}"

    def start(self, host, key, addresses):
        home = f"{self.data}/hosts/{host}"
        os.makedirs(home, exist_ok=True)
        os.chown(home, UID, UID)
        sftp = next(filter(os.path.exists, SFTP_SERVER))
        listen = "".join(f"ListenAddress {address}\n" for address in addresses)
        config = f"{self.scratch}/conf/{host}"
        write(config, f"Port {self.port}\n{listen}HostKey {self.scratch}/{key}\nCiphers {CIPHER}\nKexAlgorithms {KEX}\n"
              f"AuthorizedKeysFile {self.scratch}/authorized_keys\nPidFile none\nStrictModes no\nUsePAM no\n"
              f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel ERROR\nPrintMotd no\n"
              f"Subsystem sftp {sftp}\n")
        script = ('mount --bind "$1" /etc/passwd && mount --bind "$2" ' + HOME +
                  ' && hostname "$3" && exec ' + SSHD + ' -D -e -f "$4"')
        with open(f"{self.scratch}/sshd.log", "ab") as log:
            self.servers.append(subprocess.Popen(
                ["unshare", "--mount", "--uts", "sh", "-c", script, "sh", f"{self.scratch}/passwd", home, host, config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, preexec_fn=die_with_parent))

    def write_known_hosts(self):
        with open(f"{self.scratch}/host_key.pub", encoding="ascii") as public:
            key = " ".join(public.read().split()[:2])
        addresses = [self.address(number) for number in range(1, self.count * self.aliases + 1)]
        addresses += [self.dead_address(kind, i) for kind in DEAD for i in range(EACH_MAX)]
        write(self.known_hosts, "".join(f"[{address}]:{self.port} {key}\n" for address in addresses))

    def wait(self):
        deadline = time.monotonic() + 60 + self.count / 5
        addresses = [self.address(number) for number in range(1, self.count * self.aliases + 1)]
        for address in [*addresses, self.dead_address("changed key", 0), self.dead_address("changed key", EACH_MAX - 1)]:
            while not listens((address, self.port)):
                if time.monotonic() > deadline or any(server.poll() is not None for server in self.servers):
                    raise SystemExit(f"bench: an sshd does not start; see {self.scratch}/sshd.log")
                time.sleep(0.02)


class Dead:
    """Addresses at which nobody is well, `each` of every kind, while it lasts."""

    def __init__(self, lab, each):
        self.lab, self.each, self.kept = lab, each, []

    def __enter__(self):
        for number in range(self.each):
            self.black_hole(self.listen("black-holed", number, 0))
            for kind in ("banner and no more", "silent"):
                listener = self.listen(kind, number, 128)
                threading.Thread(target=self.serve, args=(listener, kind), daemon=True).start()
        return [(kind, self.lab.dead_address(kind, number)) for number in range(self.each) for kind in DEAD]

    def __exit__(self, *_):
        for kept in self.kept:
            try:
                kept.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            kept.close()

    def listen(self, kind, number, backlog):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.lab.dead_address(kind, number), self.lab.port))
        listener.listen(backlog)
        self.kept.append(listener)
        return listener

    def black_hole(self, listener):
        """Nobody accepts, and the queue is full: every further SYN is dropped."""
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            self.kept.append(filler)

    def serve(self, listener, kind):
        while True:
            try:
                client, _ = listener.accept()
                self.kept.append(client)
                if kind != "silent":
                    client.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
            except OSError:
                if listener.fileno() < 0 or not is_listening(listener):
                    return


def name(number):
    """What a host calls itself, and what we call it."""
    return f"h{number:04d}"


def dead_name(kind, number):
    return f"dead-{kind.replace(' ', '-')}-{number}"


def is_listening(listener):
    try:
        return bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def listens(address):
    try:
        socket.create_connection(address, 5).close()
        return True
    except OSError:
        return False


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def append(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)
