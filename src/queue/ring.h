/*
 * A bounded ring of pointers for any number of producers and consumers.
 *
 *   push may run against push and pop; pop against push and pop.
 *   init and done run alone.
 *
 * Neither waits for another thread and neither makes a system call. Items come
 * out in the order in which pushes took their places.
 */
#ifndef TN_SRC_QUEUE_RING_H
#define TN_SRC_QUEUE_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "atomic.h"
#include "compiler.h"

struct tn__ring_cell {
    _Atomic size_t sequence;
    void *item; /* handed over by sequence */
};

struct tn__ring {
    struct tn__ring_cell *cells; /* constant after init */
    size_t mask;                 /* constant after init */
    TN__ALIGNED _Atomic size_t push_position;
    TN__ALIGNED _Atomic size_t pop_position;
};

/* The capacity is rounded up to a power of two, at least 2. 0, -EINVAL or -ENOMEM. */
int tn__ring_init(struct tn__ring *ring, size_t capacity);
void tn__ring_done(struct tn__ring *ring);

/* False: the ring is full. */
bool tn__ring_push(struct tn__ring *ring, void *item);

/*
 * NULL: nothing is ready. An item behind a push that is under way is not ready
 * before that push has returned.
 */
void *tn__ring_pop(struct tn__ring *ring);

/* A hint: whether a pop would find nothing ready just now. */
bool tn__ring_empty(const struct tn__ring *ring);

#endif
