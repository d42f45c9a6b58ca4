/*
 * A gap: from the point where records were lost until the trees are true again.
 *
 * The notifier's processor is told once. An add that asks for IN_Q_OVERFLOW is
 * told the beginning and the end: in one domain, in the order of the stream; else
 * the end waits for the epoch of the last rebuilt event; if records are lost again
 * until then, it is one gap. An add that still places
 * its watches is healed when it has placed them. What can't be healed yet, because
 * records ahead tell more or there is no memory, is tried again when they have
 * been committed.
 *
 * The kernel queues one overflow record at a time: while it lies in the queue,
 * more is lost behind it without a further word (fs/notify/notification.c). So a
 * marker is put when it was read, and what lies before the marker is dropped, and
 * counted. The trees are healed at the marker, not before, and nothing is listed. If records were
 * lost again before that is done, all that comes before their overflow record is dropped too.
 *
 * A queue that is full under TN_FULL_DROP is the same, but for the marker: it is
 * put when all that was queued has been processed. So the tree stands where the
 * consumers were left, and what they missed is what it has missed itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "array.h"
#include "reader/rescan.h"

static void tell_gap(struct tn__reader *reader, uint32_t root, uint32_t flags)
{
    const struct tn__news news = {.mask = IN_Q_OVERFLOW, .flags = flags};

    tn__reader_emit(reader, root, &news);
}

/* The next root's watch from a descriptor on; 0: none. */
static uint32_t next_root(struct tn__registry *registry, tn_wd *wd)
{
    uint64_t at = (uint64_t)*wd;
    uint32_t id = 0, root = 0;

    tn__registry_lock(registry);
    while (!root && tn__index_next_rcu(&registry->by_wd, &at, &id)) {
        struct tn__watch *watch = tn__registry_watch(registry, id);
        struct tn__policy *policy = tn__load(&watch->policy, acquire);
        if (policy && policy->add->root == (tn_wd)at && tn__load(&watch->node, relaxed) &&
            tn__watch_is_live(watch))
            root = id;
        at++;
    }
    tn__registry_unlock(registry);
    *wd = (tn_wd)at;
    return root;
}

/* Whether its events go to one lane, so that the end stands behind them. */
static bool is_in_order(const struct tn__add *add)
{
    return add->order == TN_ORDER_TREE || add->order == TN_ORDER_NOTIFIER;
}

static void end_gap(struct tn__reader *reader, uint32_t root)
{
    const struct tn__add *add = tn__reader_add_of(reader, root);
    if (!add->gap_told)
        return;
    struct tn__gap_end *ends = is_in_order(add)
                                   ? NULL
                                   : tn__array_room(reader->gap_ends, reader->gap_end_count,
                                                    &reader->gap_end_capacity, sizeof(*ends));

    if (!ends) {
        tell_gap(reader, root, TN_EVENT_GAP_END);
        return;
    }
    reader->gap_ends = ends;
    ends[reader->gap_end_count++] = (struct tn__gap_end){.root = add->root};
}

/* The ticket is taken when there is one. */
static bool is_reached(struct tn__reader *reader, uint64_t *ticket)
{
    if (!*ticket)
        *ticket = tn__lanes_epoch_close(reader->lanes);
    return *ticket && tn__lanes_epoch_reached(reader->lanes, *ticket);
}

void tn__reader_tell_gap_ends(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;
    size_t kept = 0;

    tn__epochs_watch(&reader->lanes->epochs);
    for (size_t i = 0; i < reader->gap_end_count; i++) {
        struct tn__gap_end end = reader->gap_ends[i];
        if (!is_reached(reader, &end.ticket)) {
            reader->gap_ends[kept++] = end;
            continue;
        }
        tn__rcu_read_lock();
        uint32_t root = tn__registry_find_rcu(registry, end.root);
        tn__rcu_read_unlock();
        if (root)
            tell_gap(reader, root, TN_EVENT_GAP_END);
    }
    reader->gap_end_count = kept;
    tn__lanes_publish(reader->lanes);
}

