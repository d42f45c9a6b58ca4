/*
 * The thread and its batching.
 *
 * The first record after a quiet time is handled at once. When the wake-up
 * before was less than batch_delay_us ago, a stream is on: the reader then naps
 * before it reads, because wake-ups, not events, are what a stream costs, and
 * because the writers get their speed back. A nap is never longer than the
 * kernel's queue can stand, and ends when another thread has work for the
 * reader.
 *
 * Other threads leave work in the registry, under its lock, then change
 * registry->work and write to the eventfd. The reader looks at that word
 * between two records, so a directory is taken in before the next record is
 * committed, unless there are many (turns.c).
 */
#include "reader/reader.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <tnotify/limits.h>
#include <unistd.h>

#include "clock.h"
#include "limit.h"
#include "reader/rescan.h"
#include "tree/crawl.h"

enum {
    PUBLISH_EVERY = 512,   /* records, inside a long batch */
    QUEUE_DEFAULT = 16384, /* fs.inotify.max_queued_events where it can't be read */
    NAP_SHARE = 8, /* a nap lets at most this many events a microsecond pile up, inversely */
    OWN_COOKIES = 1 << 30, /* far from the kernel's, which begin at 1 */
    ERROR_NAP_US = 10000,  /* after a read that failed for want of memory */
};

static uint32_t longest_nap(uint32_t asked)
{
    uint64_t queue;

    if (tn__limit_value(TN_LIMIT_QUEUED_EVENTS, &queue) < 0)
        queue = QUEUE_DEFAULT;
    return (uint32_t)tn__min(asked, (size_t)(queue / NAP_SHARE));
}

static void wake_reader(void *context)
{
    tn__reader_wake(context);
}

int tn__reader_init(struct tn__reader *reader, struct tn__registry *registry,
                    struct tn__lanes *lanes, const struct tn__reader_options *options)
{
    memset(reader, 0, sizeof(*reader));
    reader->registry = registry;
    reader->lanes = lanes;
    reader->options = *options;
    reader->options.batch_delay_us = longest_nap(options->batch_delay_us);
    reader->parent_fd = -1;
    reader->generation = 1;
    reader->own_cookie = OWN_COOKIES;
    lanes->epochs.reached = wake_reader;
    lanes->epochs.context = reader;
    tn__stream_init(&reader->stream, registry->source);
    reader->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (reader->wake_fd < 0)
        return -errno;
    reader->dir_buffer = malloc(TN__DIR_BUFFER);
    reader->notifier_lane = tn__lanes_alloc(lanes);
    if (reader->dir_buffer && reader->notifier_lane)
        return 0;
    tn__reader_done(reader);
    return -ENOMEM;
}

void tn__reader_done(struct tn__reader *reader)
{
    tn__reader_forget_parent(reader);
    tn__stream_done(&reader->stream);
    for (unsigned i = 0; i < TN__READER_PATHS; i++)
        free(reader->paths[i].text);
    free(reader->text);
    free(reader->source);
    free(reader->name_text);
    free(reader->directory_moves);
    free(reader->doubts);
    free(reader->retry.items);
    free(reader->aside);
    free(reader->gap_ends);
    free(reader->fresh);
    tn__reader_free_snapshots(reader);
    free(reader->dir_buffer);
    if (reader->wake_fd >= 0)
        close(reader->wake_fd);
    reader->wake_fd = -1;
}

void tn__reader_wake(struct tn__reader *reader)
{
    int error = errno;
    const uint64_t one = 1;
    ssize_t written = write(reader->wake_fd, &one, sizeof(one));

    (void)written; /* EAGAIN: it is readable already */
    errno = error;
}

void tn__reader_ask_stop(struct tn__reader *reader, enum tn__stop how)
{
    uint32_t stop = tn__load(&reader->stop, relaxed);

    while (stop < (uint32_t)how && !tn__cas(&reader->stop, &stop, (uint32_t)how, acq_rel, relaxed))
        ;
    tn__reader_wake(reader);
    tn__park_wake(tn__lanes_space_park(reader->lanes), INT32_MAX);
}

int tn__reader_settle_begin(struct tn__reader *reader, struct tn__settle *settle)
{
    struct tn__registry *registry = reader->registry;

    settle->marked = false;
    atomic_init(&settle->ticket, 0);
    tn__registry_lock(registry);
    settle->id = ++reader->last_settle & ((1u << TN__MARK_ID_BITS) - 1);
    int result = tn__registry_mark_locked(registry, TN__MARK_SETTLE, settle->id);
    if (result == 0) {
        settle->next = reader->settles;
        reader->settles = settle;
    }
    tn__registry_unlock(registry);
    tn__reader_wake(reader);
    return result;
}

