/*
 * Type-stable slots with 32-bit ids from 1.
 *
 * Items live in segments that double in size, never move, and are freed only
 * by tn__store_done: an id once handed out can be turned into an address for
 * ever, and what is there is always an item. A freed slot is handed out again
 * only after a grace period, so that a read-side section never sees one item
 * turn into another.
 */
#ifndef TN_REGISTRY_STORE_H
#define TN_REGISTRY_STORE_H

#include <stdint.h>

#include "atomic.h"
#include "compiler.h"
#include "rcu.h"

enum {
    TN__STORE_FIRST = 64, /* items in segment 0; segment k has 64 << k */
    TN__STORE_SEGMENTS = 26,
};

/* A list of slots through their link field. */
struct tn__store_list {
    uint32_t head, tail;
};

struct tn__store {
    /* Constant after init. */
    size_t item_size;
    size_t link_offset;
    /* Written under the lock, release; read by all, acquire. */
    _Atomic(char *) segments[TN__STORE_SEGMENTS];

    char pad[TN__CACHELINE]; /* what changes stays out of the line of what is read */

    /* Under the lock; count is read by all. */
    _Atomic uint32_t count;           /* live items */
    uint32_t end;                     /* the lowest id never handed out */
    struct tn__store_list free;       /* ready to be handed out */
    struct tn__store_list collecting; /* freed since the last grace period began */
    struct tn__store_list waiting;    /* covered by the grace period that runs */
    bool grace_runs;
    /* Set by RCU's thread, release; taken under the lock, acquire. */
    atomic_bool grace_over;
    struct tn__rcu_head grace; /* RCU's while grace_runs */
};

/*
 * link_offset: where a uint32_t lies in the item that is the store's while the
 * slot is free or in quarantine; no thread without the lock may read it. 0, or
 * -EINVAL.
 */
int tn__store_init(struct tn__store *store, size_t item_size, size_t link_offset);

/* After tn__rcu_barrier(), if a slot was ever freed. */
void tn__store_done(struct tn__store *store);

/* 0: no memory. The item keeps its old bytes (zero when fresh): the caller sets each field. */
uint32_t tn__store_alloc_locked(struct tn__store *store);

/* Never waits, never allocates. */
void tn__store_free_locked(struct tn__store *store, uint32_t id);

static inline uint32_t tn__store_segment(uint32_t id)
{
    return 25u - (uint32_t)__builtin_clz(id + TN__STORE_FIRST - 1);
}

/* As tn__store_get, where the size of the items is known to the compiler. */
static inline void *tn__store_at(const struct tn__store *store, uint32_t id, size_t item_size)
{
    uint32_t k = tn__store_segment(id);
    uint32_t index = id + TN__STORE_FIRST - 1 - ((uint32_t)TN__STORE_FIRST << k);

    return tn__load(&store->segments[k], acquire) + index * item_size;
}

/* Any thread; only for ids that were handed out. */
static inline void *tn__store_get(const struct tn__store *store, uint32_t id)
{
    return tn__store_at(store, id, store->item_size);
}

/* Live items. Any thread. */
static inline uint32_t tn__store_count(const struct tn__store *store)
{
    return tn__load(&store->count, relaxed);
}

/* The lowest id never handed out: every live one is below. Lock held. */
static inline uint32_t tn__store_end(const struct tn__store *store)
{
    return store->end;
}

#endif
