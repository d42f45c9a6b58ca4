/*
 * From the news of a record to the lanes: the path as it is at this point of
 * the stream, the watch's mask, filter and one-shot, the lane of its order.
 *
 * The policy of a watch is read under RCU. The read-side section is left
 * before a filter is asked and before space is waited for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <tnotify/event.h>

#include "event.h"
#include "filter.h"
#include "reader/reader.h"
#include "tree/path.h"

#define ENDS (IN_DELETE_SELF | IN_IGNORED | IN_UNMOUNT)

static uint32_t hash_bytes(const char *bytes, size_t length)
{
    uint64_t hash = length;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(hash ^ (hash >> 32));
}

/* The lane of a hash, made when it is first used; 0: no memory. */
static uint32_t hashed_lane(struct tn__reader *reader, uint32_t hash)
{
    uint32_t *lane = &reader->hashed_lanes[hash % TN__READER_HASHED_LANES];

    if (TN__UNLIKELY(!*lane)) {
        tn__registry_lock(reader->registry);
        *lane = tn__lanes_alloc(reader->lanes);
        tn__registry_unlock(reader->registry);
        if (!*lane)
            *lane = reader->notifier_lane; /* for good: a domain does not change its lane */
    }
    return *lane;
}

/* The ordering domain: an entry's two names, in its directory and itself, are one path. */
static uint32_t lane_of(struct tn__reader *reader, const struct tn__add *add,
                        const struct tn__entry *entry)
{
    switch (add->order) {
    case TN_ORDER_DIRECTORY:
        return hashed_lane(reader, (uint32_t)entry->wd * 2654435761u >> 16);
    case TN_ORDER_PATH:
        if (!entry->name)
            return hashed_lane(reader, hash_bytes(entry->path, entry->path_length));
        size_t length = tn__path_join(entry->path, entry->path_length, entry->name,
                                      entry->name_length, reader->text, reader->text_capacity);
        return hashed_lane(reader, hash_bytes(reader->text, length));
    case TN_ORDER_NONE:
        return hashed_lane(reader, reader->next_lane++);
    case TN_ORDER_NOTIFIER:
        return reader->notifier_lane;
    default:
        return add->lane;
    }
}

static bool is_discarding(void *context)
{
    return tn__reader_stop(context) == TN__STOP_DISCARD;
}

/* What must get in where the rest is dropped. */
static int push_beyond(struct tn__lanes *lanes, struct tn__lane *lane,
                       const struct tn__entry *entry)
{
    size_t limit = lanes->pool.limit;

    lanes->pool.limit = SIZE_MAX;
    int result = tn__lane_push(lanes, lane, entry);
    lanes->pool.limit = limit;
    return result;
}

/*
 * Pushes; when there is no space, waits for it. Under TN_FULL_DROP the bound is
 * looked at before a record is committed (gap.c), and what the record tells may
 * go beyond it; what is announced besides, of a directory or after a gap, may be
 * much, and waits. In the caller's thread the bound is lifted (caller.c), and
 * nobody else makes space.
 */
static bool push(struct tn__reader *reader, uint32_t lane_id, const struct tn__entry *entry)
{
    struct tn__lane *lane = tn__lanes_get(reader->lanes, lane_id);
    const bool drops = reader->options.when_full == TN_FULL_DROP &&
                       !(reader->may_wait && entry->flags & TN_EVENT_SYNTHETIC);
    const bool waits = reader->may_wait && !drops;

    for (;;) {
        int result = tn__lane_push(reader->lanes, lane, entry);
        if (TN__UNLIKELY(result == -ENOBUFS && drops))
            result = push_beyond(reader->lanes, lane, entry);
        if (TN__LIKELY(result == 0))
            return true;
        if (result == 1) {
            tn__count(&reader->counts.suppressed);
            return false;
        }
        if (result == -ENOBUFS && !waits) {
            tn__lanes_publish(reader->lanes);
            if (tn__lanes_reclaim(reader->lanes))
                continue;
        }
        if (result != -ENOBUFS || !waits ||
            tn__lanes_wait_space(reader->lanes, is_discarding, reader) < 0) {
            tn__count(&reader->counts.dropped);
            reader->gap = reader->gap || (entry->kind == TN__ENTRY_EVENT && !is_discarding(reader));
            return false;
        }
    }
}

