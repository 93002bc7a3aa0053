"""The lecture's half server: serves one client half of what it sent, then ends."""
import sys
from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket

port = int(sys.argv[1]) if len(sys.argv) > 1 else 2347
listener = socket(AF_INET, SOCK_STREAM)  # socket(): IPv4, TCP
listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # lets the server start again at once
listener.bind(("", port))  # bind(): '' is every IPv4 interface, not only loopback
listener.listen(5)  # listen(): about 5 clients may wait in the queue
port = listener.getsockname()[1]  # getsockname(): the port we got, if 0 was asked for
print(f"The server is ready to receive on port {port}", flush=True)
connection, client = listener.accept()  # accept(): waits; a new socket for this client
data = connection.recv(1024)  # recv(): what has arrived, at most 1024 bytes
connection.sendall(data[: len(data) // 2])  # send(): half, rounded down (len / 2 is a float)
connection.close()  # close() of this client's socket
listener.close()  # close() of the listening socket: no further client
