/* How adds, watches and notifiers end: each release once, and nothing waits for ever. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "gate.h"
#include "support.h"

static sem_t came; /* a call has begun */
static sem_t gate; /* and waits for this */

static void open_stage(void)
{
    stage_open();
    cr_assert_eq(sem_init(&came, 0, 0), 0);
    cr_assert_eq(sem_init(&gate, 0, 0), 0);
}

TestSuite(life, .init = open_stage, .fini = stage_close, .timeout = 60);

static struct tn_notifier *new_notifier(void)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_notifier *made;

    options.threads = 1;
    cr_assert_eq(tn_notifier_new(&options, &made), 0);
    return made;
}

/* A watch that is removed before the stream has come to where it began */

#define ITSELF ((uint32_t)(IN_ATTRIB | IN_OPEN | IN_CLOSE_NOWRITE))

/* When armed, the next question stands at the gate, in the reader. */
static bool hold_reader(const char *path, bool is_dir, void *userdata)
{
    atomic_bool *armed = userdata;

    (void)path;
    (void)is_dir;
    if (atomic_exchange(armed, false)) {
        sem_post(&came);
        while (sem_wait(&gate) != 0)
            ;
    }
    return false;
}

/* Leaves more unread than the queue may hold, and behind it a watch that was added and removed. */
static void remove_while_asleep(atomic_bool *armed, struct released *released)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_filter *filter;
    tn_wd wd;

    options.threads = 1;
    options.order = TN_ORDER_PATH;
    options.queue_bytes = 64 << 10;
    stage_new(&options);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    make_dir("w");
    cr_assert_eq(tn_filter_new(&filter), 0);
    cr_assert_eq(tn_filter_add_test(filter, hold_reader, armed, NULL), 0);
    add_options("w", TN_WATCH_OPTIONS(.mask = ITSELF, .filter = filter));
    tn_filter_unref(filter);
    atomic_store(armed, true);
    change_mode("w", 0750);
    wait_for(&came);
    for (unsigned i = 0; i < 2000; i++) {
        change_mode("w", i & 1 ? 0755 : 0700);
        close(open("w", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    wd = add_options("w",
                     TN_WATCH_OPTIONS(.mask = ITSELF, .data = released, .release = count_release));
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
}

Test(life, a_watch_removed_before_it_began_holds_nothing_up)
{
    static struct released released;
    atomic_bool armed = false;

    remove_while_asleep(&armed, &released);
    sem_post(&gate);
    settle(notifier);
    cr_expect_eq(released.count, 1);
    cr_expect_eq(recorder_count(&seen), 6002, "%zu", recorder_count(&seen));
    cr_expect_eq(recorder_lines(&seen, "IGNORED w"), 1, "of the second watch");
}

Test(life, free_with_a_watch_removed_before_it_began)
{
    static struct released released;
    atomic_bool armed = false;

    remove_while_asleep(&armed, &released);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
    sem_post(&gate);
    notifier = tn_notifier_free(notifier);
    cr_expect_eq(released.count, 1);
}

/* An add that fails */

struct failing {
    struct tn_processor *processor;
    pid_t adder;
    pthread_t opener;
    atomic_bool over;     /* the call */
    atomic_bool returned; /* the add */
    atomic_int released;
};

static int pass_gate(const struct tn_event *event, void *userdata)
{
    struct failing *failing = userdata;

    (void)event;
    sem_post(&came);
    while (sem_wait(&gate) != 0)
        ;
    atomic_store(&failing->over, true);
    return 0;
}

static void count_failing_release(void *data)
{
    struct failing *failing = data;

    atomic_fetch_add(&failing->released, 1);
}

/* When the add waits for the call, or has returned without that. */
static void *open_gate_later(void *userdata)
{
    struct failing *failing = userdata;

    while (!atomic_load(&failing->returned) && !is_asleep(failing->adder))
        sched_yield();
    sem_post(&gate);
    return NULL;
}

/* The call is running when the add is cancelled; it goes on for a while. */
static int cancel_in_a_call(const char *path, tn_wd wd, int error, void *data)
{
    struct failing *failing = data;

    (void)path;
    (void)wd;
    (void)error;
    make_file("w/f");
    wait_for(&came);
    failing->adder = gettid();
    cr_assert_eq(pthread_create(&failing->opener, NULL, open_gate_later, failing), 0);
    return -EOWNERDEAD;
}

Test(life, a_failed_add_returns_after_its_last_call)
{
    struct failing failing = {0};
    tn_wd wd = -7;

    stage_start();
    make_dir("w");
    failing.processor = processing(pass_gate, &failing);
    int result =
        tn_watch_add(notifier, "w",
                     TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_TREE,
                                      .processor = failing.processor, .data = &failing,
                                      .release = count_failing_release, .placed = cancel_in_a_call),
                     &wd);
    bool over = atomic_load(&failing.over);
    atomic_store(&failing.returned, true);
    pthread_join(failing.opener, NULL);
    cr_expect_eq(result, -EOWNERDEAD);
    cr_expect(over, "its data may go now");
    cr_expect_eq(wd, -7);
    tn_processor_unref(failing.processor);
    settle(notifier);
    notifier = tn_notifier_free(notifier);
    cr_expect_eq(atomic_load(&failing.released), 0, "the data is still the caller's");
}

/* Calls inside a release */

struct releasing {
    int settle, join, start, remove;
    tn_wd other;
    bool free;
    atomic_int count;
};

static void call_in_release(void *data)
{
    struct releasing *releasing = data;

    releasing->settle = tn_notifier_settle(notifier, -1);
    releasing->join = tn_notifier_join(notifier);
    releasing->start = tn_notifier_start(notifier);
    releasing->remove = tn_watch_remove(notifier, releasing->other, TN_REMOVE_SYNC);
    if (releasing->free)
        tn_notifier_free(notifier);
    atomic_fetch_add(&releasing->count, 1);
    sem_post(&came);
}

static void check_releasing(const struct releasing *releasing, int start)
{
    cr_expect_eq(releasing->settle, -EDEADLK);
    cr_expect_eq(releasing->join, -EDEADLK);
    cr_expect_eq(releasing->start, start);
    cr_expect_eq(releasing->remove, -EDEADLK, "removed all the same");
    cr_expect_eq(atomic_load(&releasing->count), 1);
}

static tn_wd add_releasing(struct releasing *releasing)
{
    make_dir("w");
    make_dir("other");
    releasing->other = add("other", IN_CREATE, 0);
    return add_options("w", TN_WATCH_OPTIONS(.mask = IN_CREATE, .data = releasing,
                                             .release = call_in_release));
}

Test(life, calls_inside_a_release)
{
    struct releasing releasing = {0};

    stage_start();
    tn_wd wd = add_releasing(&releasing);
    cr_expect_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    check_releasing(&releasing, -EALREADY);
    cr_expect(!is_watched("other"));
}

Test(life, calls_inside_a_release_in_the_callers_thread)
{
    struct releasing releasing = {0};

    stage_new(NULL);
    tn_wd wd = add_releasing(&releasing);
    cr_expect_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    check_releasing(&releasing, 0);
    settle(notifier);
    cr_expect(!is_watched("other"));
}

/* Made by the free itself, of the watches that still stand. */
static void release_in_free(bool started)
{
    struct releasing releasing = {0};

    stage_new(NULL);
    if (started)
        cr_assert_eq(tn_notifier_start(notifier), 0);
    add_releasing(&releasing);
    notifier = tn_notifier_free(notifier);
    cr_expect_eq(releasing.settle, -EDEADLK);
    cr_expect_eq(releasing.join, -EDEADLK);
    cr_expect_eq(releasing.start, started ? -EALREADY : -ESHUTDOWN);
    cr_expect_eq(atomic_load(&releasing.count), 1);
}

Test(life, calls_inside_a_release_that_free_makes)
{
    release_in_free(true);
}

Test(life, calls_inside_a_release_that_free_makes_without_threads)
{
    release_in_free(false);
}

static void last_reference_gone(void *unused)
{
    (void)unused;
    sem_post(&gate);
}

/* The notifier ends after the release that frees it has returned. */
Test(life, free_inside_a_release)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct releasing releasing = {.free = true};

    ops.release = last_reference_gone;
    stage_new_with(processor_of(&ops, NULL), NULL);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    tn_wd wd = add_releasing(&releasing);
    cr_expect_eq(tn_watch_remove(notifier, wd, 0), 0);
    wait_for(&came);
    wait_for(&gate);
    notifier = NULL;
    check_releasing(&releasing, -EALREADY);
}

