/*
 * Whether two pairs of halves are an exchange: rules 2 to 5 of exchange.c.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "reader/exchange.h"

void tn__exchange_read_barrier(struct tn__reader *reader, const struct tn__object *object)
{
    int fd = tn__reader_open_object(reader, tn__load(&object->first, acquire));

    if (fd < 0 || tn__reader_read_to_now(reader, fd) < 0)
        tn__reader_read_ahead(reader);
    tn__reader_forget_parent(reader);
}

struct search {
    uint64_t key;
    const struct tn__raw *end; /* not behind the next about its name; NULL: all */
    uint32_t found;
};

static int is_self(void *context, const struct tn__raw *raw)
{
    struct search *search = context;

    if (search->end && raw->key == search->end->key && raw->mask & TN__NAME_CHANGES && raw->name &&
        tn__exchange_has_name(raw, search->end->name, search->end->name_length))
        return -1;
    if (raw->key == search->key)
        search->found |= raw->mask & (IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED);
    return search->found ? -1 : 0;
}

/* What the object tells next of itself. */
static uint32_t self_ahead(const struct tn__reader *reader, uint64_t key, uint64_t position,
                           const struct tn__raw *end)
{
    struct search search = {.key = key, .end = end};

    tn__stream_each(&reader->stream, position, is_self, &search);
    return search.found;
}

/* The object of a node's watch; 0: none. all: it tells of all its moves from here on. */
static uint32_t teller(struct tn__reader *reader, uint32_t node, bool *ret_all)
{
    struct tn__registry *registry = reader->registry;
    uint32_t watch = node ? tn__node_watch(&registry->tree, node) : 0;
    uint32_t id = watch ? tn__load(&tn__registry_watch(registry, watch)->object, relaxed) : 0;

    if (!id)
        return 0;
    tn__registry_lock(registry);
    bool asked = tn__registry_object(registry, id)->kernel_mask & IN_MOVE_SELF;
    uint32_t widened = tn__registry_object(registry, id)->moves_widened;
    tn__registry_unlock(registry);
    *ret_all = asked && !tn__reader_is_widening(reader, widened);
    return id;
}

/* Of what has that name in the directory of a watch or of one behind it, in any add that has a
 * watch there. */
static uint32_t teller_at(struct tn__reader *reader, uint32_t watch, const char *name,
                          size_t length, bool *ret_all)
{
    uint32_t found = 0;

    for (; watch && !found; watch = tn__registry_next_watch(reader->registry, watch))
        found = teller(reader, tn__reader_child(reader, watch, name, length), ret_all);
    return found;
}

/* Of what arrives at b, or has arrived. */
static uint32_t arriving(struct tn__reader *reader, const struct tn__object *object,
                         const struct tn__exchange *x, bool *ret_all)
{
    if (x->is_late)
        return teller_at(reader, tn__load(&object->first, acquire), x->first->name,
                         x->first->name_length, ret_all);
    return x->told ? teller_at(reader, tn__move_watches(reader, x->told->key), x->told->name,
                               x->told->length, ret_all)
                   : 0;
}

/* Rule 3. */
static enum tn__answer ask_directories(struct tn__reader *reader, const struct tn__object *object,
                                       uint32_t stands, const struct tn__exchange *x)
{
    bool all = false;
    uint32_t id = stands ? teller_at(reader, tn__load(&object->first, acquire), x->first->name,
                                     x->first->name_length, &all)
                         : 0;
    const bool is_second = id != 0;

    if (!id && x->first->mask & IN_ISDIR)
        id = arriving(reader, object, x, &all);
    if (!id)
        return TN__ANSWER_EITHER;
    uint64_t key = tn__registry_object(reader->registry, id)->key;
    uint64_t position = is_second ? reader->stream.committed : x->left.behind;
    const struct tn__raw *end = is_second ? NULL : &x->left.raw;
    bool moves = self_ahead(reader, key, position, end) & IN_MOVE_SELF;
    if (!moves) {
        tn__exchange_read_barrier(reader, object);
        moves = self_ahead(reader, key, position, end) & IN_MOVE_SELF;
    }
    if (!moves && tn__exchange_is_self_lost(reader, object, x))
        return !is_second                               ? TN__ANSWER_EITHER
               : self_ahead(reader, key, position, end) ? TN__ANSWER_NO
                                                        : TN__ANSWER_YES;
    if (!moves && !all)
        return TN__ANSWER_EITHER;
    return moves == is_second ? TN__ANSWER_YES : TN__ANSWER_NO;
}

