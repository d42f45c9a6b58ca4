/*
 * Lanes: one queue of records for each ordering domain. One producer (the
 * reader) writes into all of them; a lane is run by at most one worker at a
 * time, so its records are delivered in order and one at a time.
 *
 * | who                              | calls                                                  |
 * |----------------------------------|--------------------------------------------------------|
 * | the producer, one thread at once | push, publish, reclaim, wait_space, epoch_close        |
 * | holder of the write_lock         | alloc, free                                            |
 * | any thread                       | get, resume, epoch_reached, epoch_park, the statistics |
 * | an executor                      | the lane's task, which is given to submit              |
 *
 * The producer's calls may be nested: a submit that runs the task at once, in
 * the producer's thread, is fine, and so is a deliver in it that pushes.
 */
#ifndef TN_SRC_QUEUE_LANE_H
#define TN_SRC_QUEUE_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"
#include "compiler.h"
#include "executor/executor.h"
#include "queue/epoch.h"
#include "queue/record.h"
#include "queue/slab.h"

#define TN__LANES_COALESCE 0x1u

#define TN__TURN_EVENTS 64
#define TN__TURN_NS     1000000

/* Bits of a lane's state; all but SCHEDULED are only set while that is. */
#define TN__LANE_SCHEDULED 0x1u /* the task is submitted, running or stalled */
#define TN__LANE_DIRTY     0x2u /* published since the worker last began to look */
#define TN__LANE_RETIRED   0x4u /* freed: whoever clears SCHEDULED recycles it */

struct tn__lanes;

struct tn__lane {
    struct tn__task task; /* the executor's while SCHEDULED */
    _Atomic uint32_t state;
    uint32_t id;             /* constant */
    struct tn__lanes *lanes; /* constant */

    /* Where the next record to deliver is: the worker's while SCHEDULED, else the producer's. */
    struct tn__slab *head;
    uint32_t head_at;

    /* The producer's. */
    uint32_t tail_used;          /* bytes written in the tail slab */
    struct tn__slab *tail;       /* NULL: the lane holds no slab */
    struct tn__slab *fresh;      /* the first slab with something unpublished; NULL: nothing is */
    struct tn__record *last;     /* the last one pushed, if it is unpublished */
    const char *path;            /* its path's text */
    uint64_t path_key;           /* its path_key; 0: none that may be shared */
    struct tn__lane *dirty_next; /* lanes with something unpublished */
    struct tn__lane *held_prev, *held_next; /* ring of the lanes that hold a slab */

    struct tn__lane *free_next; /* guarded by the write_lock; on the way there, the recycler's */
};

_Static_assert(sizeof(struct tn__lane) <= 192, "a lane without slabs is small");

struct tn__lanes_ops {
    /* Must run the task once, later or now; never fails. */
    void (*submit)(void *context, struct tn__task *task);

    /*
     * Delivers records[0..count) in order and returns how many were consumed;
     * less than count only if records[that] must wait. They stay where they are
     * until it returns.
     */
    size_t (*deliver)(void *context, struct tn__lane *lane, const struct tn__record *const *records,
                      size_t count);

    /*
     * The last act of a turn whose deliver stopped at this record. True: the
     * lane stays stalled, and somebody calls tn__lane_resume once, perhaps
     * already now, so nothing of the lane may be touched any more. False: go on.
     */
    bool (*stall)(void *context, struct tn__lane *lane, const struct tn__record *record);

    /*
     * The executor gave the task back without running it: must see that it is
     * run once. NULL: it is submitted again.
     */
    void (*cancel)(void *context, struct tn__task *task);

    /* A submitted task is over; the lanes are not touched after it. May be NULL. */
    void (*done)(void *context);
};

#define TN__LANE_SEGMENTS 22

struct tn__lanes {
    struct tn__lanes_ops ops; /* constant, as the next two */
    void *context;
    uint32_t flags;

    /* Guarded by the write_lock. */
    uint32_t count; /* ids 1..count exist */
    struct tn__lane *free;

    _Atomic(struct tn__lane *) segments[TN__LANE_SEGMENTS]; /* written under the write_lock */
    _Atomic(struct tn__lane *) retired; /* pushed by workers, popped whole under the write_lock */

