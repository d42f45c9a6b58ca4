/*
 * After records were lost. The tree stands at the point where they were, so
 * it is compared with what is there now, made exact for that point by the
 * records that lie ahead (the rules of resolve.c), and what differs is told
 * before anything that comes later.
 *
 *   1  A walk sees every directory, by key, and reads ahead to a marker behind
 *      it. If records were lost again, all this waits until the stream gets
 *      there.
 *   2  A directory that a walk saw in P under a name, of which no record ahead
 *      tells, stood there at this point. If the tree has it there: it stayed.
 *      If the tree has it elsewhere: it moved. Else it is new.
 *   3  One that was not seen like that, and of which the next record tells that it
 *      leaves its place, stood there: it stayed. But two may have had the name:
 *      one that was seen elsewhere must be the one that leaves (sighting.c); one
 *      that was not seen has been deleted, or leaves the tree.
 *   4  What else the tree has is gone, but for what is in a directory that could
 *      not be looked into, or that moves by its next record and was not seen: that
 *      is not known. If it moves within the tree, all is compared once more when
 *      that was committed.
 *   5  Told in this order: departures, the deepest first; arrivals, the highest
 *      first; then the contents of what is new, which is taken in as always. So
 *      a consumer that applies them one by one never meets a name twice, or a
 *      name in a directory that it does not know.
 *
 *   6  Records may have been lost up to the middle of an exchange: what was seen at
 *      a name of which the next record tells that another leaves it is there then.
 *      So the name is looked at behind that record (doubt.c).
 *   7  Of what is not told yet (existing.c), a move is none: it ends, and is told
 *      in its turn. An add that still places its watches is healed after that.
 *
 * Checked by tests/behaviour/test_gap.c, test_gap_walk.c, test_overflow.c, tests/faults, and
 * tnstress --queue 64.
 *
 * What is below a new directory and was known elsewhere counts as gone, and is
 * announced with the rest of it. What is new is told only where all that was
 * there had been taken in: not without TN_WATCH_AUTO_ADD, and without
 * TN_WATCH_RECURSIVE not in the root itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "reader/heal.h"
#include "reader/snapshots.h"

/* Where all that is there would be known. */
static bool can_be_new(const struct tn__heal *heal, uint32_t parent)
{
    const uint32_t flags = heal->rescan.policy->flags;
    const bool is_root = parent == heal->rescan.dirs[0].node;

    return flags & TN_WATCH_AUTO_ADD && (!is_root || flags & TN_WATCH_RECURSIVE);
}

/* It is told to be deleted: it is empty then. */
static int see_empty(struct tn__heal *heal, uint32_t watch)
{
    struct tn__reader *reader = heal->reader;
    uint32_t node = tn__load(&tn__registry_watch(reader->registry, watch)->node, relaxed);
    struct tn__raw raw = {0};
    uint32_t id;

    int result = tn__heal_name_ahead(heal, node, &raw);
    bool ends = raw.mask & IN_DELETE ||
                tn__stream_end_ahead(&reader->stream, tn__registry_key_of(reader->registry, watch));
    if (result <= 0 || !ends)
        return result < 0 ? result : 0;
    result = tn__rescan_add(&heal->rescan, 0, "", 0, &id);
    if (result < 0)
        return result;
    struct tn__seen *seen = &heal->rescan.dirs[id];
    seen->key = tn__registry_key_of(reader->registry, watch);
    seen->node = node;
    seen->fate = TN__FATE_KEPT;
    seen->list = tn__reader_new_snapshot(reader);
    return seen->list ? 0 : -ENOMEM;
}