void tn__reader_settle_end(struct tn__reader *reader, struct tn__settle *settle)
{
    tn__registry_lock(reader->registry);
    struct tn__settle **link = &reader->settles;
    while (*link != settle)
        link = &(*link)->next;
    *link = settle->next;
    tn__registry_unlock(reader->registry);
}

void tn__reader_settle_marked(struct tn__reader *reader, uint32_t id)
{
    tn__registry_lock(reader->registry);
    for (struct tn__settle *settle = reader->settles; settle; settle = settle->next)
        if (settle->id == id)
            settle->marked = true;
    tn__registry_unlock(reader->registry);
    reader->settle_due = true;
}

/* No marker comes from a source that has ended: all that there was has been read. */
static void mark_settles(struct tn__reader *reader)
{
    tn__registry_lock(reader->registry);
    for (struct tn__settle *settle = reader->settles; settle; settle = settle->next) {
        settle->marked = true;
        reader->settle_due = true;
    }
    tn__registry_unlock(reader->registry);
}

/* One epoch serves all that wait; when the ring of epochs is full, the next time. */
static void give_tickets(struct tn__reader *reader)
{
    uint64_t ticket = tn__lanes_epoch_close(reader->lanes);

    if (!ticket)
        return;
    reader->settle_due = false;
    tn__registry_lock(reader->registry);
    for (struct tn__settle *settle = reader->settles; settle; settle = settle->next)
        if (settle->marked && !tn__load(&settle->ticket, relaxed))
            tn__store(&settle->ticket, ticket, release);
    tn__registry_unlock(reader->registry);
    tn__park_wake(tn__lanes_epoch_park(reader->lanes), INT32_MAX);
}

/* Removed, and not ended yet: the slot may have come to be another's since it was noted. */
static bool is_due_locked(const struct tn__registry *registry, uint32_t id)
{
    struct tn__watch *watch = tn__registry_watch(registry, id);

    return tn__load(&watch->state, acquire) & TN__WATCH_REMOVED &&
           tn__load(&watch->object, relaxed);
}

/* Ends what was removed while its object stays watched. */
static void queue_finals(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;

    for (;;) {
        tn__registry_lock(registry);
        uint32_t id = 0;
        while (registry->finals.count && !id) {
            id = registry->finals.items[--registry->finals.count];
            id = is_due_locked(registry, id) ? id : 0;
        }
        tn__registry_unlock(registry);
        if (!id)
            return;
        tn__reader_emit_final(reader, id, TN_EVENT_SYNTHETIC);
    }
}

static void sweep(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;
    uint64_t wd = 0;
    bool found = true;

    while (found) {
        uint32_t id = 0;
        tn__registry_lock(registry);
        found = tn__index_next_rcu(&registry->by_wd, &wd, &id);
        bool due = found && is_due_locked(registry, id);
        tn__registry_unlock(registry);
        if (due)
            tn__reader_emit_final(reader, id, TN_EVENT_SYNTHETIC);
        wd++;
    }
}

/* What is put off has read ahead: what it waits for is there to be committed first. */
static bool is_unsettled(const struct tn__reader *reader)
{
    return reader->skipping || reader->heal_due || reader->paused || reader->gap_end_count ||
           ((reader->retry.count || reader->doubt_count || reader->heal_later ||
             reader->snapshots.later) &&
            !tn__stream_is_empty(&reader->stream));
}

static void end_drained(struct tn__reader *reader)
{
    if (TN__UNLIKELY(reader->drain_marked && !is_unsettled(reader)))
        tn__store(&reader->drained, true, release);
}

