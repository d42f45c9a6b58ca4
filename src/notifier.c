/*
 * Builds, starts, stops, joins and frees the stages.
 *
 * Order of the end: the reader ends first, so that nothing new comes into the
 * lanes; then every task that was submitted is waited for, so that nothing of
 * the notifier runs any more; then the executor goes, the registry with all
 * watches (their releases are called), the lanes and the source.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <tnotify/limits.h>
#include <tnotify/stats.h>
#include <unistd.h>

#include "callback.h"
#include "filter.h"
#include "options.h"
#include "registry/add.h"
#include "stages.h"

enum {
    QUEUE_BYTES = 16 << 20,
    BATCH_DELAY_US = 500,
    MOVE_TIMEOUT_MS = 500,
    THREADS_MAX = 1024,
};

static _Atomic unsigned fork_generation;
static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER;
static bool forks_watched; /* guarded by fork_lock */

static void after_fork_child(void)
{
    tn__rcu_after_fork_child();
    tn__fetch_add(&fork_generation, 1, relaxed);
}

static int watch_forks(void)
{
    int result = 0;

    pthread_mutex_lock(&fork_lock);
    if (!forks_watched)
        result = -pthread_atfork(tn__rcu_before_fork, tn__rcu_after_fork_parent, after_fork_child);
    forks_watched = result == 0;
    pthread_mutex_unlock(&fork_lock);
    return result;
}

int tn__notifier_check(const struct tn_notifier *notifier)
{
    if (!notifier)
        return -EINVAL;
    return notifier->generation == tn__load(&fork_generation, relaxed) ? 0 : -ECHILD;
}

struct tn__registry *tn__notifier_registry(struct tn_notifier *notifier)
{
    return &notifier->registry;
}

static size_t deliver(void *context, struct tn__lane *lane, const struct tn__record *const *records,
                      size_t count)
{
    struct tn_notifier *notifier = context;

    (void)lane;
    return tn__dispatch_deliver(&notifier->dispatch, records, count);
}

static bool stall(void *context, struct tn__lane *lane, const struct tn__record *record)
{
    struct tn_notifier *notifier = context;

    return tn__dispatch_stall(&notifier->dispatch, lane, record);
}

static const struct tn__lanes_ops lanes_ops = {.submit = tn__notifier_submit,
                                               .deliver = deliver,
                                               .stall = stall,
                                               .cancel = tn__notifier_cancel,
                                               .done = tn__notifier_task_over};

static void wake_reader(void *context)
{
    struct tn_notifier *notifier = context;

    tn__reader_wake(&notifier->reader);
}

static int check_options(const struct tn_notifier_options *options)
{
    if (options->flags & ~TN_NOTIFIER_COALESCE || options->threads > THREADS_MAX ||
        (options->threads && options->executor) || options->order > TN_ORDER_NONE ||
        options->when_full > TN_FULL_DROP || options->log_level < TN_LOG_ERROR ||
        options->log_level > TN_LOG_DEBUG)
        return -EINVAL;
    return 0;
}

static uint32_t delay(uint32_t asked, uint32_t normal)
{
    return asked == TN_NEVER ? 0 : asked ? asked : normal;
}

static int make_poll_fd(struct tn_notifier *notifier)
{
    struct epoll_event event = {.events = EPOLLIN};

    notifier->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (notifier->poll_fd < 0 ||
        epoll_ctl(notifier->poll_fd, EPOLL_CTL_ADD, notifier->source->ops->fd(notifier->source),
                  &event) < 0 ||
        epoll_ctl(notifier->poll_fd, EPOLL_CTL_ADD, notifier->reader.wake_fd, &event) < 0)
        return -errno;
    return 0;
}

