/* Opens and closes one file: exactly COUNT times, or for that many seconds (10s), in THREADS threads that share the
 * count, flat out (RATE 0) or RATE times a second in all, evenly spaced. With PATHS, not one file but the files PATH0,
 * PATH1 and so on, in turn.
 */
#include "load.h"
#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char *usage = "opens PATH COUNT|SECONDSs [THREADS] [RATE] [PATHS]";
static char **paths;
static long long path_count = 1;
static long long deadline; /* 0: the count decides */
static long long interval; /* ns between the opens of one thread; 0: flat out */

struct share {
    pthread_t thread;
    long long count, failed;
};

/* Made before the clock starts, so that many paths cost no more than one. */
static void name_paths(char *path)
{
    paths = calloc(path_count, sizeof *paths);
    paths[0] = path;
    for (long long i = 0; path_count > 1 && i < path_count; i++)
        if (asprintf(&paths[i], "%s%lld", path, i) < 0)
            fail("asprintf");
}

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
    long long done = 0, failed = 0, which = 0, start = now_ns();
    prctl(PR_SET_TIMERSLACK, 1);
    for (; deadline || done < share->count; done++) {
        if (interval)
            wait_until(start + done * interval);
        if (deadline && !(done & 63) && now_ns() >= deadline)
            break;
        int fd = open(paths[which], O_RDONLY | O_CLOEXEC);
        if (++which == path_count)
            which = 0;
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
    if (argc < 3 || argc > 6) {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    long long threads = argc > 3 ? number(argv[3], usage) : 1, rate = argc > 4 ? number(argv[4], usage) : 0;
    path_count = argc > 5 ? number(argv[5], usage) : 1;
    if (threads < 1)
        threads = 1;
    if (path_count < 1)
        path_count = 1;
    if (rate)
        interval = threads * 1000000000LL / rate;
    name_paths(argv[1]);
    struct share *shares = calloc(threads, sizeof *shares);
    long long count, total = 0, failed = 0;
    deadline = count_or_deadline(argv[2], usage, &count);
    long long wall = now_ns(), cpu = cpu_ns(0);
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
