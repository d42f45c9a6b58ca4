/*
 * Opening what the tree has a place for.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "registry/registry.h"
#include "tree/path.h"

int tn__registry_path_dup(struct tn__registry *registry, uint32_t node, char **ret_path)
{
    size_t size = 256;

    for (;;) {
        char *path = malloc(size);
        if (!path)
            return -ENOMEM;
        ssize_t length = tn__path_build(&registry->tree, node, path, size);
        if ((size_t)length < size) {
            *ret_path = path;
            return 0;
        }
        free(path);
        size = (size_t)length + 1;
    }
}

/* Opens what may be longer than PATH_MAX, in pieces that end at a "/". */
static int open_piece(int at, const char *path, int flags)
{
    int fd;

    do {
        fd = openat(at, path, flags);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

int tn__registry_open_list(int directory)
{
    int fd = open_piece(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

/* Its name as the kernel has it: the path that led to it may have been another. */
static bool name_of(int fd, char *name, size_t size)
{
    char link[48], path[PATH_MAX];

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof(path));
    const char *last = length > 1 ? memrchr(path, '/', (size_t)length) : NULL;
    size_t rest = last ? (size_t)(path + length - (last + 1)) : 0;
    if (!rest || (size_t)length == sizeof(path) || rest >= size)
        return false;
    memcpy(name, last + 1, rest);
    name[rest] = '\0';
    return true;
}

/*
 * The key of what is open, which gets the mask's bits added. -ESTALE: the source
 * did not watch it, and does not: what the question made is taken back. A key
 * that has no object is none of that, the reader is about to attach it.
 */
static int ask_key_locked(struct tn__registry *registry, int fd, uint32_t mask, uint64_t *ret_key)
{
    struct tn__source *source = registry->source;
    int result = source->ops->watch(source, fd, NULL, mask | IN_MASK_CREATE, ret_key);

    if (result == 0)
        source->ops->unwatch(source, *ret_key);
    if (result != -EEXIST)
        return result < 0 ? result : -ESTALE;
    return source->ops->watch(source, fd, NULL, mask | IN_MASK_ADD, ret_key);
}

bool tn__registry_find_above_locked(struct tn__registry *registry, int fd, uint64_t *ret_key,
                                    char *name, size_t size)
{
    uint32_t object = 0;
    int above =
        name_of(fd, name, size) ? open_piece(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

    if (above < 0)
        return false;
    if (ask_key_locked(registry, above, IN_DELETE_SELF, ret_key) == 0) {
        object = tn__index_get_rcu(&registry->by_key, *ret_key);
        if (object)
            tn__registry_object(registry, object)->kernel_mask |= IN_DELETE_SELF;
    }
    close(above);
    return object != 0;
}

static int open_pieces(int at, char *path, int flags)
{
    for (;;) {
        /* NULL: the last piece, or one that is a name too long, and the kernel says so. */
        char *cut = strlen(path) < PATH_MAX ? NULL : memrchr(path + 1, '/', PATH_MAX - 2);
        if (cut)
            *cut = '\0';
        int next = open_piece(at, path, cut ? O_PATH | O_DIRECTORY | O_CLOEXEC : flags);
        int error = errno;
        if (at != AT_FDCWD)
            close(at);
        errno = error;
        if (next < 0 || !cut)
            return next;
        at = next;
        path = cut + 1;
    }
}

int tn__registry_open_path(char *path, int flags)
{
    int fd = open_pieces(AT_FDCWD, path, flags | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static bool may_be_link(const struct tn__tree *tree, uint32_t node, const struct tn__add *add)
{
    if (!add->name)
        return node == add->root_node && add->follow_root;
    return node == add->root_node ||
           (tn__node_parent(tree, node) == add->root_node && add->follow_root);
}

int tn__registry_open_locked(struct tn__registry *registry, uint32_t node,
                             const struct tn__add *add)
{
    char *path;
    char root[sizeof(TN__PATH_HERE)];
    int result = tn__registry_path_dup(registry, node, &path);

    if (result < 0)
        return result;
    size_t above = tn__node_name(&registry->tree, add->root_node, root, sizeof(root));
    const char *below = path + (strcmp(root, TN__PATH_HERE) == 0 ? 0 : above);
    while (*below == '/')
        below++;
    char *whole = malloc(strlen(add->open_path) + strlen(below) + 2);
    result = -ENOMEM;
    if (whole) {
        char *end = stpcpy(whole, add->open_path);
        if (*below)
            stpcpy(stpcpy(end, "/"), below);
        bool follow = may_be_link(&registry->tree, node, add);
        result = tn__registry_open_path(whole, O_PATH | (follow ? 0 : O_NOFOLLOW));
    }
    free(whole);
    free(path);
    return result;
}

/* A stranger that is known keeps what was added. */
static int verify_locked(struct tn__registry *registry, int fd, const struct tn__object *object,
                         uint32_t mask)
{
    uint64_t key;
    int result = ask_key_locked(registry, fd, object->kernel_mask | mask, &key);

    if (result < 0 || key == object->key)
        return result;
    uint32_t id = tn__index_get_rcu(&registry->by_key, key);
    struct tn__object *stranger = id ? tn__registry_object(registry, id) : NULL;
    uint32_t more = stranger ? (object->kernel_mask | mask) & ~stranger->kernel_mask : 0;
    if (more) {
        tn__registry_widened_locked(registry, stranger, more);
        stranger->kernel_mask |= more;
    }
    return -ESTALE;
}

int tn__registry_open_verified_locked(struct tn__registry *registry, uint32_t id, uint32_t mask)
{
    struct tn__watch *watch = tn__registry_watch(registry, id);
    uint32_t node = tn__load(&watch->node, relaxed);
    struct tn__policy *policy = tn__load(&watch->policy, acquire);
    struct tn__object *object = tn__registry_object(registry, tn__load(&watch->object, relaxed));
    int fd = tn__registry_open_locked(registry, node, policy->add);
    if (fd < 0)
        return fd;
    int result = verify_locked(registry, fd, object, mask);
    if (result < 0) {
        close(fd);
        return result;
    }
    object->kernel_mask |= mask;
    return fd;
}

int tn__registry_widen_locked(struct tn__registry *registry, uint32_t id, int fd)
{
    struct tn__watch *watch = tn__registry_watch(registry, id);
    struct tn__policy *policy = tn__load(&watch->policy, acquire);
    uint32_t object_id = tn__load(&watch->object, relaxed);

    if (!policy || !object_id)
        return 0;
    struct tn__object *object = tn__registry_object(registry, object_id);
    uint32_t more = tn__policy_kernel_mask(policy, false) & TN__TRACE_MASK & ~object->kernel_mask;
    int result = more ? verify_locked(registry, fd, object, more) : 0;
    if (result == 0)
        object->kernel_mask |= more;
    return result == -ESTALE ? 0 : result; /* else its end is on the way */
}
