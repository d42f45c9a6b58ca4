/*
 * A freed slot may still be looked at by readers, so it goes through three
 * lists under the lock:
 *
 *   S1  tn__store_free_locked puts it on `collecting`. The caller has unlinked
 *       it from all that readers start from.
 *   S2  When no grace period runs, `collecting` becomes `waiting` and one
 *       tn__rcu_call is made for the whole list: every reader that can hold a
 *       slot of it is in a section that began before the call.
 *   S3  RCU's thread runs without the lock: it sets `grace_over` and touches
 *       nothing else, so the lists stay the lock's.
 *   S4  The next alloc that needs a slot, or the next free, sees `grace_over`,
 *       moves `waiting` to `free`, and begins S2 again if there is something.
 *
 * The one tn__rcu_head is never in flight twice: S2 needs !grace_runs, which
 * S4 alone sets, after S3. The acquire at S4 takes over what the readers did
 * before they left (TSan is told so in rcu.h).
 *
 * Checked by tests/unit/test_store.c and tests/stress/stress_path.c.
 */
#include "registry/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

char tn__rcu_edge;
atomic_bool tn__rcu_prepared;
atomic_bool tn__rcu_started;

static uint32_t *link_of(const struct tn__store *store, uint32_t id)
{
    return (uint32_t *)(void *)((char *)tn__store_get(store, id) + store->link_offset);
}

static void list_push(const struct tn__store *store, struct tn__store_list *list, uint32_t id)
{
    *link_of(store, id) = list->head;
    list->head = id;
    if (!list->tail)
        list->tail = id;
}

/* Puts all of `from`, which is not empty, in front of `to`. */
static void list_splice(const struct tn__store *store, struct tn__store_list *from,
                        struct tn__store_list *to)
{
    *link_of(store, from->tail) = to->head;
    to->head = from->head;
    if (!to->tail)
        to->tail = from->tail;
    *from = (struct tn__store_list){0, 0};
}

/* S3 */
static void grace_ended(struct tn__rcu_head *head)
{
    struct tn__store *store = tn__container_of(head, struct tn__store, grace);

    tn__store(&store->grace_over, true, release);
}

/* S4, then S2. */
static void turn_lists(struct tn__store *store)
{
    if (store->grace_runs) {
        if (!tn__load(&store->grace_over, acquire))
            return;
        tn__store(&store->grace_over, false, relaxed);
        store->grace_runs = false;
        list_splice(store, &store->waiting, &store->free);
    }
    if (store->collecting.head) {
        list_splice(store, &store->collecting, &store->waiting);
        store->grace_runs = true;
        tn__rcu_call(&store->grace, grace_ended);
    }
}

int tn__store_init(struct tn__store *store, size_t item_size, size_t link_offset)
{
    memset(store, 0, sizeof(*store));
    if (item_size % sizeof(uint64_t) || link_offset % sizeof(uint32_t) ||
        item_size < sizeof(uint32_t) || link_offset > item_size - sizeof(uint32_t))
        return -EINVAL;
    store->item_size = item_size;
    store->link_offset = link_offset;
    store->end = 1;
    return 0;
}

void tn__store_done(struct tn__store *store)
{
    for (size_t i = 0; i < TN__STORE_SEGMENTS; i++) {
        free(tn__load(&store->segments[i], relaxed));
        tn__store(&store->segments[i], NULL, relaxed);
    }
}

/* An id that was never used before. */
static uint32_t take_fresh(struct tn__store *store)
{
    if (TN__UNLIKELY(store->end > UINT32_MAX - TN__STORE_FIRST))
        return 0;
    uint32_t k = tn__store_segment(store->end);

    if (TN__UNLIKELY(!tn__load(&store->segments[k], relaxed))) {
        char *segment = calloc((size_t)TN__STORE_FIRST << k, store->item_size);

        if (!segment)
            return 0;
        tn__store(&store->segments[k], segment, release);
    }
    return store->end++;
}

uint32_t tn__store_alloc_locked(struct tn__store *store)
{
    if (!store->free.head)
        turn_lists(store);
    uint32_t id = store->free.head;

    if (id) {
        store->free.head = *link_of(store, id);
        if (!store->free.head)
            store->free.tail = 0;
    } else {
        id = take_fresh(store);
        if (!id)
            return 0;
    }
    tn__store(&store->count, tn__load(&store->count, relaxed) + 1, relaxed);
    return id;
}

void tn__store_free_locked(struct tn__store *store, uint32_t id)
{
    assert(id && id < store->end && tn__store_count(store) > 0);
    tn__store(&store->count, tn__load(&store->count, relaxed) - 1, relaxed);
    list_push(store, &store->collecting, id); /* S1 */
    turn_lists(store);
}
