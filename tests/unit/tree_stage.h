/* An empty tree for each test. */
#ifndef TN_TESTS_TREE_STAGE_H
#define TN_TESTS_TREE_STAGE_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "rcu.h"
#include "tree/node.h"

static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;
static struct tn__tree tree;

static inline void set_up(void)
{
    cr_assert_eq(tn__tree_init(&tree, &write_lock), 0);
}

static inline void tear_down(void)
{
    tn__rcu_barrier();
    tn__tree_done(&tree);
}

static inline uint32_t add(uint32_t parent, const char *name)
{
    uint32_t id = tn__node_new_locked(&tree, parent, name, strlen(name));

    cr_assert_neq(id, 0);
    return id;
}

#endif
