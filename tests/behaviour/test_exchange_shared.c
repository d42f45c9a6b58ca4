/*
 * Exchanges and moves there and back in a tree that others watch too, whose
 * directories are looked at by a scan or have got a watch of another mask. The
 * stream is the test's.
 */
#include <criterion/criterion.h>
#include <sys/inotify.h>

#include "replay_stage.h"

TestSuite(exchange_shared, .init = open_stage, .fini = close_stage, .timeout = 60);

static uint64_t top, key_a, key_b, key_p;

static void replay_tree(void)
{
    make_dirs("w/a/low");
    make_dirs("w/b/deep");
    make_dir("w/p");
    new_with_replay(NULL);
    add("w", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
    top = key_of("w");
    key_a = key_of("w/a");
    key_b = key_of("w/b");
    key_p = key_of("w/p");
}

static void push_half(uint64_t directory, uint32_t half, uint32_t cookie, const char *name)
{
    push_key(directory, half | IN_ISDIR, cookie, name);
}

/* The source has told of their moves all the time: a watch that asks for openings does not matter.
 */
Test(exchange_shared, of_directories_that_got_a_wider_watch)
{
    replay_tree();
    const uint64_t key_deep = key_of("w/b/deep");

    add_options("w/b/deep", TN_WATCH_OPTIONS(.mask = IN_OPEN, .processor = later.processor));
    add_options("w/a", TN_WATCH_OPTIONS(.mask = IN_OPEN, .processor = later.processor));
    move("w/a", "w/x");
    move("w/b/deep", "w/a");
    move("w/x", "w/b/deep");
    move("w/b", "w/q");
    push_half(top, IN_MOVED_FROM, 7, "a");
    push_half(key_b, IN_MOVED_TO, 7, "deep");
    push_key(key_a, IN_MOVE_SELF, 0, NULL);
    push_half(key_b, IN_MOVED_FROM, 8, "deep");
    push_half(top, IN_MOVED_TO, 8, "a");
    push_key(key_deep, IN_MOVE_SELF, 0, NULL);
    push_half(top, IN_MOVED_FROM, 9, "b");
    push_half(top, IN_MOVED_TO, 9, "q");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR w:a", "MOVED_FROM|ISDIR w/b:deep",
           "MOVED_TO|ISDIR w/b:deep <- w/a", "MOVED_TO|ISDIR w:a <- w/b/deep",
           "MOVED_FROM|ISDIR w:b", "MOVED_TO|ISDIR w:q <- w/b");
}

/* It comes back to where another directory has come meanwhile. */
Test(exchange_shared, not_there_and_back_over_another)
{
    replay_tree();
    move("w/a", "w/b/x");
    push_half(top, IN_MOVED_FROM, 7, "a");
    push_half(key_b, IN_MOVED_TO, 7, "x");
    push_key(key_a, IN_MOVE_SELF, 0, NULL);
    settle(notifier);
    move("w/p", "w/a");
    push_half(top, IN_MOVED_FROM, 8, "p");
    push_half(top, IN_MOVED_TO, 8, "a");
    push_key(key_p, IN_MOVE_SELF, 0, NULL);
    settle(notifier);
    recorder_clear(&seen);
    move("w/b/x", "w/a");
    push_half(key_b, IN_MOVED_FROM, 9, "x");
    push_half(top, IN_MOVED_TO, 9, "a");
    push_key(key_a, IN_MOVE_SELF, 0, NULL);
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR w/b:x", "MOVED_TO|ISDIR w:a <- w/b/x");
    push_key(key_a, IN_CREATE, 0, "f");
    settle(notifier);
    EXPECT(&seen, "CREATE w/a:f");
}

/* One of the directory's watches has another path, which does not lead there any more. */
Test(exchange_shared, what_can_be_seen_by_one_watch_only)
{
    replay_tree();
    add_options("w/p", TN_WATCH_OPTIONS(.mask = IN_OPEN, .processor = later.processor));
    move("w/p", "w/q");
    make_file("w/q/f");
    push_key(key_p, IN_MOVED_TO, 7, "f");
    push_key(key_p, IN_MOVED_FROM, 8, "f");
    push_half(top, IN_MOVED_FROM, 9, "p");
    push_half(top, IN_MOVED_TO, 9, "q");
    push_key(key_p, IN_MOVE_SELF, 0, NULL);
    settle(notifier);
    EXPECT(&seen, "MOVED_TO w/p:f", "MOVED_FROM w/p:f", "MOVED_FROM|ISDIR w:p",
           "MOVED_TO|ISDIR w:q <- w/p", "MOVED_TO w/q:f synthetic");
}

/* The second add, by a link, has no watch where the file leaves. */
Test(exchange_shared, a_file_from_where_an_add_by_a_link_does_not_listen)
{
    replay_tree();
    cr_assert_eq(symlink("w", "link"), 0);
    add_options("link", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                         .processor = later.processor));
    make_dir("w/n");
    push_half(top, IN_CREATE, 0, "n");
    settle(notifier);
    uint64_t key_n = key_of("w/n");
    cr_assert_eq(tn_watch_remove(notifier, found("link/n"), 0), 0);
    settle(notifier);
    recorder_clear(&later);
    push_key(key_n, IN_MOVED_FROM, 7, "f");
    push_key(key_b, IN_MOVED_TO, 7, "f");
    settle(notifier);
    cr_assert_eq(recorder_count(&later), 1);
    cr_expect_eq(recorder_event(&later, 0)->cookie, 0);
    EXPECT(&later, "MOVED_TO link/b:f");
}
