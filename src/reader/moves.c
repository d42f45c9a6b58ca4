/*
 * Moves. The kernel queues IN_MOVED_FROM and IN_MOVED_TO with one cookie, both
 * while it holds the locks of the two directories; the halves may straddle two
 * reads, and other records may stand between. RENAME_EXCHANGE queues two
 * crossed pairs: exchange.c.
 *
 * A file's departure is told at once, and remembered for the source path of
 * its arrival. A directory's departure must not be told before it is known
 * whether it arrives in a watched directory: its node, and all below, either
 * move or go. If the arrival is not among the records ahead, everything that
 * happened in the directory before now is read (the barrier); then the answer
 * is exact. A departure that is tied to an arrival is told together with it,
 * at the arrival's place, because others may write below the moving directory
 * between the two.
 *
 * An arrival in a tree that had not known what arrives carries cookie 0: its
 * contents are announced, and a consumer must not take them from elsewhere.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "array.h"
#include "clock.h"
#include "reader/moves.h"

void tn__reader_file_move(struct tn__reader *reader, struct tn__object *object,
                          const struct tn__raw *raw)
{
    if (raw->mask & IN_MOVED_FROM) {
        const struct tn__news news = tn__move_news(raw);
        tn__reader_emit_all(reader, object, &news);
        tn__move_remember(reader, raw);
        return;
    }
    const struct tn__half *half = tn__move_departure(reader, raw->cookie);
    uint32_t id = tn__load(&object->first, acquire);
    while (id) {
        uint32_t next = tn__registry_next_watch(reader->registry, id);
        tn__move_arrive(reader, id, raw, half);
        id = next;
    }
}

/* The directory of the watch's node is no longer below the add's root. */
void tn__move_leave(struct tn__reader *reader, uint32_t watch, uint32_t child,
                    const struct tn__news *from)
{
    const struct tn__news self = {.mask = IN_MOVE_SELF, .flags = TN_EVENT_PATH_UNKNOWN};
    uint32_t own = tn__node_watch(&reader->registry->tree, child);
    struct tn__news alone = *from;

    alone.cookie = 0; /* there is no other half */
    tn__reader_emit(reader, watch, &alone);
    if (own)
        tn__reader_emit(reader, own, &self);
    tn__reader_end_subtree(reader, child, TN_EVENT_PATH_UNKNOWN);
}

static void leave_all(struct tn__reader *reader, const struct tn__half *half)
{
    const struct tn__news news = {.mask = IN_MOVED_FROM | IN_ISDIR,
                                  .cookie = half->cookie,
                                  .name = half->name,
                                  .name_length = half->length};
    uint32_t id = tn__move_watches(reader, half->key);

    while (id) {
        uint32_t next = tn__registry_next_watch(reader->registry, id);
        uint32_t child = tn__reader_child(reader, id, half->name, half->length);
        if (child)
            tn__move_leave(reader, id, child, &news);
        id = next;
    }
}

/* The directory can't be opened, so there is no barrier: the arrival may still be on its way. */
static int wait_for_to(struct tn__reader *reader, uint32_t cookie, uint64_t *ret_key)
{
    const uint64_t ms = 1000000;
    uint64_t end = tn__now_ns() + reader->options.move_timeout_ms * ms;

    for (;;) {
        uint64_t now = tn__now_ns();
        int found = tn__stream_to_ahead(&reader->stream, cookie, ret_key);
        if (found || now >= end || tn__reader_stop(reader) == TN__STOP_DISCARD)
            return found;
        uint64_t left = (end - now) / ms + 1;
        struct pollfd ready[2] = {{.fd =
                                       reader->registry->source->ops->fd(reader->registry->source),
                                   .events = POLLIN},
                                  {.fd = reader->wake_fd, .events = POLLIN}};
        if (poll(ready, 2, (int)tn__min(left, INT32_MAX)) <= 0)
            continue;
        ssize_t size = tn__stream_read(&reader->stream);
        if (size <= 0 && (size != -EAGAIN || ready[1].revents))
            return 0;
    }
}

