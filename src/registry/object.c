/*
 * Watches on objects: placing, attaching, taking off.
 *
 * One inode has one key in the source, whatever path leads to it. Its object
 * holds all watches on it; the source is asked for the union of what they need.
 * A key that comes again while the old object's IN_IGNORED is still on its way
 * gets an object of its own, which keeps the older one in `older`.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>

#include "registry/registry.h"

void tn__registry_widened_locked(struct tn__registry *registry, struct tn__object *object,
                                 uint32_t more)
{
    object->widened = ++registry->widenings;
    if (more & IN_MOVE_SELF)
        object->moves_widened = object->widened;
}

/*
 * An inode that is known already answers IN_MASK_CREATE with EEXIST. Its mask
 * may only grow then; IN_EXCL_UNLINK stays only while all ask for it.
 */
int tn__registry_place_locked(struct tn__registry *registry, int fd, const char *path,
                              uint32_t mask, struct tn__placed *ret_placed)
{
    const uint32_t exclude = IN_EXCL_UNLINK;
    struct tn__source *source = registry->source;
    uint64_t key;
    uint32_t widened = 0;

    if (mask & TN__TRACE_MASK)
        tn__store(&registry->traces.asked, true, relaxed);
    int result = source->ops->watch(source, fd, path, mask | IN_MASK_CREATE, &key);
    const bool fresh = result != -EEXIST;

    if (!fresh) {
        result = source->ops->watch(source, fd, path, (mask & ~exclude) | IN_MASK_ADD, &key);
        if (result < 0)
            return result;
        uint32_t id = tn__index_get_rcu(&registry->by_key, key);
        if (id) {
            struct tn__object *object = tn__registry_object(registry, id);
            uint32_t both = (object->kernel_mask | mask) & ~exclude;
            const uint32_t more = mask & ~(object->kernel_mask | exclude);
            if (more)
                tn__registry_widened_locked(registry, object, more);
            widened = object->widened;
            if (object->kernel_mask & mask & exclude)
                both |= exclude;
            else if (object->kernel_mask & exclude)
                result = source->ops->watch(source, fd, path, both, &key);
            if (result < 0)
                return result;
            object->kernel_mask = both;
        }
    } else if (result < 0) {
        return result;
    }
    *ret_placed = (struct tn__placed){.key = key, .fresh = fresh, .widened = widened};
    return 0;
}

static int new_object_locked(struct tn__registry *registry, const struct tn__placed *placed,
                             uint32_t mask, uint32_t *ret_id)
{
    uint32_t id = tn__store_alloc_locked(&registry->objects);

    if (!id)
        return -ENOMEM;
    struct tn__object *object = tn__registry_object(registry, id);
    object->key = placed->key;
    object->kernel_mask = mask;
    /* Not fresh, and no object: the reader is about to attach it, and may have asked for less. */
    object->widened = object->moves_widened = 0;
    if (!placed->fresh)
        tn__registry_widened_locked(registry, object, mask);
    tn__store(&object->older, tn__index_get_rcu(&registry->by_key, placed->key), relaxed);
    tn__store(&object->first, 0, relaxed);
    if (tn__index_set_locked(&registry->by_key, placed->key, id) < 0) {
        tn__store_free_locked(&registry->objects, id);
        return -ENOMEM;
    }
    *ret_id = id;
    return 0;
}

static void free_object_locked(struct tn__registry *registry, uint32_t id)
{
    struct tn__object *object = tn__registry_object(registry, id);
    uint32_t older = tn__load(&object->older, relaxed);
    uint32_t newer = tn__index_get_rcu(&registry->by_key, object->key);

    if (newer == id && !older) {
        tn__index_clear_locked(&registry->by_key, object->key);
    } else if (newer == id) {
        tn__index_set_locked(&registry->by_key, object->key, older);
    } else {
        uint32_t next;
        while (newer &&
               (next = tn__load(&tn__registry_object(registry, newer)->older, relaxed)) != id)
            newer = next;
        if (newer)
            tn__store(&tn__registry_object(registry, newer)->older, older, release);
    }
    tn__store_free_locked(&registry->objects, id);
}

