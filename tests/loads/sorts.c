/* Uses SECONDS of CPU time, nearly all of it in compared_here, which the C library calls for sorted_here: libraries have
 * no frame pointers as a rule, and with -fomit-frame-pointer the program has none either.
 */
#include "load.h"

#define COUNT 3000

static int numbers[COUNT];
volatile unsigned long sink;

__attribute__((noinline)) int compared_here(const void *a, const void *b)
{
    int left = *(const int *)a, right = *(const int *)b;
    for (int i = 0; i < 50; i++)
        sink = sink * 31 + left;
    return (left > right) - (left < right);
}

/* Not the last thing that it does is to call, or it would be jumped out of. */
__attribute__((noinline)) void sorted_here(void)
{
    for (int i = 0; i < COUNT; i++)
        numbers[i] = (i * 7919) % COUNT;
    qsort(numbers, COUNT, sizeof(numbers[0]), compared_here);
    sink += numbers[1];
}

int main(int argc, char **argv)
{
    char *end = "";
    double seconds = argc == 2 ? strtod(argv[1], &end) : 0;
    if (argc != 2 || *end || seconds <= 0) {
        fprintf(stderr, "usage: sorts SECONDS\n");
        return 2;
    }
    long long wall = now_ns(), cpu = cpu_ns(0), calls = 0;
    while (cpu_ns(0) - cpu < seconds * 1e9) {
        sorted_here();
        calls++;
    }
    report("sorts", calls, now_ns() - wall, cpu_ns(0) - cpu, "");
    return 0;
}
