/*
 * Interleavings that the kernel gives once in a million: the stream is the
 * test's own (replay), and its hook runs where the other thread would.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "replay_stage.h"
#include "stages.h"

TestSuite(races, .init = open_stage, .fini = close_stage, .timeout = 60);

/* Tells the reader of a directory in w. The settle's marker comes after the hook's part. */
static void make_known(const char *name)
{
    atomic_store(&armed, true);
    push("w", IN_CREATE | IN_ISDIR, name);
    wait_for(&reached);
    settle(notifier);
}

static int tell_last(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    if (event->name && strcmp(event->name, "last") == 0)
        sem_post(&told);
    return 0;
}

/*
 * Both directories fail, and the first one of the last retry too; then each
 * try reads a record, and nothing is left to read that would wake the reader.
 */
static void fail_and_push(void *context, enum tn__replay_call call)
{
    unsigned mark = mark_number(call);

    (void)context;
    if (mark == 1)
        tn__replay_fail(source, TN__REPLAY_MARK, ENOSPC, 4);
    if (mark == 5)
        push("w", IN_CREATE, "first");
    if (mark == 6)
        push("w", IN_CREATE, "last");
}

/* What a second try read ahead is told without waiting for anything else to happen. */
Test(races, a_record_read_by_a_second_try_is_committed)
{
    struct tn_processor *both[2], *chain;

    new_with_replay(fail_and_push);
    both[0] = seen.processor;
    both[1] = processing(tell_last, NULL);
    cr_assert_eq(tn_processor_new_chain(both, 2, &chain), 0);
    make_dir("w");
    add_options("w", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE, .processor = chain));
    settle(notifier); /* no wake-up is left over that could hide it */
    make_dir("w/x");
    make_dir("w/y");
    push("w", IN_CREATE | IN_ISDIR, "y");
    push("w", IN_CREATE | IN_ISDIR, "x");
    atomic_store(&armed, true);
    start();
    wait_for(&told);
    EXPECT(&seen, "CREATE|ISDIR w:y", "CREATE|ISDIR w:x", "CREATE w:first", "CREATE w:last");
    cr_expect(is_watched("w/x"));
    cr_expect(is_watched("w/y"));
    tn_processor_unref(chain);
    tn_processor_unref(both[1]);
}

/* A settle that has begun without threads goes on with them. */
static void start_at_first_mark(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) == 1)
        cr_expect_eq(tn_notifier_start(notifier), 0);
}

Test(races, a_start_while_a_settle_puts_its_marker)
{
    new_with_replay(start_at_first_mark);
    make_dir("w");
    add("w", ENTRIES, TN_WATCH_TREE);
    push("w", IN_CREATE, "f");
    atomic_store(&armed, true);
    settle(notifier);
    EXPECT(&seen, "CREATE w:f");
    cr_expect_eq(tn_notifier_start(notifier), -EALREADY);
}

static void start_at_second_mark(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) == 2)
        cr_expect_eq(tn_notifier_start(notifier), 0);
}

/* The second marker is of the scan, in the read that the settle does itself. */
Test(races, a_start_while_a_settle_reads)
{
    new_with_replay(start_at_second_mark);
    make_dir("w");
    add("w", ENTRIES, TN_WATCH_TREE);
    make_dir("w/x");
    push("w", IN_CREATE | IN_ISDIR, "x");
    push("w", IN_CREATE, "f");
    atomic_store(&armed, true);
    settle(notifier);
    cr_expect_geq(atomic_load(&marks), 2);
    EXPECT(&seen, "CREATE|ISDIR w:x", "CREATE w:f");
    cr_expect_eq(tn_notifier_start(notifier), -EALREADY);
}

/*
 * The first settle reads, and its hook begins a second one; that has seen that
 * there are no threads and waits for the stream when they are made.
 */
static _Atomic pid_t waiting;
static pthread_t second;

static void *settle_too(void *unused)
{
    (void)unused;
    settle(notifier);
    return NULL;
}

static void settle_in_second(void *context, enum tn__replay_call call)
{
    unsigned mark = mark_number(call);

    (void)context;
    if (mark == 2) {
        cr_expect_eq(pthread_create(&second, NULL, settle_too, NULL), 0);
        while (!atomic_load(&waiting) || !is_asleep(atomic_load(&waiting)))
            sched_yield();
        cr_expect_eq(tn_notifier_start(notifier), 0);
    }
    if (mark == 3)
        atomic_store(&waiting, gettid());
}

