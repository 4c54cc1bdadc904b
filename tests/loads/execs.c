/* Starts a program COUNT times, or for that many seconds (10s), one after another, and waits for each. */
#include "load.h"
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv)
{
    const char *usage = "execs COUNT|SECONDSs [PROGRAM [ARGUMENT...]]";
    char *nothing[] = {"/bin/true", NULL};
    if (argc < 2) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    char **program = argc > 2 ? argv + 2 : nothing;
    long long count, failed = 0, done = 0, deadline = count_or_deadline(argv[1], usage, &count);
    long long wall = now_ns(), cpu = cpu_ns(1);
    for (; deadline ? now_ns() < deadline : done < count; done++) {
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
    report("execs", done, now_ns() - wall, cpu_ns(1) - cpu, more);
    return 0;
}
