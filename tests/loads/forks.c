/* Forks COUNT times, one after another; each child exits at once, with its number's low byte as its status. With
 * "vfork" no memory is copied, which makes it a storm.
 */
#include "load.h"
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *usage = "forks COUNT [vfork]";
    bool quick = argc == 3 && !strcmp(argv[2], "vfork");
    if (argc != 2 && !quick) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    long long count = number(argv[1], usage), wall = now_ns(), cpu = cpu_ns(1);
    for (long long i = 0; i < count; i++) {
        pid_t pid = quick ? vfork() : fork();
        if (pid < 0)
            fail(quick ? "vfork" : "fork");
        if (!pid)
            _exit(i & 255);
        waitpid(pid, NULL, 0);
    }
    report("forks", count, now_ns() - wall, cpu_ns(1) - cpu, "");
    return 0;
}
