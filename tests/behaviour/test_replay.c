/* Streams that the kernel gives once in a million, through the whole notifier. */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "replay_stage.h"
#include "stages.h"

static void open_caller(void)
{
    open_stage();
    new_with_replay(NULL);
}

TestSuite(replay, .init = open_caller, .fini = close_stage, .timeout = 60);

Test(replay, a_plain_stream)
{
    tn_wd wd = add(".", CHANGES, 0);
    uint64_t key = key_of(".");

    push_key(key, IN_CREATE, 0, "f");
    push_key(key, IN_MODIFY, 0, "f");
    push_key(key, IN_OPEN, 0, "f");
    push_key(key, IN_MOVED_FROM, 7, "f");
    push_key(key, IN_MOVED_TO, 7, "g");
    push_key(key, IN_DELETE, 0, "g");
    settle(notifier);
    for (size_t i = 0; i < recorder_count(&seen); i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        cr_expect_eq(event->wd, wd);
        cr_expect_eq(event->sequence, i + 1);
        cr_expect_eq(event->cookie, event->mask & IN_MOVE ? 7 : 0);
    }
    EXPECT(&seen, "CREATE .:f", "MODIFY .:f", "MOVED_FROM .:f", "MOVED_TO .:g <- ./f",
           "DELETE .:g");
}

Test(replay, unknown_keys)
{
    add(".", CHANGES, TN_WATCH_TREE);
    uint64_t key = key_of(".");

    push_key(key, IN_CREATE, 0, "f");
    push_key(4711, IN_CREATE, 0, "stale");
    push_key(4711, IN_CREATE | IN_ISDIR, 0, "stale");
    push_key(4711, IN_MOVED_FROM | IN_ISDIR, 3, "stale");
    push_key(4712, IN_MOVED_TO | IN_ISDIR, 3, "stale");
    push_key(4711, IN_DELETE_SELF, 0, NULL);
    push_key(4711, IN_IGNORED, 0, NULL);
    push_key(4711, IN_UNMOUNT, 0, NULL);
    push_key(key, IN_CREATE, 0, "g");
    settle(notifier);
    EXPECT(&seen, "CREATE .:f", "CREATE .:g");
    cr_expect_geq(stats().read, 9);
}

Test(replay, ignored_of_a_watch_that_was_removed)
{
    tn_wd wd = add(".", CHANGES, 0);
    uint64_t key = key_of(".");

    push_key(key, IN_CREATE, 0, "before");
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    push_key(key, IN_CREATE, 0, "after");
    push_key(key, IN_IGNORED, 0, NULL);
    push_key(key, IN_IGNORED, 0, NULL);
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 1, "one IN_IGNORED, and nothing else");
    cr_expect_eq(recorder_event(&seen, 0)->mask, IN_IGNORED);
    cr_expect_eq(recorder_event(&seen, 0)->wd, wd);
    cr_expect_eq(tn__replay_watches(source), 0);
    cr_expect_eq(stats().watches, 0);
}

Test(replay, ignored_twice)
{
    add(".", CHANGES, 0);
    uint64_t key = key_of(".");

    push_key(key, IN_DELETE_SELF, 0, NULL);
    push_key(key, IN_IGNORED, 0, NULL);
    push_key(key, IN_IGNORED, 0, NULL);
    settle(notifier);
    EXPECT(&seen, "IGNORED .");
}

Test(replay, unmount)
{
    add(".", CHANGES, 0);
    uint64_t key = key_of(".");

    push_key(key, IN_UNMOUNT, 0, NULL);
    push_key(key, IN_IGNORED, 0, NULL);
    settle(notifier);
    EXPECT(&seen, "UNMOUNT .", "IGNORED .");
}

/* The kernel's wds wrap around: a key means another inode after its IN_IGNORED. */
Test(replay, a_key_is_used_again)
{
    make_dir("a");
    make_dir("b");
    tn_wd a = add("a", CHANGES, 0);
    uint64_t key = key_of("a");
    push_key(key, IN_CREATE, 0, "f");
    push_key(key, IN_DELETE_SELF, 0, NULL);
    push_key(key, IN_IGNORED, 0, NULL);
    tn__replay_next_key(source, key);
    tn_wd b = add("b", CHANGES, 0);
    cr_assert_eq(key_of("b"), key);
    push_key(key, IN_CREATE, 0, "g");
    play();
    cr_expect_eq(recorder_event(&seen, 1)->wd, a);
    cr_expect_eq(recorder_event(&seen, 2)->wd, b);
    cr_expect_neq(a, b, "a tn_wd is not");
    EXPECT(&seen, "CREATE a:f", "IGNORED a", "CREATE b:g");
    push_key(key, IN_IGNORED, 0, NULL);
    play();
    cr_expect_eq(recorder_event(&seen, 0)->wd, b);
    EXPECT(&seen, "IGNORED b");
    cr_expect_eq(stats().watches, 0);
}

Test(replay, a_key_is_used_again_twice)
{
    tn_wd wds[4];
    uint64_t key = 5;

    for (unsigned i = 0; i < 4; i++) {
        make_dir(at("%u", i));
        tn__replay_next_key(source, key);
        wds[i] = add(at("%u", i), CHANGES, 0);
        cr_assert_eq(key_of(at("%u", i)), key);
        push_key(key, IN_CREATE, 0, "f");
        push_key(key, IN_IGNORED, 0, NULL);
    }
    play();
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(recorder_event(&seen, 2 * i)->wd, wds[i]);
    EXPECT(&seen, "CREATE 0:f", "IGNORED 0", "CREATE 1:f", "IGNORED 1", "CREATE 2:f", "IGNORED 2",
           "CREATE 3:f", "IGNORED 3");
}

