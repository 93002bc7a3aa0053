// A UDP server in capitals, in the three ways that a program in C has:
//
//   datagrams plain      recvfrom(2) and sendto(2): the textbook's
//   datagrams batch      recvmmsg(2) and sendmmsg(2): many datagrams in each call
//   datagrams offload    UDP_GRO and UDP_SEGMENT (udp(7)): what came as a burst leaves as one
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LONGEST = 65536, BATCH = 64 };

static char buffers[BATCH][LONGEST];
static struct sockaddr_in peers[BATCH];
static struct iovec pieces[BATCH];
static struct mmsghdr headers[BATCH];

static void die(const char *what) { perror(what); exit(3); }

static void upper(char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)bytes[i];
        bytes[i] = (char)(c - ((unsigned char)(c - 'a') < 26 ? 32 : 0));
    }
}

static void plain(int fd)
{
    for (;;) {
        socklen_t length = sizeof peers[0];
        ssize_t count = recvfrom(fd, buffers[0], LONGEST, 0, (void *)&peers[0], &length);
        if (count < 0) continue;
        upper(buffers[0], (size_t)count);
        sendto(fd, buffers[0], (size_t)count, 0, (void *)&peers[0], length);
    }
}

static void batch(int fd)
{
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            pieces[i] = (struct iovec){ buffers[i], LONGEST };
            headers[i].msg_hdr = (struct msghdr){
                .msg_name = &peers[i], .msg_namelen = sizeof peers[i],
                .msg_iov = &pieces[i], .msg_iovlen = 1,
            };
        }
        int count = recvmmsg(fd, headers, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++) {
            upper(buffers[i], headers[i].msg_len);
            pieces[i].iov_len = headers[i].msg_len;
        }
        for (int sent = 0; sent < count;) {
            int more = sendmmsg(fd, headers + sent, (unsigned)(count - sent), 0);
            sent += more > 0 ? more : 1;
        }
    }
}

static void offload(int fd)
{
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &(int){ 1 }, sizeof(int));
    for (;;) {
        union { char bytes[256]; struct cmsghdr align; } control;
        struct iovec piece = { buffers[0], LONGEST };
        struct msghdr message = {
            .msg_name = &peers[0], .msg_namelen = sizeof peers[0], .msg_iov = &piece,
            .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes,
        };
        ssize_t count = recvmsg(fd, &message, 0);
        if (count < 0) continue;
        int segment = 0;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
            if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
                memcpy(&segment, CMSG_DATA(c), sizeof segment);
        upper(buffers[0], (size_t)count);
        piece.iov_len = (size_t)count;
        message.msg_control = NULL;
        message.msg_controllen = 0;
        if (segment > 0 && segment < count) {
            message.msg_control = control.bytes;
            message.msg_controllen = CMSG_SPACE(sizeof(uint16_t));
            struct cmsghdr *c = CMSG_FIRSTHDR(&message);
            c->cmsg_level = IPPROTO_UDP;
            c->cmsg_type = UDP_SEGMENT;
            c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
            memcpy(CMSG_DATA(c), &(uint16_t){ (uint16_t)segment }, sizeof(uint16_t));
        }
        sendmsg(fd, &message, 0);
    }
}

int main(int argc, char **argv)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof at;
    if (fd < 0 || bind(fd, (void *)&at, sizeof at) < 0) die("bind");
    if (getsockname(fd, (void *)&at, &length) < 0) die("getsockname");
    // As much as the system allows anybody (net.core.rmem_max): bursts come.
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 1 << 22 }, sizeof(int));
    printf("The server is ready to receive on port %d\n", ntohs(at.sin_port));
    fflush(stdout);
    if (argc > 1 && !strcmp(argv[1], "batch")) batch(fd);
    if (argc > 1 && !strcmp(argv[1], "offload")) offload(fd);
    plain(fd);
}
