/*
 * Moves whose halves come apart, where a clock, a thread or a name too long for a
 * file system is needed; the others are tests/replay.
 */
#include <errno.h>
#include <string.h>

#include "replay_stage.h"

static void open_tree(void)
{
    open_stage();
    make_dirs("w/a/deep");
    make_dir("w/b");
}

TestSuite(odd_moves, .init = open_tree, .fini = close_stage, .timeout = 60);

static void watch_tree(void)
{
    new_with_replay(NULL);
    add("w", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
}

static void push_half(const char *directory, uint32_t half, uint32_t cookie, const char *name)
{
    push_key(key_of(directory), half | IN_ISDIR, cookie, name);
}

/* No file system has it; nothing can be taken in by it. */
Test(odd_moves, a_name_that_is_too_long)
{
    char name[300];

    watch_tree();
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    push("w", IN_CREATE | IN_ISDIR, name);
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 1);
    cr_expect_str_eq(recorder_event(&seen, 0)->name, name);
    cr_expect_eq(stats().unwatched, 0);
    cr_expect_eq(stats().watches, 4);
}

/* Without a barrier: no marker can be put, so the reader waits for the arrival. */
static void watch_without_barrier(void (*hook)(void *context, enum tn__replay_call call))
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.threads = 1;
    options.move_timeout_ms = 600000;
    new_with_options(options, NULL, hook);
    add("w", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
    atomic_store(&armed, true);
    start();
}

static void fail_twice(void *context, enum tn__replay_call call)
{
    unsigned mark = mark_number(call);

    (void)context;
    if (mark == 1)
        tn__replay_fail(source, TN__REPLAY_MARK, ENOSPC, 2);
    if (mark == 2)
        sem_post(&reached);
}

Test(odd_moves, an_arrival_that_is_waited_for)
{
    watch_without_barrier(fail_twice);
    move("w/a", "w/x");
    push_half("w", IN_MOVED_FROM, 7, "a");
    wait_for(&reached);
    push_half("w", IN_MOVED_TO, 7, "x");
    recorder_wait(&seen, 2);
    EXPECT(&seen, "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w:x <- w/a");
}

static void fail_and_stop(void *context, enum tn__replay_call call)
{
    unsigned mark = mark_number(call);

    (void)context;
    if (mark == 1)
        tn__replay_fail(source, TN__REPLAY_MARK, ENOSPC, 2);
    if (mark == 2)
        cr_expect_eq(tn_notifier_stop(notifier, TN_FINISH_DISCARD), 0);
}

Test(odd_moves, a_stop_while_an_arrival_is_waited_for)
{
    watch_without_barrier(fail_and_stop);
    push_half("w", IN_MOVED_FROM, 7, "a");
    cr_expect_eq(tn_notifier_join(notifier), 0);
}
