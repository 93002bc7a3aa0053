"""The lecture's UDP server: each datagram goes back in CAPITALS to the address it came from."""
import sys
from socket import AF_INET, SOCK_DGRAM, socket

port = int(sys.argv[1]) if len(sys.argv) > 1 else 12000
server = socket(AF_INET, SOCK_DGRAM)  # socket(): IPv4, UDP
server.bind(("", port))  # bind(): '' is every IPv4 interface, not only loopback
port = server.getsockname()[1]  # getsockname(): the port we got, if 0 was asked for
print(f"The server is ready to receive on port {port}", flush=True)
while True:  # no listen(), no accept(): UDP has no connections
    try:
        sentence, client = server.recvfrom(2048)  # recvfrom(): one datagram, and its sender
        server.sendto(sentence.upper(), client)  # sendto(): back to that sender; a to z only
    except OSError as error:  # and on to the next
        print(f"recvfrom() or sendto(): {error}", file=sys.stderr)
# close() is left to the system, which closes every socket of a program that has ended
