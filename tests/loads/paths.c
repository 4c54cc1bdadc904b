/* Does something by two ways: `first_way` N times, `second_way` M times, in turn while both have some left, then PAUSE
 * ms of nothing after each (0: none). WHAT is open (PATH), exec (PATH, as a child), connect (PATH is a port on
 * 127.0.0.1), deep (open, below 400 frames), wide (open, below 6 KiB of a function's own) or signal (open, in a
 * handler). The system call is made by `by_itself`; with THROUGH_LIBC by the C library, whose functions may lack frame
 * pointers, and then the program need have none either.
 */
#include "load.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Equal functions would become one. */
#define KEPT __attribute__((noinline, noclone, no_icf))

static char *path;
static const char *what;
static volatile int calls;

/* Called after each call: none is the last thing that its function does, and each function has a frame. */
KEPT static void done(void)
{
    calls++;
}

#ifdef THROUGH_LIBC
#define OPEN(path) open(path, O_RDONLY)
#define CONNECT(fd, to) connect(fd, (struct sockaddr *)&(to), sizeof(to))
#define EXECVE(path, argv, env) execve(path, argv, env)
#else
KEPT static long by_itself(long number, long a, long b, long c, long d)
{
    long result;
#if defined(__x86_64__)
    register long fourth __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                     : "rcx", "r11", "memory");
#else
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    result = x0;
#endif
    done();
    return result;
}
#define OPEN(path) by_itself(SYS_openat, AT_FDCWD, (long)(path), O_RDONLY, 0)
#define CONNECT(fd, to) by_itself(SYS_connect, fd, (long)&(to), sizeof(to), 0)
#define EXECVE(path, argv, env) by_itself(SYS_execve, (long)(path), (long)(argv), (long)(env), 0)
#endif

KEPT static void open_it(void)
{
    int fd = OPEN(path);
    if (fd >= 0)
        close(fd);
    done();
}

KEPT static void connect_it(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(path))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CONNECT(fd, to);
    close(fd);
    done();
}

/* A child of its own stack: what it has on it must be there when it makes its call. */
KEPT static void exec_it(void)
{
    char *argv[] = {path, NULL}, *none[] = {NULL};
    pid_t pid = fork();
    if (!pid) {
        EXECVE(path, argv, none);
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
    const char *usage = "paths open|exec|connect|deep|wide|signal PATH N M [PAUSE]";
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
    report("paths", n + m, now_ns() - wall, cpu_ns(1) - cpu, "");
    return 0;
}
