/**
 * @file
 * @brief Executors: the threads that run processors.
 */
#ifndef TNOTIFY_EXECUTOR_H
#define TNOTIFY_EXECUTOR_H

#include <stddef.h>

#include <tnotify/version.h>

TN_BEGIN_DECLS

/**
 * @defgroup executor Executors
 * @brief The threads that run processors.
 *
 * An executor is handed a task and runs it once, on any thread, soon. The order
 * of events is the library's business, so any executor is right: a pool, a work
 * stealing scheduler, an event loop. A turn of a task ends after 64 events or
 * 1 ms, whichever comes first (the event that is being processed is finished);
 * then the task is submitted again if there is more.
 *
 * What an executor refuses runs on the notifier's own fallback thread.
 * @{
 */

/** @brief An executor; counted by reference. One may serve several notifiers. */
struct tn_executor;

/**
 * @brief A piece of work.
 *
 * It is a member of something that the library owns, so submitting allocates
 * nothing. While the executor holds the task, both fields are the executor's to
 * use; before and after that it does not touch them.
 */
struct tn_task {
    /** For a list of the executor's. */
    struct tn_task *next;
    /** For anything else of the executor's. */
    void *data;
};

/** @brief The functions of an executor. */
struct tn_executor_ops {
    /** Size of this struct (@ref TN_EXECUTOR_OPS_INIT). */
    size_t size;
    /** Takes a task: sees to it that tn_task_run() or tn_task_cancel() is called for it, one of
     *  them, once, on any thread, soon; submit may do so itself before it returns. Called by any
     *  thread with no lock of the library held, by several at once. It does not wait for
     *  other tasks. 0: the task is kept; a negative errno: it is not. */
    int (*submit)(void *executor, struct tn_task *task);
    /** Called exactly once, when the executor's last reference goes. No task is held then. Not
     *  called in a forked child, which has none of the executor's threads. May be NULL. */
    void (*release)(void *executor);
};

/** @brief Initial value of a struct tn_executor_ops; `submit` must be set. */
#define TN_EXECUTOR_OPS_INIT TN_SIZED_INIT(struct tn_executor_ops)

/** @brief Options of a pool of threads; 0 in a field is its default. */
struct tn_pool_options {
    /** Size of this struct (@ref TN_POOL_OPTIONS_INIT). */
    size_t size;
    /** How many threads, up to 1024. 0: one for each online CPU that the process may use. */
    unsigned threads;
    /** Bytes of each thread's stack. 0: the system's default. */
    size_t stack_bytes;
    /** Name of the threads, which are called name-N, cut to the 15 bytes that the kernel keeps.
     *  NULL: "tn-worker". Copied. */
    const char *name;
};

/** @brief Initial value of a struct tn_pool_options: all defaults. */
#define TN_POOL_OPTIONS_INIT TN_SIZED_INIT(struct tn_pool_options)

/**
 * @brief Run a task that an executor was handed.
 *
 * Calls processors, and returns at the end of the task's turn. The task may be
 * submitted again at once, so the executor does not touch it afterwards.
 *
 * @param task  A task that the executor holds.
 *
 * @threadsafe
 * @mayblock{the processors that it calls}
 * @incallback{Not from a processor: it would nest}
 */
TN_EXPORT void tn_task_run(struct tn_task *task);

/**
 * @brief Give a task back, as if it had been refused.
 *
 * The notifier's fallback thread runs it; no event is lost.
 *
 * @param task  A task that the executor holds.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT void tn_task_cancel(struct tn_task *task);

/**
 * @brief Make an executor of your own functions.
 *
 * After a failure `release` is not called.
 *
 * @param      ops           The functions; copied.
 * @param      userdata      Handed to each of them as `executor`; the caller's
 *                           until `release`.
 * @param[out] ret_executor  Receives the executor; the caller's reference, given
 *                           back by tn_executor_unref().
 *
 * @retval 0        Made.
 * @retval -E2BIG   `ops` asks for what this version does not know.
 * @retval -EINVAL  `ops`, its `submit` or `ret_executor` is NULL, or `ops->size`
 *                  is too small.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT int tn_executor_new(const struct tn_executor_ops *ops, void *userdata,
                              struct tn_executor **ret_executor);

/**
 * @brief Make a pool of threads.
 *
 * The same that a notifier makes for itself; this one may serve several. Its
 * threads block all signals.
 *
 * @param      options       Options; copied. NULL: all defaults.
 * @param[out] ret_executor  Receives the executor; the caller's reference.
 *
 * @retval 0        Made.
 * @retval -E2BIG   `options` asks for what this version does not know.
 * @retval -EINVAL  More than 1024 threads, a stack that the system does not
 *                  allow, `options->size` too small, or `ret_executor` is NULL.
 * @retval -ENOMEM  No memory.
 * @retval -EAGAIN  The system gives no more threads.
 *
 * @threadsafe
 * @mayblock{the making of the threads}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_executor_new_pool(const struct tn_pool_options *options,
                                   struct tn_executor **ret_executor);

/**
 * @brief Make an executor that runs processors in the thread that reads.
 *
 * The lowest latency, and no isolation: while a processor runs, nothing is read.
 *
 * @param[out] ret_executor  Receives the executor; the caller's reference.
 *
 * @retval 0        Made.
 * @retval -EINVAL  NULL.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT int tn_executor_new_inline(struct tn_executor **ret_executor);

/**
 * @brief Take a reference.
 *
 * @param executor  An executor; NULL does nothing.
 *
 * @return `executor`.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT struct tn_executor *tn_executor_ref(struct tn_executor *executor);

/**
 * @brief Give a reference back; the last one ends the executor.
 *
 * Notifiers hold references of their own, so an executor that is in use lives
 * on. The last reference ends a pool: its threads are joined, but for the one
 * that calls this, if it is one of them.
 *
 * @param executor  An executor; NULL does nothing.
 *
 * @return NULL.
 *
 * @threadsafe
 * @mayblock{the end of a pool's threads, or its `release` function}
 * @incallback{Allowed}
 */
TN_EXPORT struct tn_executor *tn_executor_unref(struct tn_executor *executor);

/** @} */

TN_END_DECLS

#endif
