"""The lecture's TCP server with a loop around recv(): one client at a time, as often as it asks."""
from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket

listener = socket(AF_INET, SOCK_STREAM)
listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 0))
listener.listen(128)  # the lecture's is 1: the others would wait for a second SYN, not for Python
print(f"The server is ready to receive on port {listener.getsockname()[1]}", flush=True)
while True:
    connection, client = listener.accept()
    try:
        with connection:
            while sentence := connection.recv(1024):
                connection.sendall(sentence.upper())
    except OSError:
        pass  # the client has left
