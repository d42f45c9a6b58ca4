/*
 * What is below the root of an add: a crawl on one of the library's threads
 * places it, each directory as it opens it, and the events of what is placed flow
 * at once, so the crawl and the reader work on one tree at a time. They agree
 * like this:
 *
 * - Whoever comes first places a directory; the other finds it and leaves it.
 * - The crawl names a directory's parent by descriptor, which is never used
 *   twice: a parent that has gone is not found.
 * - The crawl sees now, and the tree stands at an earlier point of the stream.
 *   A change that is still to be committed will be applied to what the crawl
 *   has attached, as to all. One that was committed before is not: so once any
 *   directory went or moved, the crawl checks, under the lock, that what it
 *   opened stands where the tree says.
 * - An inode that the add has already, at another place which does not lead to
 *   it any more, has moved: the reader is left to take it in when it gets there.
 *
 * A directory is listed before it is asked to tell of openings, and its parent
 * after all in it was, so that the add is not told of what the crawl does. What
 * other adds are told of it is noted, and taken out of the stream (trace.c).
 *
 * A watch on an inode that another add watches sleeps until its marker is
 * committed: what is queued before happened before it was placed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filter.h"
#include "registry/add.h"
#include "tree/crawl.h"
#include "tree/path.h"

/* What placed is told, in the caller's thread. */
struct placed {
    const struct tn__adding *adding;
    const char *path;
    tn_wd wd;
    int error;
};

static int call_placed(void *arg)
{
    const struct placed *placed = arg;
    const struct tn_watch_options *options = placed->adding->options;

    return options->placed(placed->path, placed->wd, placed->error, options->data);
}

static tn_wd wd_of_id(const struct tn__adding *adding, uint32_t id)
{
    return adding->add->root + (tn_wd)(uint32_t)(id - (uint32_t)adding->add->root);
}

/* The live watch that a crawl's id stands for, and its node; false: it has ended. */
static bool find_parent_locked(const struct tn__adding *adding, uint32_t id, uint32_t *ret_node)
{
    struct tn__registry *registry = adding->registry;
    uint32_t watch = tn__registry_find_rcu(registry, wd_of_id(adding, id));

    if (!watch || tn__load(&adding->add->spent, acquire))
        return false;
    *ret_node = tn__load(&tn__registry_watch(registry, watch)->node, relaxed);
    return *ret_node != 0;
}

/* The path of an entry below a crawl's id, or of the id itself: malloc'ed. -ENOENT: it has gone. */
static int entry_path(const struct tn__adding *adding, uint32_t id, const char *name, size_t length,
                      char **ret_path)
{
    struct tn__registry *registry = adding->registry;
    char *parent = NULL;
    uint32_t node;

    tn__registry_lock(registry);
    int result = find_parent_locked(adding, id, &node)
                     ? tn__registry_path_dup(registry, node, &parent)
                     : -ENOENT;
    tn__registry_unlock(registry);
    if (result == 0 && length) {
        size_t above = strlen(parent), size = above + length + 2;
        char *path = malloc(size);
        if (path)
            tn__path_join(parent, above, name, length, path, size);
        free(parent);
        parent = path;
        result = path ? 0 : -ENOMEM;
    }
    if (result == 0)
        *ret_path = parent;
    return result;
}

/* In the crawl's thread. Without memory for the path the add fails. */
static int tell_placed(const struct tn__adding *adding, uint32_t id, const char *name,
                       size_t length, tn_wd wd, int error)
{
    char *path;

    if (!adding->options->placed)
        return 0;
    int result = entry_path(adding, id, name, length, &path);
    if (result != 0)
        return result == -ENOENT ? 0 : result;
    struct placed placed = {.adding = adding, .path = path, .wd = wd, .error = error};
    result = tn__crawl_in_caller(call_placed, &placed);
    free(path);
    return result < 0 ? result : 0;
}

static int crawl_entry(void *context, uint32_t parent, const char *name, size_t length,
                       unsigned char type)
{
    const struct tn__adding *adding = context;
    char *path;

    if (type != DT_DIR)
        return 0;
    if (!adding->filter)
        return 1;
    int result = entry_path(adding, parent, name, length, &path);
    if (result != 0)
        return result == -ENOENT ? 0 : result;
    bool pruned = tn__filter_prunes(adding->filter, path);
    free(path);
    return pruned ? 0 : 1;
}

