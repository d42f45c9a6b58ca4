/* Whoever runs the tasks: nothing is lost, and order is kept. */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

TestSuite(executors, .init = stage_open, .fini = stage_close, .timeout = 60);

/* Four directories, each in order: what any executor must keep. */

enum { ROOTS = 4 };

static void watch_roots(void)
{
    for (unsigned i = 0; i < ROOTS; i++) {
        make_dir(at("d%u", i));
        add(at("d%u", i), IN_CREATE, TN_WATCH_TREE);
    }
}

static void fill_roots(unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++)
        for (unsigned root = 0; root < ROOTS; root++)
            make_file(at("d%u/%u", root, i));
}

static void check_roots(unsigned count)
{
    unsigned next[ROOTS] = {0};
    size_t events = 0;

    for (size_t i = 0; i < seen.count; i++) {
        const struct tn_event *event = seen.events[i];
        if (!(event->mask & IN_CREATE))
            continue;
        unsigned root = (unsigned)(event->path[1] - '0');
        cr_assert_eq((unsigned)atoi(event->name), next[root], "%s", event->pathname);
        next[root]++;
        events++;
    }
    cr_assert_eq(events, count * ROOTS);
}

/* With the only reference to the executor. */
static void start_on(struct tn_executor *executor)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.executor = executor;
    stage_start_with(&options);
    tn_executor_unref(executor);
}

static void run_threads(unsigned threads)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = threads;
    stage_start_with(&options);
    watch_roots();
    fill_roots(0, 500);
    settle(notifier);
    check_roots(500);
    notifier = finish(notifier, TN_FINISH_DRAIN);
}

Test(executors, a_thread_for_each_cpu)
{
    run_threads(0);
}

Test(executors, one_thread)
{
    run_threads(1);
}

Test(executors, four_threads)
{
    run_threads(4);
}

Test(executors, inline_in_the_reader)
{
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    start_on(executor);
    watch_roots();
    fill_roots(0, 500);
    settle(notifier);
    check_roots(500);
    fill_roots(500, 500);
    notifier = finish(notifier, TN_FINISH_DRAIN);
    check_roots(1000);
}

Test(executors, inline_in_the_caller)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    cr_assert_eq(tn_executor_new_inline(&options.executor), 0);
    stage_new(&options);
    tn_executor_unref(options.executor);
    watch_roots();
    fill_roots(0, 10);
    cr_expect_eq(tn_notifier_read_events(notifier), 10 * ROOTS);
    check_roots(10);
    cr_expect_eq(tn_notifier_process_events(notifier), 0);
    fill_roots(10, 490);
    settle(notifier);
    check_roots(500);
}

/* The reader runs the processor: it must not wait for space that only itself makes. */
Test(executors, inline_with_a_small_queue)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    cr_assert_eq(tn_executor_new_inline(&options.executor), 0);
    options.queue_bytes = 1;
    stage_start_with(&options);
    tn_executor_unref(options.executor);
    watch_roots();
    fill_roots(0, 2000);
    settle(notifier);
    check_roots(2000);
}

/* An executor of the user's, which holds tasks until it is told to run them. */

enum mode { KEEP, REFUSE, CANCEL, RUN, TURNS };

struct own {
    enum mode mode;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct tn_task *tasks; /* the last one first */
    bool over;
    atomic_uint submitted, run, cancelled, refused, releases;
    struct tn_notifier *notifier;
    atomic_int settled; /* what a settle inside submit gave */
};

static int own_submit(void *executor, struct tn_task *task)
{
    struct own *own = executor;
    unsigned number = atomic_fetch_add(&own->submitted, 1);
    enum mode mode = own->mode == TURNS ? (enum mode)(number % 4) : own->mode;

    if (own->notifier)
        atomic_store(&own->settled, tn_notifier_settle(own->notifier, -1));
    switch (mode) {
    case REFUSE:
        atomic_fetch_add(&own->refused, 1);
        return -EAGAIN;
    case CANCEL:
        atomic_fetch_add(&own->cancelled, 1);
        tn_task_cancel(task);
        return 0;
    case RUN:
        atomic_fetch_add(&own->run, 1);
        tn_task_run(task);
        return 0;
    default:
        pthread_mutex_lock(&own->lock);
        task->next = own->tasks;
        task->data = own;
        own->tasks = task;
        pthread_cond_signal(&own->more);
        pthread_mutex_unlock(&own->lock);
        return 0;
    }
}

