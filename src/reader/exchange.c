/*
 * RENAME_EXCHANGE of a and b: while it holds the locks of both directories the
 * kernel queues
 *
 *     IN_MOVED_FROM a, IN_MOVED_TO b    cookie 1
 *     IN_MOVED_FROM b, IN_MOVED_TO a    cookie 2
 *
 * each about its directory, if that is watched, and behind each pair an
 * IN_MOVE_SELF of the directory that moved. Two moves, there and back, queue the
 * same but for the last: the first replaces what stood at b, and b is empty
 * then. They are told apart like this:
 *
 *   1  The next change of a name in b's directory is the departure of b, and
 *      the next in a's is its arrival at a. (Where a's directory is not known:
 *      nothing tells where it went, or where the first came from.)
 *   2  Only an exchange puts a file in the place of a directory.
 *   3  A directory that was replaced is dead. One that was exchanged has an
 *      IN_MOVE_SELF ahead.
 *      Where only the other one has a watch: that one has an IN_MOVE_SELF behind
 *      the departure of b if it was it that departed.
 *   4  Of what has no watch: if something is at b after its departure, it was an
 *      exchange. The next record about b decides, or, if there is none, the
 *      barrier and a look. If b was arrived at again, both are possible and come
 *      to the same names: it is taken for two moves, unless that arrival is of an
 *      exchange in its turn; and what arrives at a is a stranger. If the
 *      directory can't be opened, two moves are told, and b is looked at when it
 *      can be (doubt.c).
 *   5  The kernel merges two equal records: of two arrivals at b, nothing between
 *      them, that of an exchange may not be seen. So where an arrival and a
 *      departure that is not seen to arrive follow each other, they tell nothing
 *      of what was at b before. Taken for an exchange, the departure is told only
 *      of a directory that is known to stand at b; else b is looked at later, too.
 *
 *   6  Where records were lost right behind the first arrival, and b is not told
 *      to have been deleted, it left: an exchange has carried it away, or it was
 *      empty. The same where they were lost right behind the departure of b, which
 *      tells of what stood there then; of a file in the place of a directory, or
 *      the other way round, too. Or only the IN_MOVE_SELF was lost.
 *
 * All four are told where the first arrives: departure a, unless it was told in
 * its place; departure b; arrival b; arrival a. So a consumer that takes names
 * off and puts names on needs to know nothing of exchanges. The two records that
 * are ahead are taken out of the stream: whatever asks what lies ahead, a scan
 * or a list, sees the exchange as one step. What a list left out, because it is
 * to be replaced by the arrival ahead of it, is not told to depart: it arrives
 * at a as a stranger.
 *
 * A directory that stands at b is waited for by a barrier. For the rest it would
 * cost too much: the second departure may not have been read when the first
 * arrival is told. Then b is known to stand for what arrived there, the
 * departure of b is not told, and what arrives at a is a stranger. When it
 * comes, it is asked (is_late): what arrived is at b by now, and if it is what a
 * scan has found elsewhere, it is what departs.
 *
 * Checked by tests/behaviour/test_exchange.c, test_exchange_gap.c,
 * test_exchange_shared.c, tests/replay and tnstress.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "reader/exchange.h"

enum { NEAR = 32 }; /* records: where the second departure is looked for, if nothing calls for it */

struct tn__object *tn__exchange_object(struct tn__reader *reader, uint64_t key)
{
    tn__rcu_read_lock();
    uint32_t id = tn__index_get_rcu(&reader->registry->by_key, key);
    tn__rcu_read_unlock();
    return id ? tn__registry_object(reader->registry, id) : NULL;
}

/* The directory of that name in one of the object's trees. */
static uint32_t standing(struct tn__reader *reader, const struct tn__object *object,
                         const struct tn__raw *raw)
{
    const struct tn__registry *registry = reader->registry;
    uint32_t id = tn__load(&object->first, acquire);

    for (; id; id = tn__registry_next_watch(registry, id)) {
        uint32_t node = tn__load(&tn__registry_watch(registry, id)->node, relaxed);
        uint32_t child = tn__node_first_child(&registry->tree, node)
                             ? tn__reader_child(reader, id, raw->name, raw->name_length)
                             : 0;
        if (child)
            return child;
    }
    return 0;
}

/* Whether a departure that comes next is of what arrived here is asked when it comes. */
static void note_arrival(struct tn__reader *reader, const struct tn__raw *raw)
{
    unsigned slot = reader->arrival++ % TN__READER_ARRIVALS;

    tn__move_fill_half(&reader->arrivals[slot], raw);
    reader->arrival_keys[slot] = raw->key;
}

