/*
 * The queue of one ordering domain: a chain of slabs that one producer appends
 * to and at most one worker at a time reads.
 *
 *   producer                                worker (the task was submitted)
 *   L1  write records behind the tail's     W1  state &= ~DIRTY
 *       published end; link a slab to a     W2  read `committed`; take the records
 *       full one                                up to it; behind a SEALED end, go to
 *   L2  committed = the end, with SEALED        the next slab
 *       for each slab that has a next       W3  deliver them
 *   L3  state |= DIRTY | SCHEDULED          W4  move head behind them, subtract them
 *   L4  was it not SCHEDULED? submit            from their epochs (epoch.c)
 *                                           W5  all taken: state SCHEDULED -> 0 by a
 *                                               CAS that fails on DIRTY: then W1
 *                                           W6  return the slabs before head, wake the
 *                                               producer; or submit again
 *
 * No lost record. L3, W1 and W5 are read-modify-writes of one word, so they are
 * in one order. L3 before W1: W1 reads it (acquire), so W2 sees L2. L3 between
 * W1 and W5: W5 finds DIRTY and fails. L3 after W5: it finds SCHEDULED clear,
 * so L4 submits. None of them may be skipped for what a load has shown.
 *
 * One worker at a time. SCHEDULED is set by L3 alone, which submits only if it
 * was clear, and cleared by W5 alone. W5 releases head to the next worker (L3,
 * then the executor's hand-over) and to the producer (R2). A stalled lane keeps
 * SCHEDULED; its one resume hands it to the next run.
 *
 * Slabs. The worker leaves a slab only behind its SEALED end (L2, release), and
 * sees its `next` then; the producer does not touch such a slab again. So the
 * slabs from the old head up to the new one are the worker's, and go back in
 * one chain (slab.c). The text that a record shares is in its own slab.
 *
 * A run may find nothing: W2 may have taken what L2 published before L3 said
 * so. That is harmless, and the reason why nothing else about a lane may be
 * concluded from its being SCHEDULED.
 *
 * Reclaim. An idle lane keeps its partly filled tail slab.
 *   R1  nothing of the lane is unpublished (its `fresh` is NULL)
 *   R2  state has no SCHEDULED (acquire)
 *   R3  take the tail slab, head = tail = NULL
 * After R2 no worker can come: only this thread schedules the lane. It was W5
 * that cleared the state, so everything published had been taken: had W2 missed
 * some, L3 would come after W1. So head is at the tail's end. W6 wakes a waiting
 * producer after W5, so it does not miss a lane that becomes idle (slab.c, S4).
 *
 * Recycling. tn__lanes_free finds SCHEDULED set (F1) and sets RETIRED with it by
 * a CAS, or finds state 0 by a CAS and takes the lane itself (F2). After F1, W5
 * sees RETIRED and pushes the lane for alloc to find (F3). RETIRED is never set
 * without SCHEDULED, so one of the two recycles it, not both. The lane keeps its
 * slab and its place with the producer, and may even be run once more in vain;
 * alloc therefore resets nothing.
 *
 * Checked by tests/model/lane.pml, tests/stress/stress_lane.c and
 * tests/unit/test_lane.c.
 */
#include "queue/lane.h"

#include <errno.h>
#include <time.h>

#define PUSH_RECLAIM 64 /* lanes that a push without space looks at */

/* Push and publish. */

static void mark_fresh(struct tn__lanes *lanes, struct tn__lane *lane, struct tn__slab *slab)
{
    if (lane->fresh)
        return;
    lane->fresh = slab;
    lane->dirty_next = NULL;
    if (lanes->dirty)
        lanes->dirty_last->dirty_next = lane;
    else
        lanes->dirty = lane;
    lanes->dirty_last = lane;
}

/* A new tail slab with that much room. */
static int grow(struct tn__lanes *lanes, struct tn__lane *lane, size_t room)
{
    struct tn__slab *slab;
    int r = tn__slab_pool_take(&lanes->pool, room, &slab);

    if (r == -ENOBUFS && tn__lanes_reclaim_some(lanes, PUSH_RECLAIM, 1))
        r = tn__slab_pool_take(&lanes->pool, room, &slab);
    if (r < 0)
        return r;
    if (lane->tail) {
        mark_fresh(lanes, lane, lane->tail); /* its SEALED is to be published */
        lane->tail->end = lane->tail_used;
        lane->tail->next = slab;
    } else { /* not SCHEDULED, so head is ours */
        lane->head = slab;
        lane->head_at = 0;
        tn__lanes_hold(lanes, lane);
    }
    lane->tail = slab;
    lane->tail_used = 0;
    return 0;
}

