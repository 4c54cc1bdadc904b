/* Calls functions of its own a known number of times, and passes USDT probes as often, with and without a semaphore:
 * calls_add(i - 50, i % 7, "even" or "odd") for each i below COUNT; calls_deep, which calls itself DEPTH times; calls_slow,
 * which sleeps 3 ms every 10th time.
 */
#include "load.h"
#include <unistd.h>
#if __has_include(<sys/sdt.h>)
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>
__extension__ volatile unsigned short ebtop_armed_semaphore __attribute__((section(".probes")));
#define plain(a, b) STAP_PROBE2(ebtop, plain, a, b)
#define armed(a) STAP_PROBE1(ebtop, armed, a)
__extension__ volatile unsigned short ebtop_plain_semaphore __attribute__((section(".probes")));
#else
#define plain(a, b) ((void)(a), (void)(b))
#define armed(a) (void)(a)
static volatile unsigned short ebtop_armed_semaphore;
#endif

static const char *usage = "calls COUNT [DEPTH]";

__attribute__((noinline, noclone)) long calls_add(int a, unsigned char b, const char *text)
{
    long length = (long)strlen(text); /* touches it in any case: what has not been touched cannot be read by others */
    __asm__ volatile("" : "+r"(a), "+r"(length));
    return a < 0 ? -1 : a + b + length;
}

__attribute__((noinline, noclone)) long calls_deep(long left)
{
    long below = left > 0 ? calls_deep(left - 1) : 0;
    __asm__ volatile("" : "+r"(below));
    return below + 1;
}

__attribute__((noinline, noclone)) int calls_slow(long which)
{
    return which % 10 ? 0 : usleep(3000);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    long long count = number(argv[1], usage), depth = argc > 2 ? number(argv[2], usage) : 0, sum = 0;
    long long wall = now_ns(), cpu = cpu_ns(0);
    for (long long i = 0; i < count; i++) {
        const char *text = i % 2 ? "odd" : "even";
        sum += calls_add((int)i - 50, i % 7, text);
        calls_slow(i);
        plain((int)i - 50, text);
        if (ebtop_armed_semaphore)
            armed(i);
    }
    sum += calls_deep(depth);
    char more[64];
    snprintf(more, sizeof more, ", \"sum\": %lld", sum);
    report("calls", count, now_ns() - wall, cpu_ns(0) - cpu, more);
    return 0;
}
