/*
 * Who gives what back.
 *
 * A slot of a watch is freed by the reaper, under the lock, once its last
 * reference has gone (drop) — and the reader took it off its object and its
 * node before it queued the final record whose reference that was. A worker
 * that drops the last reference holds no lock: it pushes the watch on
 * ended_watches, a stack that is only ever popped whole, by exchange.
 *
 * The reader alone takes watches off an object's list, so it walks those lists
 * without a lock; writers only put new ones at the head.
 */
#include "registry/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "array.h"
#include "callback.h"
#include "queue/lane.h"
#include "tree/path.h"

int tn__registry_init(struct tn__registry *registry)
{
    int result = tn__tree_init(&registry->tree, &registry->write_lock);

    if (result < 0)
        return result;
    tn__store_init(&registry->watches, sizeof(struct tn__watch), offsetof(struct tn__watch, link));
    tn__store_init(&registry->objects, sizeof(struct tn__object),
                   offsetof(struct tn__object, older));
    tn__index_init(&registry->by_wd);
    tn__index_init(&registry->by_key);
    tn__index_init(&registry->markers);
    tn__park_init(&registry->quiet);
    pthread_mutex_init(&registry->write_lock, NULL);
    result = tn__registry_reserve_guard_locked(registry, NULL); /* the reader's own */
    if (result < 0)
        tn__registry_done(registry);
    return result;
}

static void end_all(struct tn__registry *registry)
{
    uint64_t wd = 0;
    uint32_t id;

    while (tn__index_next_rcu(&registry->by_wd, &wd, &id)) {
        struct tn__watch *watch = tn__registry_watch(registry, id);
        uint64_t refs = tn__load(&watch->state, acquire) & TN__WATCH_REFS;
        if (refs)
            tn__registry_drop(registry, id, refs);
        wd++;
    }
}

void tn__registry_free_memory(struct tn__registry *registry)
{
    tn__index_done(&registry->by_wd);
    tn__index_done(&registry->by_key);
    tn__index_done(&registry->markers);
    tn__trace_done(&registry->traces);
    tn__store_done(&registry->watches);
    tn__store_done(&registry->objects);
    tn__tree_done(&registry->tree);
    free(registry->unresolved.items);
    free(registry->finals.items);
    free(registry->guards.items);
}

void tn__registry_done(struct tn__registry *registry)
{
    end_all(registry);
    tn__registry_lock(registry);
    while (registry->young)
        tn__add_unref(tn__registry_take_young_locked(registry, registry->young->young_id));
    tn__registry_reap_locked(registry);
    tn__registry_unlock(registry);
    tn__rcu_barrier();
    tn__registry_free_memory(registry);
    pthread_mutex_destroy(&registry->write_lock);
}

/* Policies are freed after a grace period, whoever drops them: a writer reads them too. */
void tn__registry_lock(struct tn__registry *registry)
{
    pthread_mutex_lock(&registry->write_lock);
    tn__rcu_read_lock();
}

void tn__registry_unlock(struct tn__registry *registry)
{
    tn__rcu_read_unlock();
    pthread_mutex_unlock(&registry->write_lock);
}

uint32_t tn__registry_find_rcu(const struct tn__registry *registry, tn_wd wd)
{
    uint32_t id = wd > 0 ? tn__index_get_rcu(&registry->by_wd, (uint64_t)wd) : 0;

    return id && tn__watch_is_live(tn__registry_watch(registry, id)) ? id : 0;
}

uint32_t tn__registry_find_user_rcu(const struct tn__registry *registry, tn_wd wd)
{
    uint32_t id = tn__registry_find_rcu(registry, wd);

    return id && !tn__watch_is_item(tn__registry_watch(registry, id)) ? id : 0;
}

uint32_t tn__registry_next_item_locked(const struct tn__registry *registry, uint32_t node,
                                       uint32_t *child)
{
    const struct tn__tree *tree = &registry->tree;

    *child = *child ? tn__node_next_sibling(tree, *child) : tn__node_first_child(tree, node);
    for (; *child; *child = tn__node_next_sibling(tree, *child)) {
        uint32_t watch = tn__node_watch(tree, *child);
        if (watch && tn__watch_is_item(tn__registry_watch(registry, watch)))
            return watch;
    }
    return 0;
}

bool tn__ids_append(struct tn__ids *ids, uint32_t id)
{
    uint32_t *items = tn__array_room(ids->items, ids->count, &ids->capacity, sizeof(*items));

    if (!items)
        return false;
    ids->items = items;
    items[ids->count++] = id;
    return true;
}