static bool is_repeat(struct tn__lane *lane, const struct tn__entry *entry)
{
    if (!lane->last || lane->path_key == 0 || lane->path_key != entry->path_key)
        return false;
    return entry->path && tn__record_is_repeat(lane->last, entry);
}

int tn__lane_push(struct tn__lanes *lanes, struct tn__lane *lane, const struct tn__entry *entry)
{
    if (TN__UNLIKELY(!tn__entry_is_valid(entry)))
        return -EINVAL;
    if ((lanes->flags & TN__LANES_COALESCE) && is_repeat(lane, entry)) {
        tn__store(&lanes->coalesced, tn__load(&lanes->coalesced, relaxed) + 1, relaxed);
        return 1;
    }
    bool shared = entry->path && entry->path_key != 0 && entry->path_key == lane->path_key;
    size_t need = tn__record_need(entry, shared);
    struct tn__slab *tail = lane->tail;
    if (TN__UNLIKELY(!tail || need > tail->capacity - lane->tail_used)) {
        shared = false;
        need = tn__record_need(entry, false);
        int r = grow(lanes, lane, need);
        if (r < 0)
            return r;
        tail = lane->tail;
    }
    void *at = tail->data + lane->tail_used;
    tn__record_write(at, need, entry, shared ? lane->path : NULL,
                     tn__epochs_add(&lanes->epochs)); /* L1 */
    lane->last = at;
    lane->tail_used += (uint32_t)need;
    if (!shared) {
        lane->path_key = entry->path ? entry->path_key : 0;
        lane->path = tn__record_path(at);
    }
    mark_fresh(lanes, lane, tail);
    return 0;
}

static void publish_lane(struct tn__lanes *lanes, struct tn__lane *lane)
{
    struct tn__slab *slab = lane->fresh;

    lane->fresh = NULL;
    lane->last = NULL;
    while (slab != lane->tail) {
        struct tn__slab *next = slab->next; /* the worker may take the slab at once */
        tn__store(&slab->committed, slab->end | TN__SLAB_SEALED, release);
        slab = next;
    }
    tn__store(&slab->committed, lane->tail_used, release); /* L2 */

    uint32_t set = TN__LANE_DIRTY | TN__LANE_SCHEDULED;
    uint32_t old = tn__fetch_or(&lane->state, set, seq_cst); /* L3 */
    if (!(old & TN__LANE_SCHEDULED))
        lanes->ops.submit(lanes->context, &lane->task); /* L4 */
}

void tn__lanes_publish(struct tn__lanes *lanes)
{
    struct tn__lane *lane;

    while ((lane = lanes->dirty)) {
        lanes->dirty = lane->dirty_next;
        publish_lane(lanes, lane);
    }
}

/* The worker's turn. */

struct turn {
    const struct tn__record *records[TN__TURN_EVENTS];
    struct tn__slab *slab; /* where peek ended */
    uint32_t at;
    bool more;                     /* peek left some */
    struct tn__slab *first, *last; /* consumed slabs, linked */
    size_t bytes;
};

/* Up to `most` records from head on; ends where the next one is. */
static size_t peek(const struct tn__lane *lane, struct turn *turn, size_t most)
{
    struct tn__slab *slab = lane->head;
    uint32_t at = lane->head_at;
    size_t count = 0;

    turn->more = false;
    while (slab) {
        uint32_t committed = tn__load(&slab->committed, acquire); /* W2 */
        uint32_t end = committed & ~TN__SLAB_SEALED;
        for (; at < end; count++) {
            const struct tn__record *record = (const void *)(slab->data + at);
            turn->more = count == most;
            if (turn->more)
                break;
            turn->records[count] = record;
            at = record->size8 ? at + record->size8 * 8u : end;
        }
        if (turn->more || !(committed & TN__SLAB_SEALED))
            break;
        slab = slab->next;
        at = 0;
    }
    turn->slab = slab;
    turn->at = at;
    return count;
}

static void count_consumed(struct tn__lanes *lanes, struct turn *turn, size_t count)
{
    size_t from = 0;

    for (size_t i = 0; i < count; i = from) {
        uint32_t epoch = turn->records[i]->epoch_bits & TN__RECORD_EPOCH;
        for (from = i + 1; from < count; from++) {
            if ((turn->records[from]->epoch_bits & TN__RECORD_EPOCH) != epoch)
                break;
        }
        tn__epochs_sub(&lanes->epochs, epoch, from - i);
    }
}

/* Moves head to where peek ended; the slabs before it are the turn's to return. */
static void move_head(struct tn__lane *lane, struct turn *turn)
{
    for (struct tn__slab *slab = lane->head; slab != turn->slab; slab = slab->next) {
        if (!turn->first)
            turn->first = slab;
        turn->last = slab; /* the one before it links to it already */
        turn->bytes += tn__slab_bytes(slab);
    }
    lane->head = turn->slab;
    lane->head_at = turn->at;
}