/* Asked outside a read-side section: the test is the application's. */
static bool is_filtered(struct tn__reader *reader, struct tn_filter *filter,
                        const struct tn__entry *entry)
{
    const char *path = entry->path;

    if (entry->name && path) {
        if (!tn__reader_grow_text(&reader->text, &reader->text_capacity,
                                  entry->path_length + entry->name_length + 2))
            return false;
        tn__path_join(entry->path, entry->path_length, entry->name, entry->name_length,
                      reader->text, reader->text_capacity);
        path = reader->text;
    }
    bool is_dir = entry->mask & IN_ISDIR || entry->flags & TN__EVENT_DIR;
    return path && tn__filter_excludes(filter, path, is_dir);
}

static bool is_wanted(const struct tn__policy *policy, const struct tn__news *news, uint64_t state)
{
    if (state & (TN__WATCH_REMOVED | TN__WATCH_ASLEEP | TN__WATCH_UNTOLD | TN__WATCH_ENDED) ||
        tn__load(&policy->add->spent, relaxed))
        return false;
    return news->always || (policy->mask & news->mask & (IN_ALL_EVENTS | IN_Q_OVERFLOW));
}

/* What could not be told for want of memory is announced like an overflow. */
static void lose(struct tn__reader *reader)
{
    tn__count(&reader->counts.dropped);
    reader->gap = true;
}

static void push_entry(struct tn__reader *reader, struct tn__watch *watch, struct tn__add *add,
                       const struct tn__entry *entry)
{
    bool is_final = entry->kind == TN__ENTRY_FINAL;
    bool counted = tn__add_spreads(add) && !is_final;

    if (entry->name && !tn__reader_grow_text(&reader->text, &reader->text_capacity,
                                             entry->path_length + entry->name_length + 2)) {
        lose(reader);
        return;
    }
    uint32_t lane = lane_of(reader, add, entry);
    if (counted)
        tn__fetch_add(&watch->state, TN__WATCH_REF, relaxed);
    if (push(reader, lane, entry))
        return;
    /* A final record that found no memory: no record of the watch is in any lane. */
    if (counted || (is_final && !is_discarding(reader)))
        tn__registry_drop(reader->registry, entry->watch, 1);
}

/* A name's path does not go with what has it. */
static void fill_name_path(struct tn__reader *reader, struct tn__entry *entry, uint32_t id)
{
    const char *name = tn__reader_add_of(reader, id)->name;
    const size_t length = strlen(name);

    if (!tn__reader_grow_text(&reader->name_text, &reader->name_text_capacity,
                              entry->path_length + length + 2)) {
        entry->path = NULL;
        return;
    }
    entry->path_length = tn__path_join(entry->path, entry->path_length, name, length,
                                       reader->name_text, reader->name_text_capacity);
    entry->path = reader->name_text;
    entry->path_key = 0;
}

static void fill_entry(struct tn__reader *reader, struct tn__entry *entry, uint32_t id,
                       const struct tn__news *news)
{
    struct tn__watch *watch = tn__registry_watch(reader->registry, id);
    uint32_t node = tn__load(&watch->node, relaxed);

    *entry = (struct tn__entry){
        .wd = tn__load(&watch->wd, relaxed),
        .watch = id,
        .mask = news->mask,
        .cookie = news->cookie,
        .flags = news->flags,
        .error = news->error,
        .kind = news->kind,
        .name = news->name,
        .name_length = news->name_length,
        .src_pathname = news->src_pathname,
        .src_length = news->src_length,
        .read_ns = reader->read_ns,
    };
    const struct tn__path_text *path = tn__reader_path(reader, node);
    if (path) {
        entry->path = path->text;
        entry->path_length = path->length;
        entry->path_key = path->key;
        /* What a deleted directory still tells, beside its own end, is of another time. */
        if (path->unknown || (path->gone && !(news->mask & ENDS)))
            entry->flags |= TN_EVENT_PATH_UNKNOWN;
        if (TN__UNLIKELY(tn__watch_is_name(watch)))
            fill_name_path(reader, entry, id);
    }
    if (!news->name && (tn__load(&watch->state, relaxed) & TN__WATCH_DIR))
        entry->flags |= TN__EVENT_DIR;
}

