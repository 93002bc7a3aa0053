"""The lecture's UDP client: one sentence out as one datagram, one datagram back."""
import sys
from socket import AF_INET, SOCK_DGRAM, socket

host = sys.argv[1] if len(sys.argv) > 1 else "localhost"
port = int(sys.argv[2]) if len(sys.argv) > 2 else 12000
client = socket(AF_INET, SOCK_DGRAM)  # socket(): IPv4, UDP
print("Input lowercase sentence:", end="", flush=True)
sentence = sys.stdin.buffer.readline().removesuffix(b"\n")  # bytes, without the newline
client.sendto(sentence, (host, port))  # getaddrinfo(), bind() to any port, sendto(): no handshake
reply, server = client.recvfrom(2048)  # recvfrom(): waits for one datagram, at most 2048 bytes
print("From Server:", reply.decode(errors="replace"))
client.close()  # close(): the port is free again
