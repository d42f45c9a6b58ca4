/*
 * A notifier's counters, gathered from its stages.
 */
#include <errno.h>
#include <tnotify/stats.h>

#include "options.h"
#include "stages.h"

static uint64_t value(_Atomic uint64_t *counter)
{
    return tn__load(counter, relaxed);
}

int tn_notifier_get_stats(struct tn_notifier *notifier, struct tn_stats *ret_stats)
{
    int result = tn__notifier_check(notifier);

    if (result == 0 && !ret_stats)
        result = -EINVAL;
    if (result < 0)
        return result;
    struct tn__dispatch *dispatch = &notifier->dispatch;
    struct tn__reader_counts *counts = &notifier->reader.counts;
    struct tn_stats stats = {
        .read = value(&counts->read),
        .delivered = value(&dispatch->delivered),
        .synthetic = value(&counts->synthetic),
        .suppressed = value(&counts->suppressed) + value(&dispatch->suppressed),
        .dropped = value(&counts->dropped) + value(&dispatch->dropped),
        .unhandled = value(&dispatch->unhandled),
        .errors = value(&dispatch->errors),
        .overflows = value(&counts->overflows),
        .unwatched = value(&counts->unwatched) + value(&notifier->registry.unwatched),
        .watches = tn__load(&notifier->registry.live, relaxed),
        .queue_bytes = tn__lanes_bytes(&notifier->lanes),
        .queue_bytes_high = tn__lanes_bytes_high(&notifier->lanes),
        .wakeups = value(&counts->wakeups),
        .scans = value(&counts->scans),
        .moves = value(&counts->moves),
        .snapshot_entries = value(&counts->snapshot_entries),
        .snapshot_bytes = value(&counts->snapshot_bytes),
    };
    for (size_t i = 0; i < TN__COUNT(stats.latency_ns); i++)
        stats.latency_ns[i] = value(&dispatch->latency[i]);
    return tn__output_copy(ret_stats, &stats, sizeof(stats));
}