/* Whether the tree's place for a node leads to the inode that is open. */
static bool stands_at(const struct tn__adding *adding, uint32_t node, const char *name, int fd)
{
    struct stat here, there;
    int directory = tn__registry_open_locked(adding->registry, node, adding->add);

    if (directory < 0)
        return false;
    int result =
        name ? fstatat(directory, name, &there, AT_SYMLINK_NOFOLLOW) : fstat(directory, &there);
    close(directory);
    return result == 0 && fstat(fd, &here) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}

static bool is_known_elsewhere(const struct tn__adding *adding, uint64_t key, int fd)
{
    struct tn__registry *registry = adding->registry;
    uint32_t object = tn__index_get_rcu(&registry->by_key, key);
    uint32_t known = object ? tn__registry_of_add_locked(registry, object, adding->add) : 0;

    if (!known)
        return false;
    uint32_t node = tn__load(&tn__registry_watch(registry, known)->node, relaxed);
    return !stands_at(adding, node, NULL, fd);
}

/* A directory that the reader takes in as it does new ones. */
static int leave_to_reader_locked(const struct tn__adding *adding, uint32_t parent,
                                  const char *name, size_t length)
{
    struct tn__registry *registry = adding->registry;
    uint32_t node = tn__node_new_locked(&registry->tree, parent, name, length);

    if (!node)
        return -ENOMEM;
    int result = tn__registry_unresolved_locked(registry, node);
    if (result < 0)
        tn__node_free_locked(&registry->tree, node);
    else
        tn__registry_tell_reader(registry);
    return result;
}

/* What is below a directory that the reader still lists is told in its turn. */
static bool is_untold_locked(const struct tn__adding *adding, uint32_t parent)
{
    struct tn__registry *registry = adding->registry;
    uint32_t watch = tn__registry_find_rcu(registry, wd_of_id(adding, parent));

    return tn__adding_existing(adding) ||
           (watch &&
            tn__load(&tn__registry_watch(registry, watch)->state, acquire) & TN__WATCH_UNTOLD);
}

static void note_locked(const struct tn__adding *adding, uint64_t key, const char *name,
                        size_t length)
{
    struct tn__registry *registry = adding->registry;
    uint32_t object = tn__index_get_rcu(&registry->by_key, key);

    if (object && tn__registry_object(registry, object)->kernel_mask & TN__TRACE_MASK)
        tn__trace_note_locked(&registry->traces, key, name, length, false, adding->add);
}

static uint64_t key_of_locked(const struct tn__registry *registry, uint32_t node)
{
    return tn__registry_key_of(registry, tn__node_watch(&registry->tree, node));
}

/* 1: attached; 0: leave it; or why it could not be. */
static int attach_locked(const struct tn__adding *adding, uint32_t parent, const char *name,
                         size_t length, int fd, bool in_cwd, tn_wd *ret_wd)
{
    struct tn__registry *registry = adding->registry;
    struct tn__tree *tree = &registry->tree;
    const bool untold = is_untold_locked(adding, parent);
    struct tn__attach attach = {.policy = adding->policy,
                                .marked = !untold,
                                .young = true,
                                .untold = untold,
                                .left_out = adding->left_out,
                                .is_dir = true,
                                .ret_wd = ret_wd};
    uint32_t above, id;

    if (!find_parent_locked(adding, parent, &above) ||
        tn__node_child_rcu(tree, above, name, length))
        return 0;
    if (tn__load(&registry->shuffles, relaxed) != adding->shuffles &&
        !stands_at(adding, above, name, fd))
        return leave_to_reader_locked(adding, above, name, length);
    uint32_t mask = tn__policy_kernel_mask(adding->policy, false) & ~adding->left_out;
    int result = tn__registry_place_locked(registry, in_cwd ? AT_FDCWD : fd, in_cwd ? "." : NULL,
                                           mask, &attach.placed);
    if (result < 0)
        return result;
    if (!attach.placed.fresh && is_known_elsewhere(adding, attach.placed.key, fd))
        return leave_to_reader_locked(adding, above, name, length);
    attach.node = tn__node_new_locked(tree, above, name, length);
    result = attach.node ? tn__registry_attach_locked(registry, &attach, &id) : -ENOMEM;
    if (result == 0 && adding->quiet) {
        note_locked(adding, attach.placed.key, NULL, 0);
        note_locked(adding, key_of_locked(registry, above), name, length);
    }
    if (result == 0)
        return 1;
    if (attach.node)
        tn__node_free_locked(tree, attach.node);
    if (attach.placed.fresh)
        registry->source->ops->unwatch(registry->source, attach.placed.key);
    return result;
}

