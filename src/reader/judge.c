/*
 * Rules 2 to 4 of heal.c: what became of each directory that a walk has seen, and
 * of each that the tree has.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "array.h"
#include "reader/heal.h"

int tn__heal_name_ahead(const struct tn__heal *heal, uint32_t node, struct tn__raw *ret_raw)
{
    struct tn__reader *reader = heal->reader;
    struct tn__tree *tree = &reader->registry->tree;
    uint64_t in =
        tn__registry_key_of(reader->registry, tn__node_watch(tree, tn__node_parent(tree, node)));
    char name[TN__READER_NAME];

    size_t length = tn__node_name(tree, node, name, sizeof(name));
    return tn__stream_name_ahead(&reader->stream, in, name, length, ret_raw);
}

/* Whether it leaves, and does not come to another place: 0, 1 or -ENOMEM. */
static int moves_out(const struct tn__heal *heal, const struct tn__raw *raw)
{
    uint64_t to;

    if (!(raw->mask & IN_MOVED_FROM))
        return 0;
    int result = tn__stream_to_ahead(&heal->reader->stream, raw->cookie, &to);
    return result < 0 ? result : !result;
}

/* Of one that was not seen, and moves: it is deleted then, empty. */
static bool ends(const struct tn__heal *heal, uint32_t node)
{
    const struct tn__registry *registry = heal->reader->registry;
    uint64_t key = tn__registry_key_of(registry, tn__node_watch(&registry->tree, node));

    return key && tn__stream_end_ahead(&heal->reader->stream, key);
}

/* Whether it is in one that could not be looked into, and stays; or that moves like that and was
 * not seen: what was in there is not known, and goes with it. */
static int goes_along(const struct tn__heal *heal, uint32_t node)
{
    const struct tn__tree *tree = &heal->reader->registry->tree;
    struct tn__raw raw;
    int result = 0;

    for (;;) {
        node = tn__node_parent(tree, node);
        if (node == heal->rescan.dirs[0].node || heal->seen_of[node])
            return heal->rescan.dirs[heal->seen_of[node]].blind < 0;
        result = tn__heal_name_ahead(heal, node, &raw);
        if (result)
            return result < 0
                       ? result
                       : moves_out(heal, &raw) || (raw.mask & IN_MOVED_FROM && !ends(heal, node));
    }
}

/* Whether that move took it from its place. */
static bool leaves_by(const struct tn__heal *heal, uint32_t node, const struct tn__first_move *move)
{
    const struct tn__registry *registry = heal->reader->registry;
    const struct tn__tree *tree = &registry->tree;
    char name[TN__READER_NAME];

    size_t length = tn__node_name(tree, node, name, sizeof(name));
    return move->from.name &&
           move->from.key ==
               tn__registry_key_of(registry, tn__node_watch(tree, tn__node_parent(tree, node))) &&
           move->from.name_length == length && memcmp(move->from.name, name, length) == 0;
}

/* Rule 3; seen: where it was seen, else NULL. What is known by its name only is what leaves. */
static int is_kept(struct tn__heal *heal, uint32_t node, const struct tn__seen *seen)
{
    struct tn__reader *reader = heal->reader;
    uint64_t key =
        tn__registry_key_of(reader->registry, tn__node_watch(&reader->registry->tree, node));
    struct tn__raw raw = {0};

    const struct tn__first_move *move = key ? tn__sighting_first_move(heal, key) : NULL;
    if (move)
        return leaves_by(heal, node, move);
    int result = tn__heal_name_ahead(heal, node, &raw);
    if (result <= 0)
        return result < 0 || seen ? result : goes_along(heal, node);
    if (!(raw.mask & IN_ISDIR) || !(raw.mask & (IN_MOVED_FROM | IN_DELETE)))
        return 0;
    result = moves_out(heal, &raw);
    if (result || !key)
        return result < 0 ? result : 1;
    if (seen)
        return tn__rescan_is_traced(&heal->rescan, seen, &raw);
    return raw.mask & IN_DELETE &&
           (!tn__reader_stands(reader, key) || tn__stream_end_ahead(&reader->stream, key));
}