bool tn__exchange_leaves(struct tn__reader *reader, uint32_t cookie)
{
    uint64_t key;

    return tn__stream_to_ahead(&reader->stream, cookie, &key) <= 0 ||
           !tn__exchange_object(reader, key);
}

/* Rule 1, the departure. */
static bool find_left(struct tn__reader *reader, const struct tn__object *object, bool stands,
                      struct tn__exchange *x)
{
    const struct tn__raw *first = x->first;
    uint64_t now = reader->stream.committed;
    struct tn__change *left = &x->left;
    const size_t limit = stands || tn__move_swallows_any(reader) ? SIZE_MAX : NEAR;
    bool found = tn__stream_change_ahead(&reader->stream, object->key, now, limit, left);

    if (!found && stands) {
        tn__exchange_read_barrier(reader, object);
        found = tn__stream_change_ahead(&reader->stream, object->key, now, SIZE_MAX, left);
    }
    if (!found) {
        note_arrival(reader, first);
        return false;
    }
    return left->raw.mask & IN_MOVED_FROM &&
           tn__exchange_has_name(&left->raw, first->name, first->name_length);
}

/* The arrival with the second cookie, wherever it is. */
static bool find_cookie(struct tn__reader *reader, struct tn__exchange *x)
{
    uint64_t key;
    uint64_t at = x->left.behind;

    if (tn__stream_to_ahead(&reader->stream, x->left.raw.cookie, &key) <= 0 ||
        !tn__exchange_object(reader, key))
        return false;
    while (tn__stream_change_ahead(&reader->stream, key, at, SIZE_MAX, &x->back)) {
        if (x->back.raw.mask & IN_MOVED_TO && x->back.raw.cookie == x->left.raw.cookie)
            return true;
        at = x->back.behind;
    }
    return false;
}

static bool find_back_once(struct tn__reader *reader, struct tn__exchange *x)
{
    if (x->told && tn__exchange_object(reader, x->told->key)) {
        uint64_t at = x->told->key == x->left.raw.key ? x->left.behind : reader->stream.committed;
        return tn__stream_change_ahead(&reader->stream, x->told->key, at, SIZE_MAX, &x->back);
    }
    return find_cookie(reader, x);
}

/* Rule 1, the arrival. */
static bool find_back(struct tn__reader *reader, const struct tn__object *object,
                      struct tn__exchange *x)
{
    const struct tn__raw *back = &x->back.raw;
    const bool known = x->told && tn__exchange_object(reader, x->told->key);
    bool found = find_back_once(reader, x);

    if (!found) {
        tn__exchange_read_barrier(reader, object);
        found = find_back_once(reader, x);
    }
    if (!found)
        x->back.raw.mask = 0;
    if (!found || !known)
        return !known;
    return back->mask & IN_MOVED_TO && back->cookie == x->left.raw.cookie &&
           tn__exchange_has_name(back, x->told->name, x->told->length) &&
           !(back->key == object->key &&
             tn__exchange_has_name(back, x->first->name, x->first->name_length));
}

/* Rule 4: after this nothing is told to be at b, and there may be something. */
static void mark_doubt(struct tn__reader *reader, const struct tn__exchange *x, uint32_t bits)
{
    const struct tn__raw *left = &x->left.raw;
    struct tn__change next;
    uint64_t at = x->left.behind;

    tn__stream_mark(&reader->stream, left, bits);
    while (tn__stream_change_ahead(&reader->stream, left->key, at, SIZE_MAX, &next)) {
        if (tn__exchange_has_name(&next.raw, left->name, left->name_length)) {
            if (next.raw.mask & IN_MOVED_TO)
                tn__stream_mark(&reader->stream, &next.raw, TN__RAW_UNTOLD);
            return;
        }
        at = next.behind;
    }
}

/* Rule 5, of the arrival at a, which is not committed by itself. */
static void doubt_back(struct tn__reader *reader, const struct tn__exchange *x)
{
    const struct tn__raw *back = &x->back.raw;
    struct tn__change next;

    if (!tn__stream_change_ahead(&reader->stream, back->key, x->back.behind, NEAR, &next))
        note_arrival(reader, back);
    else if (next.raw.mask & IN_MOVED_FROM &&
             tn__exchange_has_name(&next.raw, back->name, back->name_length) &&
             tn__exchange_leaves(reader, next.raw.cookie))
        tn__stream_mark(&reader->stream, &next.raw, TN__RAW_DOUBT);
}

