/*
 * What was there before an add with TN_WATCH_EXISTING, or before a directory
 * told all that its watch asks for (rule 6 of resolve.c).
 *
 * Such a watch is UNTOLD: the tree is kept true below it, and nothing is told
 * of it. When the add has placed all, the reader comes to its root. At
 * one point of the stream it lists a directory, announces its contents as they
 * are at that point (rule 5 of resolve.c) and lets its events flow, so each
 * entry is announced or told by its own record, never both. The directories
 * among the contents come next.
 *
 * Above a directory that was told, up to the root, all are told. Where a move
 * or the end of a watch would break that, it is made good at once: what comes
 * to an untold place becomes untold, what leaves one arrives as a stranger, and
 * what is below an untold watch that ends is told by itself.
 *
 * Checked by tests/behaviour/test_existing.c and tnstress --existing.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reader/reader.h"
#include "reader/scan.h"

bool tn__reader_is_untold(const struct tn__reader *reader, uint32_t watch)
{
    return watch && tn__load(&tn__registry_watch(reader->registry, watch)->state, acquire) &
                        TN__WATCH_UNTOLD;
}

/* What follows the list is meant for it, whether or not its marker has come. */
void tn__reader_set_told(struct tn__reader *reader, uint32_t watch)
{
    tn__fetch_and(&tn__registry_watch(reader->registry, watch)->state,
                  ~(TN__WATCH_UNTOLD | TN__WATCH_ASLEEP), acq_rel);
}

void tn__reader_forget_told_locked(struct tn__reader *reader, uint32_t node)
{
    struct tn__registry *registry = reader->registry;

    for (uint32_t at = node; at; at = tn__node_walk_next_locked(&registry->tree, node, at)) {
        uint32_t watch = tn__node_watch(&registry->tree, at);
        if (watch)
            tn__fetch_or(&tn__registry_watch(registry, watch)->state, TN__WATCH_UNTOLD, acq_rel);
    }
}

/* Without memory its contents are not told, but its events are. */
void tn__reader_tell_below_locked(struct tn__reader *reader, uint32_t node)
{
    struct tn__registry *registry = reader->registry;
    uint32_t child = tn__node_first_child(&registry->tree, node);

    for (; child; child = tn__node_next_sibling(&registry->tree, child)) {
        uint32_t watch = tn__node_watch(&registry->tree, child);
        if (watch && tn__registry_unresolved_locked(registry, child) < 0) {
            tn__reader_set_told(reader, watch);
            tn__reader_set_snapshot(reader, watch, NULL);
            reader->gap = true;
        }
    }
}

/* Whether its turn comes with the list of the directory that it is in. */
static bool waits_for_parent(struct tn__reader *reader, uint32_t node)
{
    const struct tn__registry *registry = reader->registry;
    uint32_t parent = tn__node_parent(&registry->tree, node);
    uint32_t watch = parent ? tn__node_watch(&registry->tree, parent) : 0;

    return watch && tn__watch_is_live(tn__registry_watch(registry, watch)) &&
           tn__reader_is_untold(reader, watch);
}

/* What is in a directory that came later has come later too. */
static bool takes_in(struct tn__reader *reader, uint32_t watch)
{
    uint32_t node = tn__load(&tn__registry_watch(reader->registry, watch)->node, acquire);
    const bool is_root =
        !tn__node_parent(&reader->registry->tree, node) || tn__reader_is_of_name(reader, node);
    const uint32_t asked = TN_WATCH_RECURSIVE | (is_root ? 0 : TN_WATCH_AUTO_ADD);

    tn__rcu_read_lock();
    const struct tn__policy *policy =
        tn__rcu_dereference(&tn__registry_watch(reader->registry, watch)->policy);
    bool result = policy && policy->flags & asked;
    tn__rcu_read_unlock();
    return result;
}

static int list(struct tn__reader *reader, uint32_t node, int directory, struct tn__scan *scan)
{
    tn__reader_note_list(reader, node, directory);
    int fd = tn__registry_open_list(directory);
    if (fd < 0)
        return fd;
    int result = tn__scan_read(scan, fd, reader->dir_buffer);
    close(fd);
    /* The list's end took the directory's lock. */
    int read = tn__reader_read_ahead(reader);
    tn__reader_end_notes(reader);
    return result < 0 || read == 0 ? result : -EAGAIN;
}

static void tell_directory(struct tn__reader *reader, uint32_t watch, struct tn__scan *scan, int fd)
{
    struct tn__registry *registry = reader->registry;
    uint32_t object = tn__load(&tn__registry_watch(registry, watch)->object, relaxed);

    if (!object)
        return;
    const struct tn__announce found = {.reader = reader,
                                       .watch = watch,
                                       .key = tn__registry_object(registry, object)->key,
                                       .position = reader->stream.committed,
                                       .scan = scan,
                                       .fd = fd,
                                       .takes_in = takes_in(reader, watch)};
    tn__announce(&found);
}