/*
 * Exact where the directory can be opened. Where it can't, it was itself moved
 * or deleted after this: a later record of its own proves that the rename has
 * given its lock back, and so has queued both halves.
 */
static bool is_arrival_ahead(struct tn__reader *reader, uint32_t watch,
                             const struct tn__object *object, uint32_t cookie)
{
    uint64_t key;
    int found = tn__stream_to_ahead(&reader->stream, cookie, &key);

    if (found)
        return found > 0;
    int barrier = tn__reader_read_barrier(reader, watch);
    /* What is not before that loss is told by the healing, whether or not it was lost. */
    if (barrier < 0 && tn__stream_has_overflow(&reader->stream))
        return tn__stream_to_ahead(&reader->stream, cookie, &key) > 0;
    if (barrier < 0 &&
        (tn__reader_read_ahead(reader) < 0 || !tn__stream_key_ahead(&reader->stream, object->key)))
        return wait_for_to(reader, cookie, &key) > 0;
    return tn__stream_to_ahead(&reader->stream, cookie, &key) > 0;
}

static bool push_directory_move(struct tn__reader *reader, const struct tn__raw *raw)
{
    struct tn__half *moves = tn__array_room(reader->directory_moves, reader->directory_move_count,
                                            &reader->directory_move_capacity, sizeof(*moves));

    if (!moves)
        return false;
    reader->directory_moves = moves;
    tn__move_fill_half(&moves[reader->directory_move_count++], raw);
    return true;
}

bool tn__move_is_swallowing(const struct tn__reader *reader, uint32_t cookie)
{
    for (unsigned i = 0; i < TN__READER_FILE_MOVES; i++)
        if (reader->swallows[i].cookie == cookie)
            return true;
    return false;
}

bool tn__move_swallows_any(const struct tn__reader *reader)
{
    for (unsigned i = 0; i < TN__READER_FILE_MOVES; i++)
        if (reader->swallows[i].cookie && reader->swallows[i].until > reader->stream.committed)
            return true;
    return false;
}

bool tn__move_is_swallowed(struct tn__reader *reader, uint32_t watch, uint32_t cookie)
{
    for (unsigned i = 0; i < TN__READER_FILE_MOVES; i++) {
        struct tn__departure *swallow = &reader->swallows[i];
        if (swallow->cookie == cookie && swallow->add == tn__reader_add_of(reader, watch)) {
            swallow->cookie = 0;
            return true;
        }
    }
    return false;
}

bool tn__reader_departs(struct tn__reader *reader, uint32_t node, uint32_t *ret_cookie)
{
    struct tn__registry *registry = reader->registry;
    uint32_t parent = tn__node_parent(&registry->tree, node);
    uint32_t watch = parent ? tn__node_watch(&registry->tree, parent) : 0;
    uint32_t object = watch ? tn__load(&tn__registry_watch(registry, watch)->object, relaxed) : 0;
    char name[TN__READER_NAME];
    struct tn__raw raw;

    if (!object)
        return false;
    size_t length = tn__node_name(&registry->tree, node, name, sizeof(name));
    uint64_t key = tn__registry_object(registry, object)->key;
    if (tn__stream_name_ahead(&reader->stream, key, name, length, &raw) <= 0)
        return false;
    if (raw.mask & IN_MOVED_TO && !tn__exchange_ahead(reader, &raw, &raw))
        return false;
    *ret_cookie = raw.cookie;
    return raw.mask & IN_MOVED_FROM;
}

bool tn__move_is_leaving(const struct tn__reader *reader, uint64_t key, const char *name,
                         size_t length)
{
    for (size_t i = 0; i < reader->directory_move_count; i++) {
        const struct tn__half *half = &reader->directory_moves[i];
        if (half->key == key && half->length == length && memcmp(half->name, name, length) == 0)
            return true;
    }
    return false;
}

