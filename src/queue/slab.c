/*
 * Slabs go round: the producer takes them from a list of its own, workers push
 * chains on `returned`, and the producer pops that whole by an exchange. Since
 * nobody pops single items, a CAS on the stack's head can't be fooled by a slab
 * that left and came back.
 *
 * The bound is on what malloc has given (`held`), whether in lanes or free, so
 * a slab of odd size makes room for itself by freeing free ones. malloc and
 * free are called by the producer alone.
 *
 * Waiting for space. Either the producer sees the slab or the worker sees the
 * producer:
 *
 *   producer                             worker
 *   S1  park: waiters += 1               S4  push the chain, or make the lane idle
 *   S2  waiting = true                   S5  waiting? then
 *   S3  pop what was returned, reclaim   S6  waiting = false, wake the park
 *       idle lanes' slabs; else sleep
 *
 * S2 to S5 are seq_cst: if S5 does not see S2, S4 comes before S3 and is seen
 * there. The park's epoch covers the time from S1 to the sleep. A worker does
 * not look at `waiting` twice in vain: S6 is an exchange, so one of them wakes.
 *
 * A wake-up for every slab would cost more than the slab's records, so a worker
 * that will go on (its lane has more) wakes only when enough is free. One that
 * stops (idle or stalled lane, long turn) always does, and while no worker has
 * stopped there is one that will.
 *
 * Checked by tests/model/lane.pml, tests/stress/stress_lane.c and
 * tests/unit/test_slab.c.
 */
#include "queue/slab.h"

#include <errno.h>
#include <stdlib.h>

void tn__slab_pool_init(struct tn__slab_pool *pool, size_t limit_bytes)
{
    pool->limit = tn__max(limit_bytes, TN__POOL_FLOOR);
    pool->held = 0;
    pool->free_bytes = 0;
    pool->free = NULL;
    pool->wanted = TN__SLAB_BYTES;
    pool->starved = false;
    atomic_init(&pool->returned, NULL);
    atomic_init(&pool->in_use, 0);
    atomic_init(&pool->high, 0);
    atomic_init(&pool->wake_below, 0);
    atomic_init(&pool->waiting, false);
    tn__park_init(&pool->park);
}

static bool is_odd(const struct tn__slab *slab)
{
    return slab->capacity != TN__SLAB_ROOM;
}

/* Into the free list; one of odd size goes back to malloc. */
static void keep(struct tn__slab_pool *pool, struct tn__slab *slab)
{
    if (is_odd(slab)) {
        pool->held -= tn__slab_bytes(slab);
        free(slab);
        return;
    }
    slab->next = pool->free;
    pool->free = slab;
    pool->free_bytes += TN__SLAB_BYTES;
}

static void drain(struct tn__slab_pool *pool)
{
    struct tn__slab *slab = tn__exchange(&pool->returned, NULL, seq_cst); /* S3 */

    while (slab) {
        struct tn__slab *next = slab->next;
        keep(pool, slab);
        slab = next;
    }
}

/* Gives free slabs back to malloc until that many bytes fit under the bound. */
static void trim(struct tn__slab_pool *pool, size_t bytes)
{
    while (pool->free && pool->held + bytes > pool->limit) {
        struct tn__slab *slab = pool->free;
        pool->free = slab->next;
        pool->free_bytes -= TN__SLAB_BYTES;
        pool->held -= TN__SLAB_BYTES;
        free(slab);
    }
}

void tn__slab_pool_done(struct tn__slab_pool *pool)
{
    drain(pool);
    pool->limit = 0;
    trim(pool, TN__SLAB_BYTES);
}

static bool nothing_in_use(const struct tn__slab_pool *pool)
{
    return pool->held == pool->free_bytes;
}

bool tn__slab_pool_has_space(struct tn__slab_pool *pool)
{
    drain(pool);
    if (nothing_in_use(pool))
        return true;
    if (pool->starved)
        return pool->free_bytes >= pool->wanted;
    return pool->held - pool->free_bytes + pool->wanted <= pool->limit;
}

