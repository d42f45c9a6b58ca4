/*
 * What a walk saw at one place, and the tree has at another, or at the same with
 * records ahead about it: whether it stood where the tree has it.
 *
 * The kernel queues IN_MOVE_SELF of a directory behind the two halves of its
 * move, under the same locks. So the first one ahead tells which departure was
 * its own: it stood there if that was from its place, and not if it was from
 * another.
 *
 * Without one, the names tell: two may have had a name, one after the other, and
 * the one that leaves need not be the one that was seen. It is if it was seen
 * there and nothing came there since; or where the records ahead, one move after
 * the other, take what leaves, and nothing else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "array.h"
#include "reader/heal.h"

/* A place, and what the records ahead tell of the one that stood somewhere else at this point. */
struct trace {
    uint64_t key, at_key; /* the place of the sighting, and where it is now */
    const char *name, *at_name;
    size_t length, at_length;
    uint32_t cookie;           /* under way: of the departure */
    unsigned arrivals, others; /* at the place of the sighting: its own, and another's */
    bool departed;             /* a departure from there came first */
};

static bool is_at(const struct tn__raw *raw, uint64_t key, const char *name, size_t length)
{
    return raw->key == key && raw->name_length == length && memcmp(raw->name, name, length) == 0;
}

static int trace_record(void *context, const struct tn__raw *raw)
{
    struct trace *trace = context;
    const bool arrives = raw->mask & (IN_CREATE | IN_MOVED_TO);

    if (!raw->name || !(raw->mask & (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)))
        return 0;
    const bool own = trace->cookie && raw->mask & IN_MOVED_TO && raw->cookie == trace->cookie;
    if (is_at(raw, trace->key, trace->name, trace->length)) {
        trace->arrivals += own;
        trace->others += arrives && !own;
        trace->departed = trace->departed || (!arrives && !trace->arrivals && !trace->others);
    }
    if (own) {
        trace->cookie = 0;
        trace->at_key = raw->key;
        trace->at_name = raw->name;
        trace->at_length = raw->name_length;
    } else if (trace->at_name && is_at(raw, trace->at_key, trace->at_name, trace->at_length)) {
        trace->cookie = raw->mask & IN_MOVED_FROM ? raw->cookie : 0;
        trace->at_name = NULL;
    }
    return 0;
}

bool tn__rescan_is_traced(const struct tn__rescan *rescan, const struct tn__seen *seen,
                          const struct tn__raw *from)
{
    struct trace trace = {.key = rescan->dirs[seen->parent].key,
                          .name = tn__rescan_name(rescan, seen),
                          .length = seen->length,
                          .at_key = from->key,
                          .at_name = from->name,
                          .at_length = from->name_length};
    const bool there = is_at(from, trace.key, trace.name, trace.length);

    const struct tn__stream *stream = &rescan->reader->stream;
    tn__stream_each(stream, stream->committed, trace_record, &trace);
    if (there)
        return !trace.arrivals && !trace.others;
    return trace.arrivals == 1 && !trace.others && !trace.departed;
}

enum { UNDER_WAY = 4 }; /* moves whose records may be mixed */

struct noting {
    struct tn__heal *heal;
    struct tn__raw departures[UNDER_WAY], last;
    unsigned next;
};

static int note_move(void *context, const struct tn__raw *raw)
{
    struct noting *noting = context;
    struct tn__heal *heal = noting->heal;

    if (raw->mask & IN_MOVED_FROM) {
        noting->departures[noting->next++ % UNDER_WAY] = *raw;
        noting->last = *raw;
    } else if (raw->mask & IN_MOVED_TO) {
        noting->last = (struct tn__raw){.cookie = raw->cookie};
        for (unsigned i = 0; i < UNDER_WAY; i++)
            if (noting->departures[i].cookie == raw->cookie)
                noting->last = noting->departures[i];
    }
    if (!(raw->mask & IN_MOVE_SELF))
        return 0;
    struct tn__first_move *moves =
        tn__array_room(heal->moves, heal->move_count, &heal->move_capacity, sizeof(*moves));
    if (!moves)
        return -ENOMEM;
    heal->moves = moves;
    moves[heal->move_count] =
        (struct tn__first_move){.key = raw->key, .order = heal->move_count, .from = noting->last};
    heal->move_count++;
    return 0;
}

static int compare_moves(const void *a, const void *b)
{
    const struct tn__first_move *one = a, *other = b;

    if (one->key != other->key)
        return one->key > other->key ? 1 : -1;
    return (one->order > other->order) - (one->order < other->order);
}

int tn__sighting_note_moves(struct tn__heal *heal)
{
    struct noting noting = {.heal = heal};
    struct tn__stream *stream = &heal->reader->stream;

    int result = tn__stream_each(stream, stream->committed, note_move, &noting);
    if (result < 0 || !heal->move_count)
        return result;
    qsort(heal->moves, heal->move_count, sizeof(*heal->moves), compare_moves);
    size_t kept = 1;
    for (size_t i = 1; i < heal->move_count; i++)
        if (heal->moves[i].key != heal->moves[kept - 1].key)
            heal->moves[kept++] = heal->moves[i];
    heal->move_count = kept;
    return 0;
}

static int compare_key(const void *key, const void *item)
{
    const uint64_t one = *(const uint64_t *)key;
    const struct tn__first_move *move = item;

    return (one > move->key) - (one < move->key);
}

const struct tn__first_move *tn__sighting_first_move(const struct tn__heal *heal, uint64_t key)
{
    return heal->move_count
               ? bsearch(&key, heal->moves, heal->move_count, sizeof(*heal->moves), compare_key)
               : NULL;
}
