/*
 * What is kept of the departures that were committed, for their arrivals: where
 * what arrives came from, as the add names it, and who was told that it left.
 */
#include <string.h>
#include <sys/inotify.h>

#include "reader/moves.h"

struct tn__news tn__move_news(const struct tn__raw *raw)
{
    return (struct tn__news){.mask = raw->mask & ~TN__RAW_BITS,
                             .cookie = raw->cookie,
                             .name = raw->name,
                             .name_length = raw->name_length};
}

/* The first watch on the object of a key in a record that was committed; 0: none. */
uint32_t tn__move_watches(struct tn__reader *reader, uint64_t key)
{
    tn__rcu_read_lock();
    uint32_t object =
        tn__registry_oldest(reader->registry, tn__index_get_rcu(&reader->registry->by_key, key));
    uint32_t first =
        object ? tn__load(&tn__registry_object(reader->registry, object)->first, acquire) : 0;
    tn__rcu_read_unlock();
    return first;
}

uint32_t tn__move_watch_of(struct tn__reader *reader, uint32_t first, const struct tn__add *add)
{
    while (first && tn__reader_add_of(reader, first) != add)
        first = tn__registry_next_watch(reader->registry, first);
    return first;
}

/* Under the lock: a node that an add makes and gives up again is not to be seen. What becomes of a
 * name that is followed is for follow.c. */
uint32_t tn__reader_child(struct tn__reader *reader, uint32_t watch, const char *name,
                          size_t length)
{
    struct tn__registry *registry = reader->registry;
    uint32_t node = tn__load(&tn__registry_watch(registry, watch)->node, acquire);

    if (tn__watch_is_name(tn__registry_watch(registry, watch)))
        return 0;
    tn__registry_lock(registry);
    uint32_t child = tn__node_child_rcu(&registry->tree, node, name, length);
    tn__registry_unlock(registry);
    return child;
}

void tn__move_fill_half(struct tn__half *half, const struct tn__raw *raw)
{
    half->cookie = raw->cookie;
    half->key = raw->key;
    half->is_dir = raw->mask & IN_ISDIR;
    half->length = tn__min(raw->name_length, sizeof(half->name) - 1);
    memcpy(half->name, raw->name, half->length);
    half->name[half->length] = '\0';
}

/* What a watch was not told of a departure it is not told later, though it listens by then. */
static void note_unheard(struct tn__reader *reader, const struct tn__raw *raw)
{
    const uint64_t deaf = TN__WATCH_UNTOLD | TN__WATCH_ASLEEP;
    uint32_t id = tn__move_watches(reader, raw->key);

    for (; id; id = tn__registry_next_watch(reader->registry, id))
        if (tn__load(&tn__registry_watch(reader->registry, id)->state, acquire) & deaf)
            reader->unheard[reader->unheard_next++ % TN__READER_FILE_MOVES] =
                (struct tn__departure){.cookie = raw->cookie, .add = tn__reader_add_of(reader, id)};
}

bool tn__move_is_unheard(const struct tn__reader *reader, const struct tn__add *add,
                         uint32_t cookie)
{
    for (unsigned i = 0; i < TN__READER_FILE_MOVES; i++)
        if (reader->unheard[i].cookie == cookie && reader->unheard[i].add == add)
            return true;
    return false;
}

void tn__move_remember(struct tn__reader *reader, const struct tn__raw *raw)
{
    if (!raw->name || raw->mask & TN__RAW_UNTOLD)
        return;
    note_unheard(reader, raw);
    tn__move_fill_half(&reader->file_moves[reader->file_move++ % TN__READER_FILE_MOVES], raw);
}

const struct tn__half *tn__move_departure(const struct tn__reader *reader, uint32_t cookie)
{
    for (unsigned i = 1; i <= TN__READER_FILE_MOVES; i++) {
        const struct tn__half *half =
            &reader->file_moves[(reader->file_move - i) % TN__READER_FILE_MOVES];
        if (half->cookie == cookie)
            return half;
        if (!half->cookie)
            break;
    }
    return NULL;
}

/* Whether reader->source lies below the add's root, as the add names it. */
static bool is_source_below(struct tn__reader *reader, const struct tn__add *add)
{
    const struct tn__path_text *root =
        tn__reader_path(reader, tn__reader_node_of_name(reader, add));

    return root && strncmp(reader->source, root->text, root->length) == 0 &&
           reader->source[root->length] == '/';
}

/* Whether a node of another add, or one above it, is a directory that the add has too, under
 * whatever name. */
static bool is_node_below(struct tn__reader *reader, uint32_t node, const struct tn__add *add)
{
    struct tn__registry *registry = reader->registry;
    uint32_t found = 0;

    tn__registry_lock(registry);
    for (; node && !found; node = tn__node_parent(&registry->tree, node)) {
        uint32_t watch = tn__node_watch(&registry->tree, node);
        uint32_t object =
            watch ? tn__load(&tn__registry_watch(registry, watch)->object, relaxed) : 0;
        found = object ? tn__registry_of_add_locked(registry, object, add) : 0;
    }
    tn__registry_unlock(registry);
    return found;
}

/*
 * The source path as the watch's own add names it; else as any other does. A
 * directory of its own tree that the add has not come to yet is no source: it
 * was told nothing of what was there.
 */
static void set_source(struct tn__reader *reader, struct tn__news *news,
                       const struct tn__half *half, const struct tn__add *add)
{
    uint32_t first = tn__move_watches(reader, half->key);
    uint32_t own = tn__move_watch_of(reader, first, add);
    uint32_t from = own ? own : first;

    if (!from)
        return;
    uint32_t node = tn__load(&tn__registry_watch(reader->registry, from)->node, acquire);
    news->src_length = tn__reader_source_path(reader, node, half->name, half->length);
    if (!own && news->src_length &&
        (is_source_below(reader, add) || is_node_below(reader, node, add))) {
        news->cookie = 0;
        news->src_length = 0;
    }
    news->src_pathname = news->src_length ? reader->source : NULL;
}

void tn__move_arrive(struct tn__reader *reader, uint32_t watch, const struct tn__raw *raw,
                     const struct tn__half *half)
{
    struct tn__news news = tn__move_news(raw);

    if (half && !tn__move_is_unheard(reader, tn__reader_add_of(reader, watch), half->cookie))
        set_source(reader, &news, half, tn__reader_add_of(reader, watch));
    else
        news.cookie = 0;
    tn__reader_emit(reader, watch, &news);
}
