"""browse.py URL COUNT: asks with Chromium, as a page does, and prints what it was answered (see front-clients.py)."""

import json
import shutil
import sys

from playwright.sync_api import sync_playwright

# All at once: the browser has them share a connection, or opens some.
ASK = """async (count) => Promise.all(Array.from({length: count}, async (_, number) => {
    const body = "x".repeat(number * 997);
    const answer = await fetch("/" + number, number % 2 ? {method: "POST", body} : {});
    const said = await answer.text();
    const [seen] = performance.getEntriesByName(new URL("/" + number, location).href);
    return [number, answer.status, {"h2": "2", "http/1.1": "1.1"}[seen.nextHopProtocol], said];
}))"""

with sync_playwright() as play:
    browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
    # Its authorities are those of the system; that the chain is good is for the other clients to say.
    page = browser.new_page(ignore_https_errors=True)
    page.goto(sys.argv[1] + "/0")
    print(json.dumps(page.evaluate(ASK, int(sys.argv[2]))))
    browser.close()
