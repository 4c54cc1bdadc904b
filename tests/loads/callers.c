/* Does something through the C library by two ways: `first_way` N times, `second_way` M times, in turn while both have
 * some left, then PAUSE ms of nothing after each (0: none). WHAT is open (PATH), exec (PATH, as a child), connect (PATH
 * is a port on 127.0.0.1), deep (open, below 400 frames), wide (open, below 6 KiB of a function's own) or signal (open,
 * in a handler). The C library has no frame pointers, and this program need have none either.
 */
#include "load.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Equal functions would become one. */
#define KEPT __attribute__((noinline, noclone, no_icf))

static char *path;
static const char *what;
static volatile int calls;

/* Called after each call: none is the last thing that its function does. */
KEPT static void done(void)
{
    calls++;
}

KEPT static void open_it(void)
{
    int fd = open(path, O_RDONLY);
    if (fd >= 0)
        close(fd);
    done();
}

KEPT static void connect_it(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(path))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    connect(fd, (struct sockaddr *)&to, sizeof to);
    close(fd);
    done();
}

KEPT static void exec_it(void)
{
    char *argv[] = {path, NULL}, *none[] = {NULL};
    pid_t pid = fork();
    if (!pid) {
        execve(path, argv, none);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    done();
}

KEPT static void go_down(int levels)
{
    if (levels > 1)
        go_down(levels - 1);
    else
        open_it();
    done();
}

KEPT static void be_wide(void)
{
    char room[6144];
    __asm__ volatile("" : : "r"(room) : "memory");
    open_it();
    done();
}

static void handler(int number)
{
    (void)number;
    open_it();
    done();
}

KEPT static void do_it(void)
{
    if (*what == 'o')
        open_it();
    else if (*what == 'c')
        connect_it();
    else if (*what == 'e')
        exec_it();
    else if (*what == 'd')
        go_down(400);
    else if (*what == 'w')
        be_wide();
    else
        raise(SIGUSR1);
    done();
}

KEPT static void deeper(void)
{
    do_it();
    done();
}

KEPT static void first_way(void)
{
    do_it();
    done();
}

KEPT static void second_way(void)
{
    deeper();
    done();
}

int main(int argc, char **argv)
{
    const char *usage = "callers open|exec|connect|deep|wide|signal PATH N M [PAUSE]";
    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    what = argv[1];
    path = argv[2];
    long long n = number(argv[3], usage), m = number(argv[4], usage), pause = argc > 5 ? number(argv[5], usage) : 0;
    struct timespec wait = {pause / 1000, pause % 1000 * 1000000};
    signal(SIGUSR1, handler);
    long long wall = now_ns(), cpu = cpu_ns(1);
    for (long long i = 0; i < n || i < m; i++) {
        if (i < n)
            first_way();
        if (i < m)
            second_way();
        if (pause)
            nanosleep(&wait, NULL);
    }
    report("callers", n + m, now_ns() - wall, cpu_ns(1) - cpu, "");
    return 0;
}
