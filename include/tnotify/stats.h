/**
 * @file
 * @brief A notifier's counters.
 */
#ifndef TNOTIFY_STATS_H
#define TNOTIFY_STATS_H

#include <stddef.h>
#include <stdint.h>

#include <tnotify/version.h>

TN_BEGIN_DECLS

/**
 * @defgroup stats Counters
 * @brief What a notifier has done, and where it stands.
 * @{
 */

/**
 * @brief The counters of one notifier, since it was made unless said otherwise.
 *
 * Each is exact by itself. They are read one after the other, so sums over them
 * are exact only while the notifier is at rest.
 */
struct tn_stats {
    /** Set by the caller (@ref TN_STATS_INIT); no more than this is filled. */
    size_t size;
    /** Records read from the kernel. */
    uint64_t read;
    /** Events handed to a processor: one for each watch that got the event. */
    uint64_t delivered;
    /** Events made by a scan, @ref TN_EVENT_SYNTHETIC. */
    uint64_t synthetic;
    /** Events not delivered because their watch was removed first, the notifier was ignoring
     *  events, or they equalled the one before (@ref TN_NOTIFIER_COALESCE). */
    uint64_t suppressed;
    /** Events dropped: the kernel's, while the queue was full (@ref TN_FULL_DROP) or right behind
     * an overflow; and what @ref TN_FINISH_DISCARD left or found no memory. */
    uint64_t dropped;
    /** Events for which no processor or no function of it stood ready. */
    uint64_t unhandled;
    /** Negative results of processors. */
    uint64_t errors;
    /** `IN_Q_OVERFLOW` records of the kernel, and overflows that @ref TN_FULL_DROP stood for. */
    uint64_t overflows;
    /** Directories that could not be watched, @ref TN_EVENT_UNWATCHED. */
    uint64_t unwatched;
    /** Watches that stand now. */
    uint64_t watches;
    /** Bytes of events in flight now, of @ref tn_notifier_options.queue_bytes. */
    uint64_t queue_bytes;
    /** The most that `queue_bytes` has been. */
    uint64_t queue_bytes_high;
    /** How often the reader was woken. */
    uint64_t wakeups;
    /** Directories scanned. */
    uint64_t scans;
    /** Moves of directories within the watched trees. */
    uint64_t moves;
    /** Deliveries by the time from the read to the call: [i] counts those of 2^i ns up to
     *  2^(i+1); the last one also all that took longer. */
    uint64_t latency_ns[32];
    /** Entries that are kept for @ref TN_WATCH_SNAPSHOT now. */
    uint64_t snapshot_entries;
    /** The memory for them, in bytes. */
    uint64_t snapshot_bytes;
};

/** @brief Initial value of a struct tn_stats. */
#define TN_STATS_INIT TN_SIZED_INIT(struct tn_stats)

/**
 * @brief Write counters as text for people.
 *
 * As snprintf(3): the text is cut to `size` - 1 bytes and terminated, if `size`
 * is not 0. The form may change between versions.
 *
 * @param      stats   The counters; no more than its `size` is read.
 * @param[out] buffer  Receives the text. May be NULL if `size` is 0.
 * @param      size    Bytes at `buffer`.
 *
 * @return The length of the whole text, without its terminator.
 *
 * @threadsafe
 * @nonblocking
 * @incallback{Allowed}
 *
 * @snippet statistics.c print
 */
TN_EXPORT size_t tn_stats_format(const struct tn_stats *stats, char *buffer, size_t size);

/** @} */

TN_END_DECLS

#endif