/*
 * Its first event was told: the whole add ends, once this record is through,
 * because what commits it still looks at the add's nodes. Until then the root
 * node is guarded.
 */
static void end_one_shot(struct tn__reader *reader, struct tn__add *add)
{
    struct tn__registry *registry = reader->registry;

    tn__store(&add->spent, true, release);
    tn__fetch_add(&add->references, 1, relaxed);
    tn__registry_lock(registry);
    tn__registry_guard_locked(registry, add->root_node);
    tn__registry_unlock(registry);
    add->next = reader->spent_adds;
    reader->spent_adds = add;
}

void tn__reader_end_spent(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;

    while (reader->spent_adds) {
        struct tn__add *add = reader->spent_adds;
        reader->spent_adds = add->next;
        uint32_t root = add->root_node;
        tn__reader_end_subtree(reader, root, 0);
        tn__registry_lock(registry);
        tn__registry_unguard_locked(registry, root);
        tn__registry_give_guard_back_locked(registry, add);
        tn__registry_prune_node_locked(registry, root);
        tn__registry_unlock(registry);
        tn__add_unref(add);
    }
}

/* What decides about the news for one watch, read at one moment. */
struct decision {
    struct tn__add *add;       /* stands until the watch's end was queued, which this thread does */
    struct tn_filter *filter;  /* kept by `policy` */
    struct tn__policy *policy; /* referenced if there is a filter */
    bool one_shot;
};

/*
 * Whose news they are: an item's are its name's, and of what its directory
 * tells only that of the name itself is the name's. 0: nobody's.
 */
static uint32_t teller_of(struct tn__reader *reader, uint32_t id, const struct tn__news *news,
                          uint64_t *ret_state)
{
    const struct tn__registry *registry = reader->registry;

    *ret_state = tn__load(&tn__registry_watch(registry, id)->state, acquire);
    if (TN__LIKELY(!(*ret_state & (TN__WATCH_NAME | TN__WATCH_ITEM))))
        return id;
    if (*ret_state & TN__WATCH_NAME)
        return news->of_name || news->mask & IN_Q_OVERFLOW ? id : 0;
    if (news->mask & (IN_DELETE_SELF | IN_MOVE_SELF))
        return 0; /* follow.c tells it */
    const struct tn__add *add = tn__reader_add_of(reader, id);
    uint32_t name = add ? tn__node_watch(&registry->tree, add->root_node) : 0;
    if (name)
        *ret_state |= tn__load(&tn__registry_watch(registry, name)->state, acquire);
    return name;
}

static bool decide(struct tn__reader *reader, struct tn__watch *watch, const struct tn__news *news,
                   uint64_t state, struct decision *ret)
{
    tn__rcu_read_lock();
    struct tn__policy *policy = tn__rcu_dereference(&watch->policy);
    bool wanted = policy && is_wanted(policy, news, state);
    if (wanted) {
        struct tn_filter *filter = policy->filter ? policy->filter : reader->registry->filter;
        *ret = (struct decision){.add = policy->add,
                                 .filter = filter,
                                 .one_shot = policy->mask & IN_ONESHOT};
        if (TN__UNLIKELY(filter != NULL))
            ret->policy = tn__watch_policy_rcu(watch);
    }
    tn__rcu_read_unlock();
    return wanted;
}

