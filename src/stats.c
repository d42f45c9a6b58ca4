#include <tnotify/stats.h>

#include <inttypes.h>

#include "compiler.h"
#include "options.h"
#include "text.h"

static const struct {
    const char *name;
    size_t offset;
} fields[] = {
    {"read", offsetof(struct tn_stats, read)},
    {"delivered", offsetof(struct tn_stats, delivered)},
    {"synthetic", offsetof(struct tn_stats, synthetic)},
    {"suppressed", offsetof(struct tn_stats, suppressed)},
    {"dropped", offsetof(struct tn_stats, dropped)},
    {"unhandled", offsetof(struct tn_stats, unhandled)},
    {"errors", offsetof(struct tn_stats, errors)},
    {"overflows", offsetof(struct tn_stats, overflows)},
    {"unwatched", offsetof(struct tn_stats, unwatched)},
    {"watches", offsetof(struct tn_stats, watches)},
    {"queue_bytes", offsetof(struct tn_stats, queue_bytes)},
    {"queue_bytes_high", offsetof(struct tn_stats, queue_bytes_high)},
    {"wakeups", offsetof(struct tn_stats, wakeups)},
    {"scans", offsetof(struct tn_stats, scans)},
    {"moves", offsetof(struct tn_stats, moves)},
    {"snapshot_entries", offsetof(struct tn_stats, snapshot_entries)},
    {"snapshot_bytes", offsetof(struct tn_stats, snapshot_bytes)},
};

/* The number of the bucket in which the given share of all samples is reached. */
static unsigned bucket_of(const struct tn_stats *stats, double samples, double share)
{
    unsigned last = TN__COUNT(stats->latency_ns) - 1;
    double seen = 0;

    for (unsigned i = 0; i < last; i++) {
        seen += (double)stats->latency_ns[i];
        if (seen > 0 && seen >= samples * share)
            return i;
    }
    return last;
}

/* Bucket i holds what took from 2^i up to 2^(i+1) ns, so the upper bound is told. */
static void put_latency(struct tn__text *text, const struct tn_stats *stats)
{
    static const struct {
        const char *name;
        double share;
    } shares[] = {{"latency_p50_ns", 0.5}, {"latency_p99_ns", 0.99}, {"latency_max_ns", 1.0}};
    double samples = 0;

    for (unsigned i = 0; i < TN__COUNT(stats->latency_ns); i++)
        samples += (double)stats->latency_ns[i];
    if (!(samples > 0))
        return;
    for (size_t i = 0; i < TN__COUNT(shares); i++)
        tn__text_printf(text, "%-18s< %" PRIu64 "\n", shares[i].name,
                        UINT64_C(2) << bucket_of(stats, samples, shares[i].share));
}

/* A line for each field; an older and shorter struct has zeros in what it lacks. */
size_t tn_stats_format(const struct tn_stats *stats, char *buffer, size_t size)
{
    struct tn_stats known;
    struct tn__text text;

    tn__text_init(&text, buffer, size);
    if (stats == NULL || tn__options_copy(&known, sizeof(known), stats) < 0)
        return 0;
    for (size_t i = 0; i < TN__COUNT(fields); i++)
        tn__text_printf(&text, "%-18s%" PRIu64 "\n", fields[i].name,
                        *(const uint64_t *)(const void *)((const char *)&known + fields[i].offset));
    put_latency(&text, &known);
    return text.length;
}