/* What else is in the directories, where the add keeps snapshots. */
static int compare_entries(struct tn__heal *heal)
{
    struct tn__tree *tree = &heal->reader->registry->tree;
    int result = 0;

    heal->entries = (struct tn__entries){.reader = heal->reader};
    if (!(heal->rescan.policy->flags & TN_WATCH_SNAPSHOT))
        return 0;
    for (size_t i = 0; result == 0 && i < heal->unseen.count; i++)
        result = see_empty(heal, heal->unseen.items[i]);
    for (size_t i = 0; result == 0 && i < heal->rescan.count; i++) {
        struct tn__seen *seen = &heal->rescan.dirs[i];
        heal->entries.strangers = !can_be_new(heal, seen->node);
        if (tn__seen_has_place(seen) && seen->list)
            result = tn__entries_compare(&heal->entries, tn__node_watch(tree, seen->node),
                                         seen->key, seen->list);
    }
    for (size_t i = 0; result == 0 && i < heal->lost_count; i++) {
        heal->entries.strangers = !can_be_new(heal, heal->lost[i].node);
        if (!heal->lost[i].seen)
            result = tn__entries_lose(&heal->entries, tn__node_watch(tree, heal->lost[i].node));
    }
    for (size_t i = 1; result == 0 && i < heal->rescan.count; i++) {
        const struct tn__seen *seen = &heal->rescan.dirs[i];
        const uint32_t parent = heal->rescan.dirs[seen->parent].node;
        if (seen->fate == TN__FATE_MOVED && !can_be_new(heal, parent))
            tn__entries_forget(&heal->entries, tn__node_watch(tree, parent),
                               tn__rescan_name(&heal->rescan, seen), seen->length);
    }
    return result;
}

/* The consumers are told now what the lists have. */
static void take_snapshots(struct tn__heal *heal, bool end)
{
    struct tn__tree *tree = &heal->reader->registry->tree;

    for (size_t i = 0; i < heal->rescan.count; i++) {
        struct tn__seen *seen = &heal->rescan.dirs[i];
        uint32_t watch =
            tn__seen_has_place(seen) && seen->list ? tn__node_watch(tree, seen->node) : 0;
        if (!watch)
            continue;
        tn__reader_set_snapshot(heal->reader, watch, end ? seen->list : NULL);
        seen->list = end ? NULL : seen->list;
    }
}

/* Rule 5, departures. */
static void tell_departure(struct tn__heal *heal, struct tn__lost *lost)
{
    struct tn__reader *reader = heal->reader;
    struct tn__tree *tree = &reader->registry->tree;
    char name[TN__READER_NAME];
    struct tn__news news = {.mask = IN_DELETE | IN_ISDIR,
                            .flags = TN_EVENT_SYNTHETIC,
                            .name = name};
    uint32_t watch = tn__node_watch(tree, tn__node_parent(tree, lost->node));

    if (tn__node_flags(tree, lost->node) & TN__NODE_DETACHED)
        return;
    if (lost->seen) {
        lost->cookie = ++reader->own_cookie;
        if (tn__reader_source_path(reader, lost->node, NULL, 0))
            lost->src = strdup(reader->source);
        news.mask = IN_MOVED_FROM | IN_ISDIR;
        news.cookie = lost->cookie;
    }
    news.name_length = tn__node_name(tree, lost->node, name, sizeof(name));
    if (watch)
        tn__reader_emit(reader, watch, &news);
}

/* Rule 5, arrivals. */
static void tell_move(struct tn__heal *heal, struct tn__lost *lost)
{
    struct tn__reader *reader = heal->reader;
    struct tn__registry *registry = reader->registry;
    const struct tn__seen *seen = &heal->rescan.dirs[lost->seen];
    const uint32_t parent = heal->rescan.dirs[seen->parent].node;
    const char *name = tn__rescan_name(&heal->rescan, seen);
    const struct tn__news news = {.mask = IN_MOVED_TO | IN_ISDIR,
                                  .flags = TN_EVENT_SYNTHETIC,
                                  .cookie = lost->cookie,
                                  .name = name,
                                  .name_length = seen->length,
                                  .src_pathname = lost->src,
                                  .src_length = lost->src ? strlen(lost->src) : 0};

    tn__registry_lock(registry);
    int result = tn__node_move_locked(&registry->tree, lost->node, parent, name, seen->length);
    tn__registry_unlock(registry);
    if (result < 0)
        return; /* it ends with the others */
    lost->arrived = true;
    tn__reader_forget_paths(reader);
    tn__count(&reader->counts.moves);
    tn__reader_emit(reader, tn__node_watch(&registry->tree, parent), &news);
}

