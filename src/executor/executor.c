#include "executor/executor.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "atomic.h"
#include "callback.h"
#include "compiler.h"
#include "options.h"

struct tn_executor {
    _Atomic uint32_t references;
    uint32_t traits; /* constant, as all below */
    struct tn_executor_ops ops;
    void *userdata;
    pid_t process; /* a fork's child has no threads to stop */
};

void tn_task_run(struct tn_task *task)
{
    if (!task)
        return;
    struct tn__task *own = tn__container_of(task, struct tn__task, task);
    own->run(own);
}

void tn_task_cancel(struct tn_task *task)
{
    if (!task)
        return;
    struct tn__task *own = tn__container_of(task, struct tn__task, task);
    own->cancel(own);
}

int tn__executor_new(const struct tn_executor_ops *ops, void *userdata, uint32_t traits,
                     struct tn_executor **ret_executor)
{
    struct tn_executor *executor = malloc(sizeof(*executor));

    if (!executor)
        return -ENOMEM;
    tn__store(&executor->references, 1, relaxed);
    executor->traits = traits;
    executor->ops = *ops;
    executor->userdata = userdata;
    executor->process = getpid();
    *ret_executor = executor;
    return 0;
}

int tn_executor_new(const struct tn_executor_ops *ops, void *userdata,
                    struct tn_executor **ret_executor)
{
    struct tn_executor_ops own;

    if (!ops || !ret_executor)
        return -EINVAL;
    int result = tn__options_copy(&own, sizeof(own), ops);
    if (result < 0)
        return result;
    if (!own.submit)
        return -EINVAL;
    return tn__executor_new(&own, userdata, TN__EXECUTOR_REFUSES, ret_executor);
}

struct tn_executor *tn_executor_ref(struct tn_executor *executor)
{
    if (executor)
        tn__fetch_add(&executor->references, 1, relaxed);
    return executor;
}

/* Of any notifier: whoever dropped the last reference may be in the middle of one. */
static void call_release(const struct tn_executor *executor)
{
    struct tn__callback callback;

    tn__callback_enter(&callback, NULL);
    executor->ops.release(executor->userdata);
    tn__callback_leave(&callback);
}

/*
 * In a fork's child the application's release is not called: it would stop and
 * join threads that the child does not have. The pool sees to itself.
 */
struct tn_executor *tn_executor_unref(struct tn_executor *executor)
{
    if (!executor || tn__fetch_sub(&executor->references, 1, acq_rel) != 1)
        return NULL;
    bool foreign = tn__executor_may_refuse(executor) && executor->process != getpid();
    if (executor->ops.release && !foreign)
        call_release(executor);
    free(executor);
    return NULL;
}

int tn__executor_submit(struct tn_executor *executor, struct tn__task *task)
{
    int result = executor->ops.submit(executor->userdata, &task->task);

    return result < 0 ? result : 0;
}

bool tn__executor_is_inline(const struct tn_executor *executor)
{
    return executor->traits & TN__EXECUTOR_INLINE;
}

bool tn__executor_may_refuse(const struct tn_executor *executor)
{
    return executor->traits & TN__EXECUTOR_REFUSES;
}
