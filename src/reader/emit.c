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

enum { OVERFLOW_BYTES = 4 * TN__SLAB_BYTES };

#define ENDS (IN_DELETE_SELF | IN_IGNORED | IN_UNMOUNT)

static bool grow_text(char **text, size_t *capacity, size_t size)
{
    if (size <= *capacity)
        return true;
    size_t larger = tn__max(size, *capacity * 2);
    char *grown = realloc(*text, larger);
    if (!grown)
        return false;
    *text = grown;
    *capacity = larger;
    return true;
}

/* Whether a node or one above it has the flag: its path is only the last known one. */
static bool is_below_flag(const struct tn__tree *tree, uint32_t node, uint32_t flag)
{
    while (node && !(tn__node_flags(tree, node) & flag))
        node = tn__node_parent(tree, node);
    return node != 0;
}

const struct tn__path_text *tn__reader_path(struct tn__reader *reader, uint32_t node)
{
    struct tn__path_text *path = &reader->paths[node % TN__READER_PATHS];

    if (TN__LIKELY(path->node == node && path->generation == reader->generation && node))
        return path;
    if (!node)
        return NULL;
    path->node = 0;
    for (;;) {
        ssize_t length = tn__path_build(&reader->registry->tree, node, path->text, path->capacity);
        if (length < 0)
            return NULL;
        path->length = (size_t)length;
        if (path->length < path->capacity)
            break;
        if (!grow_text(&path->text, &path->capacity, path->length + 1))
            return NULL;
    }
    path->unknown = is_below_flag(&reader->registry->tree, node, TN__NODE_PATH_UNKNOWN);
    path->gone = is_below_flag(&reader->registry->tree, node, TN__NODE_DETACHED);
    path->node = node;
    path->generation = reader->generation;
    path->key = ++reader->path_keys;
    return path;
}

void tn__reader_forget_paths(struct tn__reader *reader)
{
    reader->generation++;
}

/* Its children have gone before it, or will not be heard of under their paths again. */
void tn__reader_detach_locked(struct tn__reader *reader, uint32_t node)
{
    if (tn__node_first_child(&reader->registry->tree, node))
        tn__reader_forget_paths(reader);
    reader->paths[node % TN__READER_PATHS].node = 0;
    tn__registry_detach_node_locked(reader->registry, node);
}

size_t tn__reader_source_path(struct tn__reader *reader, uint32_t node, const char *name,
                              size_t length)
{
    const struct tn__path_text *path = tn__reader_path(reader, node);

    if (!path || !grow_text(&reader->source, &reader->source_capacity, path->length + length + 2))
        return 0;
    if (name)
        return tn__path_join(path->text, path->length, name, length, reader->source,
                             reader->source_capacity);
    memcpy(reader->source, path->text, path->length + 1);
    return path->length;
}

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

/*
 * Pushes; when there is no space, waits for it or drops, as the notifier's
 * policy says. A final record is never dropped for want of space. In the
 * caller's thread the bound is lifted (caller.c), and nobody else makes space.
 */
static bool push(struct tn__reader *reader, uint32_t lane_id, const struct tn__entry *entry)
{
    struct tn__lane *lane = tn__lanes_get(reader->lanes, lane_id);

    for (;;) {
        int result = tn__lane_push(reader->lanes, lane, entry);
        if (TN__LIKELY(result == 0))
            return true;
        if (result == 1) {
            tn__count(&reader->counts.suppressed);
            return false;
        }
        bool may_drop =
            entry->kind == TN__ENTRY_EVENT &&
            (result != -ENOBUFS || !reader->may_wait || reader->options.when_full == TN_FULL_DROP);
        if (may_drop) {
            tn__lanes_publish(reader->lanes);
            if (result == -ENOBUFS && tn__lanes_reclaim(reader->lanes))
                continue;
        }
        if (may_drop || result != -ENOBUFS || !reader->may_wait ||
            tn__lanes_wait_space(reader->lanes, is_discarding, reader) < 0) {
            tn__count(&reader->counts.dropped);
            reader->gap = reader->gap || may_drop;
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
        if (!grow_text(&reader->text, &reader->text_capacity,
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
    return news->always || (policy->mask & news->mask & IN_ALL_EVENTS);
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

    if (entry->name && !grow_text(&reader->text, &reader->text_capacity,
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

static bool decide(struct tn__reader *reader, struct tn__watch *watch, const struct tn__news *news,
                   struct decision *ret)
{
    tn__rcu_read_lock();
    struct tn__policy *policy = tn__rcu_dereference(&watch->policy);
    bool wanted = policy && is_wanted(policy, news, tn__load(&watch->state, acquire));
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
    struct tn__watch *watch = tn__registry_watch(reader->registry, id);
    struct decision decision;
    struct tn__entry entry;

    if (!decide(reader, watch, news, &decision))
        return;
    fill_entry(reader, &entry, id, news);
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
    if (!entry.path) {
        lose(reader);
        return;
    }
    entry.root = decision.add->root;
    entry.sequence = ++reader->sequence;
    if (news->flags & TN_EVENT_SYNTHETIC)
        tn__count(&reader->counts.synthetic);
    push_entry(reader, watch, decision.add, &entry);
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
    size_t limit = reader->lanes->pool.limit;
    /* A little beyond the bound: what tells of a drop must get in where the rest was dropped. */
    if (limit < SIZE_MAX - OVERFLOW_BYTES)
        reader->lanes->pool.limit = limit + OVERFLOW_BYTES;
    reader->gap = tn__lane_push(reader->lanes, lane, &entry) < 0;
    reader->lanes->pool.limit = limit;
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
    push_entry(reader, watch, add, &entry);
    return object_gone;
}
