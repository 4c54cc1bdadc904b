/* Forks COUNT times, one after another; each child exits at once, with its number's low byte as its status. */
#include "load.h"
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *usage = "forks COUNT";
    if (argc != 2) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    long long count = number(argv[1], usage), wall = now_ns(), cpu = cpu_ns(1);
    for (long long i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid < 0)
            fail("fork");
        if (!pid)
            _exit(i & 255);
        waitpid(pid, NULL, 0);
    }
    report("forks", count, now_ns() - wall, cpu_ns(1) - cpu, "");
    return 0;
}