/* Moves */

Test(replay, a_file_s_move_straddles_two_reads)
{
    make_dir("a");
    make_dir("b");
    add(".", CHANGES, TN_WATCH_TREE);
    push_key(key_of("a"), IN_MOVED_FROM, 9, "f");
    cr_assert_geq(tn_notifier_read_events(notifier), 0);
    tn_notifier_process_events(notifier);
    cr_expect_eq(recorder_event(&seen, 0)->cookie, 9);
    EXPECT(&seen, "MOVED_FROM ./a:f");
    push("b", IN_CREATE, "other");
    cr_assert_geq(tn_notifier_read_events(notifier), 0);
    push_key(key_of("b"), IN_MOVED_TO, 9, "g");
    play();
    cr_expect_eq(recorder_event(&seen, 1)->cookie, 9);
    EXPECT(&seen, "CREATE ./b:other", "MOVED_TO ./b:g <- ./a/f");
}

/* The arrival comes while its departure is committed: before the marker that looks for it. */
static uint64_t arrival_key;

static void arrive(void *unused, enum tn__replay_call call)
{
    (void)unused;
    if (call != TN__REPLAY_MARK || !arrival_key)
        return;
    tn__replay_push(source, arrival_key, IN_MOVED_TO | IN_ISDIR, 9, "c");
    arrival_key = 0;
}

static void make_move(void)
{
    make_dir("a");
    make_dir("a/d");
    make_dir("b");
    add(".", CHANGES, TN_WATCH_TREE);
}

Test(replay, a_directory_s_move_straddles_two_reads)
{
    make_move();
    tn_wd before = found("./a/d");
    uint64_t key = key_of("a/d");
    move("a/d", "b/c");
    arrival_key = key_of("b");
    tn__replay_hook(source, arrive, NULL);
    push_key(key_of("a"), IN_MOVED_FROM | IN_ISDIR, 9, "d");
    play();
    push_key(key, IN_CREATE, 0, "f");
    play();
    EXPECT(&seen, "MOVED_FROM|ISDIR ./a:d", "MOVED_TO|ISDIR ./b:c <- ./a/d", "CREATE ./b/c:f");
    cr_expect_eq(found("./b/c"), before);
    cr_expect_eq(stats().moves, 1);
    cr_expect_eq(stats().synthetic, 0);
}

Test(replay, writes_between_the_halves_of_a_move)
{
    make_move();
    uint64_t key = key_of("a/d");
    move("a/d", "b/c");
    push_key(key_of("a"), IN_MOVED_FROM | IN_ISDIR, 9, "d");
    push_key(key, IN_CREATE, 0, "f");
    push_key(key_of("b"), IN_MOVED_TO | IN_ISDIR, 9, "c");
    push_key(key, IN_DELETE, 0, "f");
    play();
    EXPECT(&seen, "CREATE ./a/d:f", "MOVED_FROM|ISDIR ./a:d", "MOVED_TO|ISDIR ./b:c <- ./a/d",
           "DELETE ./b/c:f");
}

Test(replay, a_departure_without_an_arrival)
{
    make_move();
    uint64_t key = key_of("a/d");
    tn_wd wd = found("./a/d");
    make_dir("elsewhere"); /* its record is not in the stream: it is nowhere */
    move("a/d", "elsewhere/d");
    push_key(key_of("a"), IN_MOVED_FROM | IN_ISDIR, 9, "d");
    settle(notifier);
    push_key(key, IN_CREATE, 0, "f");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2, "nothing of what left");
    cr_expect_eq(recorder_event(&seen, 0)->mask, IN_MOVED_FROM | IN_ISDIR);
    cr_expect_eq(recorder_event(&seen, 0)->cookie, 0, "there is no other half");
    cr_expect_eq(recorder_event(&seen, 1)->mask, IN_IGNORED);
    cr_expect_eq(recorder_event(&seen, 1)->wd, wd);
    cr_expect(recorder_event(&seen, 1)->flags & TN_EVENT_PATH_UNKNOWN);
    cr_expect_str_eq(recorder_event(&seen, 1)->path, "./a/d");
    cr_expect_eq(tn__replay_key_of(source, "elsewhere/d"), 0, "it is not watched any more");
    cr_expect_eq(stats().watches, 3);
}

Test(replay, a_file_s_departure_without_an_arrival)
{
    add(".", CHANGES, TN_WATCH_TREE);
    push_key(key_of("."), IN_MOVED_FROM, 9, "f");
    push(".", IN_CREATE, "g");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM .:f", "CREATE .:g");
}

Test(replay, an_arrival_without_a_departure)
{
    add(".", CHANGES, TN_WATCH_TREE);
    make_dir("d");
    make_file("d/f");
    push_key(key_of("."), IN_MOVED_TO | IN_ISDIR, 9, "d");
    push_key(key_of("."), IN_MOVED_TO, 10, "g");
    settle(notifier);
    cr_expect_eq(recorder_event(&seen, 0)->cookie, 0);
    EXPECT(&seen, "MOVED_TO|ISDIR .:d", "CREATE ./d:f synthetic", "CLOSE_WRITE ./d:f synthetic",
           "MOVED_TO .:g");
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
Test(replay, a_settle_outlasts_the_reader)
{
    struct tn_processor *processor;
    static struct gate gate;
    pthread_t thread;
    void *result;

    gate_init(&gate);
    tn__replay_hook(source, tell_settle, NULL);
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
