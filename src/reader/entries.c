/*
 * The rules of heal.c, for what is not a directory of the tree:
 *
 *   1  An entry that the list has, and of which no record ahead tells, stands at
 *      this point of the stream as it was listed. One that the next record
 *      brings does not stand there yet. One that the next record takes away
 *      does, whatever the list saw. If that is a move, what the list saw may have
 *      come in exchange for it, and its record may be lost: it is looked at then.
 *   2  It is compared with the snapshot, which is what the consumers were told.
 *      Another identity under the same name is another entry.
 *   3  One that went and one that came with the same identity (device, inode and
 *      time of birth: inode numbers are used again at once) are one that moved.
 *   4  Told: what went, while all directories have their old paths; what came and
 *      what changed, when they have their new ones.
 */
#include "reader/entries.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "array.h"
#include "reader/snapshots.h"

struct compare {
    struct tn__entries *entries;
    uint32_t watch;
    uint64_t key;
    const struct tn__snapshot *old;
    struct tn__snapshot *list;
    struct tn__entry_changes later; /* names that stand otherwise than they were listed */
};

static int keep_name(struct tn__entries *entries, const char *name, size_t length, size_t *ret_at)
{
    size_t need = entries->names_size + length;

    if (need > entries->names_capacity) {
        size_t capacity = tn__max(4096, tn__max(need, entries->names_capacity * 2));
        char *names = realloc(entries->names, capacity);
        if (!names)
            return -ENOMEM;
        entries->names = names;
        entries->names_capacity = capacity;
    }
    memcpy(entries->names + entries->names_size, name, length);
    *ret_at = entries->names_size;
    entries->names_size = need;
    return 0;
}

static int add_change(struct compare *compare, struct tn__entry_changes *changes, const char *name,
                      size_t length, const struct tn__status *status, uint32_t mask)
{
    struct tn__entry_change *items =
        tn__array_room(changes->items, changes->count, &changes->capacity, sizeof(*items));
    size_t at = 0;

    if (!items)
        return -ENOMEM;
    changes->items = items;
    int result = keep_name(compare->entries, name, length, &at);
    if (result == 0)
        items[changes->count++] = (struct tn__entry_change){.watch = compare->watch,
                                                            .mask = mask,
                                                            .name = at,
                                                            .length = (unsigned char)length,
                                                            .type = status->type,
                                                            .status = *status};
    return result;
}

/* Directories of the tree are told by heal.c. */
static bool is_told_here(const struct compare *compare, const char *name, size_t length,
                         const struct tn__status *status)
{
    const struct tn__entries *entries = compare->entries;

    return status->type != DT_DIR ||
           (entries->strangers && !tn__reader_child(entries->reader, compare->watch, name, length));
}

static int add_told(struct compare *compare, struct tn__entry_changes *changes, const char *name,
                    size_t length, const struct tn__status *status, uint32_t mask)
{
    return is_told_here(compare, name, length, status)
               ? add_change(compare, changes, name, length, status, mask)
               : 0;
}

/* What tells the difference; a directory's own times follow its entries. */
static uint32_t difference(const struct tn__status *old, const struct tn__status *now)
{
    if (now->type == DT_DIR || !now->known)
        return 0;
    if (!old->known || old->size != now->size || old->mtime_ns != now->mtime_ns)
        return now->type == DT_REG ? IN_MODIFY | IN_CLOSE_WRITE : IN_MODIFY;
    return old->ctime_ns != now->ctime_ns ? IN_ATTRIB : 0;
}

static bool is_other(const struct tn__status *old, const struct tn__status *now)
{
    return old->type != now->type || (old->known && now->known && old->identity != now->identity);
}

/* Rule 2, for a name that stands. */
static int compare_standing(struct compare *compare, const char *name, size_t length,
                            const struct tn__status *now)
{
    struct tn__entries *entries = compare->entries;
    struct tn__status old;
    int result = 0;

    if (!tn__snapshot_get(compare->old, name, length, &old))
        return add_told(compare, &entries->came, name, length, now, 0);
    if (is_other(&old, now)) {
        result = add_told(compare, &entries->gone, name, length, &old, 0);
        return result < 0 ? result : add_told(compare, &entries->came, name, length, now, 0);
    }
    uint32_t mask = difference(&old, now);
    return mask ? add_change(compare, &entries->changed, name, length, now, mask) : 0;
}