bool tn__exchange_may_hide(struct tn__reader *reader, const struct tn__raw *arrival,
                           uint64_t behind, const struct tn__change *departure)
{
    return departure->position == behind && !((arrival->mask ^ departure->raw.mask) & IN_ISDIR) &&
           tn__exchange_leaves(reader, departure->raw.cookie);
}

/* Rule 4, the records: NONE, no more of them. */
static enum tn__answer ask_records(struct tn__reader *reader, const struct tn__exchange *x)
{
    const struct tn__raw *left = &x->left.raw;
    uint64_t at = x->left.behind;
    struct tn__change next, arrival;
    enum tn__answer answer = TN__ANSWER_NONE, otherwise = TN__ANSWER_NO;

    while (tn__stream_change_ahead(&reader->stream, left->key, at, SIZE_MAX, &next)) {
        bool is_other = !tn__exchange_has_name(&next.raw, left->name, left->name_length);
        at = next.behind;
        if (answer == TN__ANSWER_EITHER &&
            (is_other || !(next.raw.mask & IN_MOVED_FROM) ||
             tn__exchange_may_hide(reader, &arrival.raw, arrival.behind, &next)))
            return TN__ANSWER_EITHER; /* of another arrival: no exchange */
        if (is_other)
            continue;
        if (answer == TN__ANSWER_EITHER)
            answer = TN__ANSWER_NONE;
        else if (next.raw.mask & (IN_DELETE | IN_MOVED_FROM))
            return TN__ANSWER_YES;
        else if (next.raw.mask & IN_CREATE)
            return otherwise;
        else
            answer = otherwise = TN__ANSWER_EITHER;
        arrival = next;
    }
    return answer == TN__ANSWER_NONE && otherwise == TN__ANSWER_EITHER ? TN__ANSWER_LAST : answer;
}

/* Rule 4. */
static enum tn__answer ask_name(struct tn__reader *reader, const struct tn__object *object,
                                const struct tn__exchange *x)
{
    enum tn__answer answer = ask_records(reader, x);
    uint32_t id = tn__load(&object->first, acquire);

    if (answer < TN__ANSWER_NONE || !id)
        return answer < TN__ANSWER_NONE ? answer : TN__ANSWER_EITHER;
    int fd = tn__reader_open_object(reader, id);
    struct stat status;
    bool is_there = fd >= 0 && fstatat(fd, x->first->name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    bool seen = fd >= 0 && tn__reader_read_to_now(reader, fd) == 0;
    tn__reader_forget_parent(reader);
    if (fd < 0)
        tn__exchange_read_barrier(reader, object);
    answer = ask_records(reader, x);
    if (answer < TN__ANSWER_NONE)
        return answer;
    if (is_there && seen)
        return TN__ANSWER_YES;
    const uint32_t ends = IN_DELETE_SELF | IN_IGNORED;
    bool is_gone = seen || self_ahead(reader, object->key, reader->stream.committed, NULL) & ends;
    if (!is_gone)
        return TN__ANSWER_UNSEEN;
    return answer == TN__ANSWER_NONE ? TN__ANSWER_NO : TN__ANSWER_EITHER;
}

bool tn__exchange_ahead(const struct tn__reader *reader, const struct tn__raw *arrival,
                        struct tn__raw *ret_left)
{
    const struct tn__raw first = *arrival;
    uint64_t at = reader->stream.committed;
    struct tn__change next;
    bool found = false;

    while (!found && tn__stream_change_ahead(&reader->stream, first.key, at, SIZE_MAX, &next)) {
        found = next.raw.name == first.name;
        at = next.behind;
    }
    if (!found || !tn__stream_change_ahead(&reader->stream, first.key, at, SIZE_MAX, &next) ||
        !(next.raw.mask & IN_MOVED_FROM) ||
        !tn__exchange_has_name(&next.raw, first.name, first.name_length))
        return false;
    *ret_left = next.raw;
    return true;
}

enum tn__answer tn__exchange_ask(struct tn__reader *reader, const struct tn__object *object,
                                 uint32_t stands, const struct tn__exchange *x)
{
    /* A scan has found somewhere else what stood at b; or, if it was told, what arrived there. */
    bool is_found = !x->is_late && tn__move_is_swallowing(reader, x->left.raw.cookie);
    if (is_found || (x->first->mask ^ x->left.raw.mask) & IN_ISDIR)
        return TN__ANSWER_YES;
    enum tn__answer answer = ask_directories(reader, object, stands, x);
    return answer == TN__ANSWER_EITHER ? ask_name(reader, object, x) : answer;
}
