/* Forks COUNT times, one after another; each child uses US microseconds of CPU, under the name "brief", and exits with 1
 * where its number is a multiple of 7.
 */
#include "load.h"
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *usage = "brief COUNT US";
    if (argc != 3) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    long long count = number(argv[1], usage), us = number(argv[2], usage), wall = now_ns(), cpu = cpu_ns(1);
    for (long long i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid < 0)
            fail("fork");
        if (!pid) {
            prctl(PR_SET_NAME, "brief");
            while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < us * 1000)
                ;
            _exit(i % 7 == 0);
        }
        waitpid(pid, NULL, 0);
    }
    report("brief", count, now_ns() - wall, cpu_ns(1) - cpu, "");
    return 0;
}
