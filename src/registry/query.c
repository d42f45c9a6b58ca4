/*
 * Looking things up. No lock is taken, unless a move overtakes the building of
 * a path.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "notifier.h"
#include "options.h"
#include "tree/path.h"

/* Of a live watch that has a node: that of its name, if it follows one. */
static ssize_t path_locked(struct tn__registry *registry, uint32_t id, char *buffer, size_t size)
{
    struct tn__watch *watch = tn__registry_watch(registry, id);
    ssize_t length = tn__path_build(&registry->tree, tn__load(&watch->node, relaxed), buffer, size);

    if (!tn__watch_is_name(watch) || (size_t)length >= size)
        return length;
    const char *name = tn__load(&watch->policy, acquire)->add->name;
    return (ssize_t)tn__path_join(buffer, (size_t)length, name, strlen(name), buffer, size);
}

/* The path of a watch, malloc'ed; -ENOENT, -ENOMEM. */
static int watch_path(struct tn__registry *registry, tn_wd wd, char **ret_path)
{
    size_t size = 256;

    for (;;) {
        char *path = malloc(size);
        ssize_t length = -ENOENT;
        if (!path)
            return -ENOMEM;
        tn__rcu_read_lock();
        uint32_t id = tn__registry_find_user_rcu(registry, wd);
        uint32_t node = id ? tn__load(&tn__registry_watch(registry, id)->node, acquire) : 0;
        if (node)
            length = tn__watch_is_name(tn__registry_watch(registry, id))
                         ? -EAGAIN
                         : tn__path_build_rcu(&registry->tree, node, path, size);
        tn__rcu_read_unlock();
        if (length == -EAGAIN) {
            tn__registry_lock(registry);
            id = tn__registry_find_user_rcu(registry, wd);
            node = id ? tn__load(&tn__registry_watch(registry, id)->node, relaxed) : 0;
            length = node ? path_locked(registry, id, path, size) : -ENOENT;
            tn__registry_unlock(registry);
        }
        if (length >= 0 && (size_t)length < size) {
            *ret_path = path;
            return 0;
        }
        free(path);
        if (length < 0)
            return (int)length;
        size = (size_t)length + 1;
    }
}

/* What a path leads to. */
struct search {
    struct tn__registry *registry;
    tn_wd oldest; /* 0: none yet */
    bool names;   /* a name may be meant: look again under the lock */
    bool locked;
};

static void take(struct search *search, uint32_t id)
{
    tn_wd wd = tn__load(&tn__registry_watch(search->registry, id)->wd, acquire);

    if (wd > 0 && (!search->oldest || wd < search->oldest))
        search->oldest = wd;
}

static void consider(struct search *search, uint32_t node)
{
    const uint64_t hidden = TN__WATCH_NAME | TN__WATCH_ITEM;
    uint32_t id = tn__node_watch(&search->registry->tree, node);

    if (id && tn__watch_is_live(tn__registry_watch(search->registry, id)) &&
        !(tn__load(&tn__registry_watch(search->registry, id)->state, relaxed) & hidden))
        take(search, id);
}

/* The add of a watch that has a node stays as long as the lock is held. */
static void consider_name(struct search *search, uint32_t root, const char *rest)
{
    uint32_t id = tn__node_watch(&search->registry->tree, root);
    struct tn__watch *watch = id ? tn__registry_watch(search->registry, id) : NULL;

    if (!watch || !tn__watch_is_name(watch) || !tn__watch_is_live(watch))
        return;
    if (!search->locked)
        search->names = true;
    else if (strcmp(tn__load(&watch->policy, acquire)->add->name, rest) == 0)
        take(search, id);
}

/* From a root's node down the rest of the path, which has no "/" at its start. */
static void descend(struct search *search, uint32_t node, const char *rest)
{
    const struct tn__registry *registry = search->registry;

    consider_name(search, node, rest);
    while (node && *rest) {
        size_t length = strcspn(rest, "/");
        node = tn__node_child_rcu(&registry->tree, node, rest, length);
        rest += length;
        rest += *rest == '/';
    }
    if (node)
        consider(search, node);
}

/* All roots of a name. */
static void descend_from(struct search *search, const char *path, size_t length, const char *rest)
{
    const struct tn__tree *tree = &search->registry->tree;
    uint32_t root = tn__node_child_rcu(tree, 0, path, length);

    for (; root; root = tn__node_child_next_rcu(tree, root, 0, path, length))
        descend(search, root, rest);
}

/* Each prefix of the path may be the path of one root or several. */
static tn_wd find_rcu(struct search *search, const char *path)
{
    size_t length = 0;

    if (*path != '/')
        descend_from(search, TN__PATH_HERE, strlen(TN__PATH_HERE), path);
    while (path[length]) {
        length += path[length] == '/' ? 1 : strcspn(path + length, "/");
        const char *rest = path + length + (path[length] == '/');
        descend_from(search, path, length, rest);
        length += path[length] == '/';
    }
    return search->oldest;
}

static tn_wd find(struct tn__registry *registry, const char *path)
{
    struct search search = {.registry = registry};

    tn__rcu_read_lock();
    tn_wd wd = find_rcu(&search, path);
    tn__rcu_read_unlock();
    if (!search.names)
        return wd;
    search.locked = true;
    tn__registry_lock(registry);
    wd = find_rcu(&search, path);
    tn__registry_unlock(registry);
    return wd;
}

