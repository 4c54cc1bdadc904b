/* Opens and closes one file: exactly COUNT times, or for that many seconds (10s), in THREADS threads that share the
 * count, flat out or RATE times a second in all, evenly spaced.
 */
#include "load.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *usage = "opens PATH COUNT|SECONDSs [THREADS] [RATE]";
static const char *path;
static long long deadline; /* 0: the count decides */
static long long interval; /* ns between the opens of one thread; 0: flat out */

struct share {
    pthread_t thread;
    long long count, failed;
};

/* The default slack of 50 us would turn an even rate into bursts. */
static void wait_until(long long at)
{
    struct timespec t = {at / 1000000000LL, at % 1000000000LL};
    if (now_ns() < at)
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

static void *run(void *argument)
{
    struct share *share = argument;
    long long done = 0, failed = 0, start = now_ns();
    prctl(PR_SET_TIMERSLACK, 1);
    for (; deadline || done < share->count; done++) {
        if (interval)
            wait_until(start + done * interval);
        if (deadline && !(done & 63) && now_ns() >= deadline)
            break;
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            failed++;
        else
            close(fd);
    }
    share->count = done;
    share->failed = failed;
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 5 || !*argv[2]) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    path = argv[1];
    char *last = argv[2] + strlen(argv[2]) - 1;
    int timed = *last == 's';
    if (timed)
        *last = 0;
    long long count = number(argv[2], usage);
    long long threads = argc > 3 ? number(argv[3], usage) : 1, rate = argc > 4 ? number(argv[4], usage) : 0;
    if (threads < 1)
        threads = 1;
    if (rate)
        interval = threads * 1000000000LL / rate;
    struct share *shares = calloc(threads, sizeof *shares);
    long long wall = now_ns(), cpu = cpu_ns(0), total = 0, failed = 0;
    if (timed)
        deadline = wall + count * 1000000000LL;
    for (long long i = 0; i < threads; i++) {
        shares[i].count = count / threads + (i < count % threads);
        if (pthread_create(&shares[i].thread, NULL, run, &shares[i]))
            fail("pthread_create");
    }
    for (long long i = 0; i < threads; i++) {
        pthread_join(shares[i].thread, NULL);
        total += shares[i].count;
        failed += shares[i].failed;
    }
    char more[96];
    snprintf(more, sizeof more, ", \"failed\": %lld, \"threads\": %lld", failed, threads);
    report("opens", total, now_ns() - wall, cpu_ns(0) - cpu, more);
    return 0;
}
