/*
 * Removing.
 *
 * A recursive remove marks a directory before what is below it, so that the
 * reader, which takes in nothing below a removed watch, adds nothing behind its
 * back. It holds the lock for some watches at a time; nodes may come and go in
 * between, so it starts from the top again each time.
 */
#include <errno.h>
#include <stdlib.h>

#include "callback.h"
#include "notifier.h"
#include "registry/add.h"

enum { CHUNK = 1024 };

struct chunk {
    struct tn__watch *watches[CHUNK];
    tn_wd wds[CHUNK];
    size_t count;
    bool wait; /* for the calls that run */
};

static void note(struct tn__watch *watch, struct chunk *chunk)
{
    chunk->watches[chunk->count] = watch;
    chunk->wds[chunk->count++] = tn__load(&watch->wd, relaxed);
}

static bool mark_locked(struct tn__registry *registry, uint32_t id, uint64_t flags,
                        struct chunk *chunk)
{
    if (!tn__registry_mark_removed_locked(registry, id, flags))
        return false;
    note(tn__registry_watch(registry, id), chunk);
    return true;
}

/*
 * One that was removed before, but not quietly, may still be told its end. One
 * that was removed quietly may still run: its call removed it, or its remover
 * waits as well.
 */
static void kill_locked(struct tn__registry *registry, uint32_t id, uint64_t flags,
                        struct chunk *chunk)
{
    struct tn__watch *watch = tn__registry_watch(registry, id);

    if (mark_locked(registry, id, flags, chunk)) {
        tn__registry_finish_removed_locked(registry, id);
        return;
    }
    uint64_t state = tn__load(&watch->state, acquire);
    if (!(state & flags) || (chunk->wait && state & TN__WATCH_RUNS)) {
        tn__fetch_or(&watch->state, flags, acq_rel);
        note(watch, chunk);
    }
}

static void wait_quiet(struct tn__registry *registry, struct chunk *chunk)
{
    for (size_t i = 0; chunk->wait && i < chunk->count; i++)
        tn__watch_wait_quiet(chunk->watches[i], chunk->wds[i], &registry->quiet);
    chunk->count = 0;
}

/* Removes what is below the root's node; true when all is done, or the root has gone. */
static bool kill_below_locked(struct tn__registry *registry, uint32_t root_id, tn_wd wd,
                              uint64_t flags, struct chunk *chunk)
{
    struct tn__watch *watch = tn__registry_watch(registry, root_id);
    const uint32_t root = tn__load(&watch->wd, relaxed) == wd ? tn__load(&watch->node, relaxed) : 0;
    uint32_t node = root, id;

    while (root && chunk->count < CHUNK) {
        id = tn__registry_next_below_locked(registry, root,
                                            flags ? TN__WATCH_ENDED : TN__WATCH_DEAD, &node);
        if (!id)
            break;
        kill_locked(registry, id, flags, chunk);
    }
    return chunk->count < CHUNK;
}

/*
 * Watches of the add that the stream has ended: their last records are still
 * on the way, and no node leads to them. True when all are killed.
 */
static bool kill_ending_locked(struct tn__registry *registry, const struct tn__add *add,
                               uint64_t flags, uint64_t *wd, struct chunk *chunk)
{
    uint32_t id;

    while (chunk->count < CHUNK && tn__index_next_rcu(&registry->by_wd, wd, &id)) {
        struct tn__watch *watch = tn__registry_watch(registry, id);
        const struct tn__policy *policy = tn__load(&watch->policy, acquire);
        if (policy && policy->add == add)
            kill_locked(registry, id, flags, chunk);
        ++*wd;
    }
    return chunk->count < CHUNK;
}

static void kill_ending(struct tn__registry *registry, struct tn__add *add, uint64_t flags,
                        bool wait)
{
    struct chunk chunk = {.wait = wait};
    uint64_t wd = 0;
    bool done = !tn__load(&add->ending, acquire);

    while (!done) {
        tn__registry_lock(registry);
        done = kill_ending_locked(registry, add, flags, &wd, &chunk);
        tn__registry_unlock(registry);
        wait_quiet(registry, &chunk);
    }
}

