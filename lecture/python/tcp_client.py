"""The lecture's TCP client: one sentence out, one recv() back."""
import sys
from socket import AF_INET, SOCK_STREAM, socket

host = sys.argv[1] if len(sys.argv) > 1 else "localhost"
port = int(sys.argv[2]) if len(sys.argv) > 2 else 12000
connection = socket(AF_INET, SOCK_STREAM)  # socket(): IPv4, TCP; nothing is sent yet
connection.connect((host, port))  # getaddrinfo() for the name, then connect(): the handshake
print("Input lowercase sentence:", end="", flush=True)
sentence = sys.stdin.buffer.readline().removesuffix(b"\n")  # bytes, without the newline
if not sentence:  # both ends would wait for ever: no byte would go out
    sys.exit("nothing to send()")
connection.sendall(sentence)  # send(), again until all is taken
reply = connection.recv(1024)  # recv(): waits, then takes what has arrived, at most 1024 bytes
print("From Server:", reply.decode(errors="replace"))
connection.close()  # close(): the connection ends
