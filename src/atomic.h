/*
 * The one header that the lock-free protocols go through, so that a checker
 * can put its own operations in their place. The order is a bare word:
 * relaxed, acquire, release, acq_rel or seq_cst.
 *
 * There is no stand-alone fence on purpose: ThreadSanitizer does not model
 * them. Order by read-modify-write and by acquire and release on the
 * variables themselves.
 */
#ifndef TN_SRC_ATOMIC_H
#define TN_SRC_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define tn__load(p, order)         atomic_load_explicit(p, memory_order_##order)
#define tn__store(p, v, order)     atomic_store_explicit(p, v, memory_order_##order)
#define tn__exchange(p, v, order)  atomic_exchange_explicit(p, v, memory_order_##order)
#define tn__fetch_add(p, v, order) atomic_fetch_add_explicit(p, v, memory_order_##order)
#define tn__fetch_sub(p, v, order) atomic_fetch_sub_explicit(p, v, memory_order_##order)
#define tn__fetch_or(p, v, order)  atomic_fetch_or_explicit(p, v, memory_order_##order)
#define tn__fetch_and(p, v, order) atomic_fetch_and_explicit(p, v, memory_order_##order)

/* Strong compare and swap; *expected receives what was found on failure. */
#define tn__cas(p, expected, desired, success, failure)                                            \
    atomic_compare_exchange_strong_explicit(p, expected, desired, memory_order_##success,          \
                                            memory_order_##failure)

/* A counter that one thread at a time writes and any may read. */
static inline void tn__count(_Atomic uint64_t *counter)
{
    tn__store(counter, tn__load(counter, relaxed) + 1, relaxed);
}

#endif