static void fill_watch(struct tn__watch *watch, const struct tn__attach *attach, tn_wd wd,
                       uint32_t object, uint32_t first, bool asleep)
{
    watch->link = 0;
    /* Its marker holds a reference. */
    uint64_t state = asleep ? 2 * TN__WATCH_REF | TN__WATCH_ASLEEP : TN__WATCH_REF;
    state |= (attach->is_dir ? TN__WATCH_DIR : 0) | (attach->untold ? TN__WATCH_UNTOLD : 0) |
             (attach->young ? TN__WATCH_YOUNG : 0) | attach->role |
             (attach->role & TN__WATCH_ITEM ? TN__WATCH_MUTE : 0);
    tn__store(&watch->state, state, relaxed);
    tn__store(&watch->policy, tn__policy_ref(attach->policy), release);
    tn__store(&watch->object, object, relaxed);
    tn__store(&watch->next, first, relaxed);
    tn__store(&watch->node, attach->node, relaxed);
    tn__store(&watch->wd, wd, release);
}

int tn__registry_attach_locked(struct tn__registry *registry, const struct tn__attach *attach,
                               uint32_t *ret_id)
{
    const uint32_t exclude = IN_EXCL_UNLINK;
    struct tn__add *add = attach->policy->add;
    const bool is_root = attach->node == add->root_node;
    const uint32_t mask = tn__policy_kernel_mask(attach->policy, is_root) & ~attach->left_out;
    bool made = false;

    tn__registry_reap_locked(registry);
    uint32_t object_id =
        attach->placed.fresh ? 0 : tn__index_get_rcu(&registry->by_key, attach->placed.key);
    uint32_t id = tn__store_alloc_locked(&registry->watches);
    if (!id)
        return -ENOMEM;
    tn_wd wd = registry->last_wd + 1;
    if (tn__index_set_locked(&registry->by_wd, (uint64_t)wd, id) < 0)
        goto no_index;
    if (!object_id) {
        if (new_object_locked(registry, &attach->placed, mask, &object_id) < 0)
            goto no_object;
        made = true;
    }
    /* A marker that can't be put: it begins at once, with what is queued already. */
    bool asleep =
        attach->marked && !made && tn__registry_mark_locked(registry, TN__MARK_AWAKE, id) == 0;

    struct tn__object *object = tn__registry_object(registry, object_id);
    if (!made)
        object->kernel_mask |= mask & ~exclude;
    registry->last_wd = wd;
    if (!add->root)
        add->root = wd;
    if (attach->ret_wd)
        *attach->ret_wd = wd;
    tn__fetch_add(&add->watches, 1, relaxed);
    tn__fetch_add(&registry->live, !(attach->role & TN__WATCH_ITEM), relaxed);
    tn__fetch_add(&registry->names, attach->role == TN__WATCH_NAME, relaxed);
    fill_watch(tn__registry_watch(registry, id), attach, wd, object_id,
               tn__load(&object->first, relaxed), asleep);
    tn__node_set_watch_locked(&registry->tree, attach->node, id);
    tn__store(&object->first, id, release);
    *ret_id = id;
    return 0;

no_object:
    tn__index_clear_locked(&registry->by_wd, (uint64_t)wd);
no_index:
    tn__store_free_locked(&registry->watches, id);
    return -ENOMEM;
}

uint32_t tn__registry_of_add_locked(const struct tn__registry *registry, uint32_t object,
                                    const struct tn__add *add)
{
    uint32_t id = tn__load(&tn__registry_object(registry, object)->first, acquire);

    while (id) {
        struct tn__watch *watch = tn__registry_watch(registry, id);
        struct tn__policy *policy = tn__load(&watch->policy, acquire);
        if (policy && policy->add == add && tn__watch_is_live(watch) && !tn__watch_is_name(watch))
            return id;
        id = tn__load(&watch->next, acquire);
    }
    return 0;
}

static bool has_other_watch(struct tn__registry *registry, uint32_t object, uint32_t but)
{
    uint32_t id = tn__load(&tn__registry_object(registry, object)->first, acquire);

    while (id && (id == but || !tn__watch_is_live(tn__registry_watch(registry, id))))
        id = tn__registry_next_watch(registry, id);
    return id != 0;
}