/* Rule 1, for what was listed. */
static int compare_listed(void *context, const char *name, size_t length,
                          const struct tn__status *listed)
{
    struct compare *compare = context;
    struct tn__status now = *listed;
    struct tn__raw raw;

    int ahead =
        tn__stream_name_ahead(&compare->entries->reader->stream, compare->key, name, length, &raw);
    if (ahead < 0)
        return ahead;
    if (ahead > 0 && raw.mask & (IN_CREATE | IN_MOVED_TO))
        return add_change(compare, &compare->later, name, length, &now, IN_DELETE);
    if (ahead > 0) {
        bool is_dir = raw.mask & IN_ISDIR;
        if (raw.mask & IN_MOVED_FROM)
            tn__reader_doubt_ahead(compare->entries->reader, &raw);
        /* What leaves may be another than the list saw. */
        if (is_dir != (listed->type == DT_DIR))
            now.type = is_dir ? DT_DIR : DT_UNKNOWN;
        now.known = false;
        int result = add_change(compare, &compare->later, name, length, &now, 0);
        if (result < 0)
            return result;
    }
    return compare->old ? compare_standing(compare, name, length, &now) : 0;
}

/* Of the snapshot: what the list does not have, or has too early. */
static int compare_old(void *context, const char *name, size_t length, const struct tn__status *old)
{
    struct compare *compare = context;
    struct tn__status now, kept = *old;
    struct tn__raw raw;

    int ahead =
        tn__stream_name_ahead(&compare->entries->reader->stream, compare->key, name, length, &raw);
    if (ahead < 0)
        return ahead;
    bool comes = ahead > 0 && raw.mask & (IN_CREATE | IN_MOVED_TO);
    if (!comes && tn__snapshot_get(compare->list, name, length, &now))
        return 0;
    if (ahead == 0 || comes)
        return add_told(compare, &compare->entries->gone, name, length, old, 0);
    kept.known = false;
    const bool is_dir = raw.mask & IN_ISDIR;
    int result = 0;
    if (is_dir != (old->type == DT_DIR)) {
        kept.type = is_dir ? DT_DIR : DT_UNKNOWN;
        result = add_told(compare, &compare->entries->gone, name, length, old, 0);
        if (result == 0)
            result = add_told(compare, &compare->entries->came, name, length, &kept, 0);
    }
    return result < 0 ? result : add_change(compare, &compare->later, name, length, &kept, 0);
}

/* The list as it was at this point of the stream. */
static int correct(struct compare *compare)
{
    const struct tn__entries *entries = compare->entries;

    for (size_t i = 0; i < compare->later.count; i++) {
        const struct tn__entry_change *change = &compare->later.items[i];
        const char *name = entries->names + change->name;
        if (change->mask & IN_DELETE)
            tn__snapshot_remove(compare->list, name, change->length);
        else if (tn__snapshot_put(compare->list, name, change->length, &change->status) < 0)
            return -ENOMEM;
    }
    return 0;
}

int tn__entries_compare(struct tn__entries *entries, uint32_t watch, uint64_t key,
                        struct tn__snapshot *list)
{
    struct compare compare = {.entries = entries,
                              .watch = watch,
                              .key = key,
                              .old = tn__reader_snapshot(entries->reader, watch),
                              .list = list};

    int result = tn__snapshot_each(list, compare_listed, &compare);
    if (result == 0 && compare.old)
        result = tn__snapshot_each(compare.old, compare_old, &compare);
    if (result == 0)
        result = correct(&compare);
    free(compare.later.items);
    return result;
}

static int lose(void *context, const char *name, size_t length, const struct tn__status *old)
{
    struct compare *compare = context;

    return add_told(compare, &compare->entries->gone, name, length, old, 0);
}

int tn__entries_lose(struct tn__entries *entries, uint32_t watch)
{
    struct compare compare = {.entries = entries, .watch = watch};
    const struct tn__snapshot *old = watch ? tn__reader_snapshot(entries->reader, watch) : NULL;

    return old ? tn__snapshot_each(old, lose, &compare) : 0;
}

void tn__entries_forget(struct tn__entries *entries, uint32_t watch, const char *name,
                        size_t length)
{
    struct tn__entry_changes *came = &entries->came;

    for (size_t i = 0; i < came->count; i++) {
        const struct tn__entry_change *change = &came->items[i];
        if (change->watch != watch || change->length != length ||
            memcmp(entries->names + change->name, name, length) != 0)
            continue;
        memmove(&came->items[i], &came->items[i + 1], (came->count - i - 1) * sizeof(*came->items));
        came->count--;
        return;
    }
}

