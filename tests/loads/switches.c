/* Context switches.
 * switches pipes COUNT|SECONDSs, switches futex COUNT: two threads on one CPU wake each other in turn, until COUNT
 * switches are done, or for that many seconds (10s).
 * switches contend THREADS SECONDS: threads on all CPUs burn for up to 2 ms and sleep for up to 1 ms, so that with more
 * threads than CPUs some always wait for one.
 */
#include "load.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *usage = "switches pipes COUNT|SECONDSs, switches futex COUNT, switches contend THREADS SECONDS";
static long long rounds, deadline;
static int there[2], back[2];
static _Atomic int turn;

static void stay_on_one_cpu(void)
{
    cpu_set_t set;
    int cpu = sched_getcpu();
    CPU_ZERO(&set);
    CPU_SET(cpu < 0 ? 0 : cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        fail("sched_setaffinity");
}

static void *pipe_peer(void *unused)
{
    char c;
    (void)unused;
    while (read(there[0], &c, 1) == 1)
        if (write(back[1], &c, 1) != 1)
            fail("pipe");
    return NULL;
}

/* Until `rounds` are done, or the deadline is; `rounds` is then how many there were. */
static void pipe_rounds(void)
{
    char c = 0;
    long long done = 0;
    for (; deadline ? (done & 63) || now_ns() < deadline : done < rounds; done++)
        if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
            fail("pipe");
    rounds = done;
    close(there[1]);
}

/* Waits until it is my turn, then hands it over. */
static void futex_turns(int mine)
{
    for (long long i = 0; i < rounds; i++) {
        while (atomic_load(&turn) != mine)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !mine, NULL, NULL, 0);
        atomic_store(&turn, !mine);
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

static void *futex_peer(void *unused)
{
    (void)unused;
    futex_turns(1);
    return NULL;
}

static void ping_pong(const char *kind)
{
    int pipes = !strcmp(kind, "pipes");
    pthread_t peer;
    if (pipe(there) || pipe(back))
        fail("pipe");
    stay_on_one_cpu();
    long long wall = now_ns(), cpu = cpu_ns(0);
    if (pthread_create(&peer, NULL, pipes ? pipe_peer : futex_peer, NULL))
        fail("pthread_create");
    if (pipes)
        pipe_rounds();
    else
        futex_turns(0);
    pthread_join(peer, NULL);
    report("switches", rounds * 2, now_ns() - wall, cpu_ns(0) - cpu, "");
}

static void *contender(void *seed)
{
    unsigned state = (unsigned)(size_t)seed;
    long long *done = calloc(1, sizeof *done);
    for (; now_ns() < deadline; ++*done) {
        long long until = clock_ns(CLOCK_THREAD_CPUTIME_ID) + rand_r(&state) % 2000000;
        while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until) /* a system call: not too often */
            for (volatile int i = 0; i < 20000; i++)
                ;
        usleep(rand_r(&state) % 1000);
    }
    return done;
}

static void contend(long long threads, long long seconds)
{
    pthread_t *contenders = calloc(threads, sizeof *contenders);
    long long wall = now_ns(), cpu = cpu_ns(0), total = 0;
    deadline = wall + seconds * 1000000000LL;
    for (long long i = 0; i < threads; i++)
        if (pthread_create(&contenders[i], NULL, contender, (void *)(size_t)(i + 1)))
            fail("pthread_create");
    for (long long i = 0; i < threads; i++) {
        void *done;
        pthread_join(contenders[i], &done);
        total += *(long long *)done;
    }
    report("contend", total, now_ns() - wall, cpu_ns(0) - cpu, "");
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "contend")) {
        contend(number(argv[2], usage), number(argv[3], usage));
    } else if (argc == 3 && !strcmp(argv[1], "pipes")) {
        deadline = count_or_deadline(argv[2], usage, &rounds);
        rounds = (rounds + 1) / 2;
        ping_pong("pipes");
    } else if (argc == 3 && !strcmp(argv[1], "futex")) {
        rounds = (number(argv[2], usage) + 1) / 2;
        ping_pong("futex");
    } else {
        fprintf(stderr, "usage: %s\n", usage);
        return 2;
    }
    return 0;
}