void tn__registry_release_object_locked(struct tn__registry *registry, uint32_t id)
{
    uint32_t object = tn__load(&tn__registry_watch(registry, id)->object, relaxed);

    if (object && !has_other_watch(registry, object, id))
        registry->source->ops->unwatch(registry->source,
                                       tn__registry_object(registry, object)->key);
}

bool tn__registry_has_live_watch_locked(struct tn__registry *registry, uint32_t object)
{
    return has_other_watch(registry, object, 0);
}

bool tn__registry_mark_removed_locked(struct tn__registry *registry, uint32_t id, uint64_t flags)
{
    struct tn__watch *watch = tn__registry_watch(registry, id);

    if (!tn__watch_kill(watch, flags))
        return false;
    if (tn__load(&watch->object, relaxed))
        tn__fetch_sub(&registry->live, !tn__watch_is_item(watch), relaxed);
    return true;
}

/* A watch without an object was ended by the stream; its final record is on the way. */
void tn__registry_finish_removed_locked(struct tn__registry *registry, uint32_t id)
{
    uint32_t object = tn__load(&tn__registry_watch(registry, id)->object, relaxed);

    if (!object)
        return;
    struct tn__source *source = registry->source;
    /* A source that has ended it already may have lost its IN_IGNORED to an overflow. */
    if (has_other_watch(registry, object, id) ||
        source->ops->unwatch(source, tn__registry_object(registry, object)->key) < 0)
        tn__registry_final_locked(registry, id);
}

static bool has_live_parent(const struct tn__registry *registry, uint32_t node)
{
    uint32_t parent = tn__node_parent(&registry->tree, node);
    uint32_t watch = parent ? tn__node_watch(&registry->tree, parent) : 0;

    return watch && tn__watch_is_live(tn__registry_watch(registry, watch));
}

/* What is still to be taken in below a directory that has no watch will not be. */
static void drop_unresolved_locked(struct tn__registry *registry, uint32_t node)
{
    uint32_t child = tn__node_first_child(&registry->tree, node);

    while (child) {
        uint32_t next = tn__node_next_sibling(&registry->tree, child);
        if (!tn__node_watch(&registry->tree, child) &&
            tn__node_flags(&registry->tree, child) & TN__NODE_UNRESOLVED)
            tn__registry_detach_node_locked(registry, child);
        child = next;
    }
}

/*
 * A directory that the source has ended was deleted, but for an unmount: the
 * kernel tells that in its parent only afterwards. Until then its place is kept,
 * as of one that is known by name only.
 */
static void leave_node_locked(struct tn__registry *registry, uint32_t node, bool live)
{
    struct tn__tree *tree = &registry->tree;

    tn__registry_guard_locked(registry, node);
    drop_unresolved_locked(registry, node);
    tn__registry_unguard_locked(registry, node);
    tn__node_set_watch_locked(tree, node, 0);
    tn__node_clear_flags_locked(tree, node, TN__NODE_UNRESOLVED);
    if (live && !(tn__node_flags(tree, node) & TN__NODE_DETACHED) &&
        has_live_parent(registry, node))
        tn__node_set_flags_locked(tree, node, TN__NODE_UNRESOLVED);
    tn__registry_prune_node_locked(registry, node);
}

bool tn__registry_unlink_locked(struct tn__registry *registry, uint32_t id)
{
    struct tn__watch *watch = tn__registry_watch(registry, id);
    uint32_t object_id = tn__exchange(&watch->object, 0, relaxed);
    uint32_t node = tn__exchange(&watch->node, 0, relaxed);
    struct tn__object *object = tn__registry_object(registry, object_id);

    tn__fetch_add(&tn__load(&watch->policy, acquire)->add->ending, 1, relaxed);
    _Atomic uint32_t *link = &object->first;
    while (tn__load(link, relaxed) != id)
        link = &tn__registry_watch(registry, tn__load(link, relaxed))->next;
    tn__store(link, tn__load(&watch->next, relaxed), release);
    if (tn__watch_is_live(watch))
        tn__fetch_sub(&registry->live, !tn__watch_is_item(watch), relaxed);
    tn__fetch_sub(&registry->names, tn__watch_is_name(watch), relaxed);
    bool object_gone = !tn__load(&object->first, relaxed);
    if (object_gone)
        free_object_locked(registry, object_id);
    leave_node_locked(registry, node, tn__watch_is_live(watch));
    return object_gone;
}
