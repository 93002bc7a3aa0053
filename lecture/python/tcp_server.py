"""The lecture's TCP server: one client at a time, one recv() from each, the answer in CAPITALS."""
import sys
from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket

port = int(sys.argv[1]) if len(sys.argv) > 1 else 12000
listener = socket(AF_INET, SOCK_STREAM)  # socket(): IPv4, TCP
listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # lets the server start again at once
listener.bind(("", port))  # bind(): '' is every IPv4 interface, not only loopback
listener.listen(1)  # listen(): clients may now connect; this socket will carry no data
port = listener.getsockname()[1]  # getsockname(): the port we got, if 0 was asked for
print(f"The server is ready to receive on port {port}", flush=True)
while True:
    try:
        connection, client = listener.accept()  # accept(): waits; a new socket for this client
        with connection:  # close() of this client's socket at the end of the block
            sentence = connection.recv(1024)  # recv(): what has arrived, at most 1024 bytes
            connection.sendall(sentence.upper())  # send(), again until all is taken; a to z only
    except OSError as error:  # and on to the next
        print(f"accept(), recv() or send(): {error}", file=sys.stderr)
