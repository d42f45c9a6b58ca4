/*
 * The plug point for whatever runs lanes: the built-in pool, the inline
 * executor or the application's own. All three go through tn_executor_ops.
 *
 * Every function here may be called by any thread at any time while the caller
 * holds a reference.
 */
#ifndef TN_SRC_EXECUTOR_EXECUTOR_H
#define TN_SRC_EXECUTOR_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <tnotify/executor.h>

/* What the library hands to an executor, embedded in what is to run. */
struct tn__task {
    struct tn_task task; /* the executor's while it holds the task */
    void (*run)(struct tn__task *task);
    void (*cancel)(struct tn__task *task);
};

#define TN__EXECUTOR_INLINE  0x1u /* submit may run the task before it returns */
#define TN__EXECUTOR_REFUSES 0x2u /* submit may fail; the ops are the application's */

/* ops is a whole table of this library's size, copied. 0 or -ENOMEM. */
int tn__executor_new(const struct tn_executor_ops *ops, void *userdata, uint32_t traits,
                     struct tn_executor **ret_executor);

/*
 * 0: the task will be run once or cancelled once, perhaps already. < 0: refused,
 * the task is the caller's again. The caller holds a reference and no lock. A
 * worker of the built-in pool may lose its reference to what the submitted task
 * does meanwhile.
 */
int tn__executor_submit(struct tn_executor *executor, struct tn__task *task);

bool tn__executor_is_inline(const struct tn_executor *executor);
bool tn__executor_may_refuse(const struct tn_executor *executor);

#endif
