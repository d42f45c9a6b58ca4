/* A source that refuses, that fills the buffer to its last byte, and calls that are interrupted. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "replay_stage.h"

TestSuite(misuse_source, .init = open_stage, .fini = close_stage, .timeout = 60);

/* The n-th watch that an add places fails. */

static atomic_uint watches; /* placed since armed */
static unsigned fail_at;
static int fail_with;

static void fail_watch(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call == TN__REPLAY_WATCH && atomic_load(&armed) &&
        atomic_fetch_add(&watches, 1) + 1 == fail_at)
        tn__replay_fail(source, TN__REPLAY_WATCH, fail_with, 1);
}

enum { DIRECTORIES = 7, KEPT_WD = 77 };

static void make_tree(void)
{
    make_dirs("d/a/b/c");
    make_dirs("d/x/y/z");
    new_with_replay(fail_watch);
}

struct outcome {
    struct released released;
    int placed, failed;
};

static int count_placed(const char *path, tn_wd wd, int error, void *data)
{
    struct outcome *outcome = data;

    (void)path;
    cr_expect_eq(wd > 0, error == 0);
    cr_expect_eq(wd < 0, error < 0);
    outcome->placed += error == 0;
    outcome->failed += error < 0;
    return 0;
}

static void count_outcome_release(void *data)
{
    count_release(&((struct outcome *)data)->released);
}

/* Adds "d" with all below; the n-th watch fails. */
static int add_tree(unsigned n, struct outcome *outcome, tn_wd *wd)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    options.mask = ENTRIES;
    options.flags = TN_WATCH_TREE;
    options.data = outcome;
    options.release = count_outcome_release;
    options.placed = count_placed;
    *wd = KEPT_WD;
    fail_at = n;
    atomic_store(&watches, 0);
    atomic_store(&armed, true);
    int result = tn_watch_add(notifier, "d", &options, wd);
    atomic_store(&armed, false);
    return result;
}

/* Of the n-th failure; three watches are another add's. */
static void check_nothing_left(unsigned n, size_t before)
{
    cr_assert_eq(tn__replay_watches(source), before, "the %u-th", n);
    cr_assert_eq(stats().watches, 3, "the %u-th", n);
    EXPECT_NONE(&seen);
}

/* Both adds are told, and end. */
static void end_both(const struct outcome *outcome, tn_wd wd, tn_wd kept)
{
    push("d/x/y", IN_CREATE, "f");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE d/x/y:f", "CREATE d/x/y:f");
    cr_assert_eq(outcome->released.count, 0);
    const tn_wd all[] = {wd, kept};
    cr_assert_eq(tn_watch_remove_list(notifier, all, 2, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC, NULL),
                 2);
    settle(notifier);
    cr_assert_eq(outcome->released.count, 1);
}

/* What another add holds stays: a part of the tree has been watched before. */
static void take_back(int error)
{
    static struct outcome outcome;
    const size_t before = tn__replay_watches(source) + 3;
    unsigned n = 0;
    tn_wd wd;

    fail_with = -error;
    tn_wd kept = add("d/x", IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(tn__replay_watches(source), before);
    while (add_tree(++n, &outcome, &wd) == error) {
        settle(notifier);
        cr_assert_eq(wd, KEPT_WD);
        check_nothing_left(n, before);
    }
    cr_assert(n > DIRECTORIES && wd != KEPT_WD, "the %u-th failed otherwise", n);
    end_both(&outcome, wd, kept);
    cr_assert_eq(tn__replay_watches(source), before - 3);
}

Test(misuse_source, a_limit_in_the_middle_of_an_add_takes_it_back)
{
    make_tree();
    take_back(-ENOSPC);
}

Test(misuse_source, no_memory_in_the_middle_of_an_add_takes_it_back)
{
    make_tree();
    start();
    take_back(-ENOMEM);
}

/* What is taken in late is announced, also what was there before. */
static void check_announced(void)
{
    for (size_t i = 0; i < recorder_count(&seen); i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        cr_assert_eq(event->mask, IN_CREATE | IN_ISDIR);
        cr_assert_eq(event->flags & TN_EVENT_SYNTHETIC, TN_EVENT_SYNTHETIC);
        cr_assert_gt(event->sequence, 0);
        cr_assert_gt(event->read_ns, 0);
    }
    recorder_clear(&seen);
}

/* Another error is that of one directory: the rest goes on, and the reader tries that one again. */
Test(misuse_source, an_error_of_one_directory_below_is_told)
{
    static struct outcome outcomes[64];
    unsigned n = 1;
    tn_wd wd;

    make_tree();
    fail_with = EACCES;
    cr_assert_eq(add_tree(n, &outcomes[0], &wd), -EACCES, "the root");
    cr_assert_eq(wd, KEPT_WD);
    do {
        cr_assert_lt(++n, 64);
        cr_assert_eq(add_tree(n, &outcomes[n], &wd), 0, "the %u-th", n);
        cr_assert_leq(outcomes[n].failed, 1);
        cr_assert_eq(outcomes[n].placed < DIRECTORIES, outcomes[n].failed);
        settle(notifier);
        cr_assert_eq(stats().watches, DIRECTORIES, "the %u-th", n);
        check_announced();
        cr_assert_eq(tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC), 0);
    } while (outcomes[n].failed);
    cr_assert_geq(n, DIRECTORIES);
    cr_assert_eq(stats().unwatched, 0);
}

