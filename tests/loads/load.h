/* What the load programs share: clocks, and the report that each prints as one JSON object at its end. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static inline long long clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline long long now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/* CPU time of this process, all threads; with children, that of those it has waited for as well. */
static inline long long cpu_ns(int with_children)
{
    long long ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (with_children) {
        struct rusage u;
        getrusage(RUSAGE_CHILDREN, &u);
        ns += (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000LL + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000LL;
    }
    return ns;
}

static inline void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* A count, or as the usage line says. */
static inline long long number(const char *text, const char *usage)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    if (*end || end == text || value < 0) {
        fprintf(stderr, "usage: %s\n", usage);
        exit(2);
    }
    return value;
}

/* "5s" asks for a time: gives the moment at which it is over (as now_ns) and 0; "5" for a count: 0 and the count. */
static inline long long count_or_deadline(char *text, const char *usage, long long *count)
{
    char *last = *text ? text + strlen(text) - 1 : text;
    int timed = *last == 's';
    if (timed)
        *last = 0;
    long long value = number(text, usage);
    *count = timed ? 0 : value;
    return timed ? now_ns() + value * 1000000000LL : 0;
}

/* "count" operations took `wall` and `cpu`; `more` is JSON to put in, starting with a comma, or "". */
static inline void report(const char *load, long long count, long long wall, long long cpu, const char *more)
{
    double each = count ? (double)count : 1;
    printf("{\"load\": \"%s\", \"count\": %lld, \"wall_ns\": %lld, \"cpu_ns\": %lld, \"wall_ns_each\": %.1f, "
           "\"cpu_ns_each\": %.1f%s}\n", load, count, wall, cpu, wall / each, cpu / each, more);
    fflush(stdout);
}
