"""So many slow callers, each of which comes back when it is cut off. Called as `slow_callers.py PORT HOST COUNT`.

A third say nothing after the handshake, a third send a head byte by byte, a third a body. Prints `ready` once all are
connected, then goes on until its standard input ends.
"""

import asyncio
import ssl
import sys
from collections.abc import Callable
from itertools import cycle

EACH = 1.0  # seconds between two bytes
AT_ONCE = 20  # handshakes
NOTHING = b""
Send = Callable[[bytes], None]


def opening(host: str, kind: int) -> bytes:
    head = f"HTTP/1.1\r\nHost: {host}\r\n".encode()
    body = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 20000\r\n\r\n"
    return (NOTHING, b"GET /sign-in " + head + b"X-Slow: ", b"POST /sign-in " + head + body)[kind]


async def call(port: int, host: str, kind: int, door: asyncio.Semaphore, arrived: asyncio.Event) -> None:
    """Connect, be slow until cut off, and begin again."""
    context = ssl._create_unverified_context()  # the certificate is not what is measured
    while True:
        try:
            async with door:
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=context, server_hostname="localhost"
                )
            arrived.set()
            writer.write(opening(host, kind))
            ended = asyncio.ensure_future(reader.read())
            while not ended.done():
                await asyncio.wait([ended], timeout=EACH)
                if kind and not ended.done():
                    writer.write(b"x")
                    await writer.drain()
            writer.close()
        except OSError:
            await asyncio.sleep(0.1)


async def main(port: int, host: str, count: int) -> None:
    door = asyncio.Semaphore(AT_ONCE)
    arrived = [asyncio.Event() for _ in range(count)]
    calls = [
        asyncio.create_task(call(port, host, kind, door, event))
        for kind, event in zip(cycle(range(3)), arrived, strict=False)
    ]
    for event in arrived:
        await event.wait()
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for one in calls:
        one.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
