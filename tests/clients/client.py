"""One Python HTTP client: CONNECTIONS loops at once ask REQUESTS times in all, every second time by POST.

client.py LIBRARY URL CONNECTIONS REQUESTS prints one line of JSON: seconds, the longest request, and what failed.
"""

import asyncio
import itertools
import json
import sys
import threading
import time

LIBRARY, URL, CONNECTIONS, REQUESTS = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
PATIENCE = 120
numbers = itertools.count()
took: list[float] = []
failures: list[str] = []


def method_of(number: int) -> str:
    return "POST" if number % 2 else "GET"


def judge(method: str, status: int, begun: float) -> None:
    took.append(time.monotonic() - begun)
    if status != 200:
        failures.append(f"{method}: status {status}")


def threads(ask) -> None:
    """`ask(method)` returns a status; each loop runs in a thread of its own."""

    def loop() -> None:
        while (number := next(numbers)) < REQUESTS:
            method, begun = method_of(number), time.monotonic()
            try:
                judge(method, ask(method), begun)
            except Exception as error:  # whatever a library makes of a broken connection
                failures.append(f"{method}: {error!r}")

    loops = [threading.Thread(target=loop) for _ in range(CONNECTIONS)]
    for one in loops:
        one.start()
    for one in loops:
        one.join()


async def tasks(ask) -> None:
    """The same in tasks of one thread."""

    async def loop() -> None:
        while (number := next(numbers)) < REQUESTS:
            method, begun = method_of(number), time.monotonic()
            try:
                judge(method, await ask(method), begun)
            except Exception as error:
                failures.append(f"{method}: {error!r}")

    await asyncio.gather(*(loop() for _ in range(CONNECTIONS)))


def body_of(method: str) -> bytes | None:
    return b"once" if method == "POST" else None


def by_requests() -> None:
    import requests

    session = requests.Session()
    adapter = requests.adapters.HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS, pool_block=True)
    session.mount("http://", adapter)
    threads(lambda method: session.request(method, URL, data=body_of(method), timeout=PATIENCE).status_code)


def by_urllib3() -> None:
    import urllib3

    pool = urllib3.PoolManager(maxsize=CONNECTIONS, block=True)
    threads(lambda method: pool.request(method, URL, body=body_of(method), timeout=PATIENCE).status)


def by_httpx() -> None:
    import httpx

    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    client = httpx.Client(limits=limits, timeout=PATIENCE)
    threads(lambda method: client.request(method, URL, content=body_of(method)).status_code)


async def by_httpx_async() -> None:
    import httpx

    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(limits=limits, timeout=PATIENCE) as client:

        async def ask(method: str) -> int:
            return (await client.request(method, URL, content=body_of(method))).status_code

        await tasks(ask)


async def by_aiohttp() -> None:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    patience = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(connector=connector, timeout=patience) as session:

        async def ask(method: str) -> int:
            async with session.request(method, URL, data=body_of(method)) as answer:
                await answer.read()
                return answer.status

        await tasks(ask)


def main() -> None:
    run = {
        "requests": by_requests,
        "urllib3": by_urllib3,
        "httpx": by_httpx,
        "httpx-async": by_httpx_async,
        "aiohttp": by_aiohttp,
    }[LIBRARY]
    begun = time.monotonic()
    if asyncio.iscoroutinefunction(run):
        asyncio.run(run())
    else:
        run()
    seconds = time.monotonic() - begun
    print(json.dumps({"seconds": seconds, "longest": max(took, default=0), "failures": failures}))


main()
