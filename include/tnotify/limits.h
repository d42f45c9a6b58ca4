/**
 * @file
 * @brief The kernel's limits, and the text of errors.
 */
#ifndef TNOTIFY_LIMITS_H
#define TNOTIFY_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include <tnotify/version.h>

TN_BEGIN_DECLS

/**
 * @defgroup limits Limits and errors
 * @brief The kernel's limits on inotify, and the text of errors.
 *
 * The limits are the files of `/proc/sys/fs/inotify`; see inotify(7).
 * @{
 */

/** @brief One of the kernel's limits. */
enum tn_limit {
    /** fs.inotify.max_queued_events: events that the kernel holds for one notifier. A notifier
     *  takes the value at the time when it is made. */
    TN_LIMIT_QUEUED_EVENTS,
    /** fs.inotify.max_user_instances: notifiers (and other inotify instances) of one user. */
    TN_LIMIT_USER_INSTANCES,
    /** fs.inotify.max_user_watches: watched inodes of one user, over all instances. */
    TN_LIMIT_USER_WATCHES
};

/** @brief The limits, and what this user has in use. */
struct tn_limits {
    /** Set by the caller (@ref TN_LIMITS_INIT); no more than this is filled. */
    size_t size;
    /** Value of @ref TN_LIMIT_QUEUED_EVENTS. */
    uint64_t queued_events;
    /** Value of @ref TN_LIMIT_USER_INSTANCES. */
    uint64_t user_instances;
    /** Value of @ref TN_LIMIT_USER_WATCHES. */
    uint64_t user_watches;
    /** Instances of this user, as far as `/proc` shows them. */
    uint64_t instances_used;
    /** Watches of this user, as far as `/proc` shows them. */
    uint64_t watches_used;
};

/** @brief Initial value of a struct tn_limits. */
#define TN_LIMITS_INIT TN_SIZED_INIT(struct tn_limits)

/**
 * @brief Read the limits and what is in use.
 *
 * Walks the descriptors of all processes of this user that `/proc` lets it see.
 *
 * @param[in,out] ret_limits  The caller sets its `size`; receives the rest.
 *
 * @retval 0        Read.
 * @retval -EINVAL  NULL, or a `size` that does not even hold itself.
 * @retval -E2BIG   A `size` that no version has.
 * @return Otherwise the negative errno of reading `/proc/sys/fs/inotify`.
 *
 * @threadsafe
 * @mayblock{the reading of /proc}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_limits_get(struct tn_limits *ret_limits);

/**
 * @brief Set one of the limits, for the whole system, until it is started anew.
 *
 * Needs the rights to write below `/proc/sys`: root, as a rule.
 *
 * @param which  The limit.
 * @param value  Its new value.
 *
 * @retval 0        Set.
 * @retval -EINVAL  No such limit, 0, or a value that the kernel does not take.
 * @return Otherwise the negative errno of writing below `/proc/sys/fs/inotify`:
 *         `-EACCES`, `-EPERM` or `-EROFS` without the rights.
 *
 * @threadsafe
 * @mayblock{the writing below /proc/sys}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_limits_set(enum tn_limit which, uint64_t value);

/**
 * @brief What an error means here.
 *
 * Where the cause is a limit, the text names the sysctl that raises it.
 *
 * @param error  A negative errno that a function of the library returned.
 *
 * @return Static text, never NULL.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT const char *tn_strerror(int error);

/**
 * @brief Write what an error means, with the limit's value, what is in use and how to raise it.
 *
 * As snprintf(3): the text is cut to `size` - 1 bytes and terminated, if `size`
 * is not 0.
 *
 * @param      error   A negative errno that a function of the library returned.
 * @param[out] buffer  Receives the text. May be NULL if `size` is 0.
 * @param      size    Bytes at `buffer`.
 *
 * @return The length of the whole text, without its terminator.
 *
 * @threadsafe
 * @mayblock{the reading of /proc, where the cause is a limit}
 * @incallback{Allowed}
 *
 * @snippet exclude.c error
 */
TN_EXPORT size_t tn_error_format(int error, char *buffer, size_t size);

/** @} */

TN_END_DECLS

#endif