int tn_watch_find(struct tn_notifier *notifier, const char *path, tn_wd *ret_wd)
{
    int result = tn__notifier_check(notifier);

    if (result == 0 && !path)
        result = -EINVAL;
    if (result < 0)
        return result;
    char *normal = malloc(strlen(path) + 1);
    if (!normal)
        return -ENOMEM;
    tn__path_normalise(path, normal);
    tn_wd wd = find(tn__notifier_registry(notifier), normal);
    free(normal);
    if (!wd)
        return -ENOENT;
    if (ret_wd)
        *ret_wd = wd;
    return 0;
}

ssize_t tn_watch_path(struct tn_notifier *notifier, tn_wd wd, char *buffer, size_t size)
{
    char *path = NULL;
    int result = tn__notifier_check(notifier);

    if (result == 0 && size && !buffer)
        result = -EINVAL;
    if (result == 0)
        result = watch_path(tn__notifier_registry(notifier), wd, &path);
    if (result != 0)
        return result;
    size_t length = strlen(path);
    if (size) {
        size_t kept = tn__min(length, size - 1);
        memcpy(buffer, path, kept);
        buffer[kept] = '\0';
    }
    free(path);
    return (ssize_t)length;
}

int tn_watch_path_dup(struct tn_notifier *notifier, tn_wd wd, char **ret_path)
{
    int result = tn__notifier_check(notifier);

    if (result == 0 && !ret_path)
        result = -EINVAL;
    return result < 0 ? result : watch_path(tn__notifier_registry(notifier), wd, ret_path);
}

/* The watch on the directory above, of the same add; -1: there is none. */
static tn_wd parent_rcu(struct tn__registry *registry, struct tn__watch *watch, tn_wd root)
{
    uint32_t node = tn__load(&watch->node, acquire);
    uint32_t above = node ? tn__node_parent(&registry->tree, node) : 0;
    uint32_t id = above && above != TN__NODE_DEAD ? tn__node_watch(&registry->tree, above) : 0;

    if (id && tn__watch_is_item(tn__registry_watch(registry, id)))
        return root;
    return id ? tn__load(&tn__registry_watch(registry, id)->wd, acquire) : -1;
}

int tn_watch_get_info(struct tn_notifier *notifier, tn_wd wd, struct tn_watch_info *ret_info)
{
    struct tn_watch_info info = {.wd = wd};
    int result = tn__notifier_check(notifier);

    if (result == 0 && !ret_info)
        result = -EINVAL;
    if (result < 0)
        return result;
    struct tn__registry *registry = tn__notifier_registry(notifier);
    tn__rcu_read_lock();
    uint32_t id = tn__registry_find_user_rcu(registry, wd);
    struct tn__watch *watch = id ? tn__registry_watch(registry, id) : NULL;
    struct tn__policy *policy = watch ? tn__watch_policy_rcu(watch) : NULL;
    if (policy) {
        info.root = policy->add->root;
        info.parent = parent_rcu(registry, watch, policy->add->root);
        info.mask = policy->mask;
        info.flags = policy->flags;
        info.order = policy->add->order;
        info.data = policy->add->data;
        info.is_dir = tn__load(&watch->state, relaxed) & TN__WATCH_DIR;
    }
    tn__rcu_read_unlock();
    if (!policy)
        return -ENOENT;
    tn__policy_unref(policy);
    return tn__output_copy(ret_info, &info, sizeof(info));
}

static bool is_at_or_below(const char *path, const char *top)
{
    size_t length = strlen(top);

    if (strncmp(path, top, length) != 0)
        return false;
    return !path[length] || path[length] == '/' || (length == 1 && *top == '/');
}

static int visit_each(struct tn__registry *registry, const char *top,
                      int (*visit)(tn_wd wd, const char *path, void *userdata), void *userdata)
{
    uint64_t wd = 0;
    int result = 0;

    for (; result == 0; wd++) {
        uint32_t id;
        char *path;
        tn__rcu_read_lock();
        bool found = tn__index_next_rcu(&registry->by_wd, &wd, &id);
        tn__rcu_read_unlock();
        if (!found)
            break;
        int error = watch_path(registry, (tn_wd)wd, &path);
        if (error == -ENOMEM)
            return error;
        if (error < 0)
            continue;
        if (!top || is_at_or_below(path, top))
            result = visit((tn_wd)wd, path, userdata);
        free(path);
    }
    return result;
}

int tn_watch_each(struct tn_notifier *notifier, const char *path,
                  int (*visit)(tn_wd wd, const char *path, void *userdata), void *userdata)
{
    int result = tn__notifier_check(notifier);
    char *top = NULL;

    if (result == 0 && !visit)
        result = -EINVAL;
    if (result < 0)
        return result;
    if (path) {
        top = malloc(strlen(path) + 1);
        if (!top)
            return -ENOMEM;
        tn__path_normalise(path, top);
    }
    result = visit_each(tn__notifier_registry(notifier), top, visit, userdata);
    free(top);
    return result;
}
