/*
 * A hash with short chains, the oldest first. Of a name 64 bits are kept.
 *
 * Who has opened a directory can't be told from the record, nor need it be, as
 * long as as many are taken as were noted: one that was opened is read and
 * closed; of two, the one that ends first is taken, and where that was the
 * reader's, the crawl's stays as long. How often a directory is read is not known
 * before, and the kernel merges equal records in a row, so every read up to the
 * next closing is taken.
 */
#include "registry/trace.h"

#include <stdlib.h>

struct tn__trace {
    struct tn__trace *next;
    uint64_t hash;             /* of key and name */
    uint64_t until;            /* the reader's: position; UINT64_MAX while it lists */
    const struct tn__add *add; /* whose crawl it is; NULL: the reader's */
    uint64_t instead;          /* the crawl's: until of one of the reader's that was taken for it */
    bool opened;               /* that was taken, or is not told */
};

static uint64_t hash_of(uint64_t key, const char *name, size_t length)
{
    uint64_t hash = (key + length) * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    return hash ^ (hash >> 32);
}

static struct tn__trace_bucket *bucket_of(struct tn__traces *traces, uint64_t hash)
{
    return &traces->buckets[hash % TN__TRACE_BUCKETS];
}

/* before: the one before it in the bucket, or NULL. */
static void drop(struct tn__traces *traces, struct tn__trace_bucket *bucket,
                 struct tn__trace *before, struct tn__trace *trace)
{
    if (before)
        before->next = trace->next;
    else
        bucket->first = trace->next;
    if (bucket->last == trace)
        bucket->last = before;
    free(trace);
    tn__fetch_sub(&traces->count, 1, relaxed);
}

void tn__trace_note_locked(struct tn__traces *traces, uint64_t key, const char *name, size_t length,
                           bool opened, const struct tn__add *add)
{
    struct tn__trace *trace = malloc(sizeof(*trace));

    if (!trace)
        return;
    *trace = (struct tn__trace){.hash = hash_of(key, name, length),
                                .until = UINT64_MAX,
                                .add = add,
                                .opened = opened};
    struct tn__trace_bucket *bucket = bucket_of(traces, trace->hash);
    if (bucket->last)
        bucket->last->next = trace;
    else
        bucket->first = trace;
    bucket->last = trace;
    tn__fetch_add(&traces->count, 1, relaxed);
}

void tn__trace_close_locked(struct tn__traces *traces, uint64_t position)
{
    for (size_t i = 0; i < TN__TRACE_BUCKETS; i++)
        for (struct tn__trace *trace = traces->buckets[i].first; trace; trace = trace->next)
            if (!trace->add && trace->until == UINT64_MAX)
                trace->until = position;
}

static bool is_better(const struct tn__trace *trace, const struct tn__trace *than)
{
    if (!than || trace->opened != than->opened)
        return !than || trace->opened;
    return trace->until < than->until;
}

bool tn__trace_take_locked(struct tn__traces *traces, uint64_t key, const char *name, size_t length,
                           uint32_t mask, uint64_t position)
{
    const uint64_t hash = hash_of(key, name, length);
    struct tn__trace_bucket *bucket = bucket_of(traces, hash);
    struct tn__trace *found = NULL, *before_found = NULL, *before = NULL, *other = NULL;

    for (struct tn__trace *trace = bucket->first; trace; before = trace, trace = trace->next) {
        if (trace->hash != hash || position > trace->until || (mask & IN_OPEN && trace->opened) ||
            !is_better(trace, found)) {
            other = trace->hash == hash && trace->add ? trace : other;
            continue;
        }
        other = found && found->add ? found : other;
        found = trace;
        before_found = before;
    }
    if (!found)
        return false;
    found->opened = true;
    if (other && !found->add)
        other->instead = found->until;
    if (mask & IN_CLOSE_NOWRITE)
        drop(traces, bucket, before_found, found);
    return true;
}

/* Whether the add has noted it; NULL: the reader, and it has been passed. */
static bool is_over(struct tn__trace *trace, const struct tn__add *add, uint64_t position)
{
    if (trace->add != add)
        return false;
    if (add && trace->instead > position) {
        trace->add = NULL;
        trace->until = trace->instead;
    }
    return trace->add || trace->until <= position;
}

void tn__trace_forget_locked(struct tn__traces *traces, const struct tn__add *add,
                             uint64_t position)
{
    for (size_t i = 0; i < TN__TRACE_BUCKETS; i++) {
        struct tn__trace *before = NULL, *next;
        for (struct tn__trace *trace = traces->buckets[i].first; trace; trace = next) {
            next = trace->next;
            if (is_over(trace, add, position))
                drop(traces, &traces->buckets[i], before, trace);
            else
                before = trace;
        }
    }
}

void tn__trace_done(struct tn__traces *traces)
{
    for (size_t i = 0; i < TN__TRACE_BUCKETS; i++)
        while (traces->buckets[i].first)
            drop(traces, &traces->buckets[i], NULL, traces->buckets[i].first);
}
