#!/usr/bin/env python3
"""The console in real Chromium, before a tpp with a queue: proof/console.py [--install] [--screenshots DIRECTORY] [tpp]

Needs Debian's chromium and, for the first run, PyPI (playwright, in target/console). Exits 3 where it cannot run.
With --install that is all that is done.
"""
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import datetime
from pathlib import Path

from console_hosts import shows_hosts
from stage import PLAYWRIGHT, certificate, certify, head, install, keys, start

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "target" / "console"
TOKENS = {"read": "tpp_look", "operate": "tpp_order"}
PATIENCE = 60


def not_run(why):
    print(f"!!! CONSOLE NOT CHECKED: {why}")
    sys.exit(3)


class Origin(http.server.BaseHTTPRequestHandler):
    """A backend that says its port; what is asked of /hold is answered when it is let go."""

    protocol_version = "HTTP/1.1"
    go = threading.Event()

    def do_GET(self):
        if self.path == "/hold":
            self.go.wait(PATIENCE * 4)
        body = str(self.server.server_port).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except BrokenPipeError:
            pass  # Its holder was cut off.

    def log_message(self, *_):
        pass


def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def configuration(directory, keyed, a, b):
    """A pool of one key before `keyed`, and a host before `a` or `b` that waits for a certificate of its own from nobody."""
    certify(directory)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        nobody = one.getsockname()[1]
    lines = [f"{role}:{role}:{hashlib.sha256(token.encode()).hexdigest()}" for role, token in TOKENS.items()]
    (directory / "tokens").write_text("\n".join(lines) + "\n")
    backend = '[[backends]]\nid = "{}"\naddress = "127.0.0.1:{}"\ntags = ["{}"]\npool = "{}"\n'.format
    host = '[[virtual_hosts]]\ndomain = "{}"\nenabled_backends_tag = "{}"\n'.format
    path = directory / "tpp.toml"
    path.write_text(
        f"""{head(directory)}
[health_check]
interval_seconds = 1
[api]
listen = "127.0.0.1:0"
tokens_file = "tokens"
[[listeners]]
address = "127.0.0.1:0"
tls = true
[acme]
enabled = true
accept_terms = true
directory = "https://127.0.0.1:{nobody}/directory"
{certificate("ecdsa")}{keys(1)}"""
        + backend("keyed", keyed, "k", "keys")
        + backend("web-a", a, "a", "none")
        + backend("web-b", b, "b", "none")
        + host("db.test", "k")
        + host("web.test", "a")
        + 'certificate = "acme"\n'
    )
    return path


def request(address, host, path):
    """A connection that has asked for `path`."""
    where, port = address.rsplit(":", 1)
    stream = socket.create_connection((where, int(port)), PATIENCE)
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return stream


def answer(stream):
    text = b""
    while part := stream.recv(65536):
        text += part
    head, _, body = text.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body.decode()


class Scene:
    """A tpp, and a page before it."""

    def __init__(self, page, client, api, ports, shots):
        self.page, self.client, self.base = page, client, f"http://{api}"
        self.ports, self.shots, self.faults, self.asked = ports, shots, [], []
        page.set_default_timeout(PATIENCE * 1000)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        # A refusal that is meant is told by the browser as well.
        page.on("console", lambda said: said.type == "error" and "status of 40" not in said.text and self.faults.append(said.text))
        page.on("request", lambda asked: self.asked.append(asked.url))

    def ask(self, path):
        asked = urllib.request.Request(f"{self.base}/api/v1{path}", headers={"Authorization": f"Bearer {TOKENS['read']}"})
        return json.load(urllib.request.urlopen(asked, timeout=PATIENCE))

    def shoot(self, name, **how):
        if self.shots:
            self.page.screenshot(path=self.shots / f"{name}.png", **how)

    def shoot_of(self, name, table):
        """A section alone, by its table."""
        if self.shots:
            self.page.locator(f"section:has(#{table})").screenshot(path=self.shots / f"{name}.png")

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def wait(self, claim, holds):
        end = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"{claim}: {self.page.inner_text('body')}")
            self.page.wait_for_timeout(100)

    def glance(self, name):
        """What the tile of that name says."""
        return self.page.locator("#glance div", has=self.page.get_by_text(name, exact=True)).locator("dd").inner_text()

    def cell(self, table, key, column):
        """What stands in a row, by its first cell's text, under a title."""
        titles = [title.strip() for title in self.page.locator(f"#{table} thead th").all_inner_texts()]
        return self.page.locator(f"#{table} tr[data-key='{key}'] td").nth(titles.index(column)).inner_text()