/* From malloc, under the bound. */
static int grow(struct tn__slab_pool *pool, size_t room, struct tn__slab **ret_slab)
{
    size_t bytes = room + sizeof(struct tn__slab) + TN__SLAB_MALLOC;

    drain(pool);
    if (pool->free && room == TN__SLAB_ROOM) {
        *ret_slab = pool->free;
        pool->free = pool->free->next;
        pool->free_bytes -= TN__SLAB_BYTES;
        return 0;
    }
    pool->wanted = bytes;
    trim(pool, bytes);
    if (pool->held + bytes > pool->limit && pool->held > 0)
        return -ENOBUFS;
    struct tn__slab *slab = malloc(sizeof(*slab) + room);
    if (!slab && pool->free) {
        trim(pool, pool->limit);
        slab = malloc(sizeof(*slab) + room);
    }
    pool->starved = !slab;
    if (!slab)
        return nothing_in_use(pool) ? -ENOMEM : -ENOBUFS;
    atomic_init(&slab->committed, 0);
    slab->capacity = (uint32_t)room;
    pool->held += bytes;
    *ret_slab = slab;
    return 0;
}

int tn__slab_pool_take(struct tn__slab_pool *pool, size_t room, struct tn__slab **ret_slab)
{
    struct tn__slab *slab = pool->free;

    if (TN__LIKELY(room <= TN__SLAB_ROOM && slab)) {
        pool->free = slab->next;
        pool->free_bytes -= TN__SLAB_BYTES;
    } else {
        int r = grow(pool, tn__max(room, TN__SLAB_ROOM), &slab);
        if (r < 0)
            return r;
    }
    slab->next = NULL;
    slab->end = 0;
    tn__store(&slab->committed, 0, relaxed);
    size_t bytes = tn__slab_bytes(slab);
    size_t in_use = tn__fetch_add(&pool->in_use, bytes, relaxed) + bytes;
    if (in_use > tn__load(&pool->high, relaxed))
        tn__store(&pool->high, in_use, relaxed);
    *ret_slab = slab;
    return 0;
}

void tn__slab_pool_give(struct tn__slab_pool *pool, struct tn__slab *slab)
{
    tn__fetch_sub(&pool->in_use, tn__slab_bytes(slab), relaxed);
    keep(pool, slab);
}

void tn__slab_pool_return(struct tn__slab_pool *pool, struct tn__slab *first, struct tn__slab *last,
                          size_t bytes)
{
    struct tn__slab *head = tn__load(&pool->returned, relaxed);

    tn__fetch_sub(&pool->in_use, bytes, relaxed);
    do {
        last->next = head;
    } while (!tn__cas(&pool->returned, &head, first, seq_cst, relaxed)); /* S4 */
}

void tn__slab_pool_notify(struct tn__slab_pool *pool, bool eager)
{
    if (TN__LIKELY(!tn__load(&pool->waiting, seq_cst))) /* S5 */
        return;
    if (!eager && tn__load(&pool->in_use, relaxed) > tn__load(&pool->wake_below, relaxed))
        return;
    if (tn__exchange(&pool->waiting, false, seq_cst)) /* S6 */
        tn__park_wake(&pool->park, 1);
}

uint32_t tn__slab_pool_prepare(struct tn__slab_pool *pool)
{
    size_t batch = tn__max(pool->wanted, tn__min(pool->limit / 8, TN__POOL_BATCH));
    uint32_t epoch = tn__park_prepare(&pool->park); /* S1 */

    tn__store(&pool->wake_below, pool->limit > batch ? pool->limit - batch : 0, relaxed);
    tn__exchange(&pool->waiting, true, seq_cst); /* S2 */
    return epoch;
}

void tn__slab_pool_cancel(struct tn__slab_pool *pool)
{
    tn__store(&pool->waiting, false, relaxed);
    tn__park_cancel(&pool->park);
}

void tn__slab_pool_wait(struct tn__slab_pool *pool, uint32_t epoch)
{
    tn__park_wait(&pool->park, epoch, -1);
    tn__store(&pool->waiting, false, relaxed);
}

bool tn__slab_pool_is_valid(const struct tn__slab_pool *pool)
{
    size_t bytes = 0;

    for (const struct tn__slab *slab = pool->free; slab; slab = slab->next) {
        if (is_odd(slab))
            return false;
        bytes += TN__SLAB_BYTES;
    }
    return bytes == pool->free_bytes && pool->free_bytes <= pool->held &&
           tn__load(&pool->in_use, relaxed) <= tn__load(&pool->high, relaxed);
}
