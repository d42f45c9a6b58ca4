/*
 * Taking a new directory into the tree. The tree stands at the point of the
 * stream that was committed last; an open and a scan see now. They are
 * reconciled by rule (the facts of exact readers):
 *
 *   1  Open the parent where the tree has it, and check by its key that it is
 *      the one: another directory may stand at that path by now.
 *   2  Open the name below it, watch what was opened, list it to its end.
 *   3  Barrier: the kernel changes a directory and queues the event under the
 *      directory's lock. A lookup of a fresh name takes that lock, so every
 *      change seen in 2 has queued its event. Then put a marker, and read,
 *      without committing, up to it.
 *   4  A record ahead about the name contradicts what was opened: nothing is
 *      attached, that record will decide.
 *   5  Else the directory is attached, and its contents at the present point of
 *      the stream are announced: for each name, the first record ahead decides.
 *      None: what the scan saw. IN_CREATE or IN_MOVED_TO: absent now, the
 *      record will announce it. IN_DELETE or IN_MOVED_FROM: present now.
 *   6  Where others watched it already, and had asked for less, the records up
 *      to where it was asked for more do not tell all: the contents are announced
 *      once these have been committed (existing.c).
 *   7  Where the source gives a key again, records ahead are the older object's up
 *      to its end: nothing is attached or announced until that was committed.
 *
 * Records of a directory that is watched but not attached find no object and
 * are ignored; that loses nothing, because 5 starts from the records ahead.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <tnotify/limits.h>
#include <unistd.h>

#include "filter.h"
#include "reader/reader.h"
#include "reader/scan.h"
#include "tree/crawl.h"
#include "tree/path.h"

/* What one resolve works on. */
struct resolve {
    uint32_t node, parent, watch; /* the directory, its parent, the parent's watch */
    struct tn__policy *policy;    /* the parent's, referenced */
    uint64_t parent_key;
    char name[TN__READER_NAME];
    size_t length;
    struct tn__placed placed;
    bool widening;     /* rule 6 */
    uint32_t older;    /* the object that had the key then: on its way out */
    bool unreachable;  /* its parent can't be opened */
    uint64_t position; /* of the stream before the watch stood */
    int way;           /* to the directory, O_PATH, for the status of its entries; or -1 */
};

enum outcome { ATTACHED, WIDENED, RELINKED, ALIAS, LATER, GONE };

bool tn__reader_takes_in(struct tn__reader *reader, uint32_t watch)
{
    tn__rcu_read_lock();
    const struct tn__policy *policy =
        tn__rcu_dereference(&tn__registry_watch(reader->registry, watch)->policy);
    const uint32_t asked = policy && tn__load(&policy->add->young, acquire)
                               ? TN_WATCH_AUTO_ADD | TN_WATCH_RECURSIVE
                               : TN_WATCH_AUTO_ADD;
    bool takes_in = policy && (policy->flags & asked) && !tn__load(&policy->add->spent, relaxed) &&
                    tn__watch_is_live(tn__registry_watch(reader->registry, watch)) &&
                    !tn__reader_is_untold(reader, watch) &&
                    !tn__watch_is_name(tn__registry_watch(reader->registry, watch));
    tn__rcu_read_unlock();
    return takes_in;
}

bool tn__reader_is_pruned(struct tn__reader *reader, uint32_t watch, uint32_t node,
                          const char *name, size_t length)
{
    struct tn__policy *policy = tn__watch_policy(tn__registry_watch(reader->registry, watch));

    if (!policy)
        return true;
    struct tn_filter *filter = policy->filter ? policy->filter : reader->registry->filter;
    bool pruned = filter && tn__reader_source_path(reader, node, name, length) &&
                  tn__filter_prunes(filter, reader->source);
    tn__policy_unref(policy);
    return pruned;
}