static void init_fields(struct tn_notifier *notifier, const struct tn_notifier_options *options)
{
    notifier->generation = tn__load(&fork_generation, relaxed);
    notifier->threads = options->threads;
    notifier->queue_bytes =
        tn__max(options->queue_bytes ? options->queue_bytes : QUEUE_BYTES, TN__POOL_FLOOR);
    notifier->log = (struct tn__log){.level = options->log_level,
                                     .write = options->log,
                                     .userdata = options->log_userdata};
    notifier->processor = options->processor;
    notifier->filter = options->filter;
    tn__store(&notifier->executor, options->executor, relaxed);
    notifier->registry.source = notifier->source;
    notifier->registry.lanes = &notifier->lanes;
    notifier->registry.log = &notifier->log;
    notifier->registry.wake = wake_reader;
    notifier->registry.wake_context = notifier;
    notifier->registry.filter = options->filter;
    notifier->registry.order = options->order;
    notifier->dispatch.registry = &notifier->registry;
    notifier->dispatch.processor = options->processor;
    notifier->dispatch.log = &notifier->log;
    tn__store(&notifier->tasks, 1, relaxed);
    tn__inbox_init(&notifier->ready);
    tn__park_init(&notifier->idle);
    tn__park_init(&notifier->end);
    pthread_mutex_init(&notifier->end_lock, NULL);
    pthread_mutex_init(&notifier->stream_lock, NULL);
    pthread_mutex_init(&notifier->life_lock, NULL);
}

static void take_references(struct tn_notifier *notifier)
{
    if (notifier->processor)
        tn_processor_ref(notifier->processor);
    if (notifier->filter)
        tn_filter_ref(notifier->filter);
    tn__filter_freeze(notifier->filter);
    if (tn__load(&notifier->executor, relaxed))
        tn_executor_ref(tn__load(&notifier->executor, relaxed));
    tn__registry_note_processor(&notifier->registry, notifier->processor);
}

static int init_stages(struct tn_notifier *notifier, const struct tn_notifier_options *options)
{
    const struct tn__reader_options reader = {
        .batch_delay_us = delay(options->batch_delay_us, BATCH_DELAY_US),
        .move_timeout_ms = delay(options->move_timeout_ms, MOVE_TIMEOUT_MS),
        .when_full = options->when_full,
    };
    const struct tn_pool_options one = {.size = sizeof(one), .threads = 1, .name = "tn-fallback"};
    uint32_t coalesce = options->flags & TN_NOTIFIER_COALESCE ? TN__LANES_COALESCE : 0;
    int result = tn__registry_init(&notifier->registry);

    if (result < 0)
        return result;
    tn__lanes_init(&notifier->lanes, &lanes_ops, notifier, notifier->queue_bytes, coalesce);
    result = tn__reader_init(&notifier->reader, &notifier->registry, &notifier->lanes, &reader);
    if (result < 0)
        goto no_reader;
    result = make_poll_fd(notifier);
    if (result == 0 && options->executor && tn__executor_may_refuse(options->executor))
        result = tn_executor_new_pool(&one, &notifier->fallback);
    if (result == 0)
        return 0;
    if (notifier->poll_fd >= 0)
        close(notifier->poll_fd);
    tn__reader_done(&notifier->reader);
no_reader:
    tn__lanes_done(&notifier->lanes);
    tn__registry_done(&notifier->registry);
    return result;
}

int tn__notifier_new_with(const struct tn_notifier_options *options, struct tn__source *source,
                          struct tn_notifier **ret_notifier)
{
    int result = watch_forks();
    struct tn_notifier *notifier = result == 0 ? calloc(1, sizeof(*notifier)) : NULL;

    if (!notifier)
        return -ENOMEM;
    notifier->source = source;
    notifier->poll_fd = -1;
    init_fields(notifier, options);
    result = tn__rcu_prepare();
    if (result == 0)
        result = init_stages(notifier, options);
    if (result < 0) {
        free(notifier);
        return result;
    }
    take_references(notifier);
    *ret_notifier = notifier;
    return 0;
}