/* What other threads, and the record committed last, left to do. */
static void do_work(struct tn__reader *reader)
{
    struct tn__registry *registry = reader->registry;

    tn__reader_end_spent(reader);
    if (TN__UNLIKELY(reader->markers_due))
        tn__reader_put_markers_again(reader);
    /* What is taken in below must stand in a true tree. */
    if (TN__UNLIKELY(reader->heal_due && !reader->skipping))
        tn__reader_heal(reader);
    if (TN__UNLIKELY(reader->retry_due && reader->doubt_count && !reader->skipping))
        tn__reader_look_at_doubts(reader);
    while (reader->work_seen != tn__load(&registry->work, acquire)) {
        reader->work_seen = tn__load(&registry->work, acquire);
        tn__registry_lock(registry);
        bool all = registry->sweep;
        registry->sweep = false;
        tn__registry_reap_locked(registry);
        tn__registry_unlock(registry);
        if (all)
            sweep(reader);
        queue_finals(reader);
        tn__reader_resolve_turn(reader);
    }
    if (!reader->retry.count)
        reader->retry_due = false;
    if (TN__UNLIKELY(reader->retry_due && !reader->skipping && !reader->paused)) {
        tn__reader_retry_unresolved(reader);
        tn__reader_resolve_turn(reader);
        reader->work_seen = tn__load(&registry->work, acquire);
    }
    if (TN__UNLIKELY(reader->snapshots.due))
        tn__reader_fill_snapshots(reader);
    end_drained(reader);
    if (TN__UNLIKELY(reader->fresh_count && !reader->retry.count && !is_unsettled(reader)))
        tn__rescan_give_back(reader);
}

static void publish(struct tn__reader *reader)
{
    if (TN__UNLIKELY(reader->gap))
        tn__reader_tell_loss(reader);
    tn__lanes_publish(reader->lanes);
    if (TN__UNLIKELY(reader->overfull))
        tn__reader_end_drop(reader);
    if (TN__UNLIKELY(reader->gap_end_count))
        tn__reader_tell_gap_ends(reader);
    end_drained(reader);
    if (TN__UNLIKELY(reader->stream.ended && tn__stream_is_empty(&reader->stream)))
        mark_settles(reader);
    if (TN__UNLIKELY(reader->settle_due && !is_unsettled(reader)))
        give_tickets(reader);
}

static bool is_over(struct tn__reader *reader)
{
    return tn__load(&reader->drained, relaxed) || tn__reader_stop(reader) == TN__STOP_DISCARD;
}

static bool commit_one(struct tn__reader *reader)
{
    struct tn__raw raw;

    if (TN__UNLIKELY(reader->options.when_full == TN_FULL_DROP))
        tn__reader_drop_when_full(reader);
    if (tn__reader_has_turn(reader) && reader->stream.committed >= reader->resume_at)
        return false;
    if (!tn__stream_next(&reader->stream, &raw, &reader->read_ns))
        return false;
    tn__reader_commit(reader, &raw);
    do_work(reader);
    return true;
}

/* Work that comes before a record has the time of that one's read; without one, now. */
static void begin_batch(struct tn__reader *reader)
{
    uint64_t next_ns = tn__stream_next_ns(&reader->stream);

    reader->read_ns = next_ns ? next_ns : tn__now_ns();
    do_work(reader);
}

/* What could not be taken in because of records ahead: they are committed now. */
static void end_batch(struct tn__reader *reader)
{
    reader->retry_due = true;
    reader->heal_due = reader->heal_due || reader->heal_later;
    reader->heal_later = false;
    tn__reader_end_batch_of_snapshots(reader);
    do_work(reader);
}

/* A retry may read ahead, so there may be more to commit after it. What was committed before the
 * next turn of what is to be taken in is published before it. */
static void commit_all(struct tn__reader *reader)
{
    tn__reader_resume(reader);
    begin_batch(reader);
    do {
        unsigned committed = 0;
        while (!is_over(reader) && commit_one(reader))
            if (++committed % PUBLISH_EVERY == 0)
                tn__lanes_publish(reader->lanes);
        if (committed)
            end_batch(reader);
    } while (!is_over(reader) && !tn__reader_has_turn(reader) &&
             !tn__stream_is_empty(&reader->stream));
    publish(reader);
}

void tn__reader_clear_wake(struct tn__reader *reader)
{
    uint64_t value;
    ssize_t size = read(reader->wake_fd, &value, sizeof(value));

    (void)size;
}

static void nap(struct tn__reader *reader, uint32_t delay_us)
{
    struct pollfd wake = {.fd = reader->wake_fd, .events = POLLIN};
    const struct timespec delay = {.tv_sec = delay_us / 1000000,
                                   .tv_nsec = (long)(delay_us % 1000000) * 1000};

    ppoll(&wake, 1, &delay, NULL);
}

void tn__reader_rest(struct tn__reader *reader)
{
    nap(reader, ERROR_NAP_US);
}