    /* The producer's. */
    struct tn__lane *dirty, *dirty_last;
    struct tn__lane *held; /* any lane of the ring */
    size_t held_count;
    _Atomic uint64_t coalesced; /* written by the producer */

    struct tn__slab_pool pool;
    struct tn__epochs epochs;
};

/*
 * The bound on bytes is at least 64 KiB. Lanes must outlive every run of a
 * task; when done is called, no task is submitted, running or stalled.
 */
void tn__lanes_init(struct tn__lanes *lanes, const struct tn__lanes_ops *ops, void *context,
                    size_t queue_bytes, uint32_t flags);
void tn__lanes_done(struct tn__lanes *lanes);

/* A fresh or recycled lane, empty; 0: no memory. */
uint32_t tn__lanes_alloc(struct tn__lanes *lanes);

/*
 * The lane's last record was consumed or is being consumed, and the producer
 * pushes no other. May be called in a deliver of this very lane; the id is used
 * again only after that turn.
 */
void tn__lanes_free(struct tn__lanes *lanes, uint32_t id);

static inline struct tn__lane *tn__lanes_get(struct tn__lanes *lanes, uint32_t id)
{
    uint32_t n = id + 63, segment = 25 - (uint32_t)__builtin_clz(n);

    return tn__load(&lanes->segments[segment], acquire) + (n - (64u << segment));
}

/*
 * Copies the entry into the lane; it is delivered after the next publish.
 * 0; 1: coalesced with the record before it; -ENOBUFS: no space, see
 * tn__lanes_wait_space; -ENOMEM: no memory, and none will come back; -EINVAL: a
 * name over 64 KiB, other text over 256 MiB, or a number out of its range.
 */
int tn__lane_push(struct tn__lanes *lanes, struct tn__lane *lane, const struct tn__entry *entry);

/* Makes all that was pushed visible to workers, and schedules the lanes. */
void tn__lanes_publish(struct tn__lanes *lanes);

/* Takes the slabs of idle lanes back; true if anything came free. */
bool tn__lanes_reclaim(struct tn__lanes *lanes);

/*
 * Publishes, and waits until the push that failed last would succeed (or any
 * would) or stop says true: 0 or -ECANCELED. Who makes stop true wakes
 * tn__lanes_space_park afterwards.
 */
int tn__lanes_wait_space(struct tn__lanes *lanes, bool (*stop)(void *), void *stop_context);
static inline struct tn__park *tn__lanes_space_park(struct tn__lanes *lanes)
{
    return &lanes->pool.park;
}

/* Submits a stalled lane again. */
void tn__lane_resume(struct tn__lanes *lanes, struct tn__lane *lane);

/* Between lane.c and lanes.c. */
void tn__lane_run(struct tn__task *task);
void tn__lane_cancel(struct tn__task *task);
void tn__lanes_recycle(struct tn__lanes *lanes, struct tn__lane *lane); /* F3 */
void tn__lanes_hold(struct tn__lanes *lanes, struct tn__lane *lane);

/*
 * R1 to R3 for up to `most` lanes, going on where the last call ended; ends when
 * `enough` came free and the push that failed last has space. True: some did.
 */
bool tn__lanes_reclaim_some(struct tn__lanes *lanes, size_t most, size_t enough);

/* See queue/epoch.h. */
static inline uint64_t tn__lanes_epoch_close(struct tn__lanes *lanes)
{
    return tn__epochs_close(&lanes->epochs);
}

static inline bool tn__lanes_epoch_reached(struct tn__lanes *lanes, uint64_t ticket)
{
    return tn__epochs_reached(&lanes->epochs, ticket);
}

static inline struct tn__park *tn__lanes_epoch_park(struct tn__lanes *lanes)
{
    return &lanes->epochs.park;
}

/* Bytes of slabs in lanes; an idle lane may keep one. */
static inline size_t tn__lanes_bytes(struct tn__lanes *lanes)
{
    return tn__load(&lanes->pool.in_use, relaxed);
}

static inline size_t tn__lanes_bytes_high(struct tn__lanes *lanes)
{
    return tn__load(&lanes->pool.high, relaxed);
}

static inline uint64_t tn__lanes_coalesced(struct tn__lanes *lanes)
{
    return tn__load(&lanes->coalesced, relaxed);
}

/* For asserts and tests, the producer: the lane's own state is consistent. */
bool tn__lane_is_valid(const struct tn__lane *lane);

#endif