void tn__reader_emit(struct tn__reader *reader, uint32_t id, const struct tn__news *news)
{
    uint64_t state;
    const uint32_t teller = teller_of(reader, id, news, &state);
    struct decision decision;
    struct tn__entry entry;

    if (TN__UNLIKELY(reader->snapshots.pages != NULL))
        tn__reader_note_news(reader, id, news);
    if (!teller)
        return;
    struct tn__watch *watch = tn__registry_watch(reader->registry, teller);
    if (!decide(reader, watch, news, state, &decision))
        return;
    fill_entry(reader, &entry, id, news);
    entry.wd = tn__load(&watch->wd, relaxed);
    entry.watch = teller;
    if (TN__UNLIKELY(decision.filter != NULL)) {
        bool filtered = is_filtered(reader, decision.filter, &entry);
        tn__policy_unref(decision.policy);
        if (filtered)
            return;
    }
    if (TN__UNLIKELY(reader->ignoring)) {
        tn__count(&reader->counts.suppressed);
        return;
    }
    const uint64_t dropped = tn__load(&reader->counts.dropped, relaxed);
    if (entry.path) {
        entry.root = decision.add->root;
        entry.sequence = ++reader->sequence;
        if (news->flags & TN_EVENT_SYNTHETIC)
            tn__count(&reader->counts.synthetic);
        push_entry(reader, watch, decision.add, &entry);
    } else {
        lose(reader);
    }
    if (TN__UNLIKELY(tn__load(&reader->counts.dropped, relaxed) != dropped))
        tn__reader_note_untold(reader, id, news);
    if (!entry.path)
        return;
    if (decision.one_shot && !(news->flags & TN_EVENT_UNWATCHED))
        end_one_shot(reader, decision.add);
}

void tn__reader_emit_all(struct tn__reader *reader, struct tn__object *object,
                         const struct tn__news *news)
{
    uint32_t id = tn__load(&object->first, acquire);

    while (id) {
        uint32_t next = tn__registry_next_watch(reader->registry, id);
        tn__reader_emit(reader, id, news);
        id = next;
    }
}

/* Alive as long as the watch's end was not queued, which this thread does; the policy is not. */
struct tn__add *tn__reader_add_of(const struct tn__reader *reader, uint32_t id)
{
    tn__rcu_read_lock();
    const struct tn__policy *policy =
        tn__rcu_dereference(&tn__registry_watch(reader->registry, id)->policy);
    struct tn__add *add = policy ? policy->add : NULL;
    tn__rcu_read_unlock();
    return add;
}

bool tn__reader_emit_overflow(struct tn__reader *reader, uint32_t flags)
{
    struct tn__entry entry = {
        .wd = -1,
        .root = -1,
        .mask = IN_Q_OVERFLOW,
        .flags = flags,
        .sequence = ++reader->sequence,
        .read_ns = reader->read_ns,
    };

    struct tn__lane *lane = tn__lanes_get(reader->lanes, reader->notifier_lane);
    reader->gap = push_beyond(reader->lanes, lane, &entry) < 0;
    return !reader->gap;
}

bool tn__reader_emit_final(struct tn__reader *reader, uint32_t id, uint32_t flags)
{
    struct tn__registry *registry = reader->registry;
    struct tn__watch *watch = tn__registry_watch(registry, id);
    const struct tn__news news = {.mask = IN_IGNORED,
                                  .flags = flags,
                                  .kind = TN__ENTRY_FINAL,
                                  .always = true};
    struct tn__entry entry;

    fill_entry(reader, &entry, id, &news);
    /* No memory for the path; the end must be told all the same. */
    if (!entry.path) {
        entry.path = "";
        entry.flags |= TN_EVENT_PATH_UNKNOWN;
    }
    struct tn__add *add = tn__reader_add_of(reader, id);
    entry.root = add->root;
    entry.sequence = ++reader->sequence;
    uint32_t node = tn__load(&watch->node, relaxed);
    tn__registry_lock(registry);
    if (TN__UNLIKELY(tn__reader_is_untold(reader, id)))
        tn__reader_tell_below_locked(reader, node);
    bool object_gone = tn__registry_unlink_locked(registry, id);
    tn__registry_unlock(registry);
    reader->paths[node % TN__READER_PATHS].node = 0;
    if (TN__UNLIKELY(add->snapshot))
        tn__reader_set_snapshot(reader, id, NULL);
    push_entry(reader, watch, add, &entry);
    return object_gone;
}
