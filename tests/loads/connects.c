/* Connects over loopback to its own listeners: V4 times by IPv4, V6 times by IPv6, REFUSED times (IPv4) to a port on
 * which nobody listens. With a fourth argument, sockets do not block. The ports are in the report.
 */
#include "load.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static int nonblocking;

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t loopback(union address *to, int family, int port)
{
    memset(to, 0, sizeof *to);
    to->any.sa_family = family;
    if (family == AF_INET) {
        to->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to->v4.sin_port = htons(port);
        return sizeof to->v4;
    }
    to->v6.sin6_addr = in6addr_loopback;
    to->v6.sin6_port = htons(port);
    return sizeof to->v6;
}

/* A socket on a port that the kernel chose; listening or merely holding the port, so that it refuses. */
static int bound(int family, int listening, int *port)
{
    union address here;
    socklen_t size = loopback(&here, family, 0);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, &here.any, size) || (listening && listen(fd, 128)) || getsockname(fd, &here.any, &size))
        fail(family == AF_INET ? "listen on 127.0.0.1" : "listen on ::1");
    *port = ntohs(family == AF_INET ? here.v4.sin_port : here.v6.sin6_port);
    return fd;
}

/* 0 or the errno with which it failed. */
static int connect_once(int family, int port)
{
    union address to;
    socklen_t size = loopback(&to, family, port);
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0), error = 0;
    if (fd < 0)
        fail("socket");
    if (connect(fd, &to.any, size))
        error = errno;
    if (error == EINPROGRESS) {
        struct pollfd ready = {fd, POLLOUT, 0};
        socklen_t length = sizeof error;
        poll(&ready, 1, 10000);
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    close(fd);
    return error;
}

/* Connects COUNT times; `listener` (or -1) is emptied each time, so that its queue never fills. */
static long long connects(int family, int port, int listener, long long count, int expected)
{
    long long as_expected = 0;
    for (long long i = 0; i < count; i++) {
        as_expected += connect_once(family, port) == expected;
        if (listener >= 0)
            close(accept(listener, NULL, NULL));
    }
    return as_expected;
}

int main(int argc, char **argv)
{
    const char *usage = "connects V4 V6 REFUSED [nonblocking]";
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    long long v4 = number(argv[1], usage), v6 = number(argv[2], usage), refused = number(argv[3], usage);
    int port4, port6 = 0, closed;
    nonblocking = argc > 4;
    int listener4 = bound(AF_INET, 1, &port4), listener6 = v6 ? bound(AF_INET6, 1, &port6) : -1;
    bound(AF_INET, 0, &closed);
    long long wall = now_ns(), cpu = cpu_ns(0);
    long long good = connects(AF_INET, port4, listener4, v4, 0);
    good += connects(AF_INET6, port6, listener6, v6, 0);
    good += connects(AF_INET, closed, -1, refused, ECONNREFUSED);
    long long count = v4 + v6 + refused;
    char more[160];
    snprintf(more, sizeof more, ", \"failed\": %lld, \"v4_port\": %d, \"v6_port\": %d, \"refused_port\": %d, \"pid\": %d",
             count - good, port4, port6, closed, getpid());
    report("connects", count, now_ns() - wall, cpu_ns(0) - cpu, more);
    return 0;
}
