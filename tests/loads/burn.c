/* Uses SECONDS of CPU time, all of it in burn_here. */
#include "load.h"

volatile unsigned long sink;

/* Well under a millisecond, so that the clock, read outside, stops it in time. */
__attribute__((noinline)) void burn_here(void)
{
    for (unsigned long i = 0; i < 400000; i++)
        sink = sink * 31 + i;
}

int main(int argc, char **argv)
{
    const char *usage = "burn SECONDS";
    char *end = "";
    double seconds = argc == 2 ? strtod(argv[1], &end) : 0;
    if (argc != 2 || *end || seconds <= 0) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    long long wall = now_ns(), cpu = cpu_ns(0), calls = 0;
    while (cpu_ns(0) - cpu < seconds * 1e9) {
        burn_here();
        calls++;
    }
    report("burn", calls, now_ns() - wall, cpu_ns(0) - cpu, "");
    return 0;
}