void tn__reader_forget_arrival(struct tn__reader *reader, const struct tn__raw *raw)
{
    for (unsigned i = 0; i < TN__READER_ARRIVALS; i++) {
        const struct tn__half *arrival = &reader->arrivals[i];
        if (TN__UNLIKELY(reader->arrival_keys[i] == raw->key) &&
            !(raw->mask & IN_MOVED_FROM &&
              tn__exchange_has_name(raw, arrival->name, arrival->length)))
            reader->arrival_keys[i] = 0;
    }
}

/* Of an arrival that was told when this departure had not been read. */
static bool is_late(struct tn__reader *reader, struct tn__object *object, const struct tn__raw *raw)
{
    unsigned i = 0;

    while (i < TN__READER_ARRIVALS && reader->arrival_keys[i] != object->key)
        i++;
    if (i == TN__READER_ARRIVALS)
        return false;
    const struct tn__half arrival = reader->arrivals[i];
    const struct tn__raw first = {.key = object->key,
                                  .mask = IN_MOVED_TO | (arrival.is_dir ? IN_ISDIR : 0),
                                  .cookie = arrival.cookie,
                                  .name = arrival.name,
                                  .name_length = arrival.length};
    struct tn__exchange x = {.first = &first,
                             .told = tn__move_departure(reader, arrival.cookie),
                             .is_late = true,
                             .left = {.raw = *raw, .behind = reader->stream.committed}};
    reader->arrival_keys[i] = 0;
    enum tn__answer answer =
        find_back(reader, object, &x) ? tn__exchange_ask(reader, object, 0, &x) : TN__ANSWER_NO;
    if (answer == TN__ANSWER_NO && tn__exchange_is_cut(reader, 0, &x))
        answer = TN__ANSWER_YES;
    if (answer == TN__ANSWER_UNSEEN ||
        (answer != TN__ANSWER_YES && tn__exchange_leaves(reader, raw->cookie)))
        tn__reader_doubt(reader, raw);
    return answer == TN__ANSWER_YES;
}

/* A half that is taken out of the stream, for names that are followed. */
static void follow(struct tn__reader *reader, const struct tn__raw *raw)
{
    const struct tn__object *object = raw->mask ? tn__exchange_object(reader, raw->key) : NULL;
    uint32_t first = object ? tn__load(&object->first, acquire) : 0;
    uint32_t name = tn__load(&reader->registry->names, relaxed) && first
                        ? tn__reader_next_name(reader, first)
                        : 0;

    if (name)
        tn__reader_follow(reader, name, raw);
}

bool tn__reader_exchange(struct tn__reader *reader, struct tn__object *object,
                         const struct tn__raw *raw, bool was_doubtful)
{
    struct tn__exchange x = {.first = raw, .told = tn__move_departure(reader, raw->cookie)};

    if (!raw->name || raw->name_length >= TN__READER_NAME)
        return false;
    if (raw->mask & IN_MOVED_FROM) {
        if (raw->mask & TN__RAW_DOUBT)
            tn__reader_doubt(reader, raw);
        return is_late(reader, object, raw);
    }
    uint32_t stands = standing(reader, object, raw);
    x.is_untold = was_doubtful || raw->mask & TN__RAW_UNTOLD;
    bool left = find_left(reader, object, stands, &x);
    enum tn__answer answer = left && find_back(reader, object, &x)
                                 ? tn__exchange_ask(reader, object, stands, &x)
                                 : TN__ANSWER_NO;
    if (answer != TN__ANSWER_YES && left && tn__exchange_is_cut(reader, stands, &x)) {
        tn__exchange_tell_cut(reader, object, &x);
        return false;
    }
    if (stands && !left)
        tn__exchange_tell_lost(reader, object, raw);
    if (!left)
        return false;
    if (answer == TN__ANSWER_YES) {
        x.hides = tn__exchange_may_hide(reader, raw, reader->stream.committed, &x.left);
        tn__exchange_tell(reader, object, &x);
        follow(reader, &x.left.raw);
        follow(reader, &x.back.raw);
        if (x.back.raw.mask) {
            tn__reader_forget_arrival(reader, &x.back.raw);
            tn__reader_end_doubt(reader, &x.back.raw);
            doubt_back(reader, &x);
        }
    } else if (answer != TN__ANSWER_NO) {
        mark_doubt(reader, &x, TN__RAW_UNTOLD | (answer == TN__ANSWER_UNSEEN ? TN__RAW_DOUBT : 0));
    } else if (tn__exchange_leaves(reader, x.left.raw.cookie)) {
        mark_doubt(reader, &x, TN__RAW_DOUBT);
    }
    return answer == TN__ANSWER_YES;
}