/* The application is told that a directory stays unwatched; the rest goes on. */
void tn__reader_tell_unwatched(struct tn__reader *reader, uint32_t watch, const char *name,
                               size_t length, int error)
{
    const struct tn__news news = {.mask = IN_ISDIR,
                                  .flags = TN_EVENT_UNWATCHED,
                                  .error = error,
                                  .always = true,
                                  .name = name,
                                  .name_length = length};

    tn__count(&reader->counts.unwatched);
    tn__log(reader->registry->log, TN_LOG_WARNING, "a directory is not watched: %s",
            tn_strerror(error));
    tn__reader_emit(reader, watch, &news);
}

void tn__reader_new_directory(struct tn__reader *reader, uint32_t watch, const char *name,
                              size_t length)
{
    if (tn__reader_takes_in(reader, watch))
        tn__reader_take_in(reader, watch, name, length);
}

/* A crawl attached it after the record, or the list, that tells of it: what is in it is untold. */
static void catch_up_locked(struct tn__reader *reader, uint32_t node)
{
    uint32_t own = node ? tn__node_watch(&reader->registry->tree, node) : 0;

    if (own &&
        tn__load(&tn__registry_watch(reader->registry, own)->state, acquire) & TN__WATCH_YOUNG &&
        tn__load(&tn__reader_add_of(reader, own)->young, acquire))
        tn__reader_forget_told_locked(reader, node);
}

void tn__reader_take_in(struct tn__reader *reader, uint32_t watch_id, const char *name,
                        size_t length)
{
    struct tn__registry *registry = reader->registry;
    struct tn__watch *watch = tn__registry_watch(registry, watch_id);
    uint32_t parent = tn__load(&watch->node, acquire);

    if (!parent || length >= TN__READER_NAME ||
        tn__reader_is_pruned(reader, watch_id, parent, name, length))
        return;
    tn__registry_lock(registry);
    uint32_t node = tn__node_child_rcu(&registry->tree, parent, name, length);
    catch_up_locked(reader, node);
    if (node && !(tn__node_flags(&registry->tree, node) & TN__NODE_UNRESOLVED) &&
        !tn__reader_is_untold(reader, tn__node_watch(&registry->tree, node))) {
        tn__registry_unlock(registry);
        return;
    }
    if (!node)
        node = tn__node_new_locked(&registry->tree, parent, name, length);
    else
        reader->retry_due = true;
    int result = node ? tn__registry_unresolved_locked(registry, node) : -ENOMEM;
    if (node && result < 0)
        tn__registry_detach_node_locked(registry, node);
    tn__registry_unlock(registry);
    if (result < 0)
        tn__reader_tell_unwatched(reader, watch_id, name, length, result);
}

void tn__reader_recheck_filter(struct tn__reader *reader, uint32_t watch, uint32_t node)
{
    struct tn__tree *tree = &reader->registry->tree;
    char name[TN__READER_NAME];
    uint32_t parent = tn__load(&tn__registry_watch(reader->registry, watch)->node, acquire);

    size_t length = tn__node_name(tree, node, name, sizeof(name));
    if (tn__reader_is_pruned(reader, watch, parent, name, length))
        tn__reader_end_subtree(reader, node, 0);
}

static void drop_node(struct tn__reader *reader, uint32_t node)
{
    tn__registry_lock(reader->registry);
    tn__registry_detach_node_locked(reader->registry, node);
    tn__registry_unlock(reader->registry);
}

static bool begin(struct tn__reader *reader, uint32_t node, struct resolve *resolve)
{
    struct tn__registry *registry = reader->registry;

    *resolve = (struct resolve){.node = node, .way = -1};
    resolve->parent = tn__node_parent(&registry->tree, node);
    resolve->watch = resolve->parent ? tn__node_watch(&registry->tree, resolve->parent) : 0;
    if (!resolve->watch || !tn__watch_is_live(tn__registry_watch(registry, resolve->watch)) ||
        tn__reader_is_untold(reader, resolve->watch))
        return false;
    resolve->policy = tn__watch_policy(tn__registry_watch(registry, resolve->watch));
    if (!resolve->policy)
        return false;
    resolve->length = tn__node_name(&registry->tree, node, resolve->name, sizeof(resolve->name));
    uint32_t object = tn__load(&tn__registry_watch(registry, resolve->watch)->object, relaxed);
    resolve->parent_key = tn__registry_object(registry, object)->key;
    return true;
}