/* Without a marker the trees are healed as well as may be. */
static void skip(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    int result = tn__registry_mark_locked(registry, TN__MARK_HEAL, 0);
    tn__registry_unlock(registry);
    reader->lost_again = false;
    reader->skipping = result == 0;
    reader->heal_due = result < 0;
    if (result < 0)
        tn__reader_wake(reader); /* nothing else need come */
}

static void tell_overflow(struct tn__reader *reader)
{
    if (tn__reader_emit_overflow(reader, 0))
        tn__count(&reader->counts.overflows); /* else when it is told */
}

/* An end that waits is not told if records are lost again: the gap goes on. */
static bool take_end(struct tn__reader *reader, tn_wd root)
{
    size_t i = 0;

    while (i < reader->gap_end_count && reader->gap_ends[i].root != root)
        i++;
    if (i == reader->gap_end_count)
        return false;
    reader->gap_ends[i] = reader->gap_ends[--reader->gap_end_count];
    return true;
}

/* Whether it is told: one that is told nothing yet is not told the end either. */
static bool hears(const struct tn__reader *reader, uint32_t root)
{
    const struct tn__watch *watch = tn__registry_watch(reader->registry, root);

    tn__rcu_read_lock();
    const struct tn__policy *policy = tn__rcu_dereference(&watch->policy);
    bool asks = policy && policy->mask & IN_Q_OVERFLOW;
    tn__rcu_read_unlock();
    return asks && !reader->ignoring &&
           !(tn__load(&watch->state, acquire) & (TN__WATCH_UNTOLD | TN__WATCH_ASLEEP));
}

static void tell_begins(struct tn__reader *reader)
{
    tn_wd wd = 1;

    for (uint32_t root; (root = next_root(reader->registry, &wd));) {
        struct tn__add *add = tn__reader_add_of(reader, root);
        if (add->gap)
            continue;
        add->gap = true;
        add->gap_told = take_end(reader, add->root);
        if (add->gap_told)
            continue;
        add->gap_told = hears(reader, root);
        tell_gap(reader, root, TN_EVENT_GAP_BEGIN);
    }
}

void tn__reader_begin_gap(struct tn__reader *reader)
{
    tell_overflow(reader);
    /* First: an add that has no root yet when the others are told has lost nothing then. */
    if (!reader->overfull && (!reader->skipping || reader->lost_again))
        skip(reader);
    tell_begins(reader);
}

void tn__reader_tell_loss(struct tn__reader *reader)
{
    tell_overflow(reader);
    if (reader->gap)
        return;
    tell_begins(reader);
    reader->heal_due = true;
    tn__reader_wake(reader);
}

static bool is_full(struct tn__reader *reader)
{
    struct tn__lanes *lanes = reader->lanes;

    if (tn__lanes_bytes(lanes) < lanes->pool.limit)
        return false;
    tn__lanes_publish(lanes);
    tn__lanes_reclaim(lanes);
    return tn__lanes_bytes(lanes) >= lanes->pool.limit;
}

void tn__reader_drop_when_full(struct tn__reader *reader)
{
    if (reader->skipping || !reader->may_wait || !is_full(reader))
        return;
    tn__reader_forget_moves(reader);
    tell_overflow(reader);
    tell_begins(reader);
    reader->skipping = true;
    reader->lost_again = false;
    reader->overfull = true;
    reader->overfull_ticket = 0;
}

void tn__reader_end_drop(struct tn__reader *reader)
{
    tn__epochs_watch(&reader->lanes->epochs);
    if (!is_reached(reader, &reader->overfull_ticket))
        return;
    reader->overfull = false;
    skip(reader);
    tn__reader_sweep_later(reader); /* of what was removed, the ends were dropped too */
    tell_begins(reader);            /* to those that were added meanwhile */
}

/* Whether the add looks after more than its root. */
static bool is_deep(struct tn__reader *reader, uint32_t root)
{
    struct tn__watch *watch = tn__registry_watch(reader->registry, root);

    tn__rcu_read_lock();
    const struct tn__policy *policy = tn__rcu_dereference(&watch->policy);
    bool deep = policy && policy->flags & (TN_WATCH_TREE | TN_WATCH_SNAPSHOT);
    tn__rcu_read_unlock();
    return deep && tn__load(&watch->state, relaxed) & TN__WATCH_DIR;
}