void tn__registry_tell_reader(struct tn__registry *registry)
{
    registry->wake(registry->wake_context);
}

int tn__registry_unresolved_locked(struct tn__registry *registry, uint32_t node)
{
    if (tn__node_flags(&registry->tree, node) & TN__NODE_QUEUED)
        return 0;
    if (!tn__ids_append(&registry->unresolved, node))
        return -ENOMEM;
    tn__node_set_flags_locked(&registry->tree, node, TN__NODE_UNRESOLVED | TN__NODE_QUEUED);
    tn__fetch_add(&registry->work, 1, release);
    return 0;
}

uint32_t tn__registry_take_unresolved_locked(struct tn__registry *registry)
{
    while (registry->unresolved.count) {
        uint32_t node = registry->unresolved.items[--registry->unresolved.count];
        tn__node_clear_flags_locked(&registry->tree, node, TN__NODE_QUEUED);
        uint32_t flags = tn__node_flags(&registry->tree, node);
        if (!(flags & TN__NODE_DETACHED) && flags & TN__NODE_UNRESOLVED)
            return node;
        tn__registry_prune_node_locked(registry, node);
    }
    return 0;
}

void tn__registry_final_locked(struct tn__registry *registry, uint32_t watch)
{
    if (!tn__ids_append(&registry->finals, watch))
        registry->sweep = true;
    tn__fetch_add(&registry->work, 1, release);
    tn__registry_tell_reader(registry);
}

int tn__registry_mark_locked(struct tn__registry *registry, enum tn__mark_purpose purpose,
                             uint32_t id)
{
    uint64_t key;
    int result = registry->source->ops->mark(registry->source, &key);

    if (result < 0)
        return result;
    return tn__index_set_locked(&registry->markers, key,
                                (uint32_t)purpose << TN__MARK_ID_BITS | id);
}

void tn__registry_forget_markers(struct tn__registry *registry)
{
    uint64_t key = 0;
    uint32_t value;

    for (; tn__index_next_rcu(&registry->markers, &key, &value); key++) {
        tn__index_clear_locked(&registry->markers, key);
        if (value >> TN__MARK_ID_BITS == TN__MARK_AWAKE)
            tn__registry_drop(registry, value & ((1u << TN__MARK_ID_BITS) - 1), 1);
    }
}

void tn__registry_begin_young_locked(struct tn__registry *registry, struct tn__add *add)
{
    tn__fetch_add(&add->references, 1, relaxed);
    add->young_id = ++registry->last_young & ((1u << TN__MARK_ID_BITS) - 1);
    add->next_young = registry->young;
    registry->young = add;
    tn__store(&add->young, true, release);
}

struct tn__add *tn__registry_take_young_locked(struct tn__registry *registry, uint32_t id)
{
    struct tn__add **link = &registry->young;

    while (*link && (*link)->young_id != id)
        link = &(*link)->next_young;
    struct tn__add *add = *link;
    if (add) {
        *link = add->next_young;
        tn__store(&add->young, false, release);
    }
    return add;
}

static void push_ended_add(struct tn__registry *registry, struct tn__add *add)
{
    add->next = tn__load(&registry->ended_adds, relaxed);
    while (!tn__cas(&registry->ended_adds, &add->next, add, release, relaxed))
        ;
}

void tn__add_drop(struct tn__registry *registry, struct tn__add *add)
{
    if (tn__fetch_sub(&add->watches, 1, acq_rel) != 1)
        return;
    if (add->release && !add->silent) {
        struct tn__callback callback;
        tn__callback_enter(&callback, registry);
        add->release(add->data);
        tn__callback_leave(&callback);
    }
    push_ended_add(registry, add);
}

