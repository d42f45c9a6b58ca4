/*
 * Linear hashing. With n buckets and `half` the largest power of two in n, a
 * hash belongs to bucket hash % (2 * half) if there is one, else to
 * hash % half. Growing by one splits bucket n - half into itself and n.
 *
 * Readers walk the chains under RCU while the holder of the lock changes them:
 *
 *   T1  Insertion in front: the node is complete before the release store of
 *       the head. A reader sees the chain with it or without.
 *   T2  Removal: the one before is made to skip it, its own link stays. A
 *       reader that stands on it goes on along what the chain was; the slot is
 *       not used again before that reader has left (store.c). All that stay in
 *       the chain are behind it still, so none is missed. The links lead from
 *       newer to older insertions, so a chain ends however many are removed
 *       and inserted during the walk.
 *   T3  Only a node that goes to another chain (a split, a node's move) can
 *       lead a reader astray: into the other chain, past a node, or round and
 *       round when it goes on moving. `links` is odd while that happens and
 *       differs afterwards. A reader takes `links` before it loads a head,
 *       compares at the end, and every TN__CHECK steps on the way, so it stops
 *       after a bounded number of steps; what it found is used only if `links`
 *       is what it was. The parent and name that it compared were then those of
 *       one moment as well, for a move changes them within the same window.
 *   T4  After TN__TRIES rounds it takes the lock, under which `links` stands
 *       still. The holder of the lock never gets there.
 *
 * Checked by tests/unit/test_node.c and tests/stress/stress_path.c.
 */
#include "tree/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum {
    TN__TABLE_FIRST = 64, /* buckets in segment 0 */
    TN__TABLE_STEP = 8,   /* buckets split at a time: their cache misses overlap */
    TN__CHECK = 64,
    TN__TRIES = 64,
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t highest_bit(uint32_t value)
{
    return 31u - (uint32_t)__builtin_clz(value);
}

static uint32_t segment_of(uint32_t bucket)
{
    return highest_bit(bucket + TN__TABLE_FIRST) - 6;
}

static _Atomic uint32_t *head_at(const struct tn__tree *tree, uint32_t bucket)
{
    uint32_t k = segment_of(bucket);

    return tn__load(&tree->segments[k], acquire) +
           (bucket + TN__TABLE_FIRST - ((uint32_t)TN__TABLE_FIRST << k));
}

static _Atomic uint32_t *head_of(const struct tn__tree *tree, uint32_t hash)
{
    uint32_t buckets = tn__load(&tree->buckets, acquire);
    uint32_t half = 1u << highest_bit(buckets);
    uint32_t bucket = hash & (2 * half - 1);

    return head_at(tree, bucket < buckets ? bucket : bucket & (half - 1));
}

static int make_segment(struct tn__tree *tree, uint32_t k)
{
    _Atomic uint32_t *heads = calloc((size_t)TN__TABLE_FIRST << k, sizeof(*heads));

    if (!heads)
        return -ENOMEM;
    tn__store(&tree->segments[k], heads, release);
    return 0;
}

int tn__table_init(struct tn__tree *tree)
{
    int error = make_segment(tree, 0);

    if (error)
        return error;
    tn__store(&tree->buckets, TN__TABLE_FIRST, release);
    return 0;
}

void tn__table_done(struct tn__tree *tree)
{
    for (size_t i = 0; i < TN__TREE_SEGMENTS; i++) {
        free(tn__load(&tree->segments[i], relaxed));
        tn__store(&tree->segments[i], NULL, relaxed);
    }
}

static void link_to(_Atomic uint32_t *slot, uint32_t id)
{
    if (tn__load(slot, relaxed) != id)
        tn__store(slot, id, release);
}

/* Both parts keep their order. */
static void split(struct tn__tree *tree, uint32_t from, uint32_t to, uint32_t mask)
{
    _Atomic uint32_t *stay = head_at(tree, from), *go = head_at(tree, to);
    uint32_t id = tn__load(stay, relaxed);

    while (id) {
        struct tn__node *node = tn__node_at(tree, id);
        bool goes = (tn__name_node_hash(tree->seed, node) & mask) == to;

        link_to(goes ? go : stay, id);
        if (goes)
            go = &node->hash_next;
        else
            stay = &node->hash_next;
        id = tn__load(&node->hash_next, relaxed);
    }
    link_to(stay, 0);
    link_to(go, 0);
}

