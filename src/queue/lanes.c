/*
 * All lanes of a notifier: their memory, their ids, and which of them hold
 * slabs. The protocol and its steps (W5, R1, F1 and so on) are in lane.c.
 *
 * Lanes lie in segments that double and never move, and a lane is never freed
 * before done, so a pointer or an id that is late finds a lane at least.
 */
#include "queue/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void tn__lanes_recycle(struct tn__lanes *lanes, struct tn__lane *lane)
{
    struct tn__lane *head = tn__load(&lanes->retired, relaxed);

    do {
        lane->free_next = head;
    } while (!tn__cas(&lanes->retired, &head, lane, release, relaxed)); /* F3 */
}

static struct tn__lane *fresh_lane(struct tn__lanes *lanes)
{
    if (lanes->count == (64u << TN__LANE_SEGMENTS) - 64)
        return NULL;
    uint32_t id = lanes->count + 1, n = id + 63;
    uint32_t segment = 25 - (uint32_t)__builtin_clz(n);

    if (n == 64u << segment) {
        size_t size = (64ul << segment) * sizeof(struct tn__lane);
        struct tn__lane *items = aligned_alloc(TN__CACHELINE, size);
        if (!items)
            return NULL;
        memset(items, 0, size);
        tn__store(&lanes->segments[segment], items, release);
    }
    struct tn__lane *lane = tn__lanes_get(lanes, id);
    lane->id = id;
    lane->lanes = lanes;
    lane->task.run = tn__lane_run;
    lane->task.cancel = tn__lane_cancel;
    lanes->count = id;
    return lane;
}

uint32_t tn__lanes_alloc(struct tn__lanes *lanes)
{
    if (!lanes->free)
        lanes->free = tn__exchange(&lanes->retired, NULL, acquire);

    struct tn__lane *lane = lanes->free;
    if (lane)
        lanes->free = lane->free_next;
    else
        lane = fresh_lane(lanes);
    return lane ? lane->id : 0;
}

void tn__lanes_free(struct tn__lanes *lanes, uint32_t id)
{
    struct tn__lane *lane = tn__lanes_get(lanes, id);
    uint32_t seen = 0;

    for (;;) {
        uint32_t next = seen & TN__LANE_SCHEDULED ? seen | TN__LANE_RETIRED : 0;
        if (tn__cas(&lane->state, &seen, next, acq_rel, acquire))
            break;
    }
    if (seen & TN__LANE_SCHEDULED) /* F1 */
        return;
    lane->free_next = lanes->free; /* F2 */
    lanes->free = lane;
}

void tn__lanes_init(struct tn__lanes *lanes, const struct tn__lanes_ops *ops, void *context,
                    size_t queue_bytes, uint32_t flags)
{
    memset(lanes, 0, sizeof(*lanes));
    lanes->ops = *ops;
    lanes->context = context;
    lanes->flags = flags;
    tn__epochs_init(&lanes->epochs);
    tn__slab_pool_init(&lanes->pool, queue_bytes);
}

/* The producer's list of lanes that hold a slab. */

void tn__lanes_hold(struct tn__lanes *lanes, struct tn__lane *lane)
{
    struct tn__lane *first = lanes->held;

    lanes->held_count++;
    if (!first) {
        lanes->held = lane->held_next = lane->held_prev = lane;
        return;
    }
    lane->held_next = first;
    lane->held_prev = first->held_prev;
    lane->held_prev->held_next = lane;
    first->held_prev = lane;
}

static void unhold(struct tn__lanes *lanes, struct tn__lane *lane)
{
    lane->held_prev->held_next = lane->held_next;
    lane->held_next->held_prev = lane->held_prev;
    if (lanes->held == lane)
        lanes->held = lane->held_next;
    if (--lanes->held_count == 0)
        lanes->held = NULL;
}

/* Gives back all slabs of a lane that no worker can come to. */
static void release_slabs(struct tn__lanes *lanes, struct tn__lane *lane)
{
    struct tn__slab *slab = lane->head;

    while (slab) {
        struct tn__slab *next = slab->next;
        tn__slab_pool_give(&lanes->pool, slab);
        slab = next;
    }
    lane->head = lane->tail = NULL; /* R3 */
    lane->head_at = lane->tail_used = 0;
    unhold(lanes, lane);
}

static bool is_idle(struct tn__lane *lane)
{
    if (lane->fresh) /* R1 */
        return false;
    return !(tn__load(&lane->state, seq_cst) & TN__LANE_SCHEDULED); /* R2 */
}

bool tn__lanes_reclaim_some(struct tn__lanes *lanes, size_t most, size_t enough)
{
    size_t before = lanes->held_count;
    struct tn__lane *lane = lanes->held;

    for (size_t n = tn__min(most, before); n > 0; n--) {
        struct tn__lane *next = lane->held_next;
        if (is_idle(lane))
            release_slabs(lanes, lane);
        lane = next;
        if (before - lanes->held_count >= enough && tn__slab_pool_has_space(&lanes->pool))
            break;
    }
    if (lanes->held)
        lanes->held = lane;
    return before != lanes->held_count;
}

bool tn__lanes_reclaim(struct tn__lanes *lanes)
{
    size_t before = lanes->pool.free_bytes;
    bool any = tn__lanes_reclaim_some(lanes, SIZE_MAX, SIZE_MAX);

    tn__slab_pool_has_space(&lanes->pool); /* takes in what was returned */
    return any || lanes->pool.free_bytes > before;
}

void tn__lanes_done(struct tn__lanes *lanes)
{
    while (lanes->held)
        release_slabs(lanes, lanes->held);
    tn__slab_pool_done(&lanes->pool);
    for (size_t i = 0; i < TN__LANE_SEGMENTS; i++)
        free(tn__load(&lanes->segments[i], relaxed));
}

static bool find_space(struct tn__lanes *lanes)
{
    if (tn__slab_pool_has_space(&lanes->pool))
        return true;
    return tn__lanes_reclaim_some(lanes, SIZE_MAX, TN__POOL_BATCH / TN__SLAB_BYTES) &&
           tn__slab_pool_has_space(&lanes->pool);
}

int tn__lanes_wait_space(struct tn__lanes *lanes, bool (*stop)(void *), void *stop_context)
{
    tn__lanes_publish(lanes);
    if (find_space(lanes))
        return 0;
    for (;;) {
        uint32_t epoch = tn__slab_pool_prepare(&lanes->pool);
        bool found = find_space(lanes);
        if (found || stop(stop_context)) {
            tn__slab_pool_cancel(&lanes->pool);
            return found ? 0 : -ECANCELED;
        }
        tn__slab_pool_wait(&lanes->pool, epoch);
    }
}
