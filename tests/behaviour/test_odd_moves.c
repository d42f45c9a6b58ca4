/*
 * Moves whose halves come apart, and some that no kernel tells: the stream is
 * the test's own (replay).
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

/* A file there is told. */
static void expect_told(const char *directory)
{
    push(directory, IN_CREATE, "probe");
    settle(notifier);
    EXPECT(&seen, at("CREATE %s:probe", directory));
}

Test(odd_moves, two_whose_halves_are_nested)
{
    watch_tree();
    move("w/a", "w/x");
    move("w/b", "w/y");
    push_half("w", IN_MOVED_FROM, 7, "a");
    push_half("w", IN_MOVED_FROM, 8, "b");
    push_half("w", IN_MOVED_TO, 8, "y");
    push_half("w", IN_MOVED_TO, 7, "x");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR w:b", "MOVED_TO|ISDIR w:y <- w/b", "MOVED_FROM|ISDIR w:a",
           "MOVED_TO|ISDIR w:x <- w/a");
    expect_told("w/x/deep");
    expect_told("w/y");
}

/* The arrival may be among what was lost. */
Test(odd_moves, an_overflow_between_the_halves)
{
    watch_tree();
    move("w/a", "w/x");
    push_half("w", IN_MOVED_FROM, 7, "a");
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    push_half("w", IN_MOVED_TO, 7, "x");
    settle(notifier);
    cr_expect_eq(recorder_event(&seen, 0)->cookie, 0);
    EXPECT_SET(&seen, "MOVED_FROM|ISDIR w:a", "IGNORED w/a/deep unknown", "IGNORED w/a unknown",
               "Q_OVERFLOW -", "MOVED_TO|ISDIR w:x", "CREATE|ISDIR w/x:deep synthetic");
    expect_told("w/x/deep");
}

Test(odd_moves, an_arrival_where_nothing_is_watched)
{
    const uint64_t elsewhere = 999;

    watch_tree();
    move("w/a", "a");
    push_half("w", IN_MOVED_FROM, 7, "a");
    push_key(elsewhere, IN_MOVED_TO | IN_ISDIR, 7, "a");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR w:a", "IGNORED w/a/deep unknown", "IGNORED w/a unknown");
    cr_expect_eq(stats().watches, 2);
}

Test(odd_moves, a_directory_below_itself)
{
    watch_tree();
    push_half("w", IN_MOVED_FROM, 7, "a");
    push_half("w/a/deep", IN_MOVED_TO, 7, "a");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR w:a", "IGNORED w/a/deep unknown", "IGNORED w/a unknown");
    expect_told("w/b");
}

Test(odd_moves, a_file_from_where_nothing_is_watched_any_more)
{
    new_with_replay(NULL);
    tn_wd from = add("w/a", ENTRIES, 0);
    add("w/b", ENTRIES, 0);
    push_key(key_of("w/a"), IN_MOVED_FROM, 7, "f");
    play();
    cr_assert_eq(tn_watch_remove(notifier, from, 0), 0);
    push_key(key_of("w/b"), IN_MOVED_TO, 7, "f");
    settle(notifier);
    cr_expect_eq(recorder_event(&seen, 2)->cookie, 7);
    EXPECT(&seen, "MOVED_FROM w/a:f", "IGNORED w/a", "MOVED_TO w/b:f");
}

Test(odd_moves, a_departure_without_a_name)
{
    watch_tree();
    push_key(key_of("w"), IN_MOVED_FROM, 7, NULL);
    push_key(key_of("w"), IN_MOVED_TO, 7, "f");
    settle(notifier);
    cr_expect_eq(recorder_event(&seen, 1)->cookie, 0);
    EXPECT(&seen, "MOVED_FROM w", "MOVED_TO w:f");
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

/* Another move sets the retry going when the first half is committed and the second is not. */
Test(odd_moves, one_that_is_not_taken_in_yet)
{
    watch_tree();
    make_dir("w/b/d");
    make_dir("w/a/e");
    push("w/a", IN_CREATE | IN_ISDIR, "d");
    push_half("w/a", IN_MOVED_FROM, 5, "d");
    push_half("w/a", IN_MOVED_TO, 9, "e");
    push_half("w/b", IN_MOVED_TO, 5, "d");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w/a:d", "MOVED_TO|ISDIR w/a:e", "MOVED_FROM|ISDIR w/a:d",
           "MOVED_TO|ISDIR w/b:d <- w/a/d");
    cr_assert(is_watched("w/b/d"));
    cr_assert_not(is_watched("w/a/d"));
}
