/**
 * @file
 * @brief Notifiers: from the kernel's queue to the processors.
 */
#ifndef TNOTIFY_NOTIFIER_H
#define TNOTIFY_NOTIFIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tnotify/event.h>
#include <tnotify/version.h>
#include <tnotify/watch.h>

TN_BEGIN_DECLS

struct tn_executor;
struct tn_filter;
struct tn_processor;
struct tn_stats;

/**
 * @defgroup notifier Notifiers
 * @brief From the kernel's queue to the processors.
 *
 * A notifier owns one inotify instance and its watches. It is run in one of two
 * ways:
 *
 * - tn_notifier_start(): a thread reads and the executor's threads call the
 *   processors.
 * - In the caller's thread, without a start: by tn_notifier_loop(), or from an
 *   event loop that polls tn_notifier_fd() and calls tn_notifier_read_events()
 *   and tn_notifier_process_events(). Nothing is read or processed between
 *   these calls.
 *
 * tn_notifier_stop() ends both. A stopped notifier cannot be started again.
 * @{
 */

/** @brief A notifier; made by tn_notifier_new(), freed by tn_notifier_free(). */
struct tn_notifier;

/** @brief Log level: something failed. */
#define TN_LOG_ERROR 0
/** @brief Log level: something that the user may want to see to. */
#define TN_LOG_WARNING 1
/** @brief Log level: what goes on. */
#define TN_LOG_INFO 2
/** @brief Log level: everything. */
#define TN_LOG_DEBUG 3

/** @brief What to do when the memory for events in flight is used up. */
enum tn_full {
    /** Read no more until there is room: the kernel holds the events, up to
     *  fs.inotify.max_queued_events. */
    TN_FULL_BLOCK,
    /** Drop what the kernel tells from then on until all that was queued has been processed, count
     *  it, and heal the trees as after an overflow: see @ref TN_EVENT_GAP_BEGIN. What a scan or a
     *  healing announces is not dropped: it waits for room. */
    TN_FULL_DROP
};

/** @brief What a stop does with the events that are on their way. */
enum tn_finish {
    /** Everything that happened before the stop is processed. */
    TN_FINISH_DRAIN,
    /** Nothing more is processed than what has begun; the rest is counted as dropped. */
    TN_FINISH_DISCARD
};

/** @brief Drop an event that equals the one before it in its ordering domain, while that one
 *  is still queued. */
#define TN_NOTIFIER_COALESCE 0x1u

/** @brief Options of a notifier; 0 in a field is its default. */
struct tn_notifier_options {
    /** Size of this struct (@ref TN_NOTIFIER_OPTIONS_INIT). */
    size_t size;
    /** `TN_NOTIFIER_*` */
    uint32_t flags;
    /** Threads of the notifier's own pool, up to 1024. 0: one for each online CPU that
     *  the process may use. Not together with `executor`. */
    unsigned threads;
    /** What runs the processors; referenced. NULL: a pool of the notifier's own. */
    struct tn_executor *executor;
    /** Processor of watches that have none, and of the notifier's own events; referenced. NULL:
     *  their events are counted as unhandled. */
    struct tn_processor *processor;
    /** Filter of watches that have none; referenced, and frozen by this use. NULL: none. */
    struct tn_filter *filter;
    /** Order of watches that name none. */
    enum tn_order order;
    /** Bound on the memory for events in flight, in bytes; at least 64 KiB are taken. 0: 16 MiB. */
    size_t queue_bytes;
    /** What to do when that bound is reached. */
    enum tn_full when_full;
    /** Longest nap of the reader, in microseconds, to read more at once while events stream; cut
     *  to what the kernel's queue can hold meanwhile. 0: 500. @ref TN_NEVER for no nap. A single
     *  event is never delayed. */
    uint32_t batch_delay_us;
    /** How long to wait for the second half of a move, in milliseconds, where nothing better
     *  tells that it will not come. 0: 500. @ref TN_NEVER for no wait. */
    uint32_t move_timeout_ms;
    /** The highest `TN_LOG_*` level that is logged. */
    int log_level;
    /** Receives log messages, one line each without a newline, from any thread that is in the
     *  library. It is short, and calls nothing of the notifier. NULL: nothing is logged. */
    void (*log)(int level, const char *message, void *userdata);
    /** Handed to `log`. */
    void *log_userdata;
};

