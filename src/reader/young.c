/*
 * A crawl sees now, and attaches what it sees to a tree that stands at an
 * earlier point of the stream. A record ahead about a name may have happened
 * before the crawl opened it, and must not be applied to what it found, or
 * after, and must. Nothing tells the two apart, so:
 *
 *   1  What a crawl attaches is young until the marker is committed that its add
 *      put when all was placed: every record about its name that happened before
 *      has been committed then.
 *   2  The first record about the name of a young directory sets it aside: off
 *      its place, and untold, with all below it, and with what the crawl attaches
 *      there from then on. The record is then applied as if nothing had stood
 *      there.
 *   3  Where it is now, a record says that it came to be, or a list that it is
 *      there: it is taken in like any new directory (resolve.c), which finds its
 *      watch and gives it its place again.
 *   4  One that is still aside when the marker is committed is nowhere in the
 *      add's tree, or is taken in afresh: its watches end.
 *
 * Checked by tests/behaviour/test_young.c, which changes names between two steps
 * of a crawl, and tnstress --existing, which adds a tree while it changes.
 */
#include <sys/inotify.h>

#include "array.h"
#include "reader/reader.h"

static bool push_aside(struct tn__reader *reader, tn_wd wd)
{
    tn_wd *aside =
        tn__array_room(reader->aside, reader->aside_count, &reader->aside_capacity, sizeof(wd));

    if (!aside)
        return false;
    reader->aside = aside;
    aside[reader->aside_count++] = wd;
    return true;
}

void tn__reader_put_aside(struct tn__reader *reader, uint32_t node)
{
    struct tn__registry *registry = reader->registry;
    uint32_t own = tn__node_watch(&registry->tree, node);

    if (!push_aside(reader, tn__load(&tn__registry_watch(registry, own)->wd, relaxed))) {
        tn__reader_end_subtree(reader, node, TN_EVENT_PATH_UNKNOWN);
        return;
    }
    tn__registry_lock(registry);
    tn__reader_forget_told_locked(reader, node);
    tn__reader_detach_locked(reader, node);
    tn__registry_unlock(registry);
}

/* Rule 2, for one add. */
static void set_aside(struct tn__reader *reader, uint32_t watch_id, const struct tn__raw *raw)
{
    struct tn__registry *registry = reader->registry;
    uint32_t child = tn__reader_child(reader, watch_id, raw->name, raw->name_length);
    uint32_t own = child ? tn__node_watch(&registry->tree, child) : 0;

    if (!own)
        return;
    struct tn__watch *watch = tn__registry_watch(registry, own);
    if (!(tn__load(&watch->state, acquire) & TN__WATCH_YOUNG))
        return;
    tn__reader_put_aside(reader, child);
}

void tn__reader_set_aside(struct tn__reader *reader, struct tn__object *object,
                          const struct tn__raw *raw)
{
    uint32_t id = tn__load(&object->first, acquire);

    while (id) {
        uint32_t next = tn__registry_next_watch(reader->registry, id);
        const struct tn__add *add = tn__reader_add_of(reader, id);
        if (add && tn__load(&add->young, acquire))
            set_aside(reader, id, raw);
        id = next;
    }
}

/* The node of a watch of the add that is aside still; 0: it has its place again, or has ended. */
static uint32_t node_aside(struct tn__reader *reader, tn_wd wd, const struct tn__add *add,
                           bool *ret_of_add)
{
    struct tn__registry *registry = reader->registry;
    uint32_t node = 0;

    tn__registry_lock(registry);
    uint32_t id = tn__registry_find_rcu(registry, wd);
    *ret_of_add = !id || tn__reader_add_of(reader, id) == add;
    if (id && *ret_of_add)
        node = tn__load(&tn__registry_watch(registry, id)->node, relaxed);
    if (node && !(tn__node_flags(&registry->tree, node) & TN__NODE_DETACHED))
        node = 0;
    tn__registry_unlock(registry);
    return node;
}

/* Rule 4. */
static void end_aside(struct tn__reader *reader, const struct tn__add *add)
{
    size_t kept = 0;

    for (size_t i = 0; i < reader->aside_count; i++) {
        bool of_add;
        uint32_t node = node_aside(reader, reader->aside[i], add, &of_add);
        if (node)
            tn__reader_end_subtree(reader, node, TN_EVENT_PATH_UNKNOWN);
        if (!of_add)
            reader->aside[kept++] = reader->aside[i];
    }
    reader->aside_count = kept;
}

/* Its lists begin only now, because what is aside would be found by them. */
static void tell_root(struct tn__reader *reader, const struct tn__add *add)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    bool stands = tn__registry_find_rcu(registry, add->root);
    tn__registry_unlock(registry);
    uint32_t node = stands ? tn__reader_node_of_name(reader, add) : 0;
    if (node && !tn__reader_is_untold(reader, tn__node_watch(&registry->tree, node)))
        node = 0;
    /* While records are dropped, none of them decides what stands in a list. */
    if (node && (!reader->skipping || tn__reader_retry_later(reader, node) < 0))
        tn__reader_tell_existing(reader, node);
    tn__reader_forget_parent(reader);
}

void tn__reader_placed(struct tn__reader *reader, uint32_t id)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    struct tn__add *add = tn__registry_take_young_locked(registry, id);
    if (add && tn__load(&registry->traces.count, relaxed))
        tn__trace_forget_locked(&registry->traces, add, reader->stream.committed);
    tn__registry_unlock(registry);
    if (!add)
        return;
    end_aside(reader, add);
    reader->heal_due = reader->heal_due || add->gap;
    reader->snapshots.due = reader->snapshots.due || add->snapshot;
    tell_root(reader, add);
    tn__add_unref(add);
}
