/**
 * @file
 * @brief Events, and the text of masks.
 */
#ifndef TNOTIFY_EVENT_H
#define TNOTIFY_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/inotify.h>

#include <tnotify/version.h>

TN_BEGIN_DECLS

/**
 * @defgroup event Events
 * @brief What a processor is told, and the text of masks.
 *
 * Masks are the `IN_*` bits of `<sys/inotify.h>`; inotify(7) says what each
 * event means. What the library adds is in @ref tn_event.flags.
 * @{
 */

/**
 * @brief A watch descriptor.
 *
 * Above 0, unique, and never reused while its notifier lives. It is not the
 * kernel's: several watches may stand on one inode, each with its own. A stale
 * one is answered with `-ENOENT`.
 */
typedef int64_t tn_wd;

/** @brief As a delay: none. (0 is the default of a delay.) */
#define TN_NEVER UINT32_MAX

/**
 * @brief Found by a scan, not told by the kernel.
 *
 * The order of such events against what happened at the same time in the same
 * directory is not known, but what they tell was so at this point of the stream.
 */
#define TN_EVENT_SYNTHETIC 0x01u
/** @brief With `IN_Q_OVERFLOW`: events were lost; what follows up to the gap's end is rebuilt. */
#define TN_EVENT_GAP_BEGIN 0x02u
/** @brief With `IN_Q_OVERFLOW`: all that could be rebuilt has been told. */
#define TN_EVENT_GAP_END 0x04u
/** @brief The item has left every watched tree; `path` is its last known one. */
#define TN_EVENT_PATH_UNKNOWN 0x08u
/**
 * @brief This directory could not be watched; @ref tn_event.error says why.
 *
 * Delivered whatever the mask, and counted in @ref tn_stats.unwatched.
 */
#define TN_EVENT_UNWATCHED 0x10u

/**
 * @brief One event.
 *
 * Made by the library and valid, with all its text, until the callback that
 * received it returns; @ref tn_event_dup keeps it longer. Later versions add
 * members at the end alone. All text is bytes as the file system has them, in
 * no particular encoding.
 */
struct tn_event {
    /** The watch of this very directory or file; -1 for the notifier's `IN_Q_OVERFLOW`. */
    tn_wd wd;
    /** The watch that the tn_watch_add() returned which `wd` belongs to; `wd` itself for a root. */
    tn_wd root;
    /** @ref tn_watch_options.data of that add. */
    void *data;
    /** The event's `IN_*` bit, with `IN_ISDIR` as the kernel reports it. */
    uint32_t mask;
    /** Ties an `IN_MOVED_FROM` to its `IN_MOVED_TO`. 0 if there is no other half, but for the
     *  departure of what is no directory: it is told at once, before that is known. An arrival
     *  replaces what stood at its name. renameat2(2) with `RENAME_EXCHANGE` is two moves, and both
     *  departures are told before the first arrival: nothing is replaced. */
    uint32_t cookie;
    /** `TN_EVENT_*`. */
    uint32_t flags;
    /** The negative errno of a @ref TN_EVENT_UNWATCHED event, else 0. */
    int error;
    /** Path of the watched item at this point of the stream; NULL for the notifier's overflow, and
     *  empty in an `IN_IGNORED` if there was no memory for it. */
    const char *path;
    /** The entry inside the watched directory; NULL when the watched item itself is meant. */
    const char *name;
    /** `path` and `name` joined; `path` where there is no name. */
    const char *pathname;
    /** `IN_MOVED_TO`: the pathname that it came from, where that is known; else NULL. */
    const char *src_pathname;
    /** Position in the notifier's stream, from 1. */
    uint64_t sequence;
    /** When it was read from the kernel: nanoseconds of `CLOCK_MONOTONIC`. */
    uint64_t read_ns;
};

/**
 * @brief Whether the event is about a directory.
 *
 * True also for the self events of a watched directory, such as
 * `IN_DELETE_SELF`, to which the kernel puts no `IN_ISDIR`.
 *
 * @param event  An event that the library made, or a copy by tn_event_dup().
 *
 * @return True for a directory; false for anything else and for NULL.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT bool tn_event_is_dir(const struct tn_event *event);

/**
 * @brief Write an event as one line of text for people, without a newline.
 *
 * As snprintf(3): the text is cut to `size` - 1 bytes and terminated, if `size`
 * is not 0. The form may change between versions.
 *
 * @param      event   The event.
 * @param[out] buffer  Receives the text. May be NULL if `size` is 0.
 * @param      size    Bytes at `buffer`.
 *
 * @return The length of the whole text, without its terminator.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT size_t tn_event_format(const struct tn_event *event, char *buffer, size_t size);

/**
 * @brief Copy an event, to keep it past the callback.
 *
 * All its text is copied. `data` is the same pointer: the copy does not
 * keep alive what it points to.
 *
 * @param      event      The event.
 * @param[out] ret_event  Receives the copy; the caller's, to be freed by
 *                        tn_event_free().
 *
 * @retval 0        Copied.
 * @retval -EINVAL  An argument is NULL.
 * @retval -ENOMEM  No memory.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT int tn_event_dup(const struct tn_event *event, struct tn_event **ret_event);

/**
 * @brief Free a copy that tn_event_dup() made.
 *
 * @param event  The copy; NULL does nothing. Never an event that a callback was
 *               given.
 *
 * @return NULL.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT struct tn_event *tn_event_free(struct tn_event *event);

/**
 * @brief The name of one event.
 *
 * @param mask  A mask with one event bit; of several, the lowest is named. Bits
 *              that are no event, such as `IN_ISDIR`, do not matter.
 *
 * @return Static text such as "IN_CREATE"; "IN_UNKNOWN" if the mask has no event.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 * @asyncsignalsafe
 */
TN_EXPORT const char *tn_mask_name(uint32_t mask);

/**
 * @brief Write a mask as text: "IN_CREATE|IN_ISDIR".
 *
 * Any mask has a text: bits without a name are one hexadecimal number, no bit at
 * all is "0". As snprintf(3): the text is cut to `size` - 1 bytes and terminated,
 * if `size` is not 0.
 *
 * @param      mask    Any mask.
 * @param[out] buffer  Receives the text. May be NULL if `size` is 0.
 * @param      size    Bytes at `buffer`.
 *
 * @return The length of the whole text, without its terminator.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 *
 * @snippet mask.c info
 */
TN_EXPORT size_t tn_mask_format(uint32_t mask, char *buffer, size_t size);

/**
 * @brief Read a mask from text.
 *
 * Names stand between ',' or '|'; "IN_" may be left out, case and white space
 * around a name do not matter. Beside the single bits, ALL_EVENTS, CLOSE and MOVE
 * are known, and all that tn_mask_format() writes.
 *
 * @param      text      The text, such as "create,IN_DELETE|close".
 * @param[out] ret_mask  Receives the mask.
 *
 * @retval 0        Read.
 * @retval -EINVAL  An unknown name, a missing one, or a NULL argument.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 */
TN_EXPORT int tn_mask_parse(const char *text, uint32_t *ret_mask);

/** @} */

TN_END_DECLS

#endif