/* Rule 4. */
static bool is_contradicted(struct tn__reader *reader, const struct resolve *resolve)
{
    struct tn__raw raw;

    return tn__stream_name_ahead(&reader->stream, resolve->parent_key, resolve->name,
                                 resolve->length, &raw) != 0;
}

/* What is listed is told to whoever has asked for that: not by us. */
static int list_new(struct tn__reader *reader, struct resolve *resolve, int parent,
                    struct tn__scan *scan)
{
    struct tn__registry *registry = reader->registry;
    const uint32_t mask = tn__policy_kernel_mask(resolve->policy, false);

    if (tn__load(&registry->traces.asked, relaxed))
        tn__reader_note_child(reader, resolve->parent_key, resolve->name, resolve->length);
    int fd =
        openat(parent, resolve->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    resolve->position = reader->stream.read;
    if (fd < 0)
        return -errno;
    tn__registry_lock(registry);
    int result = tn__registry_place_locked(registry, fd, NULL, mask, &resolve->placed);
    if (result == 0 && !resolve->placed.fresh)
        resolve->position = reader->stream.committed; /* another watch has its records */
    if (result == 0) {
        resolve->older = tn__index_get_rcu(&registry->by_key, resolve->placed.key);
        if (tn__load(&registry->traces.asked, relaxed))
            tn__reader_note_self_locked(reader, resolve->placed.key, mask, resolve->placed.fresh);
    }
    tn__registry_unlock(registry);
    if (result == 0)
        result = tn__scan_read(scan, fd, reader->dir_buffer);
    if (result == 0 && resolve->policy->flags & TN_WATCH_SNAPSHOT)
        resolve->way = openat(fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    close(fd);
    return result;
}

/* Rules 1 to 3. 0; -EAGAIN: later; -ENOENT: gone; else why it can't be watched. */
static int observe(struct tn__reader *reader, struct resolve *resolve, struct tn__scan *scan)
{
    int parent = tn__reader_open_directory(reader, resolve->watch);

    tn__count(&reader->counts.scans);
    if (parent < 0) {
        tn__reader_took(reader, scan);
        resolve->unreachable = true;
        return tn__reader_not_found(reader, resolve->watch, parent);
    }
    int result = list_new(reader, resolve, parent, scan);
    tn__reader_took(reader, scan);
    bool vanished = result == -ENOENT || result == -ENOTDIR || result == -ELOOP;
    int read = tn__reader_read_to_now(reader, parent);
    tn__reader_end_notes(reader);
    if (result < 0 && !vanished)
        return result;
    if (read < 0)
        return -EAGAIN;
    resolve->widening = tn__reader_is_widening(reader, resolve->placed.widened);
    if (is_contradicted(reader, resolve) || (resolve->placed.fresh && resolve->older))
        return -EAGAIN; /* rules 4 and 7 */
    return vanished ? -ENOENT : 0;
}

static bool relink_locked(struct tn__reader *reader, struct resolve *resolve, uint32_t node)
{
    struct tn__registry *registry = reader->registry;
    struct tn__tree *tree = &registry->tree;

    if (!node || tn__node_is_below_locked(tree, resolve->parent, node) ||
        tn__node_move_locked(tree, node, resolve->parent, resolve->name, resolve->length) < 0)
        return false;
    tn__registry_detach_node_locked(registry, resolve->node);
    return true;
}

/* A scan saw the move before the stream told it: told now, under a cookie of its own. */
static enum outcome relink_found(struct tn__reader *reader, struct resolve *resolve, uint32_t known)
{
    struct tn__registry *registry = reader->registry;
    struct tn__tree *tree = &registry->tree;
    uint32_t node = tn__load(&tn__registry_watch(registry, known)->node, relaxed);
    bool detached = tn__node_flags(tree, node) & TN__NODE_DETACHED;
    uint32_t old_parent = tn__node_parent(tree, node);
    uint32_t from = old_parent ? tn__node_watch(tree, old_parent) : 0;
    bool untold = tn__reader_is_untold(reader, from);
    uint32_t cookie;
    char name[TN__READER_NAME];
    size_t length = tn__node_name(tree, node, name, sizeof(name));
    struct tn__news news = {.mask = IN_MOVED_FROM | IN_ISDIR,
                            .flags = TN_EVENT_SYNTHETIC,
                            .cookie = ++reader->own_cookie,
                            .name = name,
                            .name_length = length};

    news.src_length = tn__reader_source_path(reader, node, NULL, 0);
    if (!detached && !tn__reader_departs(reader, node, &cookie))
        return ALIAS;
    if (!detached && !untold)
        tn__reader_swallow_from(reader, resolve->policy->add, cookie);
    tn__registry_lock(registry);
    bool moved = relink_locked(reader, resolve, node);
    tn__registry_unlock(registry);
    if (!moved)
        return LATER;
    tn__reader_forget_paths(reader);
    tn__fetch_and(&tn__registry_watch(registry, known)->state, ~TN__WATCH_YOUNG, acq_rel);
    resolve->watch = known;
    if (detached || untold)
        return resolve->widening ? WIDENED : ATTACHED;
    tn__count(&reader->counts.moves);
    tn__reader_emit(reader, from, &news);
    news.mask = IN_MOVED_TO | IN_ISDIR;
    news.src_pathname = news.src_length ? reader->source : NULL;
    news.name = resolve->name;
    news.name_length = resolve->length;
    tn__reader_emit(reader, tn__node_watch(tree, resolve->parent), &news);
    return RELINKED;
}

/* Unless another thread has put a watch on the object meanwhile. */
static bool is_still_fresh_locked(const struct tn__registry *registry,
                                  const struct resolve *resolve)
{
    return resolve->placed.key && resolve->placed.fresh &&
           tn__index_get_rcu(&registry->by_key, resolve->placed.key) == resolve->older;
}

static void take_back_locked(struct tn__registry *registry, const struct resolve *resolve)
{
    if (is_still_fresh_locked(registry, resolve))
        registry->source->ops->unwatch(registry->source, resolve->placed.key);
}

/* Rule 5, the first half: the watch. alias: the add has the inode at another place too. */
static enum outcome attach(struct tn__reader *reader, struct resolve *resolve, bool alias,
                           int *ret_error)
{
    struct tn__registry *registry = reader->registry;
    struct tn__add *add = resolve->policy->add;
    enum outcome outcome = ATTACHED;

    tn__registry_lock(registry);
    const struct tn__attach attach = {.policy = resolve->policy,
                                      .node = resolve->node,
                                      .placed = {.key = resolve->placed.key,
                                                 .fresh = is_still_fresh_locked(registry, resolve)},
                                      .untold = resolve->widening,
                                      .is_dir = true};
    uint32_t object = tn__index_get_rcu(&registry->by_key, resolve->placed.key);
    uint32_t known = object && !attach.placed.fresh && !alias
                         ? tn__registry_of_add_locked(registry, object, add)
                         : 0;
    if (known && tn__watch_is_item(tn__registry_watch(registry, known)))
        known = 0; /* what has a name does not move on under it */
    bool live = tn__watch_is_live(tn__registry_watch(registry, resolve->watch));
    /* The others were removed meanwhile: the source ends the object, and this is done again then.
     */
    if (object && !attach.placed.fresh && !tn__registry_has_live_watch_locked(registry, object))
        *ret_error = -EAGAIN;
    else if (!known && live) {
        *ret_error = tn__registry_attach_locked(registry, &attach, &resolve->watch);
        if (*ret_error == 0)
            tn__node_clear_flags_locked(&registry->tree, resolve->node, TN__NODE_UNRESOLVED);
        if (*ret_error == 0 && attach.untold)
            outcome = WIDENED;
    }
    if (*ret_error < 0)
        known = 0;
    if (!live || *ret_error < 0) {
        take_back_locked(registry, resolve);
        outcome = GONE;
    }
    tn__registry_unlock(registry);
    return known ? relink_found(reader, resolve, known) : outcome;
}

bool tn__reader_is_widening(struct tn__reader *reader, uint32_t widened)
{
    struct tn__registry *registry = reader->registry;
    const bool is_full = reader->stream.committed >= reader->full_from;

    if (is_full)
        reader->full = reader->asked;
    if (widened <= reader->full)
        return false;
    if (widened > reader->asked && is_full) {
        tn__registry_lock(registry);
        reader->asked = registry->widenings;
        tn__registry_unlock(registry);
        tn__reader_read_ahead(reader); /* an overflow that it meets is told itself */
        reader->full_from = reader->stream.read;
    }
    return true;
}

static int retry_watch(struct tn__reader *reader, uint32_t watch)
{
    uint32_t node = tn__load(&tn__registry_watch(reader->registry, watch)->node, relaxed);

    return tn__reader_retry_later(reader, node);
}

void tn__reader_resolve_one(struct tn__reader *reader, uint32_t node)
{
    struct resolve resolve;
    struct tn__scan scan = {.stream = &reader->stream};
    enum outcome outcome = GONE;
    int result = 0;

    /* What it is will be known where it arrives. */
    if (tn__reader_has_left(reader, node) && tn__reader_retry_later(reader, node) == 0)
        return;
    if (tn__node_watch(&reader->registry->tree, node)) {
        tn__reader_tell_existing(reader, node);
        return;
    }
    if (tn__reader_is_of_name(reader, node)) {
        tn__reader_look_at_name(reader, node);
        return;
    }
    if (!begin(reader, node, &resolve)) {
        drop_node(reader, node);
        return;
    }
    result = is_contradicted(reader, &resolve) ? -EAGAIN : observe(reader, &resolve, &scan);
    if (result == 0)
        outcome = attach(reader, &resolve, false, &result);
    if (outcome == ALIAS)
        outcome = attach(reader, &resolve, true, &result);
    if (result == -EAGAIN || outcome == LATER) {
        result = tn__reader_retry_later(reader, node);
        outcome = result < 0 ? GONE : LATER;
    }
    if (outcome == WIDENED && retry_watch(reader, resolve.watch) < 0)
        outcome = ATTACHED;
    if (outcome == LATER || outcome == GONE) {
        tn__registry_lock(reader->registry);
        take_back_locked(reader->registry, &resolve);
        tn__registry_unlock(reader->registry);
    }
    if (outcome == ATTACHED) {
        tn__reader_set_told(reader, resolve.watch);
        const struct tn__announce found = {.reader = reader,
                                           .watch = resolve.watch,
                                           .key = resolve.placed.key,
                                           .position = resolve.position,
                                           .scan = &scan,
                                           .fd = resolve.way,
                                           .takes_in = tn__reader_takes_in(reader, resolve.watch)};
        tn__announce(&found);
    } else if (outcome == GONE) {
        if (result < 0 && (result != -ENOENT || resolve.unreachable))
            tn__reader_tell_unwatched(reader, resolve.watch, resolve.name, resolve.length, result);
        drop_node(reader, node);
    }
    if (resolve.way >= 0)
        close(resolve.way);
    tn__policy_unref(resolve.policy);
    tn__scan_done(&scan);
}