void tn__table_grow_locked(struct tn__tree *tree)
{
    uint32_t buckets = tn__load(&tree->buckets, relaxed);

    if (TN__LIKELY(tree->hashed < buckets))
        return;
    uint32_t k = segment_of(buckets);

    if (k >= TN__TREE_SEGMENTS)
        return;
    if (!tn__load(&tree->segments[k], relaxed) && make_segment(tree, k))
        return;
    uint32_t half = 1u << highest_bit(buckets), from = buckets - half;

    for (uint32_t i = 0; i < TN__TABLE_STEP; i++) {
        uint32_t id = tn__load(head_at(tree, from + i), relaxed);

        if (id)
            __builtin_prefetch(tn__node_at(tree, id), 1);
    }
    tn__sequence_begin(&tree->links); /* T3 */
    for (uint32_t i = 0; i < TN__TABLE_STEP; i++)
        split(tree, from + i, buckets + i, 2 * half - 1);
    tn__store(&tree->buckets, buckets + TN__TABLE_STEP, release);
    tn__sequence_end(&tree->links);
}

void tn__table_insert_locked(struct tn__tree *tree, uint32_t id, uint32_t hash)
{
    _Atomic uint32_t *head = head_of(tree, hash);

    tn__store(&tn__node_at(tree, id)->hash_next, tn__load(head, relaxed), release);
    tn__store(head, id, release); /* T1 */
    tree->hashed++;
}

void tn__table_remove_locked(struct tn__tree *tree, uint32_t id, uint32_t hash)
{
    _Atomic uint32_t *slot = head_of(tree, hash);

    while (tn__load(slot, relaxed) != id) {
        assert(tn__load(slot, relaxed));
        slot = &tn__node_at(tree, tn__load(slot, relaxed))->hash_next;
    }
    tn__store(slot, tn__load(&tn__node_at(tree, id)->hash_next, relaxed), release); /* T2 */
    tree->hashed--;
}

/* Walks a chain from `id` on; ends early when `links` has moved on. T3 */
static uint32_t scan(const struct tn__tree *tree, uint32_t id, uint32_t parent,
                     const struct tn__name *name, uint32_t links)
{
    for (uint32_t step = 1; id; step++) {
        const struct tn__node *node = tn__node_at(tree, id);

        if (tn__name_matches(node, parent, name))
            return id;
        if (step % TN__CHECK == 0 && tn__load(&tree->links, relaxed) != links)
            return 0;
        id = tn__load(&node->hash_next, acquire);
    }
    return 0;
}

/* `after` must still be what was looked for, and in its chain. */
static uint32_t start_of(const struct tn__tree *tree, uint32_t after, uint32_t parent,
                         const struct tn__name *name, uint32_t hash)
{
    if (!after)
        return tn__load(head_of(tree, hash), acquire);
    const struct tn__node *node = tn__node_at(tree, after);

    if (!tn__name_matches(node, parent, name) || tn__node_flags(tree, after) & TN__NODE_DETACHED)
        return 0;
    return tn__load(&node->hash_next, acquire);
}

static uint32_t find(const struct tn__tree *tree, uint32_t after, uint32_t parent,
                     const struct tn__name *name, uint32_t hash, uint32_t links)
{
    return scan(tree, start_of(tree, after, parent, name, hash), parent, name, links);
}

uint32_t tn__table_find_rcu(const struct tn__tree *tree, uint32_t after, uint32_t parent,
                            const struct tn__name *name)
{
    uint32_t hash = tn__name_hash(tree->seed, parent, name->word);
    uint32_t id;

    for (int i = 0; i < TN__TRIES; i++) {
        uint32_t links = tn__load(&tree->links, acquire);

        if (TN__UNLIKELY(tn__sequence_is_open(links))) {
            relax();
            continue;
        }
        id = find(tree, after, parent, name, hash, links);
        if (TN__LIKELY(tn__load(&tree->links, relaxed) == links))
            return id;
    }
    pthread_mutex_lock(tree->write_lock); /* T4 */
    id = find(tree, after, parent, name, hash, tn__load(&tree->links, relaxed));
    pthread_mutex_unlock(tree->write_lock);
    return id;
}
