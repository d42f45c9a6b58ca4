/*
 * One raw record takes effect: the tree changes, and each watch on the object
 * gets its news, in one step.
 *
 * Kernel facts (inotify(7), fs/notify): a directory's events about a name come
 * before the IN_IGNORED of what had it, so an end is never judged by
 * IN_IGNORED; one that comes for an unlinked but open directory finds its node
 * detached, which keeps its last path.
 */
#include <stdlib.h>
#include <sys/inotify.h>

#include "reader/reader.h"

/* Ends the watches of a node and of all below it; their inodes may go on living elsewhere. */
void tn__reader_end_subtree(struct tn__reader *reader, uint32_t root, uint32_t flags)
{
    struct tn__registry *registry = reader->registry;
    struct tn__tree *tree = &registry->tree;

    tn__registry_lock(registry);
    tn__fetch_add(&registry->shuffles, 1, relaxed);
    uint32_t node = tn__node_walk_last_locked(tree, root);
    while (node) {
        uint32_t next = node == root ? 0 : tn__node_post_next_locked(tree, root, node);
        uint32_t id = tn__node_watch(tree, node);
        /* The next one is its parent or beside it: it must outlive this one. */
        if (next)
            tn__registry_guard_locked(registry, next);
        tn__node_unhash_locked(tree, node);
        if (id) {
            tn__registry_release_object_locked(registry, id);
            if (flags & TN_EVENT_PATH_UNKNOWN)
                tn__node_set_flags_locked(tree, node, TN__NODE_PATH_UNKNOWN);
            tn__registry_unlock(registry);
            tn__reader_emit_final(reader, id, flags);
            tn__registry_lock(registry);
        } else {
            tn__registry_detach_node_locked(registry, node);
        }
        if (next)
            tn__registry_unguard_locked(registry, next);
        node = next;
    }
    tn__registry_unlock(registry);
    tn__reader_forget_paths(reader);
}

/* A watch may be added while the end of the others is queued: all that the key had end. */
static void end_object(struct tn__reader *reader, uint32_t object_id)
{
    struct tn__object *object = tn__registry_object(reader->registry, object_id);

    uint32_t first;

    do {
        first = tn__load(&object->first, acquire);
        if (tn__watch_is_name(tn__registry_watch(reader->registry, first)))
            tn__reader_end_items(reader, first);
    } while (!tn__reader_emit_final(reader, first, 0));
}

/* The list is read first: a watch of a name is counted before it is put there. */
static uint32_t first_name(const struct tn__reader *reader, const struct tn__object *object)
{
    uint32_t first = tn__load(&object->first, acquire);

    return TN__LIKELY(!tn__load(&reader->registry->names, relaxed))
               ? 0
               : tn__reader_next_name(reader, first);
}

/* The root's new place is not told by any record; the paths below it are the last known ones. */
static void move_self(struct tn__reader *reader, struct tn__object *object,
                      const struct tn__news *news)
{
    struct tn__registry *registry = reader->registry;
    uint32_t id = tn__load(&object->first, acquire);

    tn__registry_lock(registry);
    for (; id; id = tn__registry_next_watch(registry, id)) {
        uint32_t node = tn__load(&tn__registry_watch(registry, id)->node, relaxed);
        if (tn__node_parent(&registry->tree, node))
            continue;
        tn__node_set_flags_locked(&registry->tree, node, TN__NODE_PATH_UNKNOWN);
        tn__reader_forget_paths(reader);
    }
    tn__registry_unlock(registry);
    tn__reader_emit_all(reader, object, news);
    uint32_t name = first_name(reader, object);
    tn__reader_items_gone(reader, object, IN_MOVE_SELF);
    tn__reader_end_names(reader, name);
}

static void directory_made(struct tn__reader *reader, struct tn__object *object,
                           const struct tn__raw *raw, const struct tn__news *news)
{
    uint32_t id = tn__load(&object->first, acquire);

    while (id) {
        uint32_t next = tn__registry_next_watch(reader->registry, id);
        tn__reader_emit(reader, id, news);
        tn__reader_new_directory(reader, id, raw->name, raw->name_length);
        id = next;
    }
}