int tn_notifier_new(const struct tn_notifier_options *options, struct tn_notifier **ret_notifier)
{
    struct tn_notifier_options own;
    struct tn__source *source = NULL;

    if (!ret_notifier)
        return -EINVAL;
    int result = tn__options_copy(&own, sizeof(own), options);
    if (result == 0)
        result = check_options(&own);
    if (result == 0)
        result = tn__source_new_inotify(&source);
    if (result != 0)
        return result;
    result = tn__notifier_new_with(&own, source, ret_notifier);
    if (result < 0)
        source->ops->close(source);
    return result;
}

static void *reader_thread(void *arg)
{
    struct tn_notifier *notifier = arg;

    /* A read in the caller's thread may be under way; none begins after it. */
    pthread_mutex_lock(&notifier->stream_lock);
    pthread_mutex_unlock(&notifier->stream_lock);
    tn__reader_run(&notifier->reader);
    tn__store(&notifier->ended, 1, release);
    tn__park_wake(tn__lanes_epoch_park(&notifier->lanes), INT32_MAX);
    tn__park_wake(&notifier->end, INT32_MAX);
    return NULL;
}

static int make_reader(struct tn_notifier *notifier)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int result = -pthread_create(&notifier->reader.thread, NULL, reader_thread, notifier);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (result == 0)
        pthread_setname_np(notifier->reader.thread, "tn-reader");
    return result;
}

static int start_locked(struct tn_notifier *notifier)
{
    const struct tn_pool_options pool = {.size = sizeof(pool), .threads = notifier->threads};
    struct tn_executor *executor = tn__load(&notifier->executor, relaxed);
    struct tn_executor *own = NULL;
    int result = executor ? 0 : tn_executor_new_pool(&pool, &own);

    if (result < 0)
        return result;
    tn__store(&notifier->started, true, seq_cst);
    result = make_reader(notifier);
    if (result < 0) {
        tn__store(&notifier->started, false, seq_cst);
        tn_executor_unref(own);
        return result;
    }
    if (own) {
        tn__store(&notifier->executor, own, seq_cst);
        tn__notifier_give_ready(notifier, own);
    }
    return 0;
}

int tn_notifier_start(struct tn_notifier *notifier)
{
    int result = tn__notifier_check(notifier);

    if (result < 0)
        return result;
    pthread_mutex_lock(&notifier->life_lock);
    if (tn__load(&notifier->started, relaxed))
        result = -EALREADY;
    else if (tn__reader_stop(&notifier->reader))
        result = -ESHUTDOWN;
    else
        result = start_locked(notifier);
    pthread_mutex_unlock(&notifier->life_lock);
    return result;
}

int tn_notifier_stop(struct tn_notifier *notifier, enum tn_finish finish)
{
    int result = tn__notifier_check(notifier);

    if (result == 0 && finish != TN_FINISH_DRAIN && finish != TN_FINISH_DISCARD)
        result = -EINVAL;
    if (result < 0)
        return result;
    tn__store(&notifier->registry.closed, true, release);
    if (finish == TN_FINISH_DISCARD)
        tn__store(&notifier->dispatch.discard, true, release);
    tn__reader_ask_stop(&notifier->reader,
                        finish == TN_FINISH_DISCARD ? TN__STOP_DISCARD : TN__STOP_DRAIN);
    tn__park_wake(&notifier->end, INT32_MAX);
    return 0;
}

static bool is_stopped(struct tn_notifier *notifier)
{
    return tn__load(&notifier->started, acquire) ? tn__load(&notifier->ended, acquire) != 0
                                                 : tn__reader_stop(&notifier->reader) != 0;
}

static void wait_end(struct tn_notifier *notifier)
{
    while (!is_stopped(notifier)) {
        uint32_t epoch = tn__park_prepare(&notifier->end);
        if (is_stopped(notifier))
            tn__park_cancel(&notifier->end);
        else
            tn__park_wait(&notifier->end, epoch, -1);
    }
}

