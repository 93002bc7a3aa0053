"""toxiproxy-python from PyPI, unmodified, against the API at the address it is given."""

import socket
import sys

from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

host, port, upstream = sys.argv[1], int(sys.argv[2]), sys.argv[3]
server = Toxiproxy()
server.update_api_consumer(host, port)


def refused(kind, call, *words, **pairs):
    try:
        call(*words, **pairs)
    except kind:
        return
    raise AssertionError("%s was not refused with %s" % (words, kind.__name__))


def through(proxy, word=b"hello"):
    place = proxy.listen.rsplit(":", 1)
    with socket.create_connection((place[0], int(place[1])), timeout=60) as stream:
        stream.sendall(word)
        got = b""
        while len(got) < len(word):
            piece = stream.recv(64)
            if not piece:
                break
            got += piece
        return got


assert server.running()
assert b"version" in server.version()
assert server.proxies() == {}
proxy = server.create(name="web", upstream=upstream)
assert proxy.enabled and server.get_proxy("web").listen == proxy.listen
assert through(proxy) == b"hello"
refused(ProxyExists, server.create, name="web", upstream=upstream)

proxy.add_toxic(type="latency", attributes={"latency": 5, "jitter": 2})
proxy.add_toxic(name="cut", type="limit_data", stream="downstream", attributes={"bytes": 3})
assert set(proxy.toxics()) == {"latency_downstream", "cut"}
assert proxy.get_toxic("cut").attributes == {"bytes": 3}
assert through(proxy) == b"hel"
refused(ProxyExists, proxy.add_toxic, name="cut", type="noop")
refused(InvalidToxic, proxy.add_toxic, type="nonsense")
proxy.destroy_toxic("cut")
refused(NotFound, proxy.destroy_toxic, "cut")
assert through(proxy) == b"hello"

with proxy.down():
    assert not server.get_proxy("web").enabled
    refused(OSError, through, proxy)
assert through(proxy) == b"hello"

server.populate([
    {"name": "one", "listen": "127.0.0.1:0", "upstream": upstream},
    {"name": "two", "listen": "127.0.0.1:0", "upstream": upstream, "enabled": False},
])
assert not server.get_proxy("two").enabled
server.reset()
assert server.get_proxy("two").enabled
assert proxy.toxics() == {}
udp = server.create(name="dns", upstream="udp://" + upstream)
udp.add_toxic(type="loss", attributes={"probability": 0.1})
server.destroy(proxy)
refused(NotFound, proxy.toxics)
server.destroy_all()
assert server.proxies() == {}
print("all of it worked")