/* Until there is something to read or to do. */
static void wait_for_work(struct tn__reader *reader, uint64_t *last_wake_ns)
{
    struct tn__source *source = reader->registry->source;
    struct pollfd ready[2] = {{.fd = reader->wake_fd, .events = POLLIN},
                              {.fd = source->ops->fd(source), .events = POLLIN}};
    const uint32_t delay_us = reader->options.batch_delay_us;

    poll(ready, reader->stream.ended ? 1 : 2, -1);
    if (delay_us && !ready[0].revents) {
        uint64_t now = tn__now_ns();
        if (now - *last_wake_ns < (uint64_t)delay_us * 1000)
            nap(reader, delay_us);
        *last_wake_ns = tn__now_ns();
    }
    tn__reader_clear_wake(reader);
    tn__store(&reader->counts.wakeups, tn__load(&reader->counts.wakeups, relaxed) + 1, relaxed);
}

/* Everything that happened before the stop is behind its marker. */
static void begin_drain(struct tn__reader *reader)
{
    if (reader->drain_begun)
        return;
    reader->drain_begun = true;
    tn__registry_lock(reader->registry);
    int result = tn__registry_mark_locked(reader->registry, TN__MARK_DRAIN, 0);
    tn__registry_unlock(reader->registry);
    reader->drain_by_read = result < 0;
}

static ssize_t read_once(struct tn__reader *reader)
{
    ssize_t size = tn__stream_read(&reader->stream);

    if (size == 0)
        tn__log(reader->registry->log, TN_LOG_ERROR, "the source of events has ended");
    else if (size < 0 && size != -EAGAIN)
        tn__log(reader->registry->log, TN_LOG_ERROR, "reading events failed: %s",
                tn_strerror((int)size));
    return size;
}

/* Without a marker, or with a source that has ended: when nothing is left to read. */
static void end_drain(struct tn__reader *reader, ssize_t size)
{
    if (reader->drain_begun && (size == -EAGAIN || size == 0) &&
        (reader->drain_by_read || reader->stream.ended) && !is_unsettled(reader) &&
        tn__stream_is_empty(&reader->stream))
        tn__store(&reader->drained, true, release);
}

void tn__reader_run(struct tn__reader *reader)
{
    uint64_t last_wake_ns = 0;

    reader->may_wait = true;
    while (!is_over(reader)) {
        if (tn__reader_stop(reader) == TN__STOP_DRAIN)
            begin_drain(reader);
        ssize_t size = reader->stream.ended ? 0 : read_once(reader);
        commit_all(reader);
        end_drain(reader, size);
        if (is_over(reader))
            break;
        if ((size == -EAGAIN || size == 0) && !tn__reader_has_turn(reader))
            wait_for_work(reader, &last_wake_ns);
        else if (size < 0)
            tn__reader_rest(reader);
    }
    publish(reader);
}

bool tn__reader_has_work(const struct tn__reader *reader)
{
    return !tn__stream_is_empty(&reader->stream) || tn__reader_has_turn(reader) ||
           reader->gap_end_count || reader->work_seen != tn__load(&reader->registry->work, relaxed);
}

/* Whether the bound lets one more record in. */
static bool has_room(struct tn__reader *reader, size_t queue_bytes)
{
    if (tn__lanes_bytes(reader->lanes) < queue_bytes)
        return true;
    tn__lanes_publish(reader->lanes);
    return tn__lanes_reclaim(reader->lanes);
}

int tn__reader_step(struct tn__reader *reader, size_t queue_bytes)
{
    const uint64_t read = tn__load(&reader->counts.read, relaxed);
    bool committed = false;
    ssize_t size = -EAGAIN;

    tn__reader_clear_wake(reader);
    if (tn__reader_stop(reader) == TN__STOP_DRAIN)
        begin_drain(reader);
    if (tn__stream_is_empty(&reader->stream))
        size = reader->stream.ended ? 0 : read_once(reader);
    if (size < 0 && size != -EAGAIN)
        return (int)size;
    tn__reader_resume(reader);
    begin_batch(reader);
    while (!is_over(reader) && has_room(reader, queue_bytes) && commit_one(reader))
        committed = true;
    if (committed)
        end_batch(reader);
    publish(reader);
    end_drain(reader, size);
    if (!committed && !tn__stream_is_empty(&reader->stream))
        return -ENOBUFS;
    return (int)(tn__load(&reader->counts.read, relaxed) - read);
}
