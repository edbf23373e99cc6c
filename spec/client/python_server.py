"""An echo server with python3-websockets for spec/client/servers_spec.lua:

    python3 python_server.py CERTIFICATE KEY

Prints "plain PORT" and "secure PORT".
"""

import asyncio
import ssl
import sys

import websockets


async def echo(socket, path=None):
    async for message in socket:
        if message == "close":
            await socket.close(3001, "as you wish")
        elif message == "ping":
            await (await socket.ping(b"anybody?"))
            await socket.send("pinged")
        else:
            await socket.send(message)


async def serve(name, context):
    server = await websockets.serve(
        echo,
        "127.0.0.1",
        0,
        ssl=context,
        subprotocols=["chat"],
        compression="deflate",
        max_size=64 << 20,
    )
    print(name, server.sockets[0].getsockname()[1], flush=True)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    await serve("plain", None)
    await serve("secure", context)
    await asyncio.Future()


asyncio.run(main())