bool tn__reader_has_left(const struct tn__reader *reader, uint32_t node)
{
    struct tn__registry *registry = reader->registry;
    uint32_t parent = tn__node_parent(&registry->tree, node);
    uint32_t watch = parent ? tn__node_watch(&registry->tree, parent) : 0;
    uint32_t object = watch ? tn__load(&tn__registry_watch(registry, watch)->object, relaxed) : 0;
    char name[TN__READER_NAME];

    if (!reader->directory_move_count || !object)
        return false;
    size_t length = tn__node_name(&registry->tree, node, name, sizeof(name));
    return tn__move_is_leaving(reader, tn__registry_object(registry, object)->key, name, length);
}

void tn__reader_swallow_from(struct tn__reader *reader, const struct tn__add *add, uint32_t cookie)
{
    reader->swallows[reader->swallow++ % TN__READER_FILE_MOVES] =
        (struct tn__departure){.cookie = cookie, .add = add, .until = reader->stream.read};
}

void tn__reader_directory_from(struct tn__reader *reader, struct tn__object *object,
                               const struct tn__raw *raw)
{
    const struct tn__news news = tn__move_news(raw);
    uint32_t known = tn__load(&object->first, acquire);

    while (known && !tn__reader_child(reader, known, raw->name, raw->name_length))
        known = tn__registry_next_watch(reader->registry, known);
    bool deferred = known && is_arrival_ahead(reader, known, object, raw->cookie) &&
                    push_directory_move(reader, raw);
    uint32_t id = tn__load(&object->first, acquire);
    while (id) {
        uint32_t next = tn__registry_next_watch(reader->registry, id);
        uint32_t child = tn__reader_child(reader, id, raw->name, raw->name_length);
        if (child && !deferred)
            tn__move_leave(reader, id, child, &news);
        else if (!child && !tn__move_is_swallowed(reader, id, raw->cookie))
            tn__reader_emit(reader, id, &news);
        id = next;
    }
    tn__move_remember(reader, raw);
}

bool tn__move_take_directory(struct tn__reader *reader, uint32_t cookie, struct tn__half *ret_half)
{
    for (size_t i = 0; i < reader->directory_move_count; i++) {
        if (reader->directory_moves[i].cookie != cookie)
            continue;
        *ret_half = reader->directory_moves[i];
        reader->directory_moves[i] = reader->directory_moves[--reader->directory_move_count];
        return true;
    }
    return false;
}

int tn__move_place_locked(struct tn__reader *reader, uint32_t node, uint32_t watch,
                          const struct tn__raw *raw)
{
    struct tn__registry *registry = reader->registry;
    struct tn__tree *tree = &registry->tree;
    uint32_t parent = tn__load(&tn__registry_watch(registry, watch)->node, relaxed);

    if (tn__node_is_below_locked(tree, parent, node))
        return -ELOOP;
    int result = tn__node_move_locked(tree, node, parent, raw->name, raw->name_length);
    if (result < 0)
        return result;
    if (tn__reader_is_untold(reader, watch))
        tn__reader_forget_told_locked(reader, node);
    if (tn__node_flags(tree, node) & TN__NODE_UNRESOLVED ||
        tn__reader_is_untold(reader, tn__node_watch(tree, node)))
        result = tn__registry_unresolved_locked(registry, node);
    return result;
}