def opens_and_logs_in(scene):
    page = scene.page
    page.goto(scene.base + "/")
    page.get_by_label("Token", exact=True).wait_for()
    scene.shoot("login", clip={"x": 0, "y": 0, "width": 1100, "height": 420})
    page.get_by_label("Token", exact=True).fill("wrong")
    page.keyboard.press("Enter")
    page.get_by_text("the token is not known").wait_for()
    page.get_by_label("Token", exact=True).fill(TOKENS["read"])
    page.keyboard.press("Enter")
    page.get_by_text("read (read)").wait_for()
    scene.wait("it is well", lambda: page.locator("#health").inner_text() == "healthy")
    assert page.evaluate("sessionStorage.length") == 1 and "tpp_" not in page.evaluate("JSON.stringify(localStorage)")


def shows_a_wait_that_grows(scene):
    page = scene.page
    holder = request(scene.client, "db.test", "/hold")
    scene.wait("who holds it is shown", lambda: page.locator("#holders tbody tr").count() == 1)
    assert scene.cell("holders", "keys 0", "Client") == "127.0.0.1"
    assert scene.cell("holders", "keys 0", "Doing") == "a request"
    waiting = [request(scene.client, "db.test", "/after") for _ in range(3)]
    scene.wait("three wait", lambda: scene.glance("Waiting") == "3")
    seconds = lambda: float(re.match(r"[0-9.]+", scene.glance("Longest wait")).group())
    scene.wait("it is seconds", lambda: scene.glance("Longest wait").endswith("s") and not scene.glance("Longest wait").endswith("ms"))
    before = seconds()
    scene.wait("the wait grows", lambda: seconds() > before + 1)
    scene.wait("the chart tells it", lambda: "waiting 3" in page.get_by_role("img").nth(1).get_attribute("aria-label"))
    scene.shoot("waiting", full_page=True)
    return holder, waiting


def refuses_without_the_role(scene):
    page = scene.page
    scene.button("Drain backend web-b").click()
    needed = page.get_by_label("This needs the role operate; yours is read. A token with that role:")
    needed.fill(TOKENS["read"])
    scene.button("Drain").last.click()
    page.get_by_text("read has the role read; this needs operate").wait_for()
    scene.shoot("refused")
    assert scene.ask("/backends/web-b")["state"] == "ready"
    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="hidden")


def drains_a_backend(scene):
    page = scene.page
    scene.button("Drain backend web-b").click()
    page.locator("#ask-token").fill(TOKENS["operate"])
    page.keyboard.press("Enter")
    page.get_by_text("Backend web-b: drain.").wait_for()
    scene.wait("it is shown", lambda: scene.cell("backends", "web-b", "State") == "drain")
    scene.shoot_of("drained", "backends")
    assert scene.ask("/backends/web-b")["state"] == "drain"
    page.get_by_text("operate (operate)").wait_for()
    scene.button("Have backend web-b serve again").click()
    page.locator("#ask-yes").click()
    scene.wait("it serves again", lambda: scene.cell("backends", "web-b", "State") == "ready")


def switches_a_host(scene):
    page = scene.page
    served = lambda: answer(request(scene.client, "web.test", "/"))[1]
    assert served() == str(scene.ports[1])
    scene.button("Switch host web.test").click()
    page.get_by_label("Tag", exact=True).select_option("b")
    scene.shoot("switch")
    page.locator("#ask-yes").click()
    scene.wait("it is shown", lambda: scene.cell("domains", "web.test", "Tag") == "b")
    assert served() == str(scene.ports[2])


def pauses_and_cuts_off(scene, holder, waiting):
    page = scene.page
    scene.button("Pause pool keys").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert scene.cell("pools", "keys", "State") == "lends", "asked, and not done"
    page.keyboard.press("Enter")
    page.locator("#ask-yes").press("Enter")
    scene.wait("it is paused", lambda: scene.cell("pools", "keys", "State") == "paused")
    scene.shoot_of("paused", "pools")
    scene.button("Resume pool keys").click()
    page.locator("#ask-yes").click()
    scene.wait("it lends", lambda: scene.cell("pools", "keys", "State") == "lends")
    scene.button("Cut off the holder of slot 0 of pool keys").click()
    page.locator("#ask-yes").click()
    holder.settimeout(PATIENCE)
    assert b"200 OK" not in holder.recv(65536), "the holder is cut off"
    Origin.go.set()
    for stream in waiting:
        assert answer(stream)[0] == 200
    scene.wait("nobody waits", lambda: scene.glance("Waiting") == "0")
    scene.wait("what was slow is told", lambda: "was held for" in page.locator("#slow").inner_text())


