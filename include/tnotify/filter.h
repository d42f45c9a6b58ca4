/**
 * @file
 * @brief Filters: what is neither watched nor reported.
 */
#ifndef TNOTIFY_FILTER_H
#define TNOTIFY_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include <tnotify/version.h>

TN_BEGIN_DECLS

/**
 * @defgroup filter Filters
 * @brief What matches is neither watched nor reported.
 *
 * A filter is asked before a watch is placed, so that an excluded tree costs
 * nothing, and again for each event. A path is excluded if any rule excludes
 * it, or if there are includes (@ref TN_FILTER_INCLUDE) and it matches none of
 * them. A filter without rules excludes nothing.
 *
 * A filter is filled first and used then: from its first use by a notifier or a
 * watch it is frozen, and what would change it answers `-EBUSY`. One filter may
 * serve many watches and notifiers.
 * @{
 */

/** @brief A filter; counted by reference. */
struct tn_filter;

/**
 * @brief Report only what matches some include.
 *
 * An include never prunes: directories that match none are still watched, and
 * what lies below them is asked for itself.
 */
#define TN_FILTER_INCLUDE 0x1u
/** @brief Upper and lower case do not matter. */
#define TN_FILTER_ICASE 0x2u

/** @brief What the lines of a file for tn_filter_load() are. */
enum tn_filter_syntax {
    /** POSIX extended regular expressions, as for tn_filter_add_regex(). */
    TN_FILTER_REGEX,
    /** Rules of gitignore(5). Not supported yet: `-EOPNOTSUPP`. */
    TN_FILTER_IGNORE
};

/**
 * @brief Make a filter without rules.
 *
 * @param[out] ret_filter  Receives the filter; the caller's reference, given
 *                         back by tn_filter_unref().
 *
 * @retval 0        Made.
 * @retval -EINVAL  NULL.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT int tn_filter_new(struct tn_filter **ret_filter);

/**
 * @brief Add a regular expression.
 *
 * It is searched in the full path: the path of the watched directory joined
 * with the name, byte by byte as in the C locale. Anchor it with ^ and $ where
 * the whole path is meant. After a failure the filter is as it was.
 *
 * @param filter   A filter that is not in use yet.
 * @param pattern  A POSIX extended regular expression (regex(7)); copied.
 * @param flags    @ref TN_FILTER_INCLUDE and @ref TN_FILTER_ICASE, or 0.
 *
 * @retval 0        Added.
 * @retval -EBUSY   The filter is in use.
 * @retval -EINVAL  A bad or empty pattern, an unknown flag, or NULL.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @mayblock{another thread that adds to the filter}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_filter_add_regex(struct tn_filter *filter, const char *pattern, uint32_t flags);

/**
 * @brief Add the patterns of a file.
 *
 * One pattern a line; empty lines and lines that begin with # are skipped. All
 * of them exclude. After a failure the filter is as it was.
 *
 * @param filter  A filter that is not in use yet.
 * @param file    Path of the file; read now.
 * @param syntax  What its lines are.
 *
 * @retval 0            Added.
 * @retval -EBUSY       The filter is in use.
 * @retval -EINVAL      A bad pattern, an unknown syntax, or NULL.
 * @retval -ENOMEM      No memory.
 * @retval -EOPNOTSUPP  @ref TN_FILTER_IGNORE.
 * @return Otherwise the negative errno of open(2) or read(2).
 *
 * @threadsafe
 * @mayblock{the reading of the file}
 * @incallback{Allowed}
 *
 * @snippet exclude.c filter
 */
TN_EXPORT int tn_filter_load(struct tn_filter *filter, const char *file,
                             enum tn_filter_syntax syntax);

/**
 * @brief Add a test of your own.
 *
 * The test is asked by the library's threads and by the thread that adds a
 * watch, by several at once. It is short, and calls nothing of a notifier.
 * After a failure the filter is as it was, and `release` is not called.
 *
 * @param filter    A filter that is not in use yet.
 * @param test      Receives the full path and whether it is a directory; true
 *                  excludes it.
 * @param userdata  Handed to `test` and `release`.
 * @param release   Called once, when the filter's last reference goes. May be
 *                  NULL.
 *
 * @retval 0        Added.
 * @retval -EBUSY   The filter is in use.
 * @retval -EINVAL  `filter` or `test` is NULL.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @mayblock{another thread that adds to the filter}
 * @incallback{Allowed}
 */
TN_EXPORT int tn_filter_add_test(struct tn_filter *filter,
                                 bool (*test)(const char *path, bool is_dir, void *userdata),
                                 void *userdata, void (*release)(void *userdata));

/**
 * @brief Take a reference.
 *
 * @param filter  A filter; NULL does nothing.
 *
 * @return `filter`.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT struct tn_filter *tn_filter_ref(struct tn_filter *filter);

/**
 * @brief Give a reference back; the last one frees the filter.
 *
 * @param filter  A filter; NULL does nothing.
 *
 * @return NULL.
 *
 * @threadsafe
 * @mayblock{the `release` functions of its tests}
 * @incallback{Allowed}
 */
TN_EXPORT struct tn_filter *tn_filter_unref(struct tn_filter *filter);

/** @} */

TN_END_DECLS

#endif