uint32_t tn__heal_node_of_key_locked(struct tn__heal *heal, uint64_t key)
{
    struct tn__registry *registry = heal->reader->registry;
    uint32_t object = key ? tn__index_get_rcu(&registry->by_key, key) : 0;
    uint32_t watch = object ? tn__registry_of_add_locked(registry, object, heal->add) : 0;

    return watch ? tn__load(&tn__registry_watch(registry, watch)->node, relaxed) : 0;
}

static void take_place(struct tn__heal *heal, struct tn__seen *seen, uint32_t node,
                       enum tn__fate fate)
{
    seen->fate = (unsigned char)fate;
    seen->node = node;
    heal->seen_of[node] = (uint32_t)(seen - heal->rescan.dirs);
}

/* Rule 3 holds for it and, if they did not stay, for the ones above it. */
static int is_kept_with_parents(struct tn__heal *heal, uint32_t node, const struct tn__seen *seen)
{
    struct tn__tree *tree = &heal->reader->registry->tree;
    int kept = 1;

    for (; kept > 0 && node != heal->rescan.dirs[0].node; node = tn__node_parent(tree, node)) {
        if (heal->seen_of[node])
            break;
        kept = tn__node_flags(tree, node) & TN__NODE_DETACHED ? 0 : is_kept(heal, node, seen);
        seen = NULL;
    }
    return kept;
}

/* Rule 3, of one that was seen elsewhere: what is in it was seen there. */
static int judge_kept_locked(struct tn__heal *heal, struct tn__seen *seen)
{
    uint32_t known = tn__heal_node_of_key_locked(heal, seen->key);

    if (!known || heal->seen_of[known] || known == heal->rescan.dirs[0].node)
        return 0;
    int kept = is_kept_with_parents(heal, known, seen);
    if (kept > 0)
        take_place(heal, seen, known, TN__FATE_KEPT);
    return kept < 0 ? kept : 0;
}

/* It, or one above it, has left its place already: its consumers know nothing of it. */
static bool is_detached(const struct tn__heal *heal, uint32_t node)
{
    const struct tn__tree *tree = &heal->reader->registry->tree;

    while (node && !(tn__node_flags(tree, node) & TN__NODE_DETACHED))
        node = tn__node_parent(tree, node);
    return node != 0;
}

/* Of what was not told, a move can't be: it ends, and is told afresh in its turn. */
static bool is_told(const struct tn__heal *heal, uint32_t node)
{
    const struct tn__reader *reader = heal->reader;
    struct tn__tree *tree = &reader->registry->tree;
    uint32_t parent = tn__node_parent(tree, node);

    return !tn__reader_is_untold(reader, tn__node_watch(tree, node)) &&
           !(parent && tn__reader_is_untold(reader, tn__node_watch(tree, parent)));
}

/* Rule 2. */
static int judge_locked(struct tn__heal *heal, struct tn__seen *seen)
{
    struct tn__registry *registry = heal->reader->registry;
    struct tn__tree *tree = &registry->tree;
    const struct tn__seen *parent = &heal->rescan.dirs[seen->parent];
    const char *name = tn__rescan_name(&heal->rescan, seen);
    struct tn__raw raw;

    int ahead = tn__stream_name_ahead(&heal->reader->stream, parent->key, name, seen->length, &raw);
    if (ahead < 0)
        return ahead;
    if (ahead > 0 || !tn__seen_has_place(parent))
        return judge_kept_locked(heal, seen);
    uint32_t here = tn__node_child_rcu(tree, parent->node, name, seen->length);
    uint32_t own = here ? tn__node_watch(tree, here) : 0;
    uint32_t waiting = here && !own ? tn__node_flags(tree, here) : 0;
    bool waits = waiting & TN__NODE_QUEUED;
    bool removed = here && !own && !(waiting & TN__NODE_UNRESOLVED); /* the watch, by itself */
    if (waits || removed ||
        (own && (!seen->key || tn__registry_key_of(registry, own) == seen->key))) {
        take_place(heal, seen, here, waits ? TN__FATE_WAITS : TN__FATE_STAYED);
        return 0;
    }
    uint32_t known = tn__heal_node_of_key_locked(heal, seen->key);
    seen->fate = TN__FATE_NEW;
    if (known && !heal->seen_of[known] && known != heal->rescan.dirs[0].node &&
        !is_detached(heal, known) && is_told(heal, known) && is_told(heal, parent->node))
        take_place(heal, seen, known, TN__FATE_MOVED);
    return 0;
}