void tn__notifier_end(struct tn_notifier *notifier)
{
    pthread_mutex_lock(&notifier->end_lock);
    if (!tn__load(&notifier->started, acquire)) {
        tn__notifier_finish(notifier);
    } else if (!notifier->joined) {
        pthread_join(notifier->reader.thread, NULL);
        notifier->joined = true;
    }
    tn__notifier_wait_tasks(notifier);
    if (!notifier->flushed && !tn__load(&notifier->dispatch.discard, acquire))
        tn__dispatch_flush(&notifier->dispatch);
    notifier->flushed = true;
    pthread_mutex_unlock(&notifier->end_lock);
}

static void join(struct tn_notifier *notifier)
{
    wait_end(notifier);
    tn__notifier_end(notifier);
}

int tn_notifier_join(struct tn_notifier *notifier)
{
    int result = tn__notifier_check(notifier);

    if (result == 0 && tn__in_callback(&notifier->registry))
        result = -EDEADLK;
    if (result == 0)
        join(notifier);
    return result;
}

static void free_stages(struct tn_notifier *notifier)
{
    /* What markers held may have been the last that a lane waited for. */
    tn__registry_forget_markers(&notifier->registry);
    if (!tn__load(&notifier->executor, acquire))
        tn__notifier_process(notifier);
    tn__notifier_wait_tasks(notifier);
    tn_executor_unref(tn__load(&notifier->executor, acquire));
    tn_executor_unref(notifier->fallback);
    tn__registry_done(&notifier->registry);
    tn__lanes_done(&notifier->lanes);
    tn__reader_done(&notifier->reader);
    close(notifier->poll_fd);
    notifier->source->ops->close(notifier->source);
    tn_processor_unref(notifier->processor);
    tn_filter_unref(notifier->filter);
    pthread_mutex_destroy(&notifier->end_lock);
    pthread_mutex_destroy(&notifier->stream_lock);
    pthread_mutex_destroy(&notifier->life_lock);
    free(notifier);
}

/*
 * The threads are the parent's: nothing is waited for, nobody is called, and
 * what counts references to the application's objects is left as it is.
 */
static void free_in_child(struct tn_notifier *notifier)
{
    tn__registry_free_memory(&notifier->registry);
    tn__lanes_done(&notifier->lanes);
    tn__reader_done(&notifier->reader);
    close(notifier->poll_fd);
    notifier->source->ops->close(notifier->source);
    free(notifier);
}

static void *free_thread(void *arg)
{
    pthread_detach(pthread_self());
    join(arg);
    free_stages(arg);
    return NULL;
}

/* Inside a callback of the notifier: what waits for that callback is another thread. */
static void free_later(struct tn_notifier *notifier)
{
    pthread_t thread;
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&thread, NULL, free_thread, notifier);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error)
        tn__log(&notifier->log, TN_LOG_ERROR, "the notifier is stopped but not freed: %s",
                tn_strerror(-error));
}

struct tn_notifier *tn_notifier_free(struct tn_notifier *notifier)
{
    if (!notifier)
        return NULL;
    if (tn__notifier_check(notifier) < 0) {
        free_in_child(notifier);
        return NULL;
    }
    if (!tn__reader_stop(&notifier->reader))
        tn_notifier_stop(notifier, TN_FINISH_DISCARD);
    if (tn__in_callback(&notifier->registry)) {
        free_later(notifier);
        return NULL;
    }
    join(notifier);
    free_stages(notifier);
    return NULL;
}

int tn_notifier_set_ignore(struct tn_notifier *notifier, bool ignore)
{
    int result = tn__notifier_check(notifier);

    if (result < 0)
        return result;
    tn__registry_lock(&notifier->registry);
    result = tn__registry_mark_locked(&notifier->registry, TN__MARK_IGNORE, ignore);
    tn__registry_unlock(&notifier->registry);
    return result;
}
