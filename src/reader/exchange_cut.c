/*
 * Rule 6 of exchange.c: what may be an exchange whose last records were lost.
 *
 * Both directories are locked until all of it is queued. So if the next record
 * about a's directory is behind the overflow record, the arrival at a may have
 * been lost; what lies between tells of other directories.
 */
#include <sys/inotify.h>

#include "reader/exchange.h"

struct search {
    uint64_t key;
    bool found;
};

static int is_lost_or_change(void *context, const struct tn__raw *raw)
{
    struct search *search = context;
    const bool is_change = raw->key == search->key && raw->mask & TN__NAME_CHANGES && raw->name;

    search->found = raw->mask & IN_Q_OVERFLOW;
    return search->found || is_change ? -1 : 0;
}

/* Whether records were lost before the next change of a name in the key's directory. */
static bool is_next_lost(const struct tn__reader *reader, uint64_t key, uint64_t position)
{
    struct search search = {.key = key};

    tn__stream_each(&reader->stream, position, is_lost_or_change, &search);
    return search.found;
}

/* Between two of one kind, what stood at b decides. */
bool tn__exchange_is_cut(const struct tn__reader *reader, uint32_t stands,
                         const struct tn__exchange *x)
{
    struct tn__registry *registry = reader->registry;

    if (!is_next_lost(reader, x->told ? x->told->key : 0, x->left.behind))
        return false;
    if ((x->first->mask ^ x->left.raw.mask) & IN_ISDIR)
        return true;
    uint32_t watch = stands ? tn__node_watch(&registry->tree, stands) : 0;
    uint32_t id = watch ? tn__load(&tn__registry_watch(registry, watch)->object, relaxed) : 0;
    return id && !tn__stream_end_ahead(&reader->stream, tn__registry_object(registry, id)->key);
}

bool tn__exchange_is_self_lost(const struct tn__reader *reader, const struct tn__object *object,
                               const struct tn__exchange *x)
{
    uint64_t position = x->back.raw.mask ? x->back.behind : x->left.behind;

    return is_next_lost(reader, object->key, position) &&
           (!x->told || is_next_lost(reader, x->told->key, position));
}

void tn__exchange_tell_lost(struct tn__reader *reader, const struct tn__object *object,
                            const struct tn__raw *raw)
{
    const struct tn__registry *registry = reader->registry;
    const struct tn__news news = {.mask = IN_MOVED_FROM | IN_ISDIR,
                                  .name = raw->name,
                                  .name_length = raw->name_length};
    uint32_t id = tn__load(&object->first, acquire);

    if (!is_next_lost(reader, object->key, reader->stream.committed))
        return;
    for (uint32_t next; id; id = next) {
        next = tn__registry_next_watch(registry, id);
        uint32_t child = tn__reader_child(reader, id, raw->name, raw->name_length);
        uint32_t own = child ? tn__node_watch(&registry->tree, child) : 0;
        uint32_t its = own ? tn__load(&tn__registry_watch(registry, own)->object, relaxed) : 0;
        if (child && !(its && tn__stream_end_ahead(&reader->stream,
                                                   tn__registry_object(registry, its)->key)))
            tn__move_leave(reader, id, child, &news);
    }
}

void tn__exchange_tell_cut(struct tn__reader *reader, const struct tn__object *object,
                           struct tn__exchange *x)
{
    const struct tn__raw *left = &x->left.raw;
    uint32_t id = tn__load(&object->first, acquire);

    tn__stream_take(&reader->stream, left);
    x->left.raw.cookie = 0; /* there is no other half */
    for (uint32_t next; id; id = next) {
        next = tn__registry_next_watch(reader->registry, id);
        tn__exchange_tell_left(reader, id, x,
                               tn__reader_child(reader, id, left->name, left->name_length));
    }
}
