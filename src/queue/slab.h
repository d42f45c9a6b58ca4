/*
 * The memory of events in flight: slabs of 2 KiB, taken by one producer,
 * returned by any worker, bounded by a number of bytes.
 *
 * A record that does not fit a slab gets one of its own size, which counts
 * against the same bound. One that is larger than the whole bound is let
 * through when nothing else is in use, since it could never be delivered
 * otherwise.
 */
#ifndef TN_SRC_QUEUE_SLAB_H
#define TN_SRC_QUEUE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"
#include "compiler.h"
#include "queue/park.h"

#define TN__SLAB_BYTES  2048u  /* with the header, and what malloc adds */
#define TN__SLAB_MALLOC 16u    /* what malloc adds, about */
#define TN__SLAB_SEALED 1u     /* in committed: the slab is full, go on with the next one */
#define TN__POOL_FLOOR  65536u /* the least bound */
#define TN__POOL_BATCH  32768u /* a waiting producer is let sleep until so much is free */

struct tn__slab {
    /*
     * The next slab of the lane: written by the producer before `committed` is
     * sealed, read by a worker after. On the way back: the next of the chain.
     */
    struct tn__slab *next;
    _Atomic uint32_t committed; /* bytes of data published, TN__SLAB_SEALED */
    uint32_t capacity;          /* bytes of data */
    uint32_t end;               /* producer: bytes of data written, when it is no lane's tail */
    _Alignas(8) char data[];
};

#define TN__SLAB_ROOM (TN__SLAB_BYTES - TN__SLAB_MALLOC - sizeof(struct tn__slab))

struct tn__slab_pool {
    /* the producer's */
    size_t limit;
    size_t held;           /* bytes that malloc has given us */
    size_t free_bytes;     /* of these, in the list of free slabs */
    struct tn__slab *free; /* all of 2 KiB */
    size_t wanted;         /* what the last take that failed needs */
    bool starved;          /* malloc failed */

    char pad[TN__CACHELINE];
    _Atomic(struct tn__slab *) returned; /* pushed by workers, popped whole */
    _Atomic size_t in_use;               /* bytes in lanes */
    _Atomic size_t high;                 /* written by the producer */
    _Atomic size_t wake_below;           /* written by the producer */
    _Atomic bool waiting; /* written by the producer, taken back by a worker that wakes it */
    struct tn__park park; /* the producer sleeps here */
};

static inline size_t tn__slab_bytes(const struct tn__slab *slab)
{
    return slab->capacity + sizeof(*slab) + TN__SLAB_MALLOC;
}

void tn__slab_pool_init(struct tn__slab_pool *pool, size_t limit_bytes);

/* Frees what was returned; slabs that are still in lanes are the caller's to discard first. */
void tn__slab_pool_done(struct tn__slab_pool *pool);

/*
 * The producer: a slab with at least that much room, empty. -ENOBUFS: the bound
 * is reached, or there is no memory but some will be returned. -ENOMEM: there
 * is no memory and nothing in use.
 */
int tn__slab_pool_take(struct tn__slab_pool *pool, size_t room, struct tn__slab **ret_slab);

/* The producer: gives one back. */
void tn__slab_pool_give(struct tn__slab_pool *pool, struct tn__slab *slab);

/* Any worker: gives back the chain from first to last, of that many bytes in all. */
void tn__slab_pool_return(struct tn__slab_pool *pool, struct tn__slab *first, struct tn__slab *last,
                          size_t bytes);

/*
 * Any worker, after a return or after it made a lane idle: wakes the producer
 * if that waits and either `eager` or enough has come free to be worth it. Each
 * worker that stops working says eager.
 */
void tn__slab_pool_notify(struct tn__slab_pool *pool, bool eager);

/* The producer: whether a take like the last one that failed would succeed now. */
bool tn__slab_pool_has_space(struct tn__slab_pool *pool);

/* The producer: announces a wait and returns the park's epoch. Look again after it. */
uint32_t tn__slab_pool_prepare(struct tn__slab_pool *pool);
void tn__slab_pool_cancel(struct tn__slab_pool *pool);
void tn__slab_pool_wait(struct tn__slab_pool *pool, uint32_t epoch);

/* For asserts and tests, the producer: the books balance. */
bool tn__slab_pool_is_valid(const struct tn__slab_pool *pool);

#endif