void tn__registry_drop(struct tn__registry *registry, uint32_t id, uint64_t references)
{
    struct tn__watch *watch = tn__registry_watch(registry, id);
    uint64_t old = tn__fetch_sub(&watch->state, references, acq_rel);

    if ((old & TN__WATCH_REFS) != references) {
        /* Only the final record's reference is left, and its lane waits for that. */
        if ((old & TN__WATCH_STALLED) && (old & TN__WATCH_REFS) == references + 1) {
            uint32_t lane = watch->link;
            tn__fetch_and(&watch->state, ~TN__WATCH_STALLED, acq_rel);
            tn__lane_resume(registry->lanes, tn__lanes_get(registry->lanes, lane));
        }
        return;
    }
    tn__fetch_or(&watch->state, TN__WATCH_ENDED, acq_rel);
    struct tn__policy *policy = tn__exchange(&watch->policy, NULL, acq_rel);
    struct tn__add *add = policy->add;
    tn__fetch_add(&add->references, 1, relaxed);
    tn__policy_unref(policy);

    watch->link = tn__load(&registry->ended_watches, relaxed);
    uint32_t head = watch->link;
    while (!tn__cas(&registry->ended_watches, &head, id, release, relaxed))
        watch->link = head;
    tn__fetch_sub(&add->ending, 1, relaxed);
    tn__add_drop(registry, add);
    tn__add_unref(add);
}

int tn__registry_reserve_guard_locked(struct tn__registry *registry, struct tn__add *add)
{
    struct tn__ids *guards = &registry->guards;

    if (add && add->guarded)
        return 0;
    uint32_t *items =
        tn__array_room(guards->items, registry->guards_reserved, &guards->capacity, sizeof(*items));

    if (!items)
        return -ENOMEM;
    guards->items = items;
    registry->guards_reserved++;
    if (add)
        add->guarded = true;
    return 0;
}

void tn__registry_give_guard_back_locked(struct tn__registry *registry, struct tn__add *add)
{
    registry->guards_reserved -= add->guarded;
    add->guarded = false;
}

void tn__registry_guard_locked(struct tn__registry *registry, uint32_t node)
{
    registry->guards.items[registry->guards.count++] = node;
}

void tn__registry_unguard_locked(struct tn__registry *registry, uint32_t node)
{
    struct tn__ids *guards = &registry->guards;
    size_t i = 0;

    while (guards->items[i] != node)
        i++;
    guards->items[i] = guards->items[--guards->count];
}

static bool is_guarded(const struct tn__registry *registry, uint32_t node)
{
    for (size_t i = 0; i < registry->guards.count; i++)
        if (registry->guards.items[i] == node)
            return true;
    return false;
}

/* Queued ones are freed when they come out of their list; unresolved ones are announced. */
static bool is_needed(const struct tn__registry *registry, uint32_t node)
{
    uint32_t flags = tn__node_flags(&registry->tree, node);

    return flags & TN__NODE_QUEUED ||
           (flags & (TN__NODE_UNRESOLVED | TN__NODE_DETACHED)) == TN__NODE_UNRESOLVED ||
           is_guarded(registry, node);
}

void tn__registry_prune_node_locked(struct tn__registry *registry, uint32_t node)
{
    while (node && !tn__node_watch(&registry->tree, node) &&
           !tn__node_first_child(&registry->tree, node) && !is_needed(registry, node)) {
        uint32_t parent = tn__node_parent(&registry->tree, node);
        tn__node_free_locked(&registry->tree, node);
        node = parent;
    }
}

void tn__registry_detach_node_locked(struct tn__registry *registry, uint32_t node)
{
    tn__fetch_add(&registry->shuffles, 1, relaxed);
    tn__node_unhash_locked(&registry->tree, node);
    tn__node_clear_flags_locked(&registry->tree, node, TN__NODE_UNRESOLVED);
    tn__registry_prune_node_locked(registry, node);
}

void tn__registry_reap_locked(struct tn__registry *registry)
{
    if (TN__UNLIKELY(tn__load(&registry->ended_watches, relaxed))) {
        uint32_t id = tn__exchange(&registry->ended_watches, 0, acquire);
        while (id) {
            struct tn__watch *watch = tn__registry_watch(registry, id);
            uint32_t next = watch->link;
            tn__index_clear_locked(&registry->by_wd, (uint64_t)tn__load(&watch->wd, relaxed));
            tn__store(&watch->wd, 0, release);
            tn__store_free_locked(&registry->watches, id);
            id = next;
        }
    }
    if (TN__UNLIKELY(tn__load(&registry->ended_adds, relaxed) != NULL)) {
        struct tn__add *add = tn__exchange(&registry->ended_adds, NULL, acquire);
        while (add) {
            struct tn__add *next = add->next;
            if (!tn__load(&add->spent, acquire)) /* else the reader still uses it */
                tn__registry_give_guard_back_locked(registry, add);
            if (add->lane)
                tn__lanes_free(registry->lanes, add->lane);
            tn__add_unref(add);
            add = next;
        }
    }
}
