/*
 * Adding a name (TN_WATCH_FOLLOW_NAME). Two watches are placed: one on the
 * directory that the name is in, which is the user's and stays whatever becomes of
 * the name, and one on what has the name now, its item, which is hidden and
 * told as the first. The first comes first, so that no change of the name in
 * between is missed; such a change is the reader's (reader/follow.c, and rule 2 of
 * reader/young.c).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queue/lane.h"
#include "registry/add.h"
#include "tree/path.h"

/* Where the directory's part of the path ends, and where the name begins. */
static size_t split(const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');

    *ret_name = slash ? slash + 1 : path;
    if (!slash)
        return 0;
    return slash == path ? 1 : (size_t)(slash - path);
}

static bool is_name(const char *name)
{
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* -ENOENT: nothing has the name, or a link has that leads nowhere. */
static int open_item(const struct tn__adding *adding)
{
    const uint32_t mask = adding->options->mask;
    int flags = O_PATH | O_CLOEXEC | (mask & IN_DONT_FOLLOW ? O_NOFOLLOW : 0) |
                (mask & IN_ONLYDIR ? O_DIRECTORY : 0);
    int fd;

    do {
        fd = openat(adding->parent, adding->add->name, flags);
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int tn__open_name(struct tn__adding *adding)
{
    struct tn__add *add = adding->add;
    const char *name;
    size_t length = split(adding->path, &name);

    if (!is_name(name))
        return -EINVAL;
    char *directory = strdup(length ? adding->path : ".");
    if (!directory)
        return -ENOMEM;
    directory[length ? length : 1] = '\0';
    add->name = strdup(name);
    add->open_path = tn__path_absolute(directory);
    adding->parent = add->name && add->open_path
                         ? tn__registry_open_path(directory, O_PATH | O_DIRECTORY)
                         : -ENOMEM;
    free(directory);
    if (adding->parent < 0)
        return adding->parent;
    adding->fd = open_item(adding);
    if (adding->fd < 0)
        return adding->fd == -ENOENT ? 0 : adding->fd;
    return tn__adding_check(adding);
}

/* What came to the name since the filter was asked: told as what came later. */
static int leave_to_reader_locked(const struct tn__adding *adding, uint32_t node)
{
    struct tn__registry *registry = adding->registry;

    adding->add->arrival = IN_CREATE;
    adding->add->whole = true;
    int result = tn__registry_unresolved_locked(registry, node);
    if (result == 0)
        tn__registry_tell_reader(registry);
    return result;
}

static int attach_item_locked(struct tn__adding *adding, uint32_t node)
{
    struct tn__registry *registry = adding->registry;
    const bool untold = tn__adding_existing(adding);
    struct tn__attach attach = {.policy = adding->policy,
                                .node = node,
                                .marked = !untold,
                                .young = true,
                                .untold = untold,
                                .is_dir = adding->is_dir,
                                .role = TN__WATCH_ITEM,
                                .ret_wd = &adding->top};
    uint32_t id;
    const uint32_t mask = tn__policy_kernel_mask(adding->policy, false);
    int result = tn__registry_place_locked(registry, adding->fd, NULL, mask, &attach.placed);

    if (result < 0)
        return result;
    result = tn__registry_attach_locked(registry, &attach, &id);
    if (result < 0 && attach.placed.fresh)
        registry->source->ops->unwatch(registry->source, attach.placed.key);
    return result;
}

/* Opened again, now that the directory is watched. */
static int place_item_locked(struct tn__adding *adding)
{
    struct tn__registry *registry = adding->registry;
    struct tn__add *add = adding->add;
    struct stat status;
    int fd = open_item(adding);

    if (fd < 0) {
        adding->is_dir = false;
        return fd == -ENOENT ? 0 : fd;
    }
    add->is_link = fstatat(adding->parent, add->name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                   S_ISLNK(status.st_mode);
    if (fstat(fd, &status) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    const bool is_dir = S_ISDIR(status.st_mode);
    const bool known = adding->fd >= 0 && is_dir == adding->is_dir;
    if (adding->fd >= 0)
        close(adding->fd);
    adding->fd = fd;
    adding->is_dir = known && is_dir;
    uint32_t node =
        tn__node_new_locked(&registry->tree, add->root_node, add->name, strlen(add->name));
    if (!node)
        return -ENOMEM;
    int result = known ? attach_item_locked(adding, node) : leave_to_reader_locked(adding, node);
    if (result < 0)
        tn__node_free_locked(&registry->tree, node);
    return result;
}

static int place_directory_locked(struct tn__adding *adding, tn_wd *ret_wd)
{
    struct tn__registry *registry = adding->registry;
    struct tn__add *add = adding->add;
    struct tn__attach attach = {.policy = adding->policy,
                                .marked = true,
                                .is_dir = adding->is_dir,
                                .role = TN__WATCH_NAME,
                                .ret_wd = ret_wd};
    const char *name;
    size_t length = split(adding->path, &name);
    uint32_t id;

    if (add->order == TN_ORDER_TREE && !(add->lane = tn__lanes_alloc(registry->lanes)))
        return -ENOMEM;
    add->root_node =
        length ? tn__node_new_locked(&registry->tree, 0, adding->path, length)
               : tn__node_new_locked(&registry->tree, 0, TN__PATH_HERE, strlen(TN__PATH_HERE));
    if (!add->root_node)
        return -ENOMEM;
    attach.node = add->root_node;
    const uint32_t mask = tn__policy_kernel_mask(adding->policy, true);
    int result = tn__registry_place_locked(registry, adding->parent, NULL, mask, &attach.placed);
    if (result == 0) {
        result = tn__registry_attach_locked(registry, &attach, &id);
        if (result < 0 && attach.placed.fresh)
            registry->source->ops->unwatch(registry->source, attach.placed.key);
    }
    if (result < 0)
        tn__node_free_locked(&registry->tree, add->root_node);
    return result;
}

int tn__place_name(struct tn__adding *adding, tn_wd *ret_wd)
{
    struct tn__registry *registry = adding->registry;
    struct tn__add *add = adding->add;
    int result = 0;

    tn__registry_lock(registry);
    if (adding->options->mask & IN_ONESHOT)
        result = tn__registry_reserve_guard_locked(registry, add);
    if (result == 0)
        result = place_directory_locked(adding, ret_wd);
    if (result == 0) {
        adding->stands = true;
        tn__registry_begin_young_locked(registry, add);
        result = place_item_locked(adding);
    }
    tn__registry_unlock(registry);
    return result;
}