/** @brief Initial value of a struct tn_notifier_options: all defaults. */
#define TN_NOTIFIER_OPTIONS_INIT TN_SIZED_INIT(struct tn_notifier_options)

/**
 * @brief Make a notifier.
 *
 * It has no watch and runs no thread yet. The kernel queues events from the
 * first tn_watch_add() on. The first notifier of a process makes a thread that
 * frees memory for all of them and stays.
 *
 * @param      options       Options; copied. NULL: all defaults.
 * @param[out] ret_notifier  Receives the notifier; the caller's, to be freed by
 *                           tn_notifier_free().
 *
 * @retval 0        Made.
 * @retval -EINVAL  More than 1024 threads, or threads and an executor; an unknown
 *                  flag, order, policy or log level; `options->size` too small;
 *                  or `ret_notifier` is NULL.
 * @retval -E2BIG   `options` asks for what this version does not know.
 * @retval -EMFILE  fs.inotify.max_user_instances, or the descriptors of the
 *                  process, are used up.
 * @retval -ENFILE  The descriptors of the system are used up.
 * @retval -ENOMEM  No memory.
 * @retval -EAGAIN  The system gives no more threads.
 * @return Otherwise the negative errno of inotify_init1(2) or epoll_ctl(2).
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT int tn_notifier_new(const struct tn_notifier_options *options,
                              struct tn_notifier **ret_notifier);

/**
 * @brief End a notifier and free it.
 *
 * Stops it with @ref TN_FINISH_DISCARD unless it has been stopped already, waits
 * for its threads and for every task that it submitted, removes all watches and
 * calls the `release` functions that are still due. When it returns, nothing of
 * the notifier runs any more.
 *
 * Inside a callback of the notifier it only asks for all that, which is then done
 * after the callback has returned. In a forked child it gives memory back and
 * does nothing else.
 *
 * No other thread may be in a call with this notifier, or begin one.
 *
 * @param notifier  The notifier; NULL does nothing.
 *
 * @return NULL.
 *
 * @threadsafe
 * @mayblock{the notifier's threads and tasks; a grace period, 10 ms and more}
 * @incallback{Allowed: it does not wait, and frees later}
 */
TN_EXPORT struct tn_notifier *tn_notifier_free(struct tn_notifier *notifier);

/**
 * @brief Start the notifier's threads.
 *
 * They are named tn-reader and tn-worker-N, and block all signals. After a
 * failure to make a thread the notifier is as it was, and may be started again.
 *
 * @param notifier  The notifier.
 *
 * @retval 0           Started.
 * @retval -EALREADY   It has been started before.
 * @retval -ESHUTDOWN  It has been stopped.
 * @retval -EAGAIN     The system gives no more threads.
 * @retval -ENOMEM     No memory.
 * @retval -EINVAL     NULL.
 * @retval -ECHILD     In a forked child.
 *
 * @threadsafe
 * @mayblock{the making of the threads}
 * @incallback{Allowed}
 *
 * @snippet threaded.c add
 */
TN_EXPORT int tn_notifier_start(struct tn_notifier *notifier);

/**
 * @brief Ask a notifier to end.
 *
 * It does not wait; tn_notifier_join() does. From now on watches cannot be added
 * and tn_notifier_check_events() and tn_notifier_loop() end. It may be called any
 * number of times; a later @ref TN_FINISH_DISCARD overrides a
 * @ref TN_FINISH_DRAIN.
 *
 * With @ref TN_FINISH_DRAIN everything that happened before this call is
 * processed, and the processors' `flush` is called. A notifier that runs in the
 * caller's thread does so in tn_notifier_join() or tn_notifier_loop().
 *
 * @param notifier  The notifier.
 * @param finish    What becomes of the events that are on their way.
 *
 * @retval 0        Asked.
 * @retval -EINVAL  No such way to finish, or NULL.
 * @retval -ECHILD  In a forked child.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 * @asyncsignalsafe
 *
 * @snippet threaded.c stop
 * @snippet monitor.c signal
 */
