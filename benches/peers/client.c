// A bare closed-loop client on epoll(7) that checks nothing: the yardstick for what a load
// generator costs. It counts the bytes of an answer, as it must to know when to ask again.
//
//   client PORT CONNECTIONS REQUESTS      lines of 32 bytes; prints how many were answered
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE = 32, EVENTS = 512, MOST = 4096 };

static int come[MOST];

static void die(const char *what) { perror(what); exit(3); }

int main(int argc, char **argv)
{
    if (argc != 4) { fprintf(stderr, "usage: client PORT CONNECTIONS REQUESTS\n"); return 2; }
    int connections = atoi(argv[2]), *fds = calloc(MOST, sizeof *fds);
    long requests = atol(argv[3]), asked = 0, answered = 0;
    if (connections < 1 || connections > MOST || !fds) return 2;
    const char line[LINE + 1] = "what does a bare client cost us\n";
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    at.sin_port = htons((unsigned short)atoi(argv[1]));
    int queue = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < connections; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[i] < 0 || connect(fds[i], (void *)&at, sizeof at) < 0) die("connect");
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        struct epoll_event event = { .events = EPOLLIN, .data.u32 = (unsigned)i };
        if (epoll_ctl(queue, EPOLL_CTL_ADD, fds[i], &event) < 0) die("epoll_ctl");
    }
    for (int i = 0; i < connections && asked < requests; i++, asked++)
        if (send(fds[i], line, LINE, MSG_NOSIGNAL) != LINE) die("send");
    while (answered < requests) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(queue, events, EVENTS, 10000);
        if (ready <= 0) die("epoll_wait: no answer for 10 s");
        for (int i = 0; i < ready; i++) {
            char buffer[4096];
            unsigned number = events[i].data.u32;
            ssize_t count = recv(fds[number], buffer, sizeof buffer, 0);
            if (count <= 0) die("recv");
            if ((come[number] += (int)count) < LINE) continue;
            come[number] = 0;
            answered++;
            if (asked == requests) continue;
            asked++;
            if (send(fds[number], line, LINE, MSG_NOSIGNAL) != LINE) die("send");
        }
    }
    printf("%ld\n", answered);
    return 0;
}