/* Asked once in each healing. What can't be told is taken to stand. */
bool tn__reader_stands(struct tn__reader *reader, uint64_t key)
{
    struct tn__source *source = reader->registry->source;

    if (!reader->keys &&
        (!source->ops->keys || source->ops->keys(source, &reader->keys, &reader->key_count) < 0))
        return true;
    return bsearch(&key, reader->keys, reader->key_count, sizeof(key), tn__source_compare_keys) !=
           NULL;
}

static void forget_keys(struct tn__reader *reader)
{
    free(reader->keys);
    reader->keys = NULL;
    reader->key_count = 0;
}

static bool is_short(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

/*
 * If the source does not know the root any more, it is gone. Else it may have
 * moved, or can't be opened: its tree stays as it is.
 */
static int heal_root(struct tn__reader *reader, uint32_t root, int error)
{
    struct tn__registry *registry = reader->registry;
    struct tn__watch *watch = tn__registry_watch(registry, root);
    struct tn__add *add = tn__reader_add_of(reader, root);
    uint32_t object = tn__load(&watch->object, relaxed);

    if (!object || error == -EAGAIN || error == -EOVERFLOW)
        return object ? error : 0;
    if (!is_short(error) &&
        !tn__reader_stands(reader, tn__registry_object(registry, object)->key)) {
        tn__reader_end_subtree(reader, tn__load(&watch->node, relaxed), 0);
        return 0;
    }
    if (!add->heal_failed)
        tn__reader_tell_unwatched(reader, root, NULL, 0, error);
    add->heal_failed = is_short(error);
    return is_short(error) ? error : 0;
}

static int heal(struct tn__reader *reader, uint32_t root)
{
    if (tn__watch_is_name(tn__registry_watch(reader->registry, root))) {
        int result = tn__reader_follow_again(reader, root);
        return result < 0 ? heal_root(reader, root, result) : 0;
    }
    if (is_deep(reader, root)) {
        int result = tn__reader_heal_tree(reader, root);
        return result < 0 ? heal_root(reader, root, result) : 0;
    }
    int fd = tn__reader_open_directory(reader, root);
    tn__reader_forget_parent(reader);
    return fd < 0 ? heal_root(reader, root, tn__reader_not_found(reader, root, fd)) : 0;
}

/* All trees first, because what is taken in must stand in a true one. */
static bool heal_all(struct tn__reader *reader)
{
    tn_wd wd = 1;

    for (uint32_t root; (root = next_root(reader->registry, &wd));) {
        struct tn__add *add = tn__reader_add_of(reader, root);
        if (!add->gap || tn__load(&add->young, acquire))
            continue;
        tn__fetch_add(&add->references, 1, relaxed); /* its root may end */
        int result = heal(reader, root);
        add->healed = result == 0;
        tn__add_unref(add);
        /* Without a record of it nothing was lost: the source has ended. */
        if (result == -EOVERFLOW && tn__stream_has_overflow(&reader->stream))
            return false;
        reader->heal_later = reader->heal_later || result < 0;
    }
    return true;
}

/* What was taken in had its kernel watch before: from here on that tells all. */
static void note_widenings(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    uint32_t widenings = registry->widenings;
    tn__registry_unlock(registry);
    tn__reader_is_widening(reader, widenings);
}

void tn__reader_heal(struct tn__reader *reader)
{
    tn_wd wd = 1;

    reader->heal_due = false;
    bool healed = heal_all(reader);
    forget_keys(reader);
    if (!healed) {
        reader->skipping = true;
        reader->lost_again = true;
        return;
    }
    tn__reader_retry_unresolved(reader);
    tn__reader_resolve(reader);
    if (reader->skipping)
        return; /* the lanes are full again */
    note_widenings(reader);
    for (uint32_t root; (root = next_root(reader->registry, &wd));) {
        struct tn__add *add = tn__reader_add_of(reader, root);
        if (add->gap && add->healed) {
            add->heal_failed = false;
            end_gap(reader, root);
        }
        add->gap = add->gap && !add->healed;
        add->healed = false;
    }
}
