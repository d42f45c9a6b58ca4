/*
 * Keeping snapshots.
 *
 *   1  A snapshot changes with the news that its watch is told, and before it is,
 *      whatever the watch's mask and filter: so it holds the names that a model
 *      kept from all events holds.
 *   2  The status of a name is taken before the news goes to the lanes. A
 *      processor that looks when it is told sees that state or a newer one; so a
 *      change that it did not see is later than the status, and differs from it.
 *   3  What is in a directory at first is listed at one point of the stream: the
 *      list, the status of each entry, a marker; then the first record ahead
 *      decides on each name (rule 5 of resolve.c). No record between the status
 *      and the marker is missing, so a change after the status will be told.
 *   4  While records are missing nothing is listed: what they would have told must
 *      still differ. The comparison takes the snapshot and sets another.
 *   5  A directory that is not where the tree has it has moved, by a record ahead;
 *      the status is unknown until it is listed again.
 */
#include "reader/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"
#include "reader/reader.h"
#include "tree/crawl.h"

enum { PAGE = 512 };

#define COMES   ((uint32_t)(IN_CREATE | IN_MOVED_TO))
#define GOES    ((uint32_t)(IN_DELETE | IN_MOVED_FROM))
#define CHANGES ((uint32_t)(IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE))

static struct tn__snapshot **slot_of(const struct tn__reader *reader, uint32_t watch)
{
    const struct tn__snapshots *own = &reader->snapshots;

    return watch / PAGE < own->page_count && own->pages[watch / PAGE]
               ? &own->pages[watch / PAGE][watch % PAGE]
               : NULL;
}

static void count(struct tn__reader *reader, int64_t entries, int64_t bytes)
{
    _Atomic uint64_t *all_entries = &reader->counts.snapshot_entries;
    _Atomic uint64_t *all_bytes = &reader->counts.snapshot_bytes;

    tn__store(all_entries, tn__load(all_entries, relaxed) + (uint64_t)entries, relaxed);
    tn__store(all_bytes, tn__load(all_bytes, relaxed) + (uint64_t)bytes, relaxed);
}

static struct tn__snapshot **make_slot(struct tn__reader *reader, uint32_t watch)
{
    struct tn__snapshots *own = &reader->snapshots;
    const size_t page = watch / PAGE;

    if (page >= own->page_count) {
        size_t larger = tn__max(page + 1, own->page_count * 2);
        struct tn__snapshot ***pages = reallocarray(own->pages, larger, sizeof(*pages));
        if (!pages)
            return NULL;
        memset(pages + own->page_count, 0, (larger - own->page_count) * sizeof(*pages));
        count(reader, 0, (int64_t)((larger - own->page_count) * sizeof(*pages)));
        own->pages = pages;
        own->page_count = larger;
    }
    if (!own->pages[page]) {
        own->pages[page] = calloc(PAGE, sizeof(**own->pages));
        if (!own->pages[page])
            return NULL;
        count(reader, 0, PAGE * sizeof(**own->pages));
    }
    return &own->pages[page][watch % PAGE];
}

static struct tn__snapshot *find(const struct tn__reader *reader, uint32_t watch)
{
    struct tn__snapshot **slot = slot_of(reader, watch);

    return slot && *slot && !tn__reader_is_untold(reader, watch) ? *slot : NULL;
}

const struct tn__snapshot *tn__reader_snapshot(const struct tn__reader *reader, uint32_t watch)
{
    return find(reader, watch);
}

struct tn__snapshot *tn__reader_take_snapshot(struct tn__reader *reader, uint32_t watch)
{
    struct tn__snapshot **slot = slot_of(reader, watch);
    struct tn__snapshot *snapshot = slot ? *slot : NULL;

    if (snapshot) {
        count(reader, -(int64_t)tn__snapshot_count(snapshot),
              -(int64_t)tn__snapshot_bytes(snapshot));
        *slot = NULL;
    }
    return snapshot;
}

int tn__reader_set_snapshot(struct tn__reader *reader, uint32_t watch,
                            struct tn__snapshot *snapshot)
{
    tn__snapshot_free(tn__reader_take_snapshot(reader, watch));
    if (!snapshot)
        return 0;
    struct tn__snapshot **slot = make_slot(reader, watch);
    if (!slot) {
        tn__snapshot_free(snapshot);
        reader->snapshots.later = true;
        return -ENOMEM;
    }
    *slot = snapshot;
    count(reader, (int64_t)tn__snapshot_count(snapshot), (int64_t)tn__snapshot_bytes(snapshot));
    return 0;
}