/*
 * The root is marked first, so that nothing is taken in below it, and finished
 * last, so that its node stays while the lock is given back.
 */
int tn__registry_kill_subtree(struct tn__registry *registry, tn_wd wd, uint64_t flags, bool wait)
{
    struct chunk chunk = {.wait = wait};
    struct tn__add *add = NULL;

    tn__registry_lock(registry);
    const uint32_t id = tn__registry_find_user_rcu(registry, wd);
    if (!id || !mark_locked(registry, id, flags, &chunk)) {
        tn__registry_unlock(registry);
        return -ENOENT;
    }
    struct tn__policy *policy = tn__watch_policy_rcu(tn__registry_watch(registry, id));
    if (policy && policy->add->root == wd && flags & TN__WATCH_MUTE) {
        add = policy->add;
        tn__fetch_add(&add->references, 1, relaxed);
    }
    while (!kill_below_locked(registry, id, wd, flags, &chunk)) {
        tn__registry_unlock(registry);
        wait_quiet(registry, &chunk);
        tn__registry_lock(registry);
    }
    if (tn__load(&tn__registry_watch(registry, id)->wd, relaxed) == wd)
        tn__registry_finish_removed_locked(registry, id);
    tn__registry_unlock(registry);
    tn__policy_unref(policy);
    wait_quiet(registry, &chunk);
    if (add) {
        kill_ending(registry, add, flags, wait);
        tn__add_unref(add);
    }
    return 0;
}

/* What has a name goes with it. */
static void kill_items_locked(struct tn__registry *registry, uint32_t id, uint64_t flags,
                              struct chunk *chunk)
{
    uint32_t node = tn__load(&tn__registry_watch(registry, id)->node, relaxed), child = 0, item;

    while (node && (item = tn__registry_next_item_locked(registry, node, &child)) != 0)
        kill_locked(registry, item, flags, chunk);
}

static int remove_one(struct tn__registry *registry, tn_wd wd, uint32_t flags)
{
    const bool sync = flags & TN_REMOVE_SYNC;
    const bool wait = sync && !tn__in_callback(registry);
    const uint64_t kill_flags = sync ? TN__WATCH_MUTE : 0;
    int result;

    if (flags & TN_REMOVE_RECURSIVE) {
        result = tn__registry_kill_subtree(registry, wd, kill_flags, wait);
    } else {
        struct chunk chunk = {.wait = wait};
        tn__registry_lock(registry);
        uint32_t id = tn__registry_find_user_rcu(registry, wd);
        if (id && mark_locked(registry, id, kill_flags, &chunk)) {
            if (tn__watch_is_name(tn__registry_watch(registry, id)))
                kill_items_locked(registry, id, TN__WATCH_MUTE, &chunk);
            tn__registry_finish_removed_locked(registry, id);
        }
        tn__registry_unlock(registry);
        result = chunk.count ? 0 : -ENOENT;
        wait_quiet(registry, &chunk);
    }
    return result == 0 && sync && !wait ? -EDEADLK : result;
}

int tn_watch_remove(struct tn_notifier *notifier, tn_wd wd, uint32_t flags)
{
    int result = tn__notifier_check(notifier);

    if (result == 0 && flags & ~(TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC))
        result = -EINVAL;
    return result < 0 ? result : remove_one(tn__notifier_registry(notifier), wd, flags);
}

int tn_watch_remove_list(struct tn_notifier *notifier, const tn_wd *wds, size_t count,
                         uint32_t flags, int *errors)
{
    int result = tn__notifier_check(notifier);
    int removed = 0;

    if (result == 0 &&
        ((count && !wds) || count > INT32_MAX || flags & ~(TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC)))
        result = -EINVAL;
    if (result < 0)
        return result;
    for (size_t i = 0; i < count; i++) {
        int error = remove_one(tn__notifier_registry(notifier), wds[i], flags);
        removed += error == 0;
        if (errors)
            errors[i] = error;
    }
    return removed;
}