/* What is kept makes more of it: until nothing comes of it any more. */
static int judge_all_locked(struct tn__heal *heal)
{
    bool more = true;
    int result = 0;

    while (result == 0 && more) {
        more = false;
        for (size_t i = 1; result == 0 && i < heal->rescan.count; i++) {
            struct tn__seen *seen = &heal->rescan.dirs[i];
            if (seen->fate != TN__FATE_NONE)
                continue;
            result = judge_locked(heal, seen);
            more = more || seen->fate != TN__FATE_NONE;
        }
    }
    return result;
}

static bool stays(const struct tn__heal *heal, uint32_t node)
{
    uint32_t seen = heal->seen_of[node];

    return seen && heal->rescan.dirs[seen].fate != TN__FATE_MOVED;
}

static int add_lost(struct tn__heal *heal, uint32_t node)
{
    struct tn__tree *tree = &heal->reader->registry->tree;
    struct tn__lost *lost =
        tn__array_room(heal->lost, heal->lost_count, &heal->lost_capacity, sizeof(*lost));

    if (!lost)
        return -ENOMEM;
    heal->lost = lost;
    uint32_t seen = heal->seen_of[node];
    if (seen)
        heal->rescan.dirs[seen].lost = (uint32_t)heal->lost_count;
    lost[heal->lost_count++] = (struct tn__lost){.node = node, .seen = seen};
    /* One without a watch would be freed with the last below it. */
    if (!tn__node_watch(tree, node) && !(tn__node_flags(tree, node) & TN__NODE_QUEUED)) {
        lost[heal->lost_count - 1].held = true;
        tn__node_set_flags_locked(tree, node, TN__NODE_QUEUED);
    }
    return 0;
}

/* It was deleted, its end was lost, and that of its place is ahead. */
static bool is_dead(struct tn__heal *heal, uint32_t node)
{
    struct tn__reader *reader = heal->reader;
    uint64_t key =
        tn__registry_key_of(reader->registry, tn__node_watch(&reader->registry->tree, node));

    return key && !tn__reader_stands(reader, key) && !tn__stream_key_ahead(&reader->stream, key);
}

/* The walk missed it, because it moved: what is in it is compared when it has moved. */
static bool is_missed(const struct tn__heal *heal, uint32_t watch)
{
    uint64_t key = tn__registry_key_of(heal->reader->registry, watch);
    const struct tn__first_move *move = key ? tn__sighting_first_move(heal, key) : NULL;

    return move && move->from.name && !moves_out(heal, &move->from) &&
           !tn__stream_end_ahead(&heal->reader->stream, key);
}

static int add_unseen(struct tn__heal *heal, uint32_t node)
{
    struct tn__tree *tree = &heal->reader->registry->tree;
    uint32_t watch = tn__node_watch(tree, node);

    heal->again = heal->again || (watch && is_missed(heal, watch));

    if (watch && is_dead(heal, node) && !tn__ids_append(&heal->dead, watch))
        return -ENOMEM;
    return watch && !tn__ids_append(&heal->unseen, watch) ? -ENOMEM : 0;
}

/* Rule 4. A detached one waits for its end, which may have been lost. */
static int find_lost_locked(struct tn__heal *heal)
{
    struct tn__tree *tree = &heal->reader->registry->tree;
    const uint32_t root = heal->rescan.dirs[0].node;
    uint32_t node = tn__node_walk_last_locked(tree, root);
    int result = 0;

    for (; result == 0 && node != root; node = tn__node_post_next_locked(tree, root, node)) {
        if (stays(heal, node))
            continue;
        int kept = heal->seen_of[node] ? 0 : is_kept_with_parents(heal, node, NULL);
        if (kept <= 0)
            result = kept < 0 ? kept : add_lost(heal, node);
        else
            result = add_unseen(heal, node);
    }
    return result;
}

int tn__heal_judge(struct tn__heal *heal)
{
    struct tn__registry *registry = heal->reader->registry;

    tn__registry_lock(registry);
    heal->seen_of = calloc(tn__store_end(&registry->tree.nodes), sizeof(*heal->seen_of));
    int result = heal->seen_of ? tn__sighting_note_moves(heal) : -ENOMEM;
    if (result == 0)
        result = judge_all_locked(heal);
    if (result == 0)
        result = find_lost_locked(heal);
    tn__registry_unlock(registry);
    return result;
}