TN_EXPORT int tn_notifier_stop(struct tn_notifier *notifier, enum tn_finish finish);

/**
 * @brief Wait until a notifier has ended.
 *
 * It waits for a tn_notifier_stop() by anyone, and then until the last callback
 * has returned and the notifier's threads have ended. Several threads may wait.
 * Without a start, and after a stop with @ref TN_FINISH_DRAIN, it reads and
 * processes here what happened before the stop.
 *
 * @param notifier  The notifier.
 *
 * @retval 0         Ended.
 * @retval -EDEADLK  Inside a callback.
 * @retval -EINVAL   NULL.
 * @retval -ECHILD   In a forked child.
 *
 * @threadsafe
 * @mayblock{a stop, the processing of what is drained, and the notifier's threads}
 * @incallback{Not allowed: -EDEADLK}
 *
 * @snippet upload.c drain
 */
TN_EXPORT int tn_notifier_join(struct tn_notifier *notifier);

/**
 * @brief Wait until all that happened before this call has been processed.
 *
 * That includes scans of new directories and after overflows, and the
 * processors' `flush`. What happens meanwhile does not lengthen the wait.
 * Without a start it reads and processes here.
 *
 * @param notifier    The notifier.
 * @param timeout_ms  Longest wait in milliseconds; negative: for ever; 0: only
 *                    look.
 *
 * @retval 0           All has been processed.
 * @retval -ETIMEDOUT  Not yet.
 * @retval -EDEADLK    Inside a callback.
 * @retval -ESHUTDOWN  The notifier was stopped before that.
 * @retval -ENOMEM     No memory.
 * @retval -EINVAL     NULL.
 * @retval -ECHILD     In a forked child.
 * @return Otherwise the negative errno of inotify_add_watch(2), by which the
 *         point of the stream is marked.
 *
 * @threadsafe
 * @mayblock{the processing of what happened, up to the timeout}
 * @incallback{Not allowed: -EDEADLK}
 *
 * @snippet mirror.c settle
 */
TN_EXPORT int tn_notifier_settle(struct tn_notifier *notifier, int timeout_ms);

/**
 * @brief Drop events, or deliver them again, from this point of the stream on.
 *
 * While it ignores, the tree is kept true: new directories are watched, moves
 * and deletions followed. Events that are queued already are still delivered.
 *
 * @param notifier  The notifier.
 * @param ignore    Whether to drop.
 *
 * @retval 0        Set.
 * @retval -EINVAL  NULL.
 * @retval -ECHILD  In a forked child.
 * @return Otherwise the negative errno of inotify_add_watch(2), by which the
 *         point of the stream is marked.
 *
 * @threadsafe
 * @mayblock{the registry's writer lock}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_notifier_set_ignore(struct tn_notifier *notifier, bool ignore);

/**
 * @brief Read the counters of a notifier.
 *
 * @param         notifier   The notifier.
 * @param[in,out] ret_stats  The caller sets its `size`; receives the rest.
 *
 * @retval 0        Filled.
 * @retval -EINVAL  NULL, or a `size` that does not even hold itself.
 * @retval -E2BIG   A `size` that no version has.
 * @retval -ECHILD  In a forked child.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT int tn_notifier_get_stats(struct tn_notifier *notifier, struct tn_stats *ret_stats);

/**
 * @brief A descriptor that is readable when there is work.
 *
 * For poll(2), epoll(7) and event loops made of them. When it is readable, call
 * tn_notifier_read_events() and tn_notifier_process_events(). It is the
 * notifier's: only poll it.
 *
 * @param notifier  The notifier.
 *
 * @retval -EBUSY   The notifier was started.
 * @retval -EINVAL  NULL.
 * @retval -ECHILD  In a forked child.
 * @return Otherwise the descriptor, the same while the notifier lives.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 *
 * @snippet epoll.c serve
 * @snippet epoll.c loop
 */