static void tell_new(struct tn__heal *heal, uint32_t parent, const char *name, size_t length)
{
    const uint32_t watch = tn__node_watch(&heal->reader->registry->tree, parent);
    const struct tn__news news = {.mask = IN_CREATE | IN_ISDIR,
                                  .flags = TN_EVENT_SYNTHETIC,
                                  .name = name,
                                  .name_length = length};

    if (!watch || !can_be_new(heal, parent))
        return;
    tn__reader_emit(heal->reader, watch, &news);
    tn__reader_new_directory(heal->reader, watch, name, length);
}

static void tell_blind(struct tn__heal *heal)
{
    const struct tn__tree *tree = &heal->reader->registry->tree;

    for (uint32_t i = 0; i < heal->rescan.count; i++) {
        const struct tn__seen *seen = &heal->rescan.dirs[i];
        uint32_t watch = seen->blind && seen->node ? tn__node_watch(tree, seen->node) : 0;
        if (watch)
            tn__reader_tell_unwatched(heal->reader, watch, NULL, 0, seen->blind);
    }
}

static void tell_arrivals(struct tn__heal *heal)
{
    for (uint32_t i = 1; i < heal->rescan.count; i++) {
        const struct tn__seen *seen = &heal->rescan.dirs[i];
        if (seen->fate == TN__FATE_NEW)
            tell_new(heal, heal->rescan.dirs[seen->parent].node,
                     tn__rescan_name(&heal->rescan, seen), seen->length);
        else if (seen->fate == TN__FATE_MOVED)
            tell_move(heal, &heal->lost[seen->lost]);
    }
}

/* What no consumer knows, and will be told to go. */
static void tell_unknown(struct tn__heal *heal, uint32_t watch, const struct tn__raw *raw)
{
    const struct tn__snapshot *snapshot = tn__reader_snapshot(heal->reader, watch);
    const struct tn__news news = {.mask = IN_CREATE | (raw->mask & IN_ISDIR),
                                  .flags = TN_EVENT_SYNTHETIC,
                                  .name = raw->name,
                                  .name_length = raw->name_length};

    if (snapshot && !tn__snapshot_get(snapshot, raw->name, raw->name_length, NULL))
        tn__reader_emit(heal->reader, watch, &news);
}

/*
 * Of a record ahead: what leaves by it was there, though no walk saw it. What it
 * replaces, if that is not known, may have been exchanged (exchange.c): it is not
 * told to depart.
 */
