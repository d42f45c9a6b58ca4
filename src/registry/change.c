/*
 * Updating.
 *
 * An update gives the watch another policy; readers have the old one until
 * they let it go. Where the kernel must be asked for more, that comes first,
 * because it may fail; asking for less may fail without harm, since what is not
 * wanted is not delivered.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "array.h"
#include "callback.h"
#include "notifier.h"
#include "options.h"
#include "registry/add.h"

enum { RECENT_PAIRS = 8 };

#define UPDATE_FIELDS (TN_UPDATE_MASK | TN_UPDATE_PROCESSOR | TN_UPDATE_FILTER | TN_UPDATE_AUTO_ADD)

/*
 * Policies before and after: most watches below one another share one, and one
 * that was not used for a while is made again. All are
 * referenced until the lock is given back, because the last reference may call
 * a user's release.
 */
struct pair {
    struct tn__policy *old, *changed;
};

struct update {
    struct tn__registry *registry;
    uint32_t fields;
    const struct tn_watch_options *options;
    struct pair *pairs;
    size_t count, capacity;
    size_t used; /* by the watches so far, in this pass */
};

static uint32_t new_mask(const struct update *update, uint32_t old)
{
    const uint32_t kept = (uint32_t)(IN_ONLYDIR | IN_DONT_FOLLOW | IN_ONESHOT);
    const uint32_t add_bit = IN_MASK_ADD;
    uint32_t mask = update->options->mask;

    if (!(update->fields & TN_UPDATE_MASK))
        return old;
    if (mask & add_bit)
        return old | (mask & ~add_bit);
    return (mask & ~kept) | (old & kept) | (mask & IN_ONESHOT);
}

static struct tn__policy *known_pair(const struct update *update, const struct tn__policy *old)
{
    for (size_t i = update->used; i > 0 && update->used - i < RECENT_PAIRS; i--)
        if (update->pairs[i - 1].old == old)
            return update->pairs[i - 1].changed;
    return NULL;
}

/* The second pass meets the same watches in the same order: it finds what the first has made. */
static struct tn__policy *changed_policy(struct update *update, struct tn__policy *old)
{
    const struct tn_watch_options *options = update->options;
    const uint32_t fields = update->fields;
    struct tn__policy *changed = known_pair(update, old);

    if (changed)
        return changed;
    if (update->used < update->count)
        return update->pairs[update->used++].changed;
    struct pair *pairs =
        tn__array_room(update->pairs, update->count, &update->capacity, sizeof(*pairs));
    if (!pairs)
        return NULL;
    update->pairs = pairs;
    uint32_t flags = old->flags;
    if (fields & TN_UPDATE_AUTO_ADD)
        flags = (flags & ~TN_WATCH_AUTO_ADD) | (options->flags & TN_WATCH_AUTO_ADD);
    changed = tn__policy_new(old->add, new_mask(update, old->mask), flags,
                             fields & TN_UPDATE_PROCESSOR ? options->processor : old->processor,
                             fields & TN_UPDATE_FILTER ? options->filter : old->filter);
    if (changed)
        update->pairs[update->count++] =
            (struct pair){.old = tn__policy_ref(old), .changed = changed};
    update->used = update->count;
    return changed;
}

static void drop_pairs(struct update *update)
{
    for (size_t i = 0; i < update->count; i++) {
        tn__policy_unref(update->pairs[i].old);
        tn__policy_unref(update->pairs[i].changed);
    }
    free(update->pairs);
}

/* What all watches on the object need, with the watch's policy replaced. */
static uint32_t needed_mask(struct tn__registry *registry, const struct tn__object *object,
                            uint32_t changed_id, const struct tn__policy *changed)
{
    uint32_t mask = 0, exclude = IN_EXCL_UNLINK;
    uint32_t id = tn__load(&object->first, acquire);

    for (; id; id = tn__registry_next_watch(registry, id)) {
        struct tn__watch *watch = tn__registry_watch(registry, id);
        const struct tn__policy *policy = tn__load(&watch->policy, acquire);
        if (!tn__watch_is_live(watch))
            continue;
        policy = id == changed_id ? changed : policy;
        uint32_t node = tn__load(&watch->node, relaxed);
        uint32_t own = tn__policy_kernel_mask(policy, node == policy->add->root_node);
        exclude &= own;
        mask |= own;
    }
    return (mask & ~(uint32_t)IN_EXCL_UNLINK) | exclude;
}

/* 0, or why the kernel can't be asked for more. */
static int ask_kernel_locked(struct tn__registry *registry, uint32_t id,
                             const struct tn__policy *changed)
{
    struct tn__watch *watch = tn__registry_watch(registry, id);
    struct tn__object *object = tn__registry_object(registry, tn__load(&watch->object, relaxed));
    uint32_t mask = needed_mask(registry, object, id, changed);
    if (mask == object->kernel_mask)
        return 0;
    if (mask & TN__TRACE_MASK)
        tn__store(&registry->traces.asked, true, relaxed);
    const uint32_t exclude = IN_EXCL_UNLINK;
    bool more = mask & ~object->kernel_mask & ~exclude || object->kernel_mask & ~mask & exclude;
    int fd = tn__registry_open_verified_locked(registry, id, mask & ~exclude);
    if (fd < 0) {
        bool moved = fd == -ENOENT || fd == -ENOTDIR || fd == -ESTALE || fd == -ELOOP;
        return more ? (moved ? -EAGAIN : fd) : 0;
    }
    uint64_t key;
    int result = registry->source->ops->watch(registry->source, fd, NULL, mask, &key);
    if (result == 0) {
        if (more)
            tn__registry_widened_locked(registry, object, mask & ~object->kernel_mask);
        object->kernel_mask = mask;
    }
    close(fd);
    return more ? result : 0;
}