/* A free inside a callback of another notifier */

struct freeing {
    struct tn_notifier *other;
    struct released released;
    atomic_int released_then; /* when free had returned */
};

static int free_other(const struct tn_event *event, void *userdata)
{
    struct freeing *freeing = userdata;

    (void)event;
    if (freeing->other) {
        freeing->other = tn_notifier_free(freeing->other);
        atomic_store(&freeing->released_then, freeing->released.count);
    }
    return 0;
}

static void free_other_in_a_call(bool started)
{
    struct freeing freeing = {.other = new_notifier(), .released_then = -1};
    struct tn_processor *processor = processing(free_other, &freeing);

    stage_start();
    make_dir("w");
    if (started)
        cr_assert_eq(tn_notifier_start(freeing.other), 0);
    cr_assert_eq(tn_watch_add(freeing.other, "w",
                              TN_WATCH_OPTIONS(.mask = IN_ATTRIB, .data = &freeing.released,
                                               .release = count_release),
                              NULL),
                 0);
    add_options("w", TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = processor));
    tn_processor_unref(processor);
    make_file("w/f");
    settle(notifier);
    cr_expect_eq(atomic_load(&freeing.released_then), 1);
}

Test(life, free_of_another_notifier_inside_a_callback_is_over_when_it_returns)
{
    free_other_in_a_call(true);
}

Test(life, free_of_another_notifier_without_threads_inside_a_callback)
{
    free_other_in_a_call(false);
}

/* Flushes after a discard */

static void count_flush(void *userdata)
{
    atomic_fetch_add((atomic_int *)userdata, 1);
}

static int stop_discarding(struct tn_notifier *which, void *unused)
{
    (void)unused;
    return tn_notifier_stop(which, TN_FINISH_DISCARD);
}

Test(life, nothing_is_flushed_after_a_discard)
{
    for (int how = 0; how < 3; how++) {
        struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
        atomic_int flushes = 0;
        struct tn_notifier *own = new_notifier();

        ops.flush = count_flush;
        struct tn_processor *processor = processor_of(&ops, &flushes);
        cr_assert_eq(tn_watch_add(own, ".",
                                  TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = processor),
                                  NULL),
                     0);
        make_file(how == 0 ? "a" : how == 1 ? "b" : "c");
        if (how == 0) {
            cr_expect_eq(tn_notifier_loop(own, stop_discarding, NULL), 0);
        } else {
            if (how == 1)
                cr_assert_eq(tn_notifier_start(own), 0);
            cr_expect_eq(tn_notifier_stop(own, TN_FINISH_DISCARD), 0);
        }
        cr_expect_eq(tn_notifier_join(own), 0);
        tn_notifier_free(own);
        cr_expect_eq(atomic_load(&flushes), 0, "way %d", how);
        tn_processor_unref(processor);
    }
}
