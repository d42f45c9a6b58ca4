/*
 * The tree: nodes of (parent, name), 48 bytes each, found by id or by
 * (parent, name). A directory's move relinks one node.
 *
 * Who may call what:
 *   _locked   the registry's write_lock is held
 *   _rcu      any thread inside a read-side section, or the holder of the lock
 *   others    the holder of the lock, or the reader thread as long as no other
 *             thread moves or frees the nodes that it looks at
 *
 * An id is used under RCU only in the read-side section in which it was found.
 */
#ifndef TN_TREE_NODE_H
#define TN_TREE_NODE_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "atomic.h"
#include "compiler.h"
#include "registry/store.h"

/* Flags live in the top bits of a node's `child`. */
#define TN__NODE_DETACHED     0x10000000u /* not found by name; kept by this file */
#define TN__NODE_UNRESOLVED   0x20000000u /* the other flags are the caller's */
#define TN__NODE_PATH_UNKNOWN 0x40000000u
#define TN__NODE_QUEUED       0x80000000u
#define TN__NODE_FLAGS        0xf0000000u
#define TN__NODE_MAX          0x0fffffffu /* highest id */
#define TN__NODE_DEAD         UINT32_MAX  /* parent of a node that was freed */

enum {
    TN__NODE_INLINE = 23, /* longest name that lies in the node */
    TN__TREE_SEGMENTS = 24,
};

/*
 * Fields are written under the lock; those that are atomic are read by others.
 *
 * The name: the lowest byte of word 0 is odd: it is (length << 1) | 1 and the
 * 23 bytes after it (little end first) are the name and zeros. Even: word 0 is
 * the address of a struct tn__node_text, word 1 the text's hash, word 2 its
 * length << 1.
 */
struct tn__node {
    _Atomic uint32_t parent;    /* 0: a root */
    _Atomic uint32_t hash_next; /* next in the chain of its bucket */
    _Atomic uint32_t watch;     /* the registry's; 0: none */
    _Atomic uint32_t child;     /* first child, and the flags */
    _Atomic uint32_t next;      /* sibling */
    uint32_t prev;              /* sibling; the store's link while the slot is free */
    _Atomic uint64_t name[3];
};

_Static_assert(sizeof(struct tn__node) == 48, "a node is 48 bytes");

struct tn__tree {
    struct tn__store nodes;

    /* Constant after init. */
    uint64_t seed[3];
    pthread_mutex_t *write_lock;
    /* Segment k: 64 << k heads of chains. Written under the lock, release; read acquire. */
    _Atomic(_Atomic uint32_t *) segments[TN__TREE_SEGMENTS];

    char pad[TN__CACHELINE];

    /* Sequences, written under the lock, odd while something is changed. */
    _Atomic uint32_t moves; /* a node gets another parent or name: paths change */
    _Atomic uint32_t links; /* a node goes to another chain */
    _Atomic uint32_t buckets;
    uint32_t hashed; /* under the lock: nodes in the chains */
};

/* write_lock: the one that the `_locked` functions run under. 0 or -ENOMEM. */
int tn__tree_init(struct tn__tree *tree, pthread_mutex_t *write_lock);

/* After tn__rcu_barrier(); frees every node that is left. */
void tn__tree_done(struct tn__tree *tree);

/*
 * 0: no memory. The name is copied; length >= 1. Parent 0: a root, whose name
 * is a whole path; it has no siblings, and several may have equal names. watch
 * and flags of the new node are 0.
 */
uint32_t tn__node_new_locked(struct tn__tree *tree, uint32_t parent, const char *name,
                             size_t length);

/* It has no children. */
void tn__node_free_locked(struct tn__tree *tree, uint32_t id);

/* DETACHED: no longer found by name, still linked to its parent and siblings. Twice is fine. */
void tn__node_unhash_locked(struct tn__tree *tree, uint32_t id);

