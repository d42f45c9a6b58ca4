/*
 * The built-in pool with what tests turn and users do not.
 */
#ifndef TN_SRC_EXECUTOR_POOL_H
#define TN_SRC_EXECUTOR_POOL_H

#include <stddef.h>

#include <tnotify/executor.h>

struct tn__pool_tuning {
    unsigned cpus;        /* the default of threads; a worker spins if there are more than 2 */
    size_t ring_capacity; /* more than that wait in the overflow list */
};

/* As tn_executor_new_pool. */
int tn__pool_new(const struct tn_pool_options *options, const struct tn__pool_tuning *tuning,
                 struct tn_executor **ret_executor);

#endif