uint32_t tn__registry_next_below_locked(struct tn__registry *registry, uint32_t root,
                                        uint64_t flags, uint32_t *node)
{
    while ((*node = tn__node_walk_next_locked(&registry->tree, root, *node)) != 0) {
        uint32_t id = tn__node_watch(&registry->tree, *node);
        if (id && !(tn__load(&tn__registry_watch(registry, id)->state, acquire) & flags))
            return id;
    }
    return 0;
}

/* The one after it that the update is for. What has a name goes with the name. */
static uint32_t next_changed_locked(const struct update *update, uint32_t root, bool is_name,
                                    uint32_t *node)
{
    struct tn__registry *registry = update->registry;

    if (update->fields & TN_UPDATE_RECURSIVE)
        return tn__registry_next_below_locked(registry, root, TN__WATCH_DEAD, node);
    *node = *node == root ? 0 : *node;
    return is_name ? tn__registry_next_item_locked(registry, root, node) : 0;
}

static int prepare_locked(struct update *update, uint32_t id)
{
    struct tn__watch *watch = tn__registry_watch(update->registry, id);
    struct tn__policy *changed = changed_policy(update, tn__load(&watch->policy, acquire));

    return changed ? ask_kernel_locked(update->registry, id, changed) : -ENOMEM;
}

/* The pair is held, so the old policy's last reference does not go here. */
static void swap_locked(struct update *update, struct tn__watch *watch)
{
    struct tn__policy *old = tn__load(&watch->policy, acquire);
    struct tn__policy *changed = tn__policy_ref(changed_policy(update, old));

    if (tn__cas(&watch->policy, &old, changed, acq_rel, relaxed))
        tn__policy_unref(old);
    else
        tn__policy_unref(changed); /* it has ended just now */
}

/*
 * Asks the kernel first, for all; then nothing can fail but memory, which is had
 * before. A watch that has a node has an object and a policy: the reader takes
 * node and object off it under the lock, and its end comes after that.
 */
static int update_locked(struct update *update, uint32_t root_id)
{
    struct tn__registry *registry = update->registry;
    const uint32_t root = tn__load(&tn__registry_watch(registry, root_id)->node, relaxed);
    const bool is_name = tn__watch_is_name(tn__registry_watch(registry, root_id));

    if (!root)
        return -ENOENT;
    for (int pass = 0; pass < 2; pass++) {
        uint32_t node = root, id = root_id;
        update->used = 0;
        while (id) {
            struct tn__watch *watch = tn__registry_watch(registry, id);
            int result = pass == 0 ? prepare_locked(update, id) : 0;
            if (result < 0)
                return result;
            if (pass == 1)
                swap_locked(update, watch);
            id = next_changed_locked(update, root, is_name, &node);
        }
    }
    return 0;
}

static int reserve_guard_locked(struct tn__registry *registry, uint32_t id)
{
    struct tn__policy *policy = tn__load(&tn__registry_watch(registry, id)->policy, acquire);

    return policy ? tn__registry_reserve_guard_locked(registry, policy->add) : -ENOENT;
}

static int update_one(struct tn__registry *registry, tn_wd wd, uint32_t fields,
                      const struct tn_watch_options *options)
{
    struct update update = {.registry = registry, .fields = fields, .options = options};

    if (tn__load(&registry->closed, acquire))
        return -ESHUTDOWN;
    tn__registry_lock(registry);
    uint32_t id = tn__registry_find_user_rcu(registry, wd);
    int result = id ? 0 : -ENOENT;
    if (result == 0 && options->mask & IN_ONESHOT)
        result = reserve_guard_locked(registry, id);
    if (result == 0)
        result = update_locked(&update, id);
    tn__registry_unlock(registry);
    drop_pairs(&update);
    if (result == 0 && fields & TN_UPDATE_PROCESSOR)
        tn__registry_note_processor(registry, options->processor);
    return result;
}

static int check_update(const struct tn_notifier *notifier, uint32_t fields,
                        const struct tn_watch_options *options, struct tn_watch_options *ret_own)
{
    int result = tn__notifier_check(notifier);

    if (result == 0 &&
        (!options || !(fields & UPDATE_FIELDS) || fields & ~(UPDATE_FIELDS | TN_UPDATE_RECURSIVE)))
        result = -EINVAL;
    if (result == 0)
        result = tn__options_copy(ret_own, sizeof(*ret_own), options);
    if (result == 0 && fields & TN_UPDATE_MASK)
        result = tn__mask_check(ret_own->mask, IN_MASK_ADD);
    return result;
}

int tn_watch_update(struct tn_notifier *notifier, tn_wd wd, uint32_t fields,
                    const struct tn_watch_options *options)
{
    struct tn_watch_options own;
    int result = check_update(notifier, fields, options, &own);

    return result != 0 ? result : update_one(tn__notifier_registry(notifier), wd, fields, &own);
}

int tn_watch_update_list(struct tn_notifier *notifier, const tn_wd *wds, size_t count,
                         uint32_t fields, const struct tn_watch_options *options, int *errors)
{
    struct tn_watch_options own;
    int result = check_update(notifier, fields, options, &own);
    int changed = 0;

    if (result == 0 && ((count && !wds) || count > INT32_MAX))
        result = -EINVAL;
    if (result == 0 && tn__load(&tn__notifier_registry(notifier)->closed, acquire))
        result = -ESHUTDOWN;
    if (result != 0)
        return result;
    for (size_t i = 0; i < count; i++) {
        int error = update_one(tn__notifier_registry(notifier), wds[i], fields, &own);
        changed += error == 0;
        if (errors)
            errors[i] = error;
    }
    return changed;
}
