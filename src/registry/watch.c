/*
 * The life of a watch.
 *
 * One word holds the references, the running calls and the flags; every
 * change of it is a read-modify-write, so all changes are in one order.
 *
 *   worker                                 remover
 *   E1  runs += 1; REMOVED in the old      R1  |= REMOVED; set before? it is
 *       value? runs -= 1, skip                 another's
 *   E2  call                               R2  synchronous: |= WAITER; no run
 *   E3  runs -= 1; it was the last and         in the old value? done
 *       WAITER is set? wake                R3  sleep until R2 sees none
 *
 * Quiet end. E1 before R1: R2 sees the run and waits for E3, which comes after
 * R2 and sees WAITER, or before it, and then R2 sees no run. R1 before E1: E1
 * sees REMOVED and does not call. So after R2 no call runs or begins.
 *
 * The end. A reference stands for the watch being alive; it is handed to the
 * final record (lanes), and each record of an order that spreads over lanes
 * holds another. The one who drops the last sets ENDED and counts the add
 * down; nothing refers to the watch then but its slot, which the reaper gives
 * back under the writer lock. A worker of E1 holds a record, so the slot is
 * still this watch's. The final record alone is told also when REMOVED is set;
 * for it MUTE takes the place of REMOVED in E1 and R1.
 *
 * A synchronous remover may look (R2, R3) when the slot is another watch's
 * already: the descriptor in it, which is never used twice, tells it so.
 *
 * Checked by tests/model/watch.pml.
 */
#include "registry/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>

#include "filter.h"

struct tn__add *tn__add_new(const struct tn_watch_options *options, enum tn_order order)
{
    struct tn__add *add = calloc(1, sizeof(*add));

    if (!add)
        return NULL;
    atomic_init(&add->watches, 1);
    atomic_init(&add->references, 1);
    add->order = order;
    add->follow_root = !(options->mask & IN_DONT_FOLLOW);
    add->snapshot = options->flags & TN_WATCH_SNAPSHOT;
    add->data = options->data;
    add->release = options->release;
    return add;
}

void tn__add_unref(struct tn__add *add)
{
    if (tn__fetch_sub(&add->references, 1, acq_rel) != 1)
        return;
    free(add->open_path);
    free(add->name);
    free(add);
}

struct tn__policy *tn__policy_new(struct tn__add *add, uint32_t mask, uint32_t flags,
                                  struct tn_processor *processor, struct tn_filter *filter)
{
    struct tn__policy *policy = calloc(1, sizeof(*policy));

    if (!policy)
        return NULL;
    atomic_init(&policy->references, 1);
    policy->mask = mask;
    policy->flags = flags;
    policy->add = add;
    tn__fetch_add(&add->references, 1, relaxed);
    policy->processor = processor ? tn_processor_ref(processor) : NULL;
    policy->filter = filter ? tn_filter_ref(filter) : NULL;
    tn__filter_freeze(filter);
    return policy;
}

struct tn__policy *tn__policy_ref(struct tn__policy *policy)
{
    tn__fetch_add(&policy->references, 1, relaxed);
    return policy;
}

static void free_policy(struct tn__rcu_head *head)
{
    free(tn__container_of(head, struct tn__policy, rcu));
}

/*
 * Readers that still see it take no reference any more, so what it refers to
 * goes at once, in this thread; its memory after a grace period.
 */
void tn__policy_unref(struct tn__policy *policy)
{
    if (!policy || tn__fetch_sub(&policy->references, 1, acq_rel) != 1)
        return;
    tn_processor_unref(policy->processor);
    tn_filter_unref(policy->filter);
    tn__add_unref(policy->add);
    tn__rcu_call(&policy->rcu, free_policy);
}

struct tn__policy *tn__watch_policy_rcu(struct tn__watch *watch)
{
    struct tn__policy *policy = tn__rcu_dereference(&watch->policy);