def tells_of_certificates(scene):
    cell = lambda key, column: scene.cell("certificates", key, column)
    assert cell("ecdsa", "For") == "localhost, 127.0.0.1"
    assert cell("ecdsa", "Issuer") == "CN=authority"
    assert cell("ecdsa", "From").endswith("/ecdsa.pem")
    assert cell("ecdsa", "Days left") == "1" and cell("ecdsa", "State") == "ends soon"
    ends = datetime.fromisoformat(cell("ecdsa", "Good until"))
    assert 0 < (ends - datetime.now()).total_seconds() < 3 * 24 * 3600, ends
    own = "acme:web.test"
    scene.wait("the try in vain is told", lambda: cell(own, "State").startswith("failing: "))
    assert cell(own, "For") == "web.test" and cell(own, "Days left") == "–"
    assert cell(own, "From").startswith("https://127.0.0.1:")
    scene.wait("so do the errors", lambda: f"Certificate {own}" in scene.page.locator("#errors").inner_text())


def is_for_everybody(scene):
    page = scene.page
    nameless = """() => [...document.querySelectorAll("button, input, select, figure[role=img]")]
        .filter((one) => one.offsetParent && !(one.ariaLabel || one.textContent.trim() || one.labels?.length))
        .map((one) => one.outerHTML)"""
    assert page.evaluate(nameless) == [], page.evaluate(nameless)
    ground = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="light")
    light = ground()
    page.emulate_media(color_scheme="dark")
    assert ground() != light, "dark as the system is"
    scene.shoot("dark", full_page=True)
    scene.button("Colours: as the system has them").click()
    scene.button("Colours: dark").click()
    scene.button("Colours: light").wait_for()
    assert ground() == light, "light as it was chosen"
    page.set_viewport_size({"width": 390, "height": 844})
    scene.wait("it fits a phone", lambda: page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
    scene.shoot("phone")


def knows_no_other_hosts(scene):
    assert scene.page.locator("#h-peers").is_hidden(), "this tpp is alone"


def shows_other_hosts(browser, executable, ports, place, shots):
    """What is to be said of it."""
    page = browser.new_page(viewport={"width": 1100, "height": 800}, color_scheme="light")
    scene = Scene(page, None, "", ports, shots)
    directory = Path(place) / "hosts"
    directory.mkdir()
    if not shows_hosts(page, executable, directory, ports[0], scene.shoot_of):
        return "many hosts NOT CHECKED (Debian's etcd-server is not installed)"
    assert not scene.faults, scene.faults
    return "many hosts and an etcd that went away"


def keeps_to_itself(scene):
    foreign = [url for url in scene.asked if not url.startswith(scene.base)]
    assert not foreign, foreign
    assert not scene.faults, scene.faults


def drive(executable, shots):
    from playwright.sync_api import sync_playwright

    ports = [serve() for _ in range(3)]
    with tempfile.TemporaryDirectory(prefix="tpp-console-") as place, open(Path(place) / "log", "w") as log:
        tpp, client, api = start(executable, configuration(Path(place), *ports), log, "clients", "the management API")
        try:
            with sync_playwright() as play:
                browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1100, "height": 800}, color_scheme="light")
                scene = Scene(page, client, api, ports, shots)
                try:
                    opens_and_logs_in(scene)
                    held = shows_a_wait_that_grows(scene)
                    refuses_without_the_role(scene)
                    drains_a_backend(scene)
                    switches_a_host(scene)
                    pauses_and_cuts_off(scene, *held)
                    tells_of_certificates(scene)
                    is_for_everybody(scene)
                    knows_no_other_hosts(scene)
                    keeps_to_itself(scene)
                    hosts = shows_other_hosts(browser, executable, ports, place, shots)
                except BaseException:
                    page.screenshot(path=HOME / "failed.png", full_page=True)
                    print("".join(Path(log.name).read_text().splitlines(keepends=True)[-20:]), scene.faults)
                    raise
                browser.close()
        finally:
            tpp.send_signal(signal.SIGTERM)
            tpp.wait(60)
    print(f"console: opened, logged in, a wait grew, refused without the role, drained, switched, paused, cut off, certificates, dark, light, phone, {hosts}: passed")


def main():
    if shutil.which("chromium") is None:
        not_run("Debian's chromium is not installed")
    arguments = sys.argv[1:]
    shots = None
    if "--screenshots" in arguments:
        at = arguments.index("--screenshots")
        shots = Path(arguments[at + 1]).resolve()
        shots.mkdir(parents=True, exist_ok=True)
        del arguments[at : at + 2]
    if "TPP_CONSOLE" not in os.environ:
        # The browser is the system's.
        python = install(HOME, "python", PLAYWRIGHT)
        if python is None:
            not_run("PyPI's playwright cannot be installed")
        if "--install" in arguments:
            return
        sys.exit(subprocess.run([python, *sys.argv], env=os.environ | {"TPP_CONSOLE": "1"}).returncode)
    # tpp ends with us, however we end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    drive(Path(arguments[0] if arguments else ROOT / "target" / "debug" / "tpp").resolve(), shots)


main()
