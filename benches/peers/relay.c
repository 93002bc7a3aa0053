// A relay as plain as one thread and level-triggered epoll(7) make it: what any proxy of TCP costs.
//
//   relay ADDRESS PORT    listens on a free port of 127.0.0.1, and says which
//
// What a peer does not take is kept, and nothing more is read for it; an end is passed on.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 64 * 1024, EVENTS = 512, DESCRIPTORS = 65536 };

// By descriptor: the other side, what it is still owed, and which ends have passed.
static struct side { int peer; char *bytes; size_t from, to; int ended, gone; } sides[DESCRIPTORS];
static char buffer[BUFFER];
static int queue;

static void die(const char *what) { perror(what); exit(3); }

static void watch(int operation, int fd, unsigned events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    if (epoll_ctl(queue, operation, fd, &event)) die("epoll_ctl");
}

static void drop(int fd)
{
    int both[2] = { fd, sides[fd].peer };
    for (int i = 0; i < 2; i++) {
        free(sides[both[i]].bytes);
        sides[both[i]] = (struct side){ .gone = 1 };
        close(both[i]);
    }
}

static void take(int fd)
{
    struct side *side = &sides[fd], *to = &sides[side->peer];
    ssize_t count = read(fd, buffer, BUFFER);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR) drop(fd);
        return;
    }
    if (count == 0) {
        side->ended = 1;
        shutdown(side->peer, SHUT_WR);
        watch(EPOLL_CTL_MOD, fd, 0);
        if (to->ended) drop(fd);
        return;
    }
    ssize_t sent = write(side->peer, buffer, (size_t)count);
    if (sent < 0 && errno != EAGAIN) { drop(fd); return; }
    if (sent < 0) sent = 0;
    if (sent == count) return;
    to->to = (size_t)(count - sent);
    to->from = 0;
    to->bytes = malloc(to->to);
    if (!to->bytes) die("malloc");
    memcpy(to->bytes, buffer + sent, to->to);
    watch(EPOLL_CTL_MOD, fd, 0);
    watch(EPOLL_CTL_MOD, side->peer, EPOLLOUT | (to->ended ? 0 : EPOLLIN));
}

static void give(int fd)
{
    struct side *side = &sides[fd];
    ssize_t sent = write(fd, side->bytes + side->from, side->to - side->from);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) drop(fd);
        return;
    }
    side->from += (size_t)sent;
    if (side->from < side->to) return;
    free(side->bytes);
    side->bytes = NULL;
    watch(EPOLL_CTL_MOD, fd, side->ended ? 0 : EPOLLIN);
    watch(EPOLL_CTL_MOD, side->peer, EPOLLIN);
}

static void begin(int listener, const struct sockaddr_in *target)
{
    int on = 1, near = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (near < 0) return;
    int far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (far < 0 || near >= DESCRIPTORS || far >= DESCRIPTORS) die("socket");
    if (connect(far, (const struct sockaddr *)target, sizeof *target)) die("connect");
    if (setsockopt(near, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) die("setsockopt");
    if (setsockopt(far, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) die("setsockopt");
    // The dialling alone may wait; the target of a measurement is there.
    if (fcntl(far, F_SETFL, O_NONBLOCK)) die("fcntl");
    sides[near] = (struct side){ .peer = far };
    sides[far] = (struct side){ .peer = near };
    watch(EPOLL_CTL_ADD, near, EPOLLIN);
    watch(EPOLL_CTL_ADD, far, EPOLLIN);
}

int main(int argc, char **argv)
{
    struct sockaddr_in own = { .sin_family = AF_INET }, target = { .sin_family = AF_INET };
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (argc != 3 || inet_pton(AF_INET, argv[1], &target.sin_addr) != 1) return 2;
    target.sin_port = htons((unsigned short)atoi(argv[2]));
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof own;
    if (bind(listener, (struct sockaddr *)&own, size) || listen(listener, 1024)) die("listen");
    if (getsockname(listener, (struct sockaddr *)&own, &size)) die("getsockname");
    queue = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    printf("The relay is ready to receive on port %d\n", ntohs(own.sin_port));
    fflush(stdout);
    struct epoll_event events[EVENTS];
    for (;;) {
        int count = epoll_wait(queue, events, EVENTS, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) { begin(listener, &target); continue; }
            if (!sides[fd].gone && events[i].events & EPOLLOUT) give(fd);
            if (!sides[fd].gone && events[i].events & ~(unsigned)EPOLLOUT) take(fd);
        }
    }
}