static int tell_leaving(void *context, const struct tn__raw *raw)
{
    struct tn__heal *heal = context;
    struct tn__reader *reader = heal->reader;
    struct tn__registry *registry = reader->registry;
    struct tn__raw first;

    if (!raw->name || !(raw->mask & (IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) ||
        !(raw->mask & IN_ISDIR || heal->rescan.policy->flags & TN_WATCH_SNAPSHOT) ||
        tn__stream_name_ahead(&reader->stream, raw->key, raw->name, raw->name_length, &first) <=
            0 ||
        first.name != raw->name)
        return 0;
    tn__registry_lock(registry);
    uint32_t node = tn__heal_node_of_key_locked(heal, raw->key);
    bool known = !node || tn__node_flags(&registry->tree, node) & TN__NODE_DETACHED ||
                 tn__node_child_rcu(&registry->tree, node, raw->name, raw->name_length);
    tn__registry_unlock(registry);
    if (!known && raw->mask & IN_MOVED_TO)
        tn__stream_mark(&reader->stream, raw, TN__RAW_UNTOLD);
    else if (!known && raw->mask & IN_ISDIR && can_be_new(heal, node))
        tell_new(heal, node, raw->name, raw->name_length);
    else if (!known)
        tell_unknown(heal, tn__node_watch(&registry->tree, node), raw);
    return 0;
}

/* Rule 6. */
static void doubt_places(struct tn__heal *heal)
{
    struct tn__stream *stream = &heal->reader->stream;
    struct tn__raw raw;

    for (size_t i = 1; i < heal->rescan.count; i++) {
        const struct tn__seen *seen = &heal->rescan.dirs[i];
        const struct tn__seen *parent = &heal->rescan.dirs[seen->parent];
        if (!seen->length || seen->fate != TN__FATE_NONE)
            continue;
        if (tn__stream_name_ahead(stream, parent->key, tn__rescan_name(&heal->rescan, seen),
                                  seen->length, &raw) > 0 &&
            raw.mask & IN_MOVED_FROM)
            tn__reader_doubt_ahead(heal->reader, &raw);
    }
}

/* Off their places before anything comes to these; all are still linked to their parents. */
static void leave_places(struct tn__heal *heal)
{
    struct tn__registry *registry = heal->reader->registry;

    tn__registry_lock(registry);
    tn__fetch_add(&registry->shuffles, 1, relaxed);
    for (size_t i = 0; i < heal->lost_count; i++)
        tn__node_unhash_locked(&registry->tree, heal->lost[i].node);
    tn__registry_unlock(registry);
    tn__reader_forget_paths(heal->reader);
}

static void end_lost(struct tn__heal *heal)
{
    struct tn__reader *reader = heal->reader;
    struct tn__tree *tree = &reader->registry->tree;

    for (size_t i = 0; i < heal->lost_count; i++)
        if (!heal->lost[i].arrived)
            tn__reader_end_subtree(reader, heal->lost[i].node, 0);
    for (size_t i = 0; i < heal->lost_count; i++) {
        uint32_t node = heal->lost[i].node;
        if (heal->lost[i].arrived)
            tn__reader_recheck_filter(reader, tn__node_watch(tree, tn__node_parent(tree, node)),
                                      node);
    }
}

static void tell_all(struct tn__heal *heal)
{
    struct tn__reader *reader = heal->reader;

    doubt_places(heal);
    take_snapshots(heal, false);
    tn__entries_tell_gone(&heal->entries);
    for (size_t i = 0; i < heal->lost_count; i++)
        tell_departure(heal, &heal->lost[i]);
    leave_places(heal);
    tell_arrivals(heal);
    tell_blind(heal);
    tn__entries_tell_came(&heal->entries);
    take_snapshots(heal, true);
    end_lost(heal);
    for (size_t i = 0; i < heal->dead.count; i++)
        tn__reader_emit_final(reader, heal->dead.items[i], TN_EVENT_SYNTHETIC);
    tn__stream_each(&reader->stream, reader->stream.committed, tell_leaving, heal);
}

static void let_go(struct tn__registry *registry, const struct tn__lost *lost)
{
    free(lost->src);
    if (!lost->held)
        return;
    tn__registry_lock(registry);
    tn__node_clear_flags_locked(&registry->tree, lost->node, TN__NODE_QUEUED);
    tn__registry_prune_node_locked(registry, lost->node);
    tn__registry_unlock(registry);
}

int tn__reader_heal_tree(struct tn__reader *reader, uint32_t root)
{
    struct tn__heal heal = {.reader = reader, .add = tn__reader_add_of(reader, root)};

    int result = tn__rescan_walk(&heal.rescan, reader, root);
    if (result == 0)
        result = tn__heal_judge(&heal);
    if (result == 0)
        result = compare_entries(&heal);
    if (result == 0)
        tell_all(&heal);
    tn__entries_done(&heal.entries);
    tn__rescan_done(&heal.rescan);
    for (size_t i = 0; i < heal.lost_count; i++)
        let_go(reader->registry, &heal.lost[i]);
    free(heal.lost);
    free(heal.moves);
    free(heal.unseen.items);
    free(heal.dead.items);
    free(heal.seen_of);
    return result == 0 && heal.again ? -EAGAIN : result;
}