/* One look at the lane: delivers what is there, and tells how much was and how much of it was
 * consumed. */
static size_t deliver(struct tn__lane *lane, struct turn *turn, size_t most, size_t *ret_consumed)
{
    struct tn__lanes *lanes = lane->lanes;

    tn__fetch_and(&lane->state, ~TN__LANE_DIRTY, acq_rel); /* W1 */
    size_t count = peek(lane, turn, most), consumed = 0;
    if (count > 0)
        consumed = lanes->ops.deliver(lanes->context, lane, turn->records, count); /* W3 */
    if (consumed < count)
        peek(lane, turn, consumed); /* the same records again, to end behind the last one */
    move_head(lane, turn);          /* W4 */
    count_consumed(lanes, turn, consumed);
    *ret_consumed = consumed;
    return count;
}

/* Gives the lane up if nothing was published meanwhile; it may then be anyone's. */
static bool leave(struct tn__lanes *lanes, struct tn__lane *lane)
{
    uint32_t seen = TN__LANE_SCHEDULED;

    while (!tn__cas(&lane->state, &seen, 0, seq_cst, relaxed)) { /* W5 */
        if (seen & TN__LANE_DIRTY)
            return false;
    }
    if (seen & TN__LANE_RETIRED)
        tn__lanes_recycle(lanes, lane);
    return true;
}

/* W6; eager: no more will come of this turn. */
static void give_back(struct tn__lanes *lanes, struct turn *turn, bool eager)
{
    if (turn->first)
        tn__slab_pool_return(&lanes->pool, turn->first, turn->last, turn->bytes);
    turn->first = turn->last = NULL;
    turn->bytes = 0;
    tn__slab_pool_notify(&lanes->pool, eager);
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static void run_turn(struct tn__lanes *lanes, struct tn__lane *lane)
{
    struct turn turn;
    size_t left = TN__TURN_EVENTS, consumed;
    int64_t start = now_ns();
    bool late;

    turn.first = turn.last = NULL;
    turn.bytes = 0;
    do {
        size_t count = deliver(lane, &turn, left, &consumed);
        if (consumed < count) {
            give_back(lanes, &turn, true);
            if (lanes->ops.stall(lanes->context, lane, turn.records[consumed]))
                return;
        } else if (!turn.more && leave(lanes, lane)) {
            give_back(lanes, &turn, true);
            return;
        }
        left -= consumed;
        late = now_ns() - start >= TN__TURN_NS;
    } while (left > 0 && !late);
    give_back(lanes, &turn, late);
    lanes->ops.submit(lanes->context, &lane->task);
}

void tn__lane_run(struct tn__task *task)
{
    struct tn__lane *lane = tn__container_of(task, struct tn__lane, task);
    struct tn__lanes *lanes = lane->lanes;

    run_turn(lanes, lane);
    if (lanes->ops.done)
        lanes->ops.done(lanes->context);
}

void tn__lane_cancel(struct tn__task *task)
{
    struct tn__lanes *lanes = tn__container_of(task, struct tn__lane, task)->lanes;

    if (lanes->ops.cancel)
        lanes->ops.cancel(lanes->context, task);
    else
        lanes->ops.submit(lanes->context, task);
}

void tn__lane_resume(struct tn__lanes *lanes, struct tn__lane *lane)
{
    lanes->ops.submit(lanes->context, &lane->task);
}

static bool chain_is_valid(const struct tn__lane *lane)
{
    const struct tn__slab *slab = lane->fresh ? lane->fresh : lane->tail;

    for (; slab != lane->tail; slab = slab->next) {
        if (slab->end > slab->capacity || !slab->next)
            return false;
    }
    return slab->next == NULL;
}

bool tn__lane_is_valid(const struct tn__lane *lane)
{
    uint32_t state = tn__load(&lane->state, seq_cst);

    if (state != 0 && !(state & TN__LANE_SCHEDULED))
        return false;
    if (!lane->tail)
        return state == 0 && !lane->fresh && !lane->head && lane->tail_used == 0;
    if (lane->tail_used > lane->tail->capacity || lane->tail_used % 8 != 0)
        return false;
    if (!chain_is_valid(lane))
        return false;
    uint32_t committed = tn__load(&lane->tail->committed, acquire);
    if (lane->fresh)
        return committed <= lane->tail_used;
    if (committed != lane->tail_used)
        return false;
    return state != 0 || (lane->head == lane->tail && lane->head_at == lane->tail_used);
}