/*
 * A file, or what else is no directory: itself. If it has gone or moved by now,
 * it was there at the present point of the stream; its own records tell the
 * rest.
 */
static void tell_item(struct tn__reader *reader, uint32_t watch)
{
    struct stat status;
    struct tn__news news = {.mask = IN_CREATE, .flags = TN_EVENT_SYNTHETIC};
    int fd = tn__reader_open_directory(reader, watch);

    tn__reader_set_told(reader, watch);
    tn__reader_emit(reader, watch, &news);
    news.mask = IN_CLOSE_WRITE;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        tn__reader_emit(reader, watch, &news);
    if (fd == -ENOMEM || fd == -EMFILE || fd == -ENFILE)
        reader->gap = true;
}

static int is_end(void *context, const struct tn__raw *raw)
{
    const uint64_t *key = context;

    return raw->key == *key && raw->mask & (IN_DELETE_SELF | IN_IGNORED) ? -EEXIST : 0;
}

/* A directory whose end is ahead: each of its entries left by a record that is ahead as well. */
static bool is_deleted_ahead(const struct tn__reader *reader, uint32_t watch)
{
    const struct tn__registry *registry = reader->registry;
    uint32_t object = tn__load(&tn__registry_watch(registry, watch)->object, relaxed);
    uint64_t key = object ? tn__registry_object(registry, object)->key : 0;

    return object && tn__stream_each(&reader->stream, reader->stream.committed, is_end, &key) < 0;
}

/* It stands, and what is in it can't be seen: it ends, and says why. */
static void give_up(struct tn__reader *reader, uint32_t node, uint32_t watch, int error)
{
    const struct tn__news news = {.mask = IN_ISDIR,
                                  .flags = TN_EVENT_UNWATCHED,
                                  .error = error,
                                  .always = true};

    tn__count(&reader->counts.unwatched);
    tn__reader_emit(reader, watch, &news);
    if (tn__reader_is_of_name(reader, node))
        tn__reader_give_up_item(reader, node);
    else
        tn__reader_end_subtree(reader, node, 0);
}

/* Rules 6 and 7 of resolve.c. */
static bool is_unclear(struct tn__reader *reader, uint32_t watch)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    uint32_t id = tn__load(&tn__registry_watch(registry, watch)->object, relaxed);
    struct tn__object *object = id ? tn__registry_object(registry, id) : NULL;
    uint32_t widened = object ? object->widened : 0;
    bool is_second = object && tn__load(&object->older, relaxed);
    tn__registry_unlock(registry);
    return is_second || tn__reader_is_widening(reader, widened);
}

static void end_turn(struct tn__reader *reader, uint32_t node)
{
    struct tn__registry *registry = reader->registry;

    tn__registry_lock(registry);
    tn__node_clear_flags_locked(&registry->tree, node, TN__NODE_UNRESOLVED);
    tn__registry_unlock(registry);
}

void tn__reader_tell_existing(struct tn__reader *reader, uint32_t node)
{
    struct tn__registry *registry = reader->registry;
    uint32_t watch = tn__node_watch(&registry->tree, node);
    uint64_t state = tn__load(&tn__registry_watch(registry, watch)->state, acquire);
    struct tn__scan scan = {.stream = &reader->stream};

    if (!(state & TN__WATCH_UNTOLD) || !tn__watch_is_live(tn__registry_watch(registry, watch)) ||
        waits_for_parent(reader, node)) {
        end_turn(reader, node);
        return;
    }
    if (!(state & TN__WATCH_DIR)) {
        end_turn(reader, node);
        tell_item(reader, watch);
        return;
    }
    if (is_unclear(reader, watch) && tn__reader_retry_later(reader, node) == 0)
        return;
    tn__count(&reader->counts.scans);
    int fd = tn__reader_open_directory(reader, watch);
    int result = fd < 0 ? fd : list(reader, node, fd, &scan);
    tn__reader_took(reader, &scan);
    if (fd < 0 || result == -ENOENT) { /* or it was deleted meanwhile */
        result = tn__reader_not_found(reader, watch, result);
        if (result == -EAGAIN && is_deleted_ahead(reader, watch))
            result = 0;
    }
    if (result == -EAGAIN)
        result = tn__reader_retry_later(reader, node) == 0 ? -EAGAIN : -ENOMEM;
    if (result != -EAGAIN) {
        end_turn(reader, node);
        tn__reader_set_told(reader, watch);
        if (result < 0)
            give_up(reader, node, watch, result);
        else
            tell_directory(reader, watch, &scan, fd);
    }
    tn__scan_done(&scan);
}
