/*
 * The chains of nodes by hash of (parent, name): a table that grows by a few
 * buckets at a time, so that no insertion pays for all.
 */
#ifndef TN_TREE_TABLE_H
#define TN_TREE_TABLE_H

#include "tree/name.h"
#include "tree/node.h"

/* 0 or -ENOMEM. */
int tn__table_init(struct tn__tree *tree);
void tn__table_done(struct tn__tree *tree);

/* Called before an insertion, outside of a `links` window. Without memory the chains get longer. */
void tn__table_grow_locked(struct tn__tree *tree);

/* In front of its chain. */
void tn__table_insert_locked(struct tn__tree *tree, uint32_t id, uint32_t hash);

/* Its own hash_next stays, so that a reader that stands on it goes on. */
void tn__table_remove_locked(struct tn__tree *tree, uint32_t id, uint32_t hash);

/* The first node of (parent, name), after the node `after` unless that is 0. */
uint32_t tn__table_find_rcu(const struct tn__tree *tree, uint32_t after, uint32_t parent,
                            const struct tn__name *name);

/*
 * A sequence is odd while its holder changes what it covers. No fence: what
 * is changed in between is stored with release and loaded with acquire, so
 * that a reader of a new value sees the odd sequence afterwards.
 */
static inline void tn__sequence_begin(_Atomic uint32_t *sequence)
{
    tn__store(sequence, tn__load(sequence, relaxed) + 1, relaxed);
}

static inline void tn__sequence_end(_Atomic uint32_t *sequence)
{
    tn__store(sequence, tn__load(sequence, relaxed) + 1, release);
}

/* The window is open: what it covers is being changed. */
static inline bool tn__sequence_is_open(uint32_t sequence)
{
    return sequence & 1;
}

#endif
