"""Drives python3-websockets against spec/clients/clients_spec.lua's app. Prints one line for each
thing that it tried: its name, a tab, what came of it as JSON.

    python3 python_websockets.py ws://localhost:8080/plain [CA.pem]
"""

import asyncio
import json
import re
import ssl
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

URL = sys.argv[1]
BASE = re.match(r"\w+://[^/]*", URL).group()
TLS = ssl.create_default_context(cafile=sys.argv[2]) if len(sys.argv) > 2 else None
SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]
LARGEST = 64 << 20


def report(name, result):
    print(name, json.dumps(result), sep="\t", flush=True)


def connect(to, **options):
    return websockets.connect(to, ssl=TLS, max_size=2**27, close_timeout=15, **options)


# Releases from 14 on name some things anew.
def extensions(ws):
    agreed = ws.extensions if hasattr(ws, "extensions") else ws.protocol.extensions
    return [extension.name for extension in agreed]


def status_of(error):
    return error.status_code if hasattr(error, "status_code") else error.response.status_code


def some_bytes(n):
    block, x = bytearray(min(n, 4093)), 1
    for i in range(len(block)):
        x = (x * 1103515245 + 12345) % 2147483648
        block[i] = 0 if i % 3 == 0 else x >> 16 & 255
    return bytes(block) * (n // len(block)) + bytes(block[: n % len(block)]) if n else b""


def some_text(n):
    some = "Gr\u00fc\u00dfe, \u4e16\u754c \U0001f30d! "
    size = len(some.encode())
    return some * (n // size) + "x" * (n % size)


async def echoes():
    async with connect(URL) as ws:
        async def echo(kind, n, data):
            await ws.send(data)
            got = await ws.recv()
            report(f"{kind} {n}", {
                "bytes": len(got.encode() if isinstance(got, str) else got),
                "binary": isinstance(got, bytes),
                "same": got == data,
            })

        report("extensions", extensions(ws))
        for n in SIZES:
            await echo("text", n, some_text(n))
            await echo("binary", n, some_bytes(n))
        # The largest takes seconds: one of each on two connections will do.
        if TLS:
            await echo("binary", LARGEST, some_bytes(LARGEST))
        else:
            await echo("text", LARGEST, some_text(LARGEST))


async def many_at_once():
    async with connect(URL) as ws:
        for i in range(1000):
            await ws.send(f"message {i}")
        report("1000 messages", sum([await ws.recv() == f"message {i}" for i in range(1000)]))


async def fragments():
    async with connect(URL) as ws:
        for name, parts in {
            "text": ["Gr", "", "\u00fc\u00dfe ", "\U0001f30d"],
            "binary": [some_bytes(1), some_bytes(70000), b"", some_bytes(126), b""],
        }.items():
            async def pieces():
                for i, part in enumerate(parts):
                    yield part
                    if i == 1:
                        await (await ws.ping("between"))

            await ws.send(pieces())
            got = await ws.recv()
            report(f"fragments {name}", {
                "pong": "between",
                "binary": isinstance(got, bytes),
                "same": got == parts[0][:0].join(parts),
            })


async def pings():
    async with connect(URL) as ws:
        for payload in "", "x" * 125:
            await asyncio.wait_for(await ws.ping(payload), 15)
            report(f"ping {len(payload)}", True)


async def closed(ws):
    await ws.wait_closed()
    return [ws.close_code, ws.close_reason]


async def closes():
    for code, reason in (1000, ""), (1001, "away"), (3000, "\u00fc"), (4999, "x" * 123):
        ws = await connect(URL)
        await ws.close(code, reason)
        report(f"close {code}", await closed(ws))
    for code in 1000, 1001, 1008, 1011, 1012, 1013, 3000, 4999:
        ws = await connect(URL)
        await ws.send(f"close {code}")
        report(f"closed {code}", await closed(ws))
    ws = await connect(URL)
    await ws.send("close")
    report("closed", await closed(ws))


async def protocols():
    for offer in ["v2.chat"], ["chat", "v2.chat"], ["x", "chat"], ["x"], None:
        async with connect(f"{BASE}/protocols", subprotocols=offer) as ws:
            report("protocols" + (" " + ",".join(offer) if offer else ""), ws.subprotocol)


async def refusals():
    for name in "nothing", "refused":
        try:
            await connect(f"{BASE}/{name}")
        except websockets.InvalidHandshake as error:
            report(name, status_of(error))


async def connections():
    everyone = await asyncio.gather(*[connect(URL) for _ in range(100)])

    async def ask(i, ws):
        await ws.send(f"from {i}")
        return await ws.recv() == f"from {i}"

    answers = await asyncio.gather(*[ask(i, ws) for i, ws in enumerate(everyone)])
    await asyncio.gather(*[ws.close() for ws in everyone])
    report("100 connections", sum(answers))


async def deflate_options():
    for name, options in {
        "none": {"compression": None},
        "no context": {"extensions": [ClientPerMessageDeflateFactory(True, True)]},
        "small windows": {"extensions": [ClientPerMessageDeflateFactory(False, False, 9, 9)]},
        "defaults": {},
    }.items():
        async with connect(URL, **options) as ws:
            same = 0
            for n in 0, 1, 100, 5000, 100000:
                for data in some_text(n), some_text(n), some_bytes(n):
                    await ws.send(data)
                    same += await ws.recv() == data
            report(f"deflate {name}", {
                "extensions": extensions(ws),
                "same": same,
            })


async def main():
    await echoes()
    await many_at_once()
    await fragments()
    await pings()
    await closes()
    await protocols()
    await refusals()
    await connections()
    await deflate_options()


asyncio.run(main())
