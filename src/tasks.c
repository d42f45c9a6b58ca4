/*
 * The tasks that a notifier has submitted.
 *
 * They are counted from before they are submitted until after their last
 * access to the notifier. The count has one more while the notifier stands.
 * Who waits takes that one away; whoever then brings the count to 0 wakes the
 * park as his last act, and the waiter goes on only once the park's epoch has
 * changed, so the worker has left the notifier by then.
 */
#include "callback.h"
#include "stages.h"

static void give(struct tn_notifier *notifier, struct tn_executor *executor, struct tn__task *task)
{
    struct tn__callback callback;

    tn__callback_enter(&callback, &notifier->registry);
    int result = tn__executor_submit(executor, task);
    tn__callback_leave(&callback);
    if (result < 0)
        tn__executor_submit(notifier->fallback, task);
}

void tn__notifier_give_ready(struct tn_notifier *notifier, struct tn_executor *executor)
{
    struct tn_task *task = tn__inbox_take(&notifier->ready);

    while (task) {
        struct tn_task *next = task->next;
        give(notifier, executor, tn__container_of(task, struct tn__task, task));
        task = next;
    }
}

/*
 * Without an executor the task waits for the caller. A start that comes
 * meanwhile sets the executor and then takes what is ready: it or the second
 * look here finds the task, since both are seq_cst.
 */
void tn__notifier_submit(void *context, struct tn__task *task)
{
    struct tn_notifier *notifier = context;
    struct tn_executor *executor = tn__load(&notifier->executor, seq_cst);

    tn__fetch_add(&notifier->tasks, 1, relaxed);
    if (executor) {
        give(notifier, executor, task);
        return;
    }
    tn__inbox_push(&notifier->ready, &task->task);
    executor = tn__load(&notifier->executor, seq_cst);
    if (executor)
        tn__notifier_give_ready(notifier, executor);
}

/* Only an executor of the application cancels, and beside that there is a fallback. */
void tn__notifier_cancel(void *context, struct tn__task *task)
{
    struct tn_notifier *notifier = context;

    tn__executor_submit(notifier->fallback, task);
}

void tn__notifier_task_over(void *context)
{
    struct tn_notifier *notifier = context;

    if (tn__fetch_sub(&notifier->tasks, 1, acq_rel) == 1)
        tn__park_wake(&notifier->idle, INT32_MAX);
}

/* One at a time: end_lock is held. */
void tn__notifier_wait_tasks(struct tn_notifier *notifier)
{
    uint32_t epoch = tn__park_prepare(&notifier->idle);

    if (tn__fetch_sub(&notifier->tasks, 1, acq_rel) == 1) {
        tn__park_cancel(&notifier->idle);
    } else {
        uint32_t now;
        do {
            tn__park_wait(&notifier->idle, epoch, -1);
            now = tn__park_prepare(&notifier->idle);
            if (now != epoch)
                tn__park_cancel(&notifier->idle);
        } while (now == epoch);
    }
    tn__fetch_add(&notifier->tasks, 1, relaxed);
}
