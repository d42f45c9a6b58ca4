/*
 * Sleep and wake: an event count in one word, the epoch in the high half and
 * the number of waiters in the low one.
 *
 * A waiter calls prepare, looks once more for what it waits for, and then
 * either cancels or waits. Whoever publishes something calls wake afterwards.
 * All but init may be called by any thread at any time.
 */
#ifndef TN_SRC_QUEUE_PARK_H
#define TN_SRC_QUEUE_PARK_H

#include <stdint.h>

#include "atomic.h"

struct tn__park {
    _Atomic uint64_t word;
};

void tn__park_init(struct tn__park *park);

/* One waiter more; returns the epoch to wait with. Look again after it. */
uint32_t tn__park_prepare(struct tn__park *park);

/* Instead of a wait: the look after prepare found something. */
void tn__park_cancel(struct tn__park *park);

/*
 * Sleeps while the epoch is the given one; timeout_ns < 0 is for ever. Returns
 * 0, also without cause (a signal), or -ETIMEDOUT.
 */
int tn__park_wait(struct tn__park *park, uint32_t epoch, int64_t timeout_ns);

/*
 * Wakes up to count sleepers; INT_MAX is all. Without waiters it is one
 * read-modify-write. Async-signal-safe, leaves errno alone. The park may be
 * freed by what a woken thread does: it is not read once the word was changed.
 */
void tn__park_wake(struct tn__park *park, int count);

#endif