/* Its own IN_IGNORED ends it; until then its node keeps its last path. */
static void directory_deleted(struct tn__reader *reader, struct tn__object *object,
                              const struct tn__raw *raw, const struct tn__news *news)
{
    struct tn__registry *registry = reader->registry;
    uint32_t id = tn__load(&object->first, acquire);

    while (id) {
        struct tn__watch *watch = tn__registry_watch(registry, id);
        uint32_t next = tn__load(&watch->next, acquire);
        uint32_t node = tn__load(&watch->node, relaxed);
        tn__reader_emit(reader, id, news);
        tn__registry_lock(registry);
        uint32_t child = tn__node_child_rcu(&registry->tree, node, raw->name, raw->name_length);
        if (child && !tn__watch_is_name(watch))
            tn__reader_detach_locked(reader, child);
        tn__registry_unlock(registry);
        id = next;
    }
}

static void awake(struct tn__registry *registry, uint32_t id)
{
    tn__fetch_and(&tn__registry_watch(registry, id)->state, ~TN__WATCH_ASLEEP, acq_rel);
    tn__registry_drop(registry, id, 1);
}

/* One that can't be put again stays: it may not have been lost. */
static void put_marker_again(struct tn__registry *registry, uint64_t key)
{
    uint32_t asleep = 0;

    tn__registry_lock(registry);
    uint32_t value = tn__index_get_rcu(&registry->markers, key);
    enum tn__mark_purpose purpose = (enum tn__mark_purpose)(value >> TN__MARK_ID_BITS);
    uint32_t id = value & ((1u << TN__MARK_ID_BITS) - 1);
    if (value && purpose == TN__MARK_AWAKE)
        asleep = id;
    if (asleep || (value && tn__registry_mark_locked(registry, purpose, id) == 0))
        tn__index_clear_locked(&registry->markers, key);
    tn__registry_unlock(registry);
    if (asleep)
        awake(registry, asleep);
}

/* The markers that stand now, and no other: each that is put again has a key of its own. */
static size_t copy_markers_locked(struct tn__registry *registry, uint64_t *keys, size_t capacity)
{
    uint64_t key = 0;
    uint32_t value;
    size_t count = 0;

    for (; tn__index_next_rcu(&registry->markers, &key, &value); key++, count++)
        if (count < capacity)
            keys[count] = key;
    return count;
}

void tn__reader_put_markers_again(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    size_t count = copy_markers_locked(registry, NULL, 0);
    uint64_t *keys = calloc(count ? count : 1, sizeof(*keys));
    if (keys)
        copy_markers_locked(registry, keys, count);
    tn__registry_unlock(registry);
    reader->markers_due = !keys;
    for (size_t i = 0; keys && i < count; i++)
        put_marker_again(registry, keys[i]);
    free(keys);
}

void tn__reader_sweep_later(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    registry->sweep = true;
    tn__fetch_add(&registry->work, 1, release);
    tn__registry_unlock(registry);
}

/*
 * Records were lost. What waited for one of them goes on: markers are put
 * again, watches that slept wake, ends that were not told are queued.
 */
static void overflow(struct tn__reader *reader)
{
    tn__reader_forget_moves(reader);
    tn__reader_put_markers_again(reader);
    tn__reader_begin_gap(reader);
    tn__reader_sweep_later(reader);
    reader->retry_due = true;
}

static void marker(struct tn__reader *reader, uint32_t value)
{
    struct tn__registry *registry = reader->registry;
    uint32_t id = value & ((1u << TN__MARK_ID_BITS) - 1);

    switch ((enum tn__mark_purpose)(value >> TN__MARK_ID_BITS)) {
    case TN__MARK_AWAKE:
        awake(registry, id);
        break;
    case TN__MARK_SETTLE:
        tn__reader_settle_marked(reader, id);
        break;
    case TN__MARK_IGNORE:
        reader->ignoring = id;
        break;
    case TN__MARK_DRAIN:
        reader->drain_marked = true;
        break;
    case TN__MARK_HEAL:
        reader->skipping = false;
        reader->heal_due = true;
        break;
    case TN__MARK_PLACED:
        tn__reader_placed(reader, id);
        break;
    }
}