Test(races, a_start_while_a_settle_waits_to_read)
{
    new_with_replay(settle_in_second);
    make_dir("w");
    add("w", ENTRIES, TN_WATCH_TREE);
    make_dir("w/x");
    push("w", IN_CREATE | IN_ISDIR, "x");
    push("w", IN_CREATE, "f");
    atomic_store(&armed, true);
    settle(notifier);
    pthread_join(second, NULL);
    EXPECT(&seen, "CREATE|ISDIR w:x", "CREATE w:f");
}

/* The end of a watch whose IN_IGNORED an overflow took away. */
Test(races, a_removal_of_what_the_source_has_ended_already)
{
    static struct released released;

    new_with_replay(NULL);
    make_dir("x");
    tn_wd wd = add_options("x", TN_WATCH_OPTIONS(.mask = IN_CREATE, .data = &released,
                                                 .release = count_release));
    start();
    cr_assert_eq(tn__replay_push(source, TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL), 0);
    settle(notifier);
    recorder_clear(&seen);
    tn__replay_fail(source, TN__REPLAY_UNWATCH, EINVAL, 1);
    cr_expect_eq(tn_watch_remove(notifier, wd, 0), 0);
    settle(notifier);
    EXPECT(&seen, "IGNORED x");
    cr_expect_eq(released.count, 1);
}

/* Directories that wait for a record ahead are looked at again when records were lost. */
static void fail_first(void *context, enum tn__replay_call call)
{
    unsigned mark = mark_number(call);

    (void)context;
    if (mark == 1) {
        tn__replay_fail(source, TN__REPLAY_MARK, ENOSPC, 1);
        tn__replay_push(source, TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    }
    if (mark == 2)
        sem_post(&reached);
}

Test(races, an_overflow_while_a_directory_is_taken_in)
{
    new_with_replay(fail_first);
    make_dir("w");
    add("w", ENTRIES, TN_WATCH_TREE);
    start();
    make_dirs("w/x/y");
    make_file("w/x/y/f");
    make_known("x");
    cr_expect_eq(recorder_lines(&seen, "CREATE|ISDIR w:x"), 1);
    cr_expect_eq(recorder_lines(&seen, "CREATE|ISDIR w/x:y synthetic"), 1);
    cr_expect_eq(recorder_lines(&seen, "CREATE w/x/y:f synthetic"), 1);
    cr_expect(is_watched("w/x/y"));
}

static void tell_settle(void *unused, enum tn__replay_call call)
{
    (void)unused;
    if (mark_number(call))
        sem_post(&told);
}

static void *settle_it(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)tn_notifier_settle(notifier, -1);
}

/* The reader has ended, and what it read before the settle is still being processed. */
Test(races, a_settle_outlasts_the_reader)
{
    struct tn_processor *processor;
    static struct gate gate;
    pthread_t thread;
    void *result;

    gate_init(&gate);
    new_with_replay(tell_settle);
    processor = processing(gate_pass_event, &gate);
    add_options(".", TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = processor));
    tn_processor_unref(processor);
    push(".", IN_CREATE, "f");
    start();
    gate_wait_for(&gate, 1);
    atomic_store(&armed, true);
    cr_assert_eq(pthread_create(&thread, NULL, settle_it, NULL), 0);
    wait_for(&told);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    while (!tn__load(&notifier->ended, acquire))
        sched_yield();
    gate_open(&gate);
    pthread_join(thread, &result);
    cr_expect_eq((intptr_t)result, 0);
}

/* The reader has w/n watched, and not attached it yet. */
static void add_below_at_first_mark(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) != 1)
        return;
    atomic_store(&armed, false);
    add_options("w/n/in", TN_WATCH_OPTIONS(.mask = IN_ALL_EVENTS, .flags = TN_WATCH_RECURSIVE,
                                           .processor = later.processor));
}

/* An add that asks what its root is in leaves that as it is. */
Test(races, a_directory_that_is_taken_in_stays_watched)
{
    new_with_replay(add_below_at_first_mark);
    make_dir("w");
    add("w", IN_ALL_EVENTS, TN_WATCH_TREE);
    settle(notifier);
    make_dirs("w/n/in");
    atomic_store(&armed, true);
    push("w", IN_CREATE | IN_ISDIR, "n");
    play();
    recorder_clear(&seen);
    push("w/n", IN_CREATE, "f");
    settle(notifier);
    EXPECT(&seen, "CREATE w/n:f");
}