/* Both halves at the arrival's place, and one relink between them. */
static void relink(struct tn__reader *reader, uint32_t from, uint32_t to, uint32_t child,
                   const struct tn__raw *raw, const struct tn__half *half)
{
    struct tn__registry *registry = reader->registry;
    struct tn__tree *tree = &registry->tree;
    struct tn__news left = {.mask = IN_MOVED_FROM | IN_ISDIR,
                            .cookie = raw->cookie,
                            .name = half->name,
                            .name_length = half->length};
    struct tn__news news = tn__move_news(raw);
    bool was_untold = tn__reader_is_untold(reader, from) ||
                      tn__move_is_unheard(reader, tn__reader_add_of(reader, from), raw->cookie);

    if (was_untold)
        news.cookie = 0;
    else if (tn__reader_is_untold(reader, to))
        left.cookie = 0;
    news.src_length = was_untold ? 0 : tn__reader_source_path(reader, child, NULL, 0);
    news.src_pathname = news.src_length ? reader->source : NULL;
    tn__registry_lock(registry);
    tn__fetch_add(&registry->shuffles, 1, relaxed);
    uint32_t parent = tn__load(&tn__registry_watch(registry, to)->node, relaxed);
    uint32_t stood = tn__node_child_rcu(tree, parent, raw->name, raw->name_length);
    int result = tn__move_place_locked(reader, child, to, raw);
    if (result != -ELOOP && stood && stood != child)
        tn__reader_detach_locked(reader, stood);
    tn__registry_unlock(registry);
    if (result < 0) {
        tn__move_leave(reader, from, child, &left);
        return;
    }
    if (!was_untold)
        tn__reader_emit(reader, from, &left);
    tn__reader_forget_paths(reader);
    tn__count(&reader->counts.moves);
    tn__reader_emit(reader, to, &news);
    tn__reader_recheck_filter(reader, to, child);
}

/* A rename over an empty directory tells nothing of that one but its end. */
static void replace(struct tn__reader *reader, uint32_t watch, const struct tn__raw *raw)
{
    struct tn__registry *registry = reader->registry;
    uint32_t stood = tn__reader_child(reader, watch, raw->name, raw->name_length);

    if (!stood)
        return;
    tn__registry_lock(registry);
    tn__reader_detach_locked(reader, stood);
    tn__registry_unlock(registry);
}

void tn__move_take_in(struct tn__reader *reader, uint32_t watch, const struct tn__raw *raw,
                      const struct tn__half *told)
{
    tn__move_arrive(reader, watch, raw, tn__reader_takes_in(reader, watch) ? NULL : told);
    tn__reader_new_directory(reader, watch, raw->name, raw->name_length);
}

void tn__reader_directory_to(struct tn__reader *reader, struct tn__object *object,
                             const struct tn__raw *raw)
{
    struct tn__half half;
    bool tied = tn__move_take_directory(reader, raw->cookie, &half);
    const struct tn__half *told = tn__move_departure(reader, raw->cookie);
    uint32_t id = tn__load(&object->first, acquire);

    while (id) {
        uint32_t next = tn__registry_next_watch(reader->registry, id);
        uint32_t from = 0, child = 0;
        if (tied && !tn__watch_is_name(tn__registry_watch(reader->registry, id)))
            from = tn__move_watch_of(reader, tn__move_watches(reader, half.key),
                                     tn__reader_add_of(reader, id));
        if (from)
            child = tn__reader_child(reader, from, half.name, half.length);
        if (child) {
            relink(reader, from, id, child, raw, &half);
        } else {
            replace(reader, id, raw);
            tn__move_take_in(reader, id, raw, told);
        }
        id = next;
    }
    if (tied)
        leave_all(reader, &half);
    reader->retry_due = true;
}

void tn__reader_directory_left(struct tn__reader *reader, uint32_t cookie)
{
    struct tn__half half;

    if (!tn__move_take_directory(reader, cookie, &half))
        return;
    leave_all(reader, &half);
    reader->retry_due = true;
}

void tn__reader_forget_moves(struct tn__reader *reader)
{
    while (reader->directory_move_count) {
        struct tn__half half = reader->directory_moves[--reader->directory_move_count];
        leave_all(reader, &half);
    }
    memset(reader->file_moves, 0, sizeof(reader->file_moves));
    reader->doubt_count = 0;
    memset(reader->arrival_keys, 0, sizeof(reader->arrival_keys));
    memset(reader->swallows, 0, sizeof(reader->swallows));
    memset(reader->unheard, 0, sizeof(reader->unheard));
}
