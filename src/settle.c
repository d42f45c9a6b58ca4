/*
 * Settling: a marker in the stream, then the epoch that the reader closes when
 * it commits the marker, then the processors' flushes. With threads this one
 * waits; without, it reads and processes itself.
 */
#include <errno.h>
#include <poll.h>

#include "callback.h"
#include "clock.h"
#include "stages.h"

enum { FOREVER_MS = 1 << 30 };

static bool is_reached(struct tn_notifier *notifier, struct tn__settle *settle)
{
    uint64_t ticket = tn__load(&settle->ticket, acquire);

    return ticket && tn__lanes_epoch_reached(&notifier->lanes, ticket);
}

/* Nobody will give the ticket, or what it stands for was discarded. */
static bool is_over(struct tn_notifier *notifier, struct tn__settle *settle)
{
    if (tn__load(&notifier->dispatch.discard, acquire))
        return true;
    if (!tn__load(&notifier->started, acquire))
        return tn__reader_stop(&notifier->reader) != TN__STOP_NO;
    return tn__load(&notifier->ended, acquire) && !tn__load(&settle->ticket, acquire);
}

/* 1: settled; 0: not yet; or why it will not be. left_ns < 0: for ever. */
static int look(struct tn_notifier *notifier, struct tn__settle *settle, int64_t left_ns,
                bool timed)
{
    if (is_over(notifier, settle))
        return -ESHUTDOWN;
    if (is_reached(notifier, settle))
        return 1;
    return timed && left_ns <= 0 ? -ETIMEDOUT : 0;
}

/* Without threads: whether there was something to read or to process here; -errno. */
static int work_here(struct tn_notifier *notifier, struct tn__settle *settle)
{
    int read = 0;

    if (!tn__load(&settle->ticket, acquire)) {
        read = tn__notifier_read(notifier);
        if (read == -EBUSY)
            return 1; /* it has been started */
        if (read < 0 && read != -ENOBUFS)
            return read;
    }
    uint64_t done = tn__notifier_process(notifier);
    return read > 0 || done > 0;
}

static void wait_readable(struct tn_notifier *notifier, int64_t left_ns)
{
    struct pollfd ready = {.fd = notifier->poll_fd, .events = POLLIN};

    poll(&ready, 1, left_ns < 0 ? -1 : (int)tn__min((size_t)left_ns / 1000000 + 1, FOREVER_MS));
}

/* The reader gives the ticket when it commits the marker; workers reach the epoch. */
static int wait_settled(struct tn_notifier *notifier, struct tn__settle *settle, int timeout_ms)
{
    struct tn__park *park = tn__lanes_epoch_park(&notifier->lanes);
    const bool timed = timeout_ms >= 0;
    const uint64_t end = tn__now_ns() + (timed ? (uint64_t)timeout_ms * 1000000 : 0);

    for (;;) {
        int worked = tn__load(&notifier->started, acquire) ? 0 : work_here(notifier, settle);
        int64_t left = timed ? (int64_t)(end - tn__now_ns()) : -1;
        uint32_t epoch = tn__park_prepare(park);
        int result = worked < 0 ? worked : look(notifier, settle, left, timed);
        bool ticket = tn__load(&settle->ticket, acquire);
        bool started = tn__load(&notifier->started, acquire);
        if (result != 0 || worked || (!ticket && !started)) {
            tn__park_cancel(park);
            if (result != 0)
                return result;
            if (!worked)
                wait_readable(notifier, left);
            continue;
        }
        if (!ticket)
            tn__reader_wake(&notifier->reader); /* the ring of epochs may have been full */
        tn__park_wait(park, epoch, left);
    }
}

int tn_notifier_settle(struct tn_notifier *notifier, int timeout_ms)
{
    struct tn__settle settle;
    int result = tn__notifier_check(notifier);

    if (result == 0 && tn__in_callback(&notifier->registry))
        result = -EDEADLK;
    if (result == 0 && tn__reader_stop(&notifier->reader))
        result = -ESHUTDOWN;
    if (result == 0)
        result = tn__reader_settle_begin(&notifier->reader, &settle);
    if (result < 0)
        return result;
    result = wait_settled(notifier, &settle, timeout_ms);
    tn__reader_settle_end(&notifier->reader, &settle);
    if (result < 0)
        return result;
    tn__dispatch_flush(&notifier->dispatch);
    return 0;
}