    while (policy) {
        uint32_t references = tn__load(&policy->references, relaxed);
        while (references)
            if (tn__cas(&policy->references, &references, references + 1, acquire, relaxed))
                return policy;
        struct tn__policy *newer = tn__rcu_dereference(&watch->policy);
        if (newer == policy)
            return NULL;
        policy = newer;
    }
    return NULL;
}

struct tn__policy *tn__watch_policy(struct tn__watch *watch)
{
    tn__rcu_read_lock();
    struct tn__policy *policy = tn__watch_policy_rcu(watch);
    tn__rcu_read_unlock();
    return policy;
}

/*
 * Names must be told where a subtree or a snapshot is kept true, and in a
 * subtree a directory's own move, which tells that it was not replaced. A root's
 * makes the paths below it unknown. The root of a name is the name's directory,
 * which need only tell what becomes of its entries.
 */
uint32_t tn__policy_kernel_mask(const struct tn__policy *policy, bool is_root)
{
    const uint32_t entries = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

    if (is_root && policy->flags & TN_WATCH_FOLLOW_NAME)
        return entries | IN_MOVE_SELF | IN_EXCL_UNLINK | (policy->mask & IN_CLOSE_WRITE);
    uint32_t mask = policy->mask & (IN_ALL_EVENTS | IN_EXCL_UNLINK);

    if (policy->flags & (TN_WATCH_TREE | TN_WATCH_SNAPSHOT))
        mask |= entries;
    if (policy->flags & TN_WATCH_TREE)
        mask |= IN_MOVE_SELF;
    if (is_root)
        mask |= IN_MOVE_SELF;
    return mask ? mask : IN_DELETE_SELF;
}

bool tn__watch_enter(struct tn__watch *watch, struct tn__park *quiet)
{
    /* E1, pairs with R1 */
    if (TN__LIKELY(!(tn__fetch_add(&watch->state, TN__WATCH_RUN, acq_rel) & TN__WATCH_REMOVED)))
        return true;
    tn__watch_leave(watch, quiet);
    return false;
}

bool tn__watch_enter_final(struct tn__watch *watch, struct tn__park *quiet)
{
    /* E1 for MUTE, which is set with REMOVED or, on one that was removed before, alone */
    if (!(tn__fetch_add(&watch->state, TN__WATCH_RUN, acq_rel) & TN__WATCH_MUTE))
        return true;
    tn__watch_leave(watch, quiet);
    return false;
}

void tn__watch_leave(struct tn__watch *watch, struct tn__park *quiet)
{
    /* E3, pairs with R2 */
    uint64_t old = tn__fetch_sub(&watch->state, TN__WATCH_RUN, acq_rel);

    if (TN__UNLIKELY((old & TN__WATCH_WAITER) && (old & TN__WATCH_RUNS) == TN__WATCH_RUN))
        tn__park_wake(quiet, INT32_MAX);
}

bool tn__watch_kill(struct tn__watch *watch, uint64_t flags)
{
    uint64_t state = tn__load(&watch->state, relaxed);

    do {
        if (state & (TN__WATCH_REMOVED | TN__WATCH_ENDED))
            return false;
        /* R1, pairs with E1 */
    } while (!tn__cas(&watch->state, &state, state | TN__WATCH_REMOVED | flags, acq_rel, relaxed));
    return true;
}

void tn__watch_wait_quiet(struct tn__watch *watch, tn_wd wd, struct tn__park *quiet)
{
    for (;;) {
        uint32_t epoch = tn__park_prepare(quiet);
        /* R2, pairs with E3 */
        uint64_t old = tn__fetch_or(&watch->state, 0, acq_rel);
        if (tn__load(&watch->wd, acquire) != wd || !(old & TN__WATCH_RUNS))
            break;
        old = tn__fetch_or(&watch->state, TN__WATCH_WAITER, acq_rel);
        if (!(old & TN__WATCH_RUNS))
            break;
        tn__park_wait(quiet, epoch, -1); /* R3 */
    }
    tn__park_cancel(quiet);
}
