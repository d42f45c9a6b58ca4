/*
 * The telling of an exchange, for each add that has one of the two places or
 * both, and the trees with it. See exchange.c.
 */
#include <sys/inotify.h>

#include "reader/exchange.h"

/* The list of b's directory left out what stood at b, because of the arrival that was ahead. */
static bool is_known(struct tn__reader *reader, const struct tn__exchange *x, uint32_t b,
                     uint32_t node)
{
    uint32_t watch = node ? tn__node_watch(&reader->registry->tree, node) : 0;

    if (!node && (x->hides || (x->left.raw.mask & IN_ISDIR && tn__reader_takes_in(reader, b))))
        return false; /* there may have been none: the kernel has merged two arrivals */
    return !x->is_untold || (watch && !tn__reader_is_untold(reader, watch));
}

void tn__exchange_tell_left(struct tn__reader *reader, uint32_t watch, const struct tn__exchange *x,
                            uint32_t node)
{
    const struct tn__news news = tn__move_news(&x->left.raw);

    if (node && is_known(reader, x, watch, node))
        tn__move_leave(reader, watch, node, &news);
    else if (node)
        tn__reader_end_subtree(reader, node, TN_EVENT_PATH_UNKNOWN);
    else if (is_known(reader, x, watch, 0) && !tn__move_is_swallowed(reader, watch, news.cookie))
        tn__reader_emit(reader, watch, &news);
}

/* It was below what left. */
static bool has_ended(struct tn__reader *reader, uint32_t watch)
{
    return !tn__load(&tn__registry_watch(reader->registry, watch)->node, acquire);
}

static void tell_stranger(struct tn__reader *reader, uint32_t watch, const struct tn__raw *raw,
                          const struct tn__half *told)
{
    if (has_ended(reader, watch))
        return;
    if (raw->mask & IN_ISDIR)
        tn__move_take_in(reader, watch, raw, told);
    else
        tn__move_arrive(reader, watch, raw, told);
}

/* One that moves within the add's tree. */
struct mover {
    uint32_t node, from, to; /* itself, and the watches of the two directories */
    struct tn__news left;
    const struct tn__raw *arrival;
    bool is_told; /* it was, or what is in it */
    bool is_lost; /* it could not be placed */
    bool is_gone; /* it was below the other, which could not */
};

static bool is_deaf(struct tn__reader *reader, uint32_t watch)
{
    return tn__load(&tn__registry_watch(reader->registry, watch)->state, acquire) &
           (TN__WATCH_UNTOLD | TN__WATCH_ASLEEP);
}

static void place_locked(struct tn__reader *reader, struct mover *mover, bool *ret_lost)
{
    *ret_lost =
        mover->node && tn__move_place_locked(reader, mover->node, mover->to, mover->arrival) < 0;
}

/* Each would have to go below itself, where a scan has told a later move: one leaves, with the
 * other. */
static bool take_along_locked(const struct tn__registry *registry, const struct mover *outer,
                              struct mover *inner)
{
    uint32_t to = tn__load(&tn__registry_watch(registry, outer->to)->node, relaxed);

    if (!outer->node || !tn__node_is_below_locked(&registry->tree, to, outer->node))
        return false;
    inner->is_gone = true;
    inner->node = 0;
    return true;
}

/* For a moment two stand at a: under the lock. */
static void place_both(struct tn__reader *reader, struct mover *first, struct mover *second)
{
    struct tn__registry *registry = reader->registry;
    bool lost_first, lost_second;

    tn__registry_lock(registry);
    tn__fetch_add(&registry->shuffles, 1, relaxed);
    if (!take_along_locked(registry, second, first))
        take_along_locked(registry, first, second);
    place_locked(reader, second, &lost_second);
    place_locked(reader, first, &lost_first);
    tn__registry_unlock(registry);
    tn__reader_forget_paths(reader);
    if (lost_second)
        tn__move_leave(reader, second->from, second->node, &second->left);
    if (lost_first)
        tn__move_leave(reader, first->from, first->node, &first->left);
    second->is_lost = lost_second;
    first->is_lost = lost_first;
}

static void tell_arrival(struct tn__reader *reader, const struct mover *mover)
{
    struct tn__news news = tn__move_news(mover->arrival);
    uint32_t above = tn__load(&tn__registry_watch(reader->registry, mover->from)->node, relaxed);

    if (mover->is_told)
        news.src_length =
            tn__reader_source_path(reader, above, mover->left.name, mover->left.name_length);
    else
        news.cookie = 0;
    news.src_pathname = news.src_length ? reader->source : NULL;
    tn__count(&reader->counts.moves);
    tn__reader_emit(reader, mover->to, &news);
    tn__reader_recheck_filter(reader, mover->to, mover->node);
}