static bool is_fatal(int error)
{
    return error == -ENOSPC || error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

static bool leave_to_reader(const struct tn__adding *adding, uint32_t parent, const char *name,
                            size_t length)
{
    struct tn__registry *registry = adding->registry;
    uint32_t above;

    tn__registry_lock(registry);
    bool left = find_parent_locked(adding, parent, &above) &&
                !tn__node_child_rcu(&registry->tree, above, name, length) &&
                leave_to_reader_locked(adding, above, name, length) == 0;
    tn__registry_unlock(registry);
    return left;
}

static int crawl_failed(void *context, uint32_t parent, const char *name, size_t length, int error)
{
    const struct tn__adding *adding = context;
    struct tn__registry *registry = adding->registry;

    if (is_fatal(error))
        return error;
    if (error == -ENOENT || error == -ENOTDIR || error == -ELOOP || error == -ESTALE)
        return 0; /* it has gone */
    /* The reader tries once more, tells it and counts it; where it lists what exists, anyway. */
    if (!tn__adding_existing(adding) && (!length || !leave_to_reader(adding, parent, name, length)))
        tn__fetch_add(&registry->unwatched, 1, relaxed);
    return tell_placed(adding, parent, name, length, -1, error);
}

static int crawl_directory(void *context, uint32_t parent, const char *name, size_t length, int fd,
                           bool in_cwd, uint32_t *ret_id)
{
    const struct tn__adding *adding = context;
    struct tn__registry *registry = adding->registry;
    tn_wd wd = 0;

    if (tn__load(&registry->closed, acquire))
        return -ESHUTDOWN;
    tn__registry_lock(registry);
    int result = attach_locked(adding, parent, name, length, fd, in_cwd, &wd);
    tn__registry_unlock(registry);
    if (result == 0)
        return 0;
    if (result < 0)
        return crawl_failed(context, parent, name, length, result);
    *ret_id = (uint32_t)wd;
    result = tell_placed(adding, *ret_id, NULL, 0, wd, 0);
    return result < 0 ? result : 1;
}

static int crawl_left(void *context, uint32_t id, int fd)
{
    const struct tn__adding *adding = context;
    struct tn__registry *registry = adding->registry;
    int result = 0;

    tn__registry_lock(registry);
    uint32_t watch = tn__registry_find_rcu(registry, wd_of_id(adding, id));
    if (watch)
        result = tn__registry_widen_locked(registry, watch, fd);
    tn__registry_unlock(registry);
    return result;
}

static const struct tn__crawl_ops crawl_ops = {.directory = crawl_directory,
                                               .entry = crawl_entry,
                                               .failed = crawl_failed};

static const struct tn__crawl_ops quiet_ops = {.directory = crawl_directory,
                                               .entry = crawl_entry,
                                               .failed = crawl_failed,
                                               .left = crawl_left};

static void note_root(const struct tn__adding *adding)
{
    struct tn__registry *registry = adding->registry;
    char name[NAME_MAX + 1];
    uint64_t key;

    tn__registry_lock(registry);
    note_locked(adding, key_of_locked(registry, adding->add->root_node), NULL, 0);
    if (tn__registry_find_above_locked(registry, adding->fd, &key, name, sizeof(name)))
        note_locked(adding, key, name, strlen(name));
    tn__registry_unlock(registry);
}

/* The start's descriptor is the add's own. */
static int place_quietly(const struct tn__adding *adding)
{
    const uint32_t id = (uint32_t)adding->add->root;

    note_root(adding);
    int result = tn__crawl_run(adding->fd, id, &quiet_ops, (void *)adding);
    return result < 0 ? result : crawl_left((void *)adding, id, adding->fd);
}

int tn__place_below(const struct tn__adding *adding)
{
    if (adding->quiet)
        return place_quietly(adding);
    int fd = tn__registry_open_list(adding->fd);
    if (fd < 0)
        return fd;
    int result = tn__crawl_run(fd, (uint32_t)adding->top, &crawl_ops, (void *)adding);
    close(fd);
    return result;
}
