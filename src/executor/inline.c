/*
 * Runs each task in the thread that submits it. A submit from inside a running
 * task only queues: the outermost call on that thread runs it afterwards, so the
 * stack does not grow with the chain. The queue belongs to the thread, not to
 * the executor, so tasks of several inline executors take turns as well.
 */
#include "executor/executor.h"

#include <errno.h>
#include <stddef.h>

static _Thread_local struct {
    bool running;
    struct tn_task *first;
    struct tn_task **last; /* where the next one goes; set while running */
} queue;

static struct tn_task *queue_pop(void)
{
    struct tn_task *task = queue.first;

    if (!task)
        return NULL;
    queue.first = task->next;
    if (!queue.first)
        queue.last = &queue.first;
    return task;
}

static int inline_submit(void *unused, struct tn_task *task)
{
    (void)unused;
    task->next = NULL;
    if (queue.running) {
        *queue.last = task;
        queue.last = &task->next;
        return 0;
    }
    queue.running = true;
    queue.last = &queue.first;
    do
        tn_task_run(task);
    while ((task = queue_pop()));
    queue.running = false;
    return 0;
}

int tn_executor_new_inline(struct tn_executor **ret_executor)
{
    static const struct tn_executor_ops ops = {.size = sizeof(ops), .submit = inline_submit};

    if (!ret_executor)
        return -EINVAL;
    return tn__executor_new(&ops, NULL, TN__EXECUTOR_INLINE, ret_executor);
}