static void prepare(struct tn__reader *reader, struct mover *mover)
{
    const struct tn__news *left = &mover->left;

    mover->node = tn__reader_child(reader, mover->from, left->name, left->name_length);
    mover->is_told =
        !is_deaf(reader, mover->from) &&
        !tn__move_is_unheard(reader, tn__reader_add_of(reader, mover->from), left->cookie);
    if (is_deaf(reader, mover->to))
        mover->left.cookie = 0;
}

/* Both places are in the add's tree. */
static void swap(struct tn__reader *reader, uint32_t a, uint32_t b, const struct tn__exchange *x)
{
    struct mover first = {.from = a, .to = b, .arrival = x->first};
    struct mover second = {.from = b, .to = a, .arrival = &x->back.raw};

    if (x->waits) {
        first.left = (struct tn__news){.mask = IN_MOVED_FROM | IN_ISDIR,
                                       .cookie = x->first->cookie,
                                       .name = x->waiting.name,
                                       .name_length = x->waiting.length};
        prepare(reader, &first);
    }
    second.left = tn__move_news(&x->left.raw);
    prepare(reader, &second);
    const bool is_known_b = is_known(reader, x, b, second.node);
    second.is_told = second.is_told && is_known_b;
    place_both(reader, &first, &second);
    if (first.node && first.is_told && !first.is_lost)
        tn__reader_emit(reader, a, &first.left);
    if (second.node && is_known_b && !second.is_lost)
        tn__reader_emit(reader, b, &second.left);
    else if (!second.node && !second.is_gone)
        tn__exchange_tell_left(reader, b, x, 0);
    if (first.node && !first.is_lost)
        tell_arrival(reader, &first);
    else
        tell_stranger(reader, b, x->first, first.is_gone ? NULL : x->told);
    if (second.node && !second.is_lost)
        tell_arrival(reader, &second);
    else
        tell_stranger(reader, a, second.arrival,
                      second.is_told && !second.is_gone ? x->second_half : NULL);
}

/* Only the one place is in the add's tree. */
static void tell_b(struct tn__reader *reader, uint32_t watch, const struct tn__exchange *x)
{
    const struct tn__raw *left = &x->left.raw;

    tn__exchange_tell_left(reader, watch, x,
                           tn__reader_child(reader, watch, left->name, left->name_length));
    tell_stranger(reader, watch, x->first, x->told);
}

static void tell_a(struct tn__reader *reader, uint32_t watch, const struct tn__exchange *x)
{
    const struct tn__half *waiting = &x->waiting;
    const struct tn__news left = {.mask = IN_MOVED_FROM | IN_ISDIR,
                                  .name = waiting->name,
                                  .name_length = waiting->length};
    uint32_t node = x->waits ? tn__reader_child(reader, watch, waiting->name, waiting->length) : 0;

    if (node)
        tn__move_leave(reader, watch, node, &left);
    tell_stranger(reader, watch, &x->back.raw, x->second_half);
}

/* The first watch of a's directory; 0: none. */
static uint32_t first_at_a(struct tn__reader *reader, const struct tn__exchange *x)
{
    const struct tn__object *a =
        x->back.raw.mask ? tn__exchange_object(reader, x->back.raw.key) : NULL;

    return a ? tn__load(&a->first, acquire) : 0;
}

void tn__exchange_tell(struct tn__reader *reader, struct tn__object *object, struct tn__exchange *x)
{
    struct tn__object *other =
        x->back.raw.mask ? tn__exchange_object(reader, x->back.raw.key) : NULL;
    struct tn__half second_half;

    tn__stream_take(&reader->stream, &x->left.raw);
    if (other)
        tn__stream_take(&reader->stream, &x->back.raw);
    tn__move_fill_half(&second_half, &x->left.raw);
    x->second_half = x->is_untold ? NULL : &second_half;
    x->waits = tn__move_take_directory(reader, x->first->cookie, &x->waiting);
    if (x->left.raw.mask & IN_ISDIR) {
        tn__reader_set_aside(reader, object, &x->left.raw);
        if (other)
            tn__reader_set_aside(reader, other, &x->back.raw);
    }
    /* These first: what one of both leads to may end its watch of the one. */
    for (uint32_t id = first_at_a(reader, x), next; id; id = next) {
        next = tn__registry_next_watch(reader->registry, id);
        if (!tn__move_watch_of(reader, tn__load(&object->first, acquire),
                               tn__reader_add_of(reader, id)))
            tell_a(reader, id, x);
    }
    for (uint32_t id = tn__load(&object->first, acquire), next; id; id = next) {
        next = tn__registry_next_watch(reader->registry, id);
        uint32_t a =
            tn__move_watch_of(reader, first_at_a(reader, x), tn__reader_add_of(reader, id));
        if (a)
            swap(reader, a, id, x);
        else
            tell_b(reader, id, x);
    }
    reader->retry_due = true;
}
