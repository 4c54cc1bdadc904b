/* The whole life of sockets: N times by IPv4, by IPv6 and by unix sockets connects to a listener of its own, which
 * accepts. Each listener is socket, setsockopt, bind, listen, an accept4 that finds nobody, close; each connection
 * socket, two setsockopts, connect, accept4, shutdown, close of both ends. As many files are opened and closed. The
 * addresses of the clients are in the report.
 */
#include "load.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
};

static char ports[1 << 16];

static void must(int result, const char *what)
{
    if (result < 0)
        fail(what);
}

/* Loopback with a port of the kernel's choice; for unix sockets an abstract name. */
static socklen_t loopback(union address *here, int family)
{
    memset(here, 0, sizeof *here);
    here->any.sa_family = family;
    if (family == AF_INET) {
        here->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return sizeof here->v4;
    }
    if (family == AF_INET6) {
        here->v6.sin6_addr = in6addr_loopback;
        return sizeof here->v6;
    }
    int length = snprintf(here->path.sun_path + 1, sizeof here->path.sun_path - 1, "ebtop-%d", getpid());
    return offsetof(struct sockaddr_un, sun_path) + 1 + length;
}

__attribute__((noinline)) int begin_to_listen(int family, union address *here, socklen_t *size)
{
    int on = 1, fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(fd, "socket");
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    *size = loopback(here, family);
    must(bind(fd, &here->any, *size), "bind");
    must(listen(fd, 511), "listen");
    if (accept4(fd, NULL, NULL, SOCK_NONBLOCK) >= 0)
        fail("somebody else connects");
    must(getsockname(fd, &here->any, size), "getsockname");
    return fd;
}

__attribute__((noinline)) void connect_and_accept(int family, int listener, union address *to, socklen_t size)
{
    int fd = socket(family, SOCK_STREAM, 0), on = 1;
    struct linger linger = {1, 5};
    struct timeval wait = {2, 500000};
    must(fd, "socket");
    if (family == AF_UNIX)
        must(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait), "SO_SNDTIMEO");
    else
        must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "TCP_NODELAY");
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), "SO_LINGER");
    must(connect(fd, &to->any, size), "connect");
    int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    must(peer, "accept4");
    union address mine;
    socklen_t length = sizeof mine;
    must(getsockname(fd, &mine.any, &length), "getsockname");
    if (family != AF_UNIX)
        sprintf(ports + strlen(ports), "%s%d", *ports ? ", " : "",
                ntohs(family == AF_INET ? mine.v4.sin_port : mine.v6.sin6_port));
    must(shutdown(peer, SHUT_WR), "shutdown");
    close(peer);
    close(fd);
    close(open("/dev/null", O_RDONLY));
}

static void live(int family, long long count)
{
    union address here;
    socklen_t size;
    int listener = begin_to_listen(family, &here, &size);
    for (long long i = 0; i < count; i++)
        connect_and_accept(family, listener, &here, size);
    close(listener);
}

int main(int argc, char **argv)
{
    const char *usage = "sockets V4 V6 UNIX (together at most 9,000)";
    if (argc != 4) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    long long v4 = number(argv[1], usage), v6 = number(argv[2], usage), local = number(argv[3], usage);
    long long wall = now_ns(), cpu = cpu_ns(0), count = v4 + v6 + local;
    if (count > 9000)
        number("-", usage);
    live(AF_INET, v4);
    live(AF_INET6, v6);
    live(AF_UNIX, local);
    static char more[sizeof ports + 64];
    snprintf(more, sizeof more, ", \"pid\": %d, \"ports\": [%s]", getpid(), ports);
    report("sockets", count, now_ns() - wall, cpu_ns(0) - cpu, more);
    return 0;
}