static int by_identity(const void *a, const void *b)
{
    const struct tn__entry_change *const *one = a, *const *other = b;
    const uint64_t x = (*one)->status.identity, y = (*other)->status.identity;

    return (x > y) - (x < y);
}

static bool can_match(const struct tn__entry_change *change)
{
    return change->status.known && change->status.identity && !change->cookie;
}

/* The first in order that has the identity. */
static size_t first_with(struct tn__entry_change *const *sorted, size_t count, uint64_t identity)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sorted[middle]->status.identity < identity)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void tie(struct tn__entries *entries, struct tn__entry_change *gone,
                struct tn__entry_change *came)
{
    struct tn__reader *reader = entries->reader;
    uint32_t node = tn__load(&tn__registry_watch(reader->registry, gone->watch)->node, relaxed);

    gone->cookie = came->cookie = ++reader->own_cookie;
    came->mask = difference(&gone->status, &came->status) & ~(uint32_t)IN_ATTRIB;
    if (tn__reader_source_path(reader, node, entries->names + gone->name, gone->length))
        came->src = strdup(reader->source);
}

/* Rule 3. Without memory nothing is found to have moved. */
static void match(struct tn__entries *entries)
{
    struct tn__entry_change **sorted =
        calloc(entries->gone.count, sizeof(struct tn__entry_change *));

    if (!sorted)
        return;
    for (size_t i = 0; i < entries->gone.count; i++)
        sorted[i] = &entries->gone.items[i];
    qsort(sorted, entries->gone.count, sizeof(struct tn__entry_change *), by_identity);
    for (size_t i = 0; i < entries->came.count; i++) {
        struct tn__entry_change *came = &entries->came.items[i];
        if (!can_match(came))
            continue;
        size_t at = first_with(sorted, entries->gone.count, came->status.identity);
        while (at < entries->gone.count && sorted[at]->status.identity == came->status.identity &&
               !can_match(sorted[at]))
            at++;
        if (at < entries->gone.count && sorted[at]->status.identity == came->status.identity &&
            sorted[at]->type == came->type)
            tie(entries, sorted[at], came);
    }
    free(sorted);
}

static void tell(struct tn__entries *entries, const struct tn__entry_change *change, uint32_t mask)
{
    const struct tn__news news = {.mask = mask | (change->type == DT_DIR ? IN_ISDIR : 0),
                                  .flags = TN_EVENT_SYNTHETIC,
                                  .cookie = mask & IN_MOVE ? change->cookie : 0,
                                  .name = entries->names + change->name,
                                  .name_length = change->length,
                                  .src_pathname = mask & IN_MOVED_TO ? change->src : NULL,
                                  .src_length =
                                      mask & IN_MOVED_TO && change->src ? strlen(change->src) : 0};

    tn__reader_emit(entries->reader, change->watch, &news);
}

void tn__entries_tell_gone(struct tn__entries *entries)
{
    if (entries->gone.count && entries->came.count)
        match(entries);
    for (size_t i = 0; i < entries->gone.count; i++) {
        const struct tn__entry_change *gone = &entries->gone.items[i];
        tell(entries, gone, gone->cookie ? IN_MOVED_FROM : IN_DELETE);
    }
}

static void tell_change(struct tn__entries *entries, const struct tn__entry_change *change,
                        uint32_t mask)
{
    for (uint32_t bit = 1; bit <= mask; bit <<= 1)
        if (mask & bit)
            tell(entries, change, bit);
}

void tn__entries_tell_came(struct tn__entries *entries)
{
    for (size_t i = 0; i < entries->came.count; i++) {
        const struct tn__entry_change *came = &entries->came.items[i];
        tell(entries, came, came->cookie ? IN_MOVED_TO : IN_CREATE);
        if (came->type == DT_DIR)
            tn__reader_new_directory(entries->reader, came->watch, entries->names + came->name,
                                     came->length);
        tell_change(entries, came,
                    came->cookie           ? came->mask
                    : came->type == DT_REG ? IN_CLOSE_WRITE
                                           : 0);
    }
    for (size_t i = 0; i < entries->changed.count; i++)
        tell_change(entries, &entries->changed.items[i], entries->changed.items[i].mask);
}

void tn__entries_done(struct tn__entries *entries)
{
    for (size_t i = 0; i < entries->came.count; i++)
        free(entries->came.items[i].src);
    free(entries->gone.items);
    free(entries->came.items);
    free(entries->changed.items);
    free(entries->names);
}