/* An unknown key: look again under the lock. It is a new object, a marker, or stale. */
static uint32_t find_again(struct tn__registry *registry, const struct tn__raw *raw,
                           uint32_t *ret_marker)
{
    tn__registry_lock(registry);
    uint32_t object = tn__index_get_rcu(&registry->by_key, raw->key);
    if (!object && (raw->mask & IN_IGNORED)) {
        *ret_marker = tn__index_get_rcu(&registry->markers, raw->key);
        if (*ret_marker)
            tn__index_clear_locked(&registry->markers, raw->key);
    }
    tn__registry_unlock(registry);
    return object;
}

static uint32_t find_object(struct tn__reader *reader, const struct tn__raw *raw,
                            uint32_t *ret_marker)
{
    struct tn__registry *registry = reader->registry;

    tn__rcu_read_lock();
    uint32_t id = tn__index_get_rcu(&registry->by_key, raw->key);
    tn__rcu_read_unlock();
    if (TN__UNLIKELY(!id))
        id = find_again(registry, raw, ret_marker);
    return tn__registry_oldest(registry, id);
}

static void move(struct tn__reader *reader, struct tn__object *object, const struct tn__raw *raw,
                 bool was_doubtful)
{
    if (tn__reader_exchange(reader, object, raw, was_doubtful))
        return; /* all of it was told */
    if (!(raw->mask & IN_ISDIR && raw->name))
        tn__reader_file_move(reader, object, raw);
    else if (raw->mask & IN_MOVED_FROM)
        tn__reader_directory_from(reader, object, raw);
    else
        tn__reader_directory_to(reader, object, raw);
}

static void commit(struct tn__reader *reader, uint32_t id, const struct tn__raw *raw)
{
    struct tn__news news = {.mask = raw->mask, .name = raw->name, .name_length = raw->name_length};
    struct tn__object *object = tn__registry_object(reader->registry, id);
    const bool is_dir = raw->mask & IN_ISDIR && raw->name;
    const uint32_t of_entries = TN__NAME_CHANGES | IN_CLOSE_WRITE;
    bool was_doubtful = false;

    if (TN__UNLIKELY(is_dir && raw->mask & (IN_CREATE | IN_DELETE | IN_MOVE))) {
        tn__fetch_add(&reader->registry->shuffles, 1, relaxed);
        tn__reader_set_aside(reader, object, raw);
    }
    if (raw->mask & TN__NAME_CHANGES) {
        tn__reader_forget_arrival(reader, raw);
        was_doubtful = raw->name && tn__reader_end_doubt(reader, raw);
    }
    const uint32_t name = raw->name && raw->mask & of_entries ? first_name(reader, object) : 0;
    if (raw->mask & IN_IGNORED) {
        end_object(reader, id);
    } else if (raw->mask & IN_MOVE) {
        move(reader, object, raw, was_doubtful);
    } else if (is_dir && raw->mask & IN_CREATE) {
        directory_made(reader, object, raw, &news);
    } else if (is_dir && raw->mask & IN_DELETE) {
        directory_deleted(reader, object, raw, &news);
    } else if (raw->mask & IN_MOVE_SELF) {
        move_self(reader, object, &news);
    } else {
        news.always = raw->mask & IN_UNMOUNT;
        tn__reader_emit_all(reader, object, &news);
        if (TN__UNLIKELY(raw->mask & IN_DELETE_SELF && !raw->name))
            tn__reader_items_gone(reader, object, IN_DELETE_SELF);
    }
    if (TN__UNLIKELY(name))
        tn__reader_follow(reader, name, raw);
}

void tn__reader_commit(struct tn__reader *reader, const struct tn__raw *raw)
{
    uint32_t mark = 0;
    uint32_t id = raw->mask & IN_Q_OVERFLOW ? 0 : find_object(reader, raw, &mark);

    if (TN__UNLIKELY(mark)) {
        marker(reader, mark);
        return;
    }
    tn__count(&reader->counts.read);
    if (TN__UNLIKELY(reader->skipping && !(raw->mask & IN_Q_OVERFLOW))) {
        if (id)
            tn__count(&reader->counts.dropped);
        return;
    }
    if (TN__UNLIKELY(!id)) {
        if (raw->mask & IN_Q_OVERFLOW)
            overflow(reader);
        else if (raw->mask & IN_MOVED_TO)
            tn__reader_directory_left(reader, raw->cookie);
        return;
    }
    if (TN__UNLIKELY(tn__load(&reader->registry->traces.count, relaxed)) &&
        tn__reader_is_trace(reader, raw))
        return;
    commit(reader, id, raw);
}
