// A server as good as one thread and level-triggered epoll(7) make it: a to z become capitals.
//
//   epoll upper    answers in capitals                      epoll echo   gives back, looks at nothing
//   epoll sink     takes everything; at the end of a stream it answers how many bytes there were
//
// One buffer for all connections, as a connection owns memory only while it takes no more of its
// answer; then nothing more is read from it. After a read that did not fill the buffer it does not
// read again.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024, EVENTS = 512, DESCRIPTORS = 65536 };

// What a connection is still owed, and for the sink what it has sent.
struct owed { char *bytes; size_t from, to; };
static struct owed owed[DESCRIPTORS];
static uint64_t taken[DESCRIPTORS];
static char buffer[BUFFER];
static int queue;
static enum { UPPER, ECHO, SINK } service;

static void die(const char *what) { perror(what); exit(3); }

static void upper(char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char c = (unsigned char)bytes[i];
        bytes[i] = (char)(c - ((unsigned char)(c - 'a') < 26 ? 32 : 0));
    }
}

static void watch(int operation, int fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    if (epoll_ctl(queue, operation, fd, &event) < 0) die("epoll_ctl");
}

static void end(int fd)
{
    free(owed[fd].bytes);
    owed[fd] = (struct owed){ 0 };
    taken[fd] = 0;
    close(fd);
}

// Sends, and keeps what the kernel does not take; 0 if the connection has failed.
static int answer(int fd, const char *bytes, size_t count)
{
    ssize_t sent = send(fd, bytes, count, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return 0;
    if (sent < 0) sent = 0;
    if ((size_t)sent == count) return 1;
    size_t rest = count - (size_t)sent;
    char *kept = malloc(rest);
    if (!kept) die("malloc");
    memcpy(kept, bytes + sent, rest);
    owed[fd] = (struct owed){ kept, 0, rest };
    watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
    return 1;
}

static void write_on(int fd)
{
    struct owed *o = &owed[fd];
    ssize_t sent = send(fd, o->bytes + o->from, o->to - o->from, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN) end(fd);
        return;
    }
    o->from += (size_t)sent;
    if (o->from < o->to) return;
    free(o->bytes);
    *o = (struct owed){ 0 };
    watch(EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void read_on(int fd)
{
    ssize_t count = recv(fd, buffer, sizeof buffer, 0);
    if (count < 0) {
        if (errno != EAGAIN) end(fd);
        return;
    }
    if (service == SINK) {
        taken[fd] += (uint64_t)count;
        if (count > 0) return;
        char line[32];
        int length = snprintf(line, sizeof line, "%llu\n", (unsigned long long)taken[fd]);
        if (send(fd, line, (size_t)length, MSG_NOSIGNAL) < 0) perror("send");
    }
    if (count == 0) { end(fd); return; }
    if (service == UPPER) upper(buffer, (size_t)count);
    if (!answer(fd, buffer, (size_t)count)) end(fd);
}

static void accept_all(int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        if (fd >= DESCRIPTORS) { close(fd); continue; }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "upper";
    service = !strcmp(name, "echo") ? ECHO : !strcmp(name, "sink") ? SINK : UPPER;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof at;
    if (listener < 0 || bind(listener, (void *)&at, sizeof at) < 0) die("bind");
    if (listen(listener, 4096) < 0) die("listen");
    if (getsockname(listener, (void *)&at, &length) < 0) die("getsockname");
    if ((queue = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1");
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    printf("The server is ready to receive on port %d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(queue, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_all(listener);
            else if (owed[fd].bytes) write_on(fd);
            else read_on(fd);
        }
    }
}