static void own_release(void *executor)
{
    atomic_fetch_add(&((struct own *)executor)->releases, 1);
}

static struct tn_executor *own_executor(struct own *own, enum mode mode)
{
    struct tn_executor_ops ops = TN_EXECUTOR_OPS_INIT;
    struct tn_executor *executor;

    memset(own, 0, sizeof(*own));
    own->mode = mode;
    pthread_mutex_init(&own->lock, NULL);
    pthread_cond_init(&own->more, NULL);
    ops.submit = own_submit;
    ops.release = own_release;
    cr_assert_eq(tn_executor_new(&ops, own, &executor), 0);
    return executor;
}

/* Takes one task, waiting for it; NULL at the end. */
static struct tn_task *own_take(struct own *own)
{
    pthread_mutex_lock(&own->lock);
    while (!own->tasks && !own->over)
        pthread_cond_wait(&own->more, &own->lock);
    struct tn_task *task = own->tasks;
    if (task)
        own->tasks = task->next;
    pthread_mutex_unlock(&own->lock);
    return task;
}

static void *own_thread(void *userdata)
{
    struct own *own = userdata;
    struct tn_task *task;

    while ((task = own_take(own)) != NULL) {
        cr_expect_eq(task->data, own, "the task is the executor's while it holds it");
        atomic_fetch_add(&own->run, 1);
        tn_task_run(task);
    }
    return NULL;
}

static void own_end(struct own *own, pthread_t thread)
{
    pthread_mutex_lock(&own->lock);
    own->over = true;
    pthread_cond_broadcast(&own->more);
    pthread_mutex_unlock(&own->lock);
    pthread_join(thread, NULL);
}

static void with_own(struct own *own, enum mode mode)
{
    struct tn_executor *executor = own_executor(own, mode);
    pthread_t thread;

    pthread_create(&thread, NULL, own_thread, own);
    start_on(executor);
    watch_roots();
    fill_roots(0, 500);
    settle(notifier);
    check_roots(500);
    for (unsigned i = 500; i < 600; i++) {
        fill_roots(i, 1);
        settle(notifier);
    }
    check_roots(600);
    cr_expect_eq(atomic_load(&own->releases), 0);
    notifier = finish(notifier, TN_FINISH_DRAIN);
    cr_expect_eq(atomic_load(&own->releases), 1);
    own_end(own, thread);
    cr_expect_null(own->tasks);
    cr_expect_eq(atomic_load(&own->submitted), atomic_load(&own->run) +
                                                   atomic_load(&own->cancelled) +
                                                   atomic_load(&own->refused));
    cr_expect_gt(atomic_load(&own->submitted), 100);
}

Test(executors, own_in_any_order)
{
    struct own own;

    with_own(&own, KEEP);
}

Test(executors, own_that_refuses)
{
    struct own own;

    with_own(&own, REFUSE);
    cr_expect_eq(atomic_load(&own.run), 0);
}

Test(executors, own_that_cancels)
{
    struct own own;

    with_own(&own, CANCEL);
    cr_expect_eq(atomic_load(&own.run), 0);
}

Test(executors, own_that_runs_in_submit)
{
    struct own own;

    with_own(&own, RUN);
}

Test(executors, own_that_does_each_in_turn)
{
    struct own own;

    with_own(&own, TURNS);
}

