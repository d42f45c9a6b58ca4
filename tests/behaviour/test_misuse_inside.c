/*
 * In every kind of callback, what would wait for it is refused: by a notifier
 * with threads, and by one in the caller's thread.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "support.h"

enum kind {
    PROCESS,
    BATCH,
    TEST_OF_IF,
    FLUSH,
    PROCESSOR_RELEASE,
    ADD_RELEASE,
    FILTER_TEST,
    FILTER_TEST_IN_ADD,
    FILTER_RELEASE,
    LOG,
    SUBMIT,
    EXECUTOR_RELEASE,
    KINDS
};

static const char *const names[KINDS] = {"process",
                                         "batch",
                                         "test of if",
                                         "flush",
                                         "processor's release",
                                         "release",
                                         "filter's test",
                                         "filter's test in an add",
                                         "filter's release",
                                         "log",
                                         "submit",
                                         "executor's release"};

static enum kind asked;   /* where to call */
static atomic_bool armed; /* the next callback of that kind calls */
static sem_t called;      /* it has */
static tn_wd others[2];   /* to be removed there */
static struct results {
    int settle, look, join, read, process, loop, remove, removed, removed_error;
} results;

static void open_stage(void)
{
    stage_open();
    cr_assert_eq(sem_init(&called, 0, 0), 0);
}

TestSuite(misuse_inside, .init = open_stage, .fini = stage_close, .timeout = 60);

static void in_callback(enum kind kind)
{
    if (kind != asked || !atomic_exchange(&armed, false))
        return;
    results.settle = tn_notifier_settle(notifier, -1);
    results.look = tn_notifier_settle(notifier, 0);
    results.join = tn_notifier_join(notifier);
    results.read = tn_notifier_read_events(notifier);
    results.process = tn_notifier_process_events(notifier);
    results.loop = tn_notifier_loop(notifier, NULL, NULL);
    results.remove = tn_watch_remove(notifier, others[0], TN_REMOVE_SYNC);
    results.removed =
        tn_watch_remove_list(notifier, &others[1], 1, TN_REMOVE_SYNC, &results.removed_error);
    sem_post(&called);
}

static int process(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    if (!(event->mask & IN_CREATE))
        return 0;
    in_callback(PROCESS);
    return -EIO; /* which is logged */
}

static int process_batch(const struct tn_event *const *events, size_t count, void *userdata)
{
    (void)events;
    (void)count;
    (void)userdata;
    in_callback(BATCH);
    return 0;
}

static bool test_event(const struct tn_event *event, void *userdata)
{
    (void)event;
    (void)userdata;
    in_callback(TEST_OF_IF);
    return true;
}

static void flush(void *userdata)
{
    (void)userdata;
    in_callback(FLUSH);
}

static void release_processor(void *userdata)
{
    (void)userdata;
    in_callback(PROCESSOR_RELEASE);
}

static void release_add(void *data)
{
    (void)data;
    in_callback(ADD_RELEASE);
}

static bool test_path(const char *path, bool is_dir, void *userdata)
{
    (void)path;
    (void)is_dir;
    (void)userdata;
    in_callback(asked == FILTER_TEST_IN_ADD ? FILTER_TEST_IN_ADD : FILTER_TEST);
    return false;
}

static void release_filter(void *userdata)
{
    (void)userdata;
    in_callback(FILTER_RELEASE);
}

static void on_log(int level, const char *message, void *userdata)
{
    (void)level;
    (void)message;
    (void)userdata;
    in_callback(LOG);
}

static int submit(void *executor, struct tn_task *task)
{
    (void)executor;
    in_callback(SUBMIT);
    tn_task_run(task);
    return 0;
}

static void release_executor(void *executor)
{
    (void)executor;
    in_callback(EXECUTOR_RELEASE);
}

/* A processor with functions of every kind; the caller's reference. */
static struct tn_processor *make_processor(void)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *members[2], *chain;

    if (asked == BATCH)
        ops.process_batch = process_batch;
    ops.process_default = process;
    ops.flush = flush;
    ops.release = release_processor;
    members[1] = processor_of(&ops, NULL);
    if (asked != TEST_OF_IF)
        return members[1];
    cr_assert_eq(tn_processor_new_if(test_event, NULL, NULL, &members[0]), 0);
    cr_assert_eq(tn_processor_new_chain(members, 2, &chain), 0);
    tn_processor_unref(members[0]);
    tn_processor_unref(members[1]);
    return chain;
}

static void make_notifier(void)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_executor_ops ops = TN_EXECUTOR_OPS_INIT;

    ops.submit = submit;
    ops.release = release_executor;
    if (asked == SUBMIT || asked == EXECUTOR_RELEASE)
        cr_assert_eq(tn_executor_new(&ops, NULL, &options.executor), 0);
    else
        options.threads = 1;
    options.log = on_log;
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    tn_executor_unref(options.executor);
}

/* Watches "w" with all that calls back; the notifier alone keeps it. */
static tn_wd watch_w(void)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    options.mask = IN_CREATE;
    options.processor = make_processor();
    options.release = release_add;
    cr_assert_eq(tn_filter_new(&options.filter), 0);
    cr_assert_eq(tn_filter_add_test(options.filter, test_path, NULL, release_filter), 0);
    tn_wd wd = add_options("w", &options);
    tn_processor_unref(options.processor);
    tn_filter_unref(options.filter);
    return wd;
}

static void wait_called(void)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 30;
    while (sem_timedwait(&called, &end) != 0)
        cr_assert_eq(errno, EINTR, "%s was not called", names[asked]);
}

static void check_results(enum kind kind, int busy)
{
    const struct {
        const char *call;
        int got, expected;
    } checks[] = {
        {"settle", results.settle, -EDEADLK},
        {"settle that only looks", results.look, -EDEADLK},
        {"join", results.join, -EDEADLK},
        {"read", results.read, busy},
        {"process", results.process, busy},
        {"loop", results.loop, busy},
        {"remove", results.remove, -EDEADLK},
        {"remove of a list", results.removed, 0},
        {"remove in a list", results.removed_error, -EDEADLK},
    };

    for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++)
        cr_expect_eq(checks[i].got, checks[i].expected, "%s inside %s: %d", checks[i].call,
                     names[kind], checks[i].got);
}

static void call_inside(enum kind kind, bool started)
{
    asked = kind;
    memset(&results, 0x55, sizeof(results));
    make_notifier();
    if (started)
        cr_assert_eq(tn_notifier_start(notifier), 0);
    for (int i = 0; i < 2; i++)
        others[i] = add("other", IN_CREATE, 0);
    atomic_store(&armed, kind == FILTER_TEST_IN_ADD);
    tn_wd wd = watch_w();
    atomic_store(&armed, kind != FILTER_TEST_IN_ADD);
    make_file(at("w/%d-%d", (int)kind, started));
    settle(notifier);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    if (kind == EXECUTOR_RELEASE)
        tn_notifier_free(notifier); /* the pointer stays, for the calls in it */
    wait_called();
    check_results(kind, started ? -EBUSY : -EDEADLK);
    if (kind != EXECUTOR_RELEASE) {
        cr_expect_eq(stats().watches, 0, "%s: they are removed all the same", names[kind]);
        tn_notifier_free(notifier);
    }
    notifier = NULL;
}

static void call_inside_each(bool started)
{
    make_dir("w");
    make_dir("other");
    for (enum kind kind = 0; kind < KINDS; kind++)
        call_inside(kind, started);
}

Test(misuse_inside, each_with_threads)
{
    call_inside_each(true);
}

Test(misuse_inside, each_in_the_callers_thread)
{
    call_inside_each(false);
}