/*
 * Gives the node another parent and name, in O(1) whatever is below it. One
 * that was detached is found by name again. The new parent is not below the
 * node: -EINVAL is not checked for. 0, or -ENOMEM, which changes nothing.
 */
int tn__node_move_locked(struct tn__tree *tree, uint32_t id, uint32_t parent, const char *name,
                         size_t length);

/*
 * The node of that parent and name, 0: none. Exact: when changes overtake it
 * again and again it takes the write_lock, which the holder never does. Of
 * several roots with one name the newest comes first, as long as no move has
 * changed their order.
 */
uint32_t tn__node_child_rcu(const struct tn__tree *tree, uint32_t parent, const char *name,
                            size_t length);

/*
 * The next node of that parent and name after `id`. 0: none, or `id` itself
 * was moved, detached or freed meanwhile (not with the lock held).
 */
uint32_t tn__node_child_next_rcu(const struct tn__tree *tree, uint32_t id, uint32_t parent,
                                 const char *name, size_t length);

static inline struct tn__node *tn__node_at(const struct tn__tree *tree, uint32_t id)
{
    return tn__store_at(&tree->nodes, id, sizeof(struct tn__node));
}

static inline uint32_t tn__node_count(const struct tn__tree *tree)
{
    return tn__store_count(&tree->nodes);
}

/* 0: a root. */
static inline uint32_t tn__node_parent(const struct tn__tree *tree, uint32_t id)
{
    return tn__load(&tn__node_at(tree, id)->parent, acquire);
}

static inline uint32_t tn__node_first_child(const struct tn__tree *tree, uint32_t id)
{
    return tn__load(&tn__node_at(tree, id)->child, acquire) & TN__NODE_MAX;
}

static inline uint32_t tn__node_next_sibling(const struct tn__tree *tree, uint32_t id)
{
    return tn__load(&tn__node_at(tree, id)->next, acquire);
}

/* Any thread. */
static inline uint32_t tn__node_watch(const struct tn__tree *tree, uint32_t id)
{
    return tn__load(&tn__node_at(tree, id)->watch, acquire);
}

static inline void tn__node_set_watch_locked(struct tn__tree *tree, uint32_t id, uint32_t watch)
{
    tn__store(&tn__node_at(tree, id)->watch, watch, release);
}

/* Any thread. */
static inline uint32_t tn__node_flags(const struct tn__tree *tree, uint32_t id)
{
    return tn__load(&tn__node_at(tree, id)->child, acquire) & TN__NODE_FLAGS;
}

/* Not DETACHED, which this file keeps. */
static inline void tn__node_set_flags_locked(struct tn__tree *tree, uint32_t id, uint32_t flags)
{
    struct tn__node *node = tn__node_at(tree, id);

    tn__store(&node->child, tn__load(&node->child, relaxed) | flags, release);
}

static inline void tn__node_clear_flags_locked(struct tn__tree *tree, uint32_t id, uint32_t flags)
{
    struct tn__node *node = tn__node_at(tree, id);

    tn__store(&node->child, tn__load(&node->child, relaxed) & ~flags, release);
}

/* As snprintf: the length of the name; the buffer is filled and terminated as far as it fits. */
size_t tn__node_name(const struct tn__tree *tree, uint32_t id, char *buffer, size_t size);

/* Whether `ancestor` is `id` itself or above it. */
bool tn__node_is_below_locked(const struct tn__tree *tree, uint32_t id, uint32_t ancestor);

/* Pre-order: the one after `id` among root and all below it, 0 at the end. Starts with root. */
uint32_t tn__node_walk_next_locked(const struct tn__tree *tree, uint32_t root, uint32_t id);

/*
 * Post-order: starts with the deepest first child, ends with root, then 0. A
 * node may be freed once its successor is known.
 */
uint32_t tn__node_walk_last_locked(const struct tn__tree *tree, uint32_t root);
uint32_t tn__node_post_next_locked(const struct tn__tree *tree, uint32_t root, uint32_t id);

#endif