TN_EXPORT int tn_notifier_fd(const struct tn_notifier *notifier);

/**
 * @brief Wait until there is something to read or to process.
 *
 * @param notifier    The notifier.
 * @param timeout_ms  Longest wait in milliseconds; negative: for ever; 0: only
 *                    look.
 *
 * @retval 1           There is.
 * @retval 0           There is not.
 * @retval -EINTR      A signal handler ran.
 * @retval -ESHUTDOWN  The notifier has been stopped.
 * @retval -EBUSY      It was started.
 * @retval -EINVAL     NULL.
 * @retval -ECHILD     In a forked child.
 *
 * @callerthread
 * @mayblock{an event, up to the timeout}
 * @incallback{Allowed, but keep the timeout 0}
 *
 * @snippet monitor.c loop
 */
TN_EXPORT int tn_notifier_check_events(struct tn_notifier *notifier, int timeout_ms);

/**
 * @brief Read what the kernel has queued, and queue it for the processors.
 *
 * Scans of new directories are made here too. It processes nothing, unless the
 * executor is one that runs tasks where they are submitted.
 *
 * @param notifier  The notifier.
 *
 * @retval -ENOBUFS  The memory for events in flight is used up and nothing could
 *                   be read: process first.
 * @retval -EBUSY    The notifier was started.
 * @retval -EDEADLK  Inside a processor.
 * @retval -ENOMEM   No memory.
 * @retval -EINVAL   NULL.
 * @retval -ECHILD   In a forked child.
 * @return Otherwise how many events were read; 0 if there were none.
 *
 * @callerthread
 * @mayblock{the registry's writer lock, and the scans of new directories}
 * @incallback{Not allowed: -EDEADLK}
 */
TN_EXPORT int tn_notifier_read_events(struct tn_notifier *notifier);

/**
 * @brief Process what has been read.
 *
 * With an executor given in the options, that runs the processors, and there may
 * be nothing left to process here.
 *
 * @param notifier  The notifier.
 *
 * @retval -EBUSY    The notifier was started.
 * @retval -EDEADLK  Inside a processor.
 * @retval -EINVAL   NULL.
 * @retval -ECHILD   In a forked child.
 * @return Otherwise how many events were processed.
 *
 * @callerthread
 * @mayblock{the processors}
 * @incallback{Not allowed: -EDEADLK}
 */
TN_EXPORT int tn_notifier_process_events(struct tn_notifier *notifier);

/**
 * @brief Read and process in this thread until the notifier is stopped.
 *
 * After a stop with @ref TN_FINISH_DRAIN it first processes what happened
 * before.
 *
 * @param notifier  The notifier.
 * @param callback  Called in this thread after each round of reading and
 *                  processing; a result that is not 0 ends the loop, which may
 *                  be begun again. May be NULL.
 * @param userdata  Handed to `callback`.
 *
 * @retval 0         The notifier has been stopped.
 * @retval -EBUSY    It was started.
 * @retval -EDEADLK  Inside a processor.
 * @retval -ENOMEM   No memory.
 * @retval -EINVAL   `notifier` is NULL.
 * @retval -ECHILD   In a forked child.
 * @return Otherwise the result of `callback` that ended it.
 *
 * @callerthread
 * @mayblock{events, and the processors}
 * @incallback{Not allowed: -EDEADLK}
 *
 * @snippet family.c loop
 */
TN_EXPORT int tn_notifier_loop(struct tn_notifier *notifier,
                               int (*callback)(struct tn_notifier *notifier, void *userdata),
                               void *userdata);

/** @} */

TN_END_DECLS

#endif
