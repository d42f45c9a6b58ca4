/**
 * @file
 * @brief Processors: what is called for each event.
 */
#ifndef TNOTIFY_PROCESSOR_H
#define TNOTIFY_PROCESSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <tnotify/event.h>
#include <tnotify/version.h>

TN_BEGIN_DECLS

/**
 * @defgroup processor Processors
 * @brief What is called for each event.
 *
 * A processor is a table of functions. An event goes to the function of its own
 * kind; if there is none, to that of its family; if there is none, to
 * `process_default`; if there is none, it is counted as unhandled
 * (@ref tn_stats.unhandled).
 *
 * Within an ordering domain (enum tn_order) a processor is called with one event
 * at a time, in the kernel's order. A processor that serves several domains is
 * called by several threads at once and guards its own data.
 *
 * A processor that opens or reads the files it is told about makes new
 * `IN_OPEN`, `IN_ACCESS` and `IN_CLOSE_NOWRITE` events by that; if it asked for
 * those, it goes on for ever.
 * @{
 */

/** @brief A processor; counted by reference. */
struct tn_processor;

/** @brief What a processing function returns to end the chain that it stands in. */
#define TN_STOP 1

/**
 * @brief Process one event.
 *
 * Runs in a thread of the notifier's executor, with no lock of the library held.
 * It may call any function of the library, except that waiting for the notifier
 * itself is answered with `-EDEADLK`. The event is valid until it returns.
 *
 * The result is 0 to go on, @ref TN_STOP to end the chain, or a negative errno:
 * that one is counted (@ref tn_stats.errors) and logged, and the chain goes on.
 *
 * @snippet monitor.c process
 */
typedef int (*tn_process_fn)(const struct tn_event *event, void *userdata);

/**
 * @brief The functions of a processor; each may be NULL.
 *
 * Each receives the `userdata` of tn_processor_new().
 *
 * @snippet family.c family
 */
struct tn_processor_ops {
    /** Size of this struct (@ref TN_PROCESSOR_OPS_INIT). */
    size_t size;
    /** `IN_ACCESS` */
    tn_process_fn process_access;
    /** `IN_ATTRIB` */
    tn_process_fn process_attrib;
    /** `IN_CLOSE_WRITE` */
    tn_process_fn process_close_write;
    /** `IN_CLOSE_NOWRITE` */
    tn_process_fn process_close_nowrite;
    /** `IN_CREATE` */
    tn_process_fn process_create;
    /** `IN_DELETE` */
    tn_process_fn process_delete;
    /** `IN_DELETE_SELF` */
    tn_process_fn process_delete_self;
    /** `IN_IGNORED`: the last event of a watch; needs no mask bit. */
    tn_process_fn process_ignored;
    /** `IN_MODIFY` */
    tn_process_fn process_modify;
    /** `IN_MOVE_SELF` */
    tn_process_fn process_move_self;
    /** `IN_MOVED_FROM` */
    tn_process_fn process_moved_from;
    /** `IN_MOVED_TO` */
    tn_process_fn process_moved_to;
    /** `IN_OPEN` */
    tn_process_fn process_open;
    /** `IN_Q_OVERFLOW`: the notifier's own, and the begin and end of a gap. */
    tn_process_fn process_q_overflow;
    /** `IN_UNMOUNT`: needs no mask bit. */
    tn_process_fn process_unmount;
    /** Family of `IN_CLOSE_WRITE` and `IN_CLOSE_NOWRITE`. */
    tn_process_fn process_close;
    /** Family of `IN_MOVED_FROM` and `IN_MOVED_TO`. */
    tn_process_fn process_move;
    /** Every event that has no function of its own or of its family, or is of no kind. */
    tn_process_fn process_default;
    /** Instead of all above: a run of events at once, in order; `count` is at least 1. In a chain
     *  a run is one event. The result is as that of a tn_process_fn, for the whole run. */
    int (*process_batch)(const struct tn_event *const *events, size_t count, void *userdata);
    /** Deliver what is held back: called by tn_notifier_settle() and by a stop that drains. */
    void (*flush)(void *userdata);
    /** Called exactly once, when the processor's last reference goes. */
    void (*release)(void *userdata);
};

/** @brief Initial value of a struct tn_processor_ops: no function. */
#define TN_PROCESSOR_OPS_INIT TN_SIZED_INIT(struct tn_processor_ops)

/**
 * @brief Make a processor of your own functions.
 *
 * After a failure `release` is not called.
 *
 * @param      ops            The functions; copied.
 * @param      userdata       Handed to each of them; the caller's until `release`.
 * @param[out] ret_processor  Receives the processor; the caller's reference,
 *                            given back by tn_processor_unref().
 *
 * @retval 0        Made.
 * @retval -E2BIG   `ops` asks for what this version does not know.
 * @retval -EINVAL  `ops` or `ret_processor` is NULL, or `ops->size` is too small.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 *
 * @snippet watch_processor.c processors
 * @snippet watch_processor.c release
 */
TN_EXPORT int tn_processor_new(const struct tn_processor_ops *ops, void *userdata,
                               struct tn_processor **ret_processor);