void tn__reader_free_snapshots(struct tn__reader *reader)
{
    struct tn__snapshots *own = &reader->snapshots;

    for (size_t i = 0; i < own->page_count * PAGE; i++)
        if (own->pages[i / PAGE])
            tn__snapshot_free(own->pages[i / PAGE][i % PAGE]);
    for (size_t i = 0; i < own->page_count; i++)
        free(own->pages[i]);
    free(own->pages);
    free(own->stale);
    *own = (struct tn__snapshots){0};
}

struct tn__snapshot *tn__reader_new_snapshot(const struct tn__reader *reader)
{
    return tn__snapshot_new(reader->registry->tree.seed);
}

/* Rule 5. Without memory the status stays unknown. */
static void note_stale(struct tn__reader *reader, uint32_t watch)
{
    struct tn__snapshots *own = &reader->snapshots;
    tn_wd wd = tn__load(&tn__registry_watch(reader->registry, watch)->wd, relaxed);

    own->later = true;
    if (own->stale_count && own->stale[own->stale_count - 1] == wd)
        return;
    tn_wd *stale = tn__array_room(own->stale, own->stale_count, &own->stale_capacity, sizeof(wd));
    if (!stale)
        return;
    own->stale = stale;
    stale[own->stale_count++] = wd;
}

/* Of a name that is there now; another kind of item than that is later, and its record comes. */
static struct tn__status status_of(struct tn__reader *reader, uint32_t watch,
                                   const struct tn__news *news)
{
    struct tn__snapshots *own = &reader->snapshots;
    const bool is_dir = news->mask & IN_ISDIR;
    const unsigned char type = is_dir ? DT_DIR : DT_UNKNOWN;
    char name[TN__SNAPSHOT_NAME + 1];
    struct tn__status status;
    int fd = own->scanned_fd;

    if (own->scanned != watch) {
        fd = tn__reader_open_directory(reader, watch);
        own->opened = true;
        if (fd < 0)
            note_stale(reader, watch);
    }
    memcpy(name, news->name, news->name_length);
    name[news->name_length] = '\0';
    tn__status_read(fd, name, type, &status);
    if (status.known && (status.type == DT_DIR) != is_dir)
        status = (struct tn__status){.type = type};
    return status;
}

/* Without memory for an entry the whole is listed later. */
static void change(struct tn__reader *reader, uint32_t watch, struct tn__snapshot *snapshot,
                   const struct tn__news *news, const struct tn__status *status)
{
    const size_t entries = tn__snapshot_count(snapshot), bytes = tn__snapshot_bytes(snapshot);
    int result = 0;

    if (status)
        result = tn__snapshot_put(snapshot, news->name, news->name_length, status);
    else
        tn__snapshot_remove(snapshot, news->name, news->name_length);
    count(reader, (int64_t)(tn__snapshot_count(snapshot) - entries),
          (int64_t)(tn__snapshot_bytes(snapshot) - bytes));
    if (result == 0)
        return;
    tn__reader_set_snapshot(reader, watch, NULL);
    reader->snapshots.later = true;
}

/* The snapshot that news is about; NULL: none. */
static struct tn__snapshot *snapshot_of_news(const struct tn__reader *reader, uint32_t watch,
                                             const struct tn__news *news)
{
    bool names = news->name && news->name_length && news->name_length <= TN__SNAPSHOT_NAME &&
                 news->mask & (COMES | GOES | CHANGES);

    return names ? find(reader, watch) : NULL;
}

void tn__reader_note_news(struct tn__reader *reader, uint32_t watch, const struct tn__news *news)
{
    struct tn__snapshot *snapshot = snapshot_of_news(reader, watch, news);

    if (!snapshot || news->noted)
        return;
    if (news->mask & GOES) {
        change(reader, watch, snapshot, news, NULL);
        return;
    }
    /* What an item tells that was unlinked is not about the name. */
    if (!(news->mask & COMES) && !tn__snapshot_get(snapshot, news->name, news->name_length, NULL))
        return;
    const struct tn__status status = status_of(reader, watch, news);
    change(reader, watch, snapshot, news, &status);
}

