"""The Python libraries as an experienced user would drive them: asyncssh,
paramiko and parallel-ssh, each with strict host keys and bounded concurrency.

driver.py LIBRARY HOSTS_FILE PORT KEY KNOWN_HOSTS FANOUT CONNECT_TIMEOUT VERB WORD…
VERB: run COMMAND | batch FILE | put LOCAL REMOTE | get REMOTE LOCAL | tree LOCAL REMOTE
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

LIBRARY, HOSTS, PORT, KEY, KNOWN_HOSTS, FANOUT, TIMEOUT, VERB, *WORDS = sys.argv[1:]
PORT, FANOUT, TIMEOUT, USER = int(PORT), int(FANOUT), int(TIMEOUT), "bench"
failed = []


def lines(path):
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def tell(host, text, code=0):
    if code:
        failed.append(host)
    # One host: the bytes. Several: labelled lines, as the tools do.
    if VERB == "run" and len(hosts) == 1:
        sys.stdout.write(text)
    else:
        sys.stdout.writelines(f"{host}: {line}\n" for line in text.splitlines())


def directories(tree):
    for path, _, files in os.walk(tree):
        yield path, os.path.normpath(os.path.join(WORDS[1], os.path.relpath(path, tree))), files


def with_asyncssh():
    import asyncio
    import asyncssh

    known = asyncssh.read_known_hosts(KNOWN_HOSTS)

    async def one(host):
        options = dict(username=USER, client_keys=[KEY], known_hosts=known, agent_path=None, config=None,
                       connect_timeout=TIMEOUT, login_timeout=TIMEOUT)
        async with asyncssh.connect(host, PORT, **options) as connection:
            if VERB == "run":
                done = await connection.run(WORDS[0])
                tell(host, done.stdout + done.stderr, done.exit_status)
            elif VERB == "batch":
                for command in lines(WORDS[0]):
                    await connection.run(command, check=True)
            else:
                async with connection.start_sftp_client() as sftp:
                    if VERB == "get":
                        await sftp.get(*WORDS)
                    else:
                        await sftp.put(*WORDS, recurse=VERB == "tree")

    async def bounded(host, slots):
        async with slots:
            try:
                await one(host)
            except Exception as error:
                tell(host, f"{type(error).__name__}: {error}", 1)

    async def main():
        slots = asyncio.Semaphore(FANOUT)
        await asyncio.gather(*(bounded(host, slots) for host in hosts))

    asyncio.run(main())


def with_paramiko():
    import paramiko

    known = paramiko.HostKeys()
    # load() looks every line up among all others, which takes minutes for many.
    known._entries += filter(None, map(paramiko.hostkeys.HostKeyEntry.from_line, lines(KNOWN_HOSTS)))

    def run(client, command):
        _, out, err = client.exec_command(command)
        text = out.read() + err.read()
        return text.decode(), out.channel.recv_exit_status()

    def one(host):
        with paramiko.SSHClient() as client:
            client._host_keys = known
            client.set_missing_host_key_policy(paramiko.RejectPolicy())
            client.connect(host, PORT, USER, key_filename=KEY, look_for_keys=False, allow_agent=False, timeout=TIMEOUT,
                           banner_timeout=TIMEOUT, auth_timeout=TIMEOUT)
            if VERB == "run":
                tell(host, *run(client, WORDS[0]))
            elif VERB == "batch":
                for command in lines(WORDS[0]):
                    run(client, command)
            else:
                sftp = client.open_sftp()
                if VERB != "tree":
                    getattr(sftp, VERB)(*WORDS)
                    return
                for local, remote, files in directories(WORDS[0]):
                    sftp.mkdir(remote)
                    for file in files:
                        sftp.put(f"{local}/{file}", f"{remote}/{file}")

    def caught(host):
        try:
            one(host)
        except Exception as error:
            tell(host, f"{type(error).__name__}: {error}", 1)

    with ThreadPoolExecutor(FANOUT) as pool:
        list(pool.map(caught, hosts))


def with_parallel_ssh():
    from gevent import joinall
    from pssh.clients import ParallelSSHClient

    # It has no option for known_hosts: it does not check host keys.
    client = ParallelSSHClient(hosts, user=USER, port=PORT, pkey=KEY, pool_size=FANOUT, allow_agent=False, num_retries=1,
                               timeout=TIMEOUT if len(hosts) > 1 else None)

    def run(command):
        for output in client.run_command(command, stop_on_errors=False):
            if output.exception is not None:
                tell(output.host, f"{type(output.exception).__name__}: {output.exception}", 1)
                continue
            tell(output.host, "".join(f"{line}\n" for line in output.stdout))
            if output.exit_code:
                failed.append(output.host)

    if VERB == "run":
        run(WORDS[0])
    elif VERB == "batch":
        for command in lines(WORDS[0]):
            run(command)
    elif VERB == "get":
        joinall(client.copy_remote_file(*WORDS), raise_error=True)
        os.rename(f"{WORDS[1]}_{hosts[0]}", WORDS[1])
    else:
        joinall(client.copy_file(*WORDS, recurse=VERB == "tree"), raise_error=True)


hosts = lines(HOSTS)
{"asyncssh": with_asyncssh, "paramiko": with_paramiko, "parallel-ssh": with_parallel_ssh}[LIBRARY]()
sys.stdout.flush()
# Not sys.exit: some of them hang in their own shutdown after a dead host.
os._exit(1 if failed else 0)
