"""The console's page of one of many hosts: what it shows of its sessions, and of an etcd that goes away. Driven by proof/console.py."""
import shutil
import signal
import socket
import subprocess
import time

from stage import head, keys, start

LIMIT = 60


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def etcd(directory):
    """A member on loopback, and where it is asked."""
    clients, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    command = ["etcd", "--data-dir", directory / "etcd", "--listen-client-urls", clients, "--advertise-client-urls", clients]
    command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"]
    with open(directory / "etcd.log", "w") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log), clients


def configuration(directory, endpoint, upstream):
    path = directory / "tpp.toml"
    path.write_text(
        f"""{head(directory)}
[api]
listen = "127.0.0.1:0"
[hosts]
endpoints = ["{endpoint}"]
cluster = "test"
name = "alpha"
takeover_seconds = 15
{keys(4)}[[backends]]
id = "db"
address = "127.0.0.1:{upstream}"
tags = ["db"]
pool = "keys"
[[virtual_hosts]]
domain = "default"
enabled_backends_tag = "db"
"""
    )
    return path


def cell(page, column):
    titles = [title.strip() for title in page.locator("#peers thead th").all_inner_texts()]
    return page.locator("#peers tr[data-key='keys alpha'] td").nth(titles.index(column)).inner_text()


def wait(page, claim, holds):
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end, f"{claim}: {page.inner_text('body')}"
        page.wait_for_timeout(100)


def shows_hosts(page, executable, directory, upstream, shoot):
    """False: etcd is not installed. `shoot(name, table)` takes a picture."""
    if shutil.which("etcd") is None:
        return False
    member, endpoint = etcd(directory)
    tpp = None
    try:
        with open(directory / "log", "w") as log:
            tpp, api = start(executable, configuration(directory, endpoint, upstream), log, "the management API")
        drive(page, f"http://{api}", member, shoot)
    finally:
        for process in (tpp, member):
            if process is not None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
                process.wait(LIMIT)
    return True


def drive(page, base, member, shoot):
    page.goto(base + "/")
    said = lambda: page.locator("#sharing").inner_text()
    wait(page, "all sessions are shown", lambda: page.locator("#peers tbody tr").count() == 1 and cell(page, "Sessions") == "4 of 4")
    assert cell(page, "Host") == "alpha (this one)" and cell(page, "Of these home") == "2"
    wait(page, "it lives", lambda: cell(page, "State") == "live")
    wait(page, "it lends", lambda: "keys: joined, records in format 2; lends for" in said())
    wait(page, "etcd is shown", lambda: "etcd at http://127.0.0.1:" in said() and "MiB" in said())
    shoot("hosts", "peers")
    member.send_signal(signal.SIGSTOP)
    wait(page, "the time without etcd ends", lambda: "floating sessions have lapsed" in said())
    wait(page, "etcd's silence is told", lambda: "does not answer" in said())
    assert cell(page, "State") == "silent"
    member.send_signal(signal.SIGCONT)
    wait(page, "it lends again", lambda: "keys: joined, records in format 2; lends for" in said())