void tn__reader_note_untold(struct tn__reader *reader, uint32_t watch, const struct tn__news *news)
{
    struct tn__snapshot *snapshot = snapshot_of_news(reader, watch, news);
    struct tn__status status = {.type = news->mask & IN_ISDIR ? DT_DIR : DT_UNKNOWN};

    if (!snapshot)
        return;
    if (news->mask & COMES) {
        change(reader, watch, snapshot, news, NULL);
        return;
    }
    bool found = tn__snapshot_get(snapshot, news->name, news->name_length, &status);
    status.known = false;
    if (found || news->mask & GOES)
        change(reader, watch, snapshot, news, &status);
}

/* Whether the watch is to have one. */
static bool is_kept(const struct tn__reader *reader, uint32_t watch)
{
    const struct tn__add *add = tn__reader_add_of(reader, watch);

    return add && add->snapshot &&
           !tn__watch_is_name(tn__registry_watch(reader->registry, watch)) &&
           tn__load(&tn__registry_watch(reader->registry, watch)->state, acquire) & TN__WATCH_DIR;
}

void tn__reader_begin_snapshot(struct tn__reader *reader, uint32_t watch, int fd)
{
    struct tn__snapshot *snapshot;

    if (TN__LIKELY(!is_kept(reader, watch)))
        return;
    snapshot = tn__reader_new_snapshot(reader);
    reader->snapshots.later = reader->snapshots.later || !snapshot;
    tn__reader_set_snapshot(reader, watch, snapshot);
    reader->snapshots.scanned = watch;
    reader->snapshots.scanned_fd = fd;
}

void tn__reader_end_snapshot(struct tn__reader *reader)
{
    reader->snapshots.scanned = 0;
}

/* What is listed for rule 3. */
struct listing {
    struct tn__reader *reader;
    struct tn__snapshot *snapshot;
    int fd;
};

static int keep(void *context, const char *name, size_t length, unsigned char type)
{
    const struct listing *listing = context;
    struct tn__status status;

    if (length > TN__SNAPSHOT_NAME)
        return 0;
    tn__status_read(listing->fd, name, type, &status);
    return tn__snapshot_put(listing->snapshot, name, length, &status);
}

/* Of a record ahead, if it is the first about its name: it decides. */
static int decide(void *context, const struct tn__raw *raw)
{
    const struct listing *listing = context;
    const bool is_dir = raw->mask & IN_ISDIR;
    struct tn__status status = {.type = is_dir ? DT_DIR : DT_UNKNOWN};
    struct tn__status listed;
    struct tn__raw first;

    int ahead = tn__stream_name_ahead(&listing->reader->stream, raw->key, raw->name,
                                      raw->name_length, &first);
    if (ahead <= 0 || first.name != raw->name)
        return ahead < 0 ? ahead : 0;
    if (raw->mask & COMES) {
        tn__snapshot_remove(listing->snapshot, raw->name, raw->name_length);
        return 0;
    }
    if (tn__snapshot_get(listing->snapshot, raw->name, raw->name_length, &listed) &&
        (listed.type == DT_DIR) == is_dir)
        return 0;
    return tn__snapshot_put(listing->snapshot, raw->name, raw->name_length, &status);
}

/* A directory whose departure was committed, and is told with its arrival, is there until then. */
static int put_leaving(const struct listing *listing, uint64_t key)
{
    const struct tn__reader *reader = listing->reader;
    const struct tn__status status = {.type = DT_DIR};
    int result = 0;

    for (size_t i = 0; result == 0 && i < reader->directory_move_count; i++) {
        const struct tn__half *half = &reader->directory_moves[i];
        if (half->key == key)
            result = tn__snapshot_put(listing->snapshot, half->name, half->length, &status);
    }
    return result;
}

