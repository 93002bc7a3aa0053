"""Python's asyncio in capitals: `protocol` (callbacks, the fast way) or `streams` (await, the usual one)."""
import asyncio
import sys


class Upper(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data.upper())


async def upper(reader, writer):
    try:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
    except ConnectionError:
        pass  # the client has left
    finally:
        writer.close()


async def main():
    if sys.argv[1:] == ["streams"]:
        server = await asyncio.start_server(upper, "127.0.0.1", 0, backlog=4096)
    else:
        server = await asyncio.get_running_loop().create_server(Upper, "127.0.0.1", 0, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    print(f"The server is ready to receive on port {port}", flush=True)
    await server.serve_forever()


asyncio.run(main())