/* Nothing runs until it is late; then everything does. */
Test(executors, own_that_runs_late)
{
    struct own own;
    struct tn_executor *executor = own_executor(&own, KEEP);
    pthread_t thread;

    start_on(executor);
    watch_roots();
    fill_roots(0, 500);
    cr_expect_eq(tn_notifier_settle(notifier, 20), -ETIMEDOUT);
    cr_expect_eq(recorder_count(&seen), 0);
    cr_expect_leq(atomic_load(&own.submitted), ROOTS, "a lane is submitted once");
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    pthread_create(&thread, NULL, own_thread, &own);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    check_roots(500);
    notifier = tn_notifier_free(notifier);
    own_end(&own, thread);
    cr_expect_eq(atomic_load(&own.releases), 1);
}

static void *free_it(void *which)
{
    return tn_notifier_free(which);
}

/* Free waits for what was submitted, though nothing more is processed. */
Test(executors, free_waits_for_tasks)
{
    struct own own;
    struct tn_executor *executor = own_executor(&own, KEEP);
    pthread_t freer, thread;

    tn_executor_ref(executor);
    start_on(executor);
    recorder_let_go(&seen);
    add(".", IN_CREATE, 0);
    make_files("f", 100);
    struct tn_task *task = own_take(&own);
    pthread_create(&freer, NULL, free_it, notifier);
    /* A task that is not run keeps the notifier: the run below would touch freed memory. */
    while (tn_notifier_settle(notifier, 0) != -ESHUTDOWN)
        sched_yield();
    tn_task_run(task);
    pthread_create(&thread, NULL, own_thread, &own);
    pthread_join(freer, NULL);
    notifier = NULL;
    own_end(&own, thread);
    cr_expect_eq(recorder_count(&seen), 0);
    cr_expect_eq(seen.released, 1);
    cr_expect_eq(atomic_load(&own.releases), 0);
    tn_executor_unref(executor);
    cr_expect_eq(atomic_load(&own.releases), 1);
}

/* submit is a callback: it must not wait for the notifier. */
Test(executors, settle_inside_submit)
{
    struct own own;
    struct tn_executor *executor = own_executor(&own, REFUSE);

    start_on(executor);
    own.notifier = notifier;
    add(".", IN_CREATE, 0);
    make_file("f");
    settle(notifier);
    cr_expect_eq(atomic_load(&own.settled), -EDEADLK);
    notifier = tn_notifier_free(notifier);
}

/* One pool */

struct tenant {
    struct recorder seen;
    struct tn_notifier *notifier;
    char path[16];
};

static void open_tenant(struct tenant *tenant, unsigned i, struct tn_executor *executor)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    recorder_init(&tenant->seen);
    options.executor = executor;
    options.processor = tenant->seen.processor;
    snprintf(tenant->path, sizeof(tenant->path), "t%u", i);
    make_dir(tenant->path);
    cr_assert_eq(tn_notifier_new(&options, &tenant->notifier), 0);
    cr_assert_eq(tn_notifier_start(tenant->notifier), 0);
    add_to(tenant->notifier, tenant->path, IN_CREATE, TN_WATCH_TREE);
}

Test(executors, one_pool_for_several_notifiers)
{
    const struct tn_pool_options options = {.size = sizeof(options),
                                            .threads = 2,
                                            .name = "shared"};
    struct tn_executor *pool;
    struct tenant tenants[6];

    cr_assert_eq(tn_executor_new_pool(&options, &pool), 0);
    for (unsigned i = 0; i < 6; i++)
        open_tenant(&tenants[i], i, pool);
    cr_expect_null(tn_executor_unref(pool));
    for (unsigned ended = 0; ended < 6; ended++) {
        for (unsigned i = ended; i < 6; i++)
            make_files(at("%s/%u-", tenants[i].path, ended), 200);
        for (unsigned i = ended; i < 6; i++) {
            settle(tenants[i].notifier);
            cr_expect_eq(recorder_count(&tenants[i].seen), (ended + 1) * 200);
        }
        if (ended % 2)
            tn_notifier_free(tenants[ended].notifier);
        else
            finish(tenants[ended].notifier, TN_FINISH_DRAIN);
        recorder_done(&tenants[ended].seen);
    }
}