static int list(struct tn__reader *reader, uint32_t watch, int directory)
{
    struct tn__registry *registry = reader->registry;
    uint32_t object = tn__load(&tn__registry_watch(registry, watch)->object, relaxed);
    const uint64_t key = tn__registry_object(registry, object)->key;
    struct listing listing = {.reader = reader};

    tn__reader_note_list(reader, tn__load(&tn__registry_watch(registry, watch)->node, relaxed),
                         directory);
    listing.fd = tn__registry_open_list(directory);
    if (listing.fd < 0)
        return listing.fd;
    listing.snapshot = tn__reader_new_snapshot(reader);
    int result = listing.snapshot
                     ? tn__dir_list(listing.fd, reader->dir_buffer, TN__DIR_BUFFER, keep, &listing)
                     : -ENOMEM;
    close(listing.fd);
    /* The list's end took the directory's lock. */
    int read = tn__reader_read_ahead(reader);
    tn__reader_end_notes(reader);
    if (result == 0 && read < 0)
        result = -EAGAIN;
    if (result == 0)
        result =
            tn__stream_each_ahead(&reader->stream, reader->stream.committed, key, decide, &listing);
    if (result == 0)
        result = put_leaving(&listing, key);
    if (result == 0)
        return tn__reader_set_snapshot(reader, watch, listing.snapshot);
    tn__snapshot_free(listing.snapshot);
    return result;
}

static bool is_shortage(int error)
{
    return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

/* What can't be listed for good has none: a gap tells of it as without one. */
static void fill(struct tn__reader *reader, uint32_t watch)
{
    tn__count(&reader->counts.scans);
    int fd = tn__reader_open_directory(reader, watch);
    int result = fd < 0 ? fd : list(reader, watch, fd);
    if (fd < 0 || result == -ENOENT)
        result = tn__reader_not_found(reader, watch, result);
    tn__reader_forget_parent(reader);
    if (result == -EAGAIN || is_shortage(result))
        note_stale(reader, watch);
}

/* Rule 4; and an add that still places its watches has another time for it. */
static bool may_list(struct tn__reader *reader, uint32_t watch)
{
    const struct tn__add *add = is_kept(reader, watch) ? tn__reader_add_of(reader, watch) : NULL;

    if (!add || !tn__watch_is_live(tn__registry_watch(reader->registry, watch)) ||
        tn__load(&add->young, acquire) || tn__reader_is_untold(reader, watch))
        return false;
    reader->snapshots.later = reader->snapshots.later || add->gap;
    return !add->gap;
}

/* The next watch, from a descriptor on, that lacks one; 0: none. */
static uint32_t next_lacking(struct tn__reader *reader, tn_wd *wd)
{
    struct tn__registry *registry = reader->registry;
    uint64_t at = (uint64_t)*wd;
    uint32_t id = 0, found = 0;

    tn__registry_lock(registry);
    while (!found && tn__index_next_rcu(&registry->by_wd, &at, &id)) {
        struct tn__snapshot **slot = slot_of(reader, id);
        if (tn__load(&tn__registry_watch(registry, id)->node, relaxed) && (!slot || !*slot) &&
            may_list(reader, id))
            found = id;
        at++;
    }
    tn__registry_unlock(registry);
    *wd = (tn_wd)at;
    return found;
}

static void fill_stale(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;
    struct tn__snapshots *own = &reader->snapshots;
    tn_wd *stale = own->stale;
    const size_t stale_count = own->stale_count;

    own->stale = NULL;
    own->stale_count = own->stale_capacity = 0;
    for (size_t i = 0; i < stale_count; i++) {
        tn__rcu_read_lock();
        uint32_t watch = tn__registry_find_rcu(registry, stale[i]);
        tn__rcu_read_unlock();
        if (!watch || !tn__load(&tn__registry_watch(registry, watch)->node, relaxed))
            continue;
        if (may_list(reader, watch))
            fill(reader, watch);
        else if (own->later)
            note_stale(reader, watch);
    }
    free(stale);
}

void tn__reader_fill_snapshots(struct tn__reader *reader)
{
    tn_wd wd = 1;

    if (reader->skipping || reader->heal_due || reader->heal_later || reader->gap) {
        reader->snapshots.later = true;
        reader->snapshots.due = false;
        return;
    }
    reader->snapshots.due = false;
    fill_stale(reader);
    for (uint32_t watch; (watch = next_lacking(reader, &wd));)
        fill(reader, watch);
}

void tn__reader_end_batch_of_snapshots(struct tn__reader *reader)
{
    struct tn__snapshots *own = &reader->snapshots;

    own->due = own->due || own->later;
    own->later = false;
    if (!own->opened)
        return;
    own->opened = false;
    tn__reader_forget_parent(reader);
    /* A directory's IN_DELETE_SELF waits for the last descriptor. */
    if (reader->settle_due)
        tn__reader_read_ahead(reader);
}
