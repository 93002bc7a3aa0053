"""The lecture's web client: resolves a name, connects, GETs, reads at most 2000 bytes, closes."""
import sys
from socket import AF_INET, SOCK_STREAM, getaddrinfo, socket

host = sys.argv[1] if len(sys.argv) > 1 else "example.com"
port = int(sys.argv[2]) if len(sys.argv) > 2 else 80
address = getaddrinfo(host, port, AF_INET, SOCK_STREAM)[0][4]  # getaddrinfo(): name to address
connection = socket(AF_INET, SOCK_STREAM)  # socket(): IPv4, TCP
connection.connect(address)  # connect(): the handshake
request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"  # HTTP/1.1 demands Host; an empty line ends it
connection.sendall(request.encode())  # send(), again until all is taken
reply = connection.recv(2000)  # recv(): the first piece that has arrived, at most 2000 bytes
print(reply.decode(errors="replace"))
connection.close()  # close(): the rest of the reply, if any, is lost
