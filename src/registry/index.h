/*
 * A radix index from 64-bit keys to 32-bit values, 0 meaning absent. Lookups
 * run under RCU with any number of them beside one writer; a page that becomes
 * empty is freed after a grace period.
 */
#ifndef TN_REGISTRY_INDEX_H
#define TN_REGISTRY_INDEX_H

#include <stdint.h>

#include "atomic.h"
#include "compiler.h"

struct tn__index_page;

struct tn__index {
    /* NULL: empty. Written under the lock, release; read under RCU, acquire. */
    _Atomic(struct tn__index_page *) root;
};

void tn__index_init(struct tn__index *index);

/* No reader and no writer is left. */
void tn__index_done(struct tn__index *index);

/* The value is not 0. 0 or -ENOMEM, which changes nothing. */
int tn__index_set_locked(struct tn__index *index, uint64_t key, uint32_t value);
void tn__index_clear_locked(struct tn__index *index, uint64_t key);

/* 0: absent. */
uint32_t tn__index_get_rcu(const struct tn__index *index, uint64_t key);

/* The first key >= *key is written back, with its value. False: none, nothing is written. */
bool tn__index_next_rcu(const struct tn__index *index, uint64_t *key, uint32_t *ret_value);

#endif
