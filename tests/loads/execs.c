/* Starts a program COUNT times, one after another, and waits for each. */
#include "load.h"
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
    const char *usage = "execs COUNT [PROGRAM [ARGUMENT...]]";
    char *nothing[] = {"/bin/true", NULL};
    if (argc < 2) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    char **program = argc > 2 ? argv + 2 : nothing;
    long long count = number(argv[1], usage), failed = 0;
    long long wall = now_ns(), cpu = cpu_ns(1);
    for (long long i = 0; i < count; i++) {
        pid_t pid;
        int status = 0;
        if (posix_spawn(&pid, program[0], NULL, NULL, program, environ)) {
            failed++;
            continue;
        }
        waitpid(pid, &status, 0);
    }
    char more[48];
    snprintf(more, sizeof more, ", \"failed\": %lld", failed);
    report("execs", count, now_ns() - wall, cpu_ns(1) - cpu, more);
    return 0;
}
