/*
 * The clock that the library counts in: CLOCK_MONOTONIC, in nanoseconds.
 */
#ifndef TN_SRC_CLOCK_H
#define TN_SRC_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t tn__now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

#endif