/* Reads that end where the buffer ends */

#define BUFFER   (64u * 1024) /* what a read is given: reader/stream.c */
#define NAMED    32u          /* bytes of a record */
#define NAMELESS 16u

static void push_many(unsigned count, bool named)
{
    const uint64_t key = tn__replay_key_of(source, "d");

    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(tn__replay_push(source, key, named ? IN_CREATE : IN_ATTRIB, 0,
                                     named ? at("%08u", i) : NULL),
                     0);
}

static void check_many(unsigned count, bool named)
{
    cr_assert_eq(recorder_count(&seen), count);
    for (unsigned i = 0; named && i < count; i++)
        cr_assert_str_eq(recorder_event(&seen, i)->name, at("%08u", i));
    recorder_clear(&seen);
}

static void read_full_buffers(bool named)
{
    const unsigned fit = BUFFER / (named ? NAMED : NAMELESS);

    for (unsigned buffers = 1; buffers <= 3; buffers++)
        for (unsigned odd = 0; odd < 3; odd++) {
            unsigned count = buffers * fit + odd - 1;
            push_many(count, named);
            settle(notifier);
            check_many(count, named);
        }
}

Test(misuse_source, reads_to_the_last_byte_of_the_buffer)
{
    make_dir("d");
    new_with_replay(NULL);
    add("d", IN_CREATE | IN_ATTRIB, 0);
    read_full_buffers(true);
    read_full_buffers(false);
    start();
    read_full_buffers(true);
}

/* The marker of the settle is the last that fits, and the first that does not. */
Test(misuse_source, reads_to_the_last_byte_and_ends)
{
    make_dir("d");
    new_with_replay(NULL);
    add("d", IN_CREATE, 0);
    push_many(BUFFER / NAMED, true);
    tn__replay_end(source);
    while (tn_notifier_read_events(notifier) > 0)
        cr_assert_geq(tn_notifier_process_events(notifier), 0);
    tn_notifier_process_events(notifier);
    check_many(BUFFER / NAMED, true);
}

/* Signals interrupt nothing that is not said to be. */

static atomic_uint signals;
static atomic_bool over;

static void count_signal(int signal)
{
    (void)signal;
    atomic_fetch_add(&signals, 1);
}

static void *interrupt(void *target)
{
    while (!atomic_load(&over)) {
        pthread_kill(*(pthread_t *)target, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

static void *make_files_and_stop(void *unused)
{
    make_files("d/a/late", 200);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    return unused;
}

static pthread_t start_interrupting(pthread_t *target)
{
    struct sigaction action = {.sa_handler = count_signal};
    pthread_t thread;

    sigemptyset(&action.sa_mask);
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    cr_assert_eq(pthread_create(&thread, NULL, interrupt, target), 0);
    while (!atomic_load(&signals))
        sched_yield();
    return thread;
}

static void end_interrupted(bool started)
{
    pthread_t other;

    cr_assert_eq(pthread_create(&other, NULL, make_files_and_stop, NULL), 0);
    cr_expect_eq(started ? tn_notifier_join(notifier) : tn_notifier_loop(notifier, NULL, NULL), 0);
    cr_expect_eq(recorder_count(&seen), 700);
    pthread_join(other, NULL);
}

static void work_interrupted(bool started)
{
    pthread_t self = pthread_self();

    make_dirs("d/a/b/c");
    stage_new(NULL);
    pthread_t thread = start_interrupting(&self);
    add("d", IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(stats().watches, 4);
    make_files("d/a/b/f", 500);
    if (started)
        cr_assert_eq(tn_notifier_start(notifier), 0);
    cr_expect_eq(tn_notifier_settle(notifier, -1), 0);
    cr_expect_eq(recorder_count(&seen), 500);
    end_interrupted(started);
    notifier = tn_notifier_free(notifier);
    atomic_store(&over, true);
    pthread_join(thread, NULL);
}

Test(misuse_source, interrupted_with_threads)
{
    work_interrupted(true);
}

Test(misuse_source, interrupted_in_the_callers_thread)
{
    work_interrupted(false);
}
