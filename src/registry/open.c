/*
 * Opening what the tree has a place for.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

int tn__registry_open_locked(struct tn__registry *registry, uint32_t node,
                             const struct tn__add *add)
{
    char *path;
    char root[1];
    int result = tn__registry_path_dup(registry, node, &path);

    if (result < 0)
        return result;
    size_t above = tn__node_name(&registry->tree, add->root_node, root, sizeof(root));
    const char *below = path + above;
    while (*below == '/')
        below++;
    char *whole = malloc(strlen(add->open_path) + strlen(below) + 2);
    result = -ENOMEM;
    if (whole) {
        char *end = stpcpy(whole, add->open_path);
        if (*below)
            stpcpy(stpcpy(end, "/"), below);
        bool follow = !*below && add->follow_root;
        result = tn__registry_open_path(whole, O_PATH | (follow ? 0 : O_NOFOLLOW));
    }
    free(whole);
    free(path);
    return result;
}

/* An accidental watch on a stranger is taken back; one that is known keeps what was added. */
static int verify_locked(struct tn__registry *registry, int fd, const struct tn__object *object,
                         uint32_t mask)
{
    struct tn__source *source = registry->source;
    uint64_t key;
    int result =
        source->ops->watch(source, fd, NULL, object->kernel_mask | mask | IN_MASK_ADD, &key);

    if (result < 0)
        return result;
    if (key == object->key)
        return 0;
    uint32_t stranger = tn__index_get_rcu(&registry->by_key, key);
    if (stranger)
        tn__registry_object(registry, stranger)->kernel_mask |= object->kernel_mask | mask;
    else
        source->ops->unwatch(source, key);
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