/**
 * @brief Take a reference.
 *
 * @param processor  A processor; NULL does nothing.
 *
 * @return `processor`.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT struct tn_processor *tn_processor_ref(struct tn_processor *processor);

/**
 * @brief Give a reference back; the last one calls `release` and frees the processor.
 *
 * @param processor  A processor; NULL does nothing.
 *
 * @return NULL.
 *
 * @threadsafe
 * @mayblock{its `release` function}
 * @incallback{Allowed}
 */
TN_EXPORT struct tn_processor *tn_processor_unref(struct tn_processor *processor);

/**
 * @brief Call a processor with an event, as the notifier would.
 *
 * For processors that wrap others, and for unit tests. It runs in this thread;
 * nothing is counted or logged.
 *
 * @param processor  The processor.
 * @param event      The event; may be made by hand.
 *
 * @retval 0        Go on; also when no function takes the event.
 * @retval TN_STOP  The chain ends here.
 * @retval -EINVAL  An argument is NULL.
 * @return Otherwise the processing function's negative result.
 *
 * @threadsafe
 * @mayblock{the processing function}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_processor_call(struct tn_processor *processor, const struct tn_event *event);

/**
 * @brief Make a processor that calls others in turn.
 *
 * An event goes to each of them until one returns @ref TN_STOP. An error of one
 * does not keep it from the others. The chain's result is the first error, else
 * @ref TN_STOP if one ended it, else 0. A chain inside a chain stands for its
 * members: what ends it ends the outer one too.
 *
 * @param      processors     The processors, in order; the chain takes a
 *                            reference to each.
 * @param      count          How many; 0 makes one that does nothing.
 * @param[out] ret_processor  Receives the chain; the caller's reference.
 *
 * @retval 0        Made.
 * @retval -EINVAL  A NULL among the processors or the arguments.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 *
 * @snippet chain.c chain
 */
TN_EXPORT int tn_processor_new_chain(struct tn_processor *const *processors, size_t count,
                                     struct tn_processor **ret_processor);

/**
 * @brief Make a processor that prints each event on a line, as tn_event_format().
 *
 * Lines of several threads do not mix, and each is flushed.
 *
 * @param      out            An open stream; the caller's, and open while the
 *                            processor lives.
 * @param[out] ret_processor  Receives the processor; the caller's reference.
 *
 * @retval 0        Made.
 * @retval -EINVAL  An argument is NULL.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT int tn_processor_new_print(FILE *out, struct tn_processor **ret_processor);

/**
 * @brief Make a processor that counts events by their kind.
 *
 * @param[out] ret_processor  Receives the processor; the caller's reference.
 *
 * @retval 0        Made.
 * @retval -EINVAL  NULL.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 *
 * @snippet statistics.c processor
 */
TN_EXPORT int tn_processor_new_stats(struct tn_processor **ret_processor);

/**
 * @brief Write the counts of a processor that tn_processor_new_stats() made.
 *
 * As snprintf(3): the text is cut to `size` - 1 bytes and terminated, if `size`
 * is not 0.
 *
 * @param      processor  The processor. For one of another kind the text is
 *                        empty.
 * @param[out] buffer     Receives the text. May be NULL if `size` is 0.
 * @param      size       Bytes at `buffer`.
 *
 * @return The length of the whole text, without its terminator.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT size_t tn_processor_stats_format(struct tn_processor *processor, char *buffer,
                                           size_t size);

/**
 * @brief Write the counts of a processor that tn_processor_new_stats() made to a new file.
 *
 * The file is made with mode 0600. An existing one is not written to, nor is a
 * symbolic link followed.
 *
 * @param processor  The processor.
 * @param file       Path of the file.
 *
 * @retval 0        Written.
 * @retval -EEXIST  The file is there already.
 * @retval -EINVAL  A processor of another kind, or NULL.
 * @return Otherwise the negative errno of open(2) or write(2).
 *
 * @threadsafe
 * @mayblock{the writing of the file}
 * @incallback{Allowed}
 *
 * @snippet statistics.c dump
 */
TN_EXPORT int tn_processor_stats_dump(struct tn_processor *processor, const char *file);

/**
 * @brief Make a processor that ends its chain unless a test is true.
 *
 * After a failure `release` is not called.
 *
 * @param      test           Asked for each event, under the rules of a
 *                            tn_process_fn; true goes on, false is
 *                            @ref TN_STOP.
 * @param      userdata       Handed to `test` and `release`.
 * @param      release        Called once, when the last reference goes. May be
 *                            NULL.
 * @param[out] ret_processor  Receives the processor; the caller's reference.
 *
 * @retval 0        Made.
 * @retval -EINVAL  `test` or `ret_processor` is NULL.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 *
 * @snippet chain.c functions
 */
TN_EXPORT int tn_processor_new_if(bool (*test)(const struct tn_event *event, void *userdata),
                                  void *userdata, void (*release)(void *userdata),
                                  struct tn_processor **ret_processor);

/** @} */

TN_END_DECLS

#endif
