/*
 * The notifier in the caller's thread: read, then process. Whoever holds the
 * stream lock plays the reader. Nobody else could make space while it reads,
 * so it stops before a record when the bound is reached instead of waiting;
 * what one record brings with it (the contents of a new directory) may go
 * beyond.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>

#include "callback.h"
#include "stages.h"

static int check(const struct tn_notifier *notifier, bool in_callback)
{
    int result = tn__notifier_check(notifier);

    if (result == 0 && tn__load(&notifier->started, acquire))
        result = -EBUSY;
    if (result == 0 && in_callback && tn__in_callback(&notifier->registry))
        result = -EDEADLK;
    return result;
}

static bool is_inbox_empty(struct tn_notifier *notifier)
{
    return tn__inbox_empty(&notifier->ready);
}

/* The descriptor stays readable while there is something to process. */
static void show_work(struct tn_notifier *notifier)
{
    if (!is_inbox_empty(notifier) || tn__reader_has_work(&notifier->reader))
        tn__reader_wake(&notifier->reader);
}

int tn__notifier_read(struct tn_notifier *notifier)
{
    int result = -EBUSY;

    pthread_mutex_lock(&notifier->stream_lock);
    if (!tn__load(&notifier->started, seq_cst)) {
        notifier->lanes.pool.limit = SIZE_MAX;
        result = tn__reader_step(&notifier->reader, notifier->queue_bytes);
        notifier->lanes.pool.limit = notifier->queue_bytes;
        show_work(notifier);
    }
    pthread_mutex_unlock(&notifier->stream_lock);
    return result;
}

/* Nothing is ready any more: only what is still to be read makes the descriptor readable. */
static void hide_work(struct tn_notifier *notifier)
{
    if (pthread_mutex_trylock(&notifier->stream_lock) != 0)
        return; /* whoever reads will see to it */
    if (!tn__load(&notifier->started, seq_cst) && is_inbox_empty(notifier)) {
        tn__reader_clear_wake(&notifier->reader);
        show_work(notifier);
    }
    pthread_mutex_unlock(&notifier->stream_lock);
}

static uint64_t processed(struct tn_notifier *notifier)
{
    return tn__load(&notifier->dispatch.delivered, relaxed) +
           tn__load(&notifier->dispatch.unhandled, relaxed);
}

uint64_t tn__notifier_process(struct tn_notifier *notifier)
{
    uint64_t before = processed(notifier);
    struct tn_task *task;

    while ((task = tn__inbox_take(&notifier->ready)) != NULL) {
        while (task) {
            struct tn_task *next = task->next;
            tn_task_run(task);
            task = next;
        }
    }
    hide_work(notifier);
    return processed(notifier) - before;
}

int tn_notifier_fd(const struct tn_notifier *notifier)
{
    int result = check(notifier, false);

    return result < 0 ? result : notifier->poll_fd;
}

int tn_notifier_check_events(struct tn_notifier *notifier, int timeout_ms)
{
    int result = check(notifier, false);

    if (result < 0)
        return result;
    struct pollfd ready = {.fd = notifier->poll_fd, .events = POLLIN};
    if (tn__reader_stop(&notifier->reader))
        return -ESHUTDOWN;
    if (!is_inbox_empty(notifier))
        return 1;
    result = poll(&ready, 1, timeout_ms < 0 ? -1 : timeout_ms);
    if (tn__reader_stop(&notifier->reader))
        return -ESHUTDOWN;
    return result < 0 ? -errno : result;
}

int tn_notifier_read_events(struct tn_notifier *notifier)
{
    int result = check(notifier, true);

    return result < 0 ? result : tn__notifier_read(notifier);
}

int tn_notifier_process_events(struct tn_notifier *notifier)
{
    int result = check(notifier, true);

    if (result < 0)
        return result;
    return (int)tn__min((size_t)tn__notifier_process(notifier), INT32_MAX);
}

void tn__notifier_finish(struct tn_notifier *notifier)
{
    while (tn__reader_stop(&notifier->reader) == TN__STOP_DRAIN &&
           !tn__load(&notifier->reader.drained, acquire)) {
        int result = tn__notifier_read(notifier);
        tn__notifier_process(notifier);
        if (result == -EBUSY)
            break;
        if (result < 0 && result != -ENOBUFS)
            tn__reader_rest(&notifier->reader);
    }
    tn__notifier_process(notifier);
}

/* Ends with the stop, the callback's result, or an error. */
static int loop(struct tn_notifier *notifier, int (*callback)(struct tn_notifier *, void *),
                void *userdata)
{
    for (;;) {
        int result = tn_notifier_check_events(notifier, -1);
        if (result == -ESHUTDOWN)
            return 0;
        if (result < 0 && result != -EINTR)
            return result;
        result = result > 0 ? tn_notifier_read_events(notifier) : 0;
        if (result < 0 && result != -ENOBUFS)
            return result;
        tn__notifier_process(notifier);
        result = callback ? callback(notifier, userdata) : 0;
        if (result)
            return result;
    }
}

int tn_notifier_loop(struct tn_notifier *notifier,
                     int (*callback)(struct tn_notifier *notifier, void *userdata), void *userdata)
{
    int result = check(notifier, true);

    if (result < 0)
        return result;
    result = loop(notifier, callback, userdata);
    if (result == 0)
        tn__notifier_end(notifier);
    return result;
}
