/* The tree stays true (P2, P3) where directories replace one another and where a root moves. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

TestSuite(tree, .init = stage_open, .fini = stage_close, .timeout = 60);

#define FILES (ENTRIES | (uint32_t)IN_CLOSE_WRITE)

Test(tree, a_directory_moves_in_over_another)
{
    stage_start();
    make_dirs("w/b");
    make_dirs("out/t/sub");
    make_file("out/t/sub/f");
    add("w", FILES, TN_WATCH_TREE);
    tn_wd old = found("w/b");
    move("out/t", "w/b");
    settle(notifier);
    EXPECT(&seen, "MOVED_TO|ISDIR w:b", "CREATE|ISDIR w/b:sub synthetic",
           "CREATE w/b/sub:f synthetic", "CLOSE_WRITE w/b/sub:f synthetic", "IGNORED w/b");
    cr_expect_neq(found("w/b"), old);
    make_file("w/b/sub/g");
    make_file("w/b/h");
    settle(notifier);
    EXPECT(&seen, "CREATE w/b/sub:g", "CLOSE_WRITE w/b/sub:g", "CREATE w/b:h", "CLOSE_WRITE w/b:h");
}

Test(tree, a_directory_moves_within_over_another)
{
    stage_start();
    make_dirs("w/a/x");
    make_dirs("w/b");
    add("w", ENTRIES, TN_WATCH_TREE);
    tn_wd moved = found("w/a"), below = found("w/a/x");
    move("w/a", "w/b");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w:b <- w/a", "IGNORED w/b");
    cr_expect_eq(found("w/b"), moved);
    cr_expect_eq(found("w/b/x"), below);
    make_file("w/b/x/f");
    settle(notifier);
    EXPECT(&seen, "CREATE w/b/x:f");
}

/* Its IN_IGNORED comes when it is let go, long after another has its name. */
Test(tree, a_directory_moves_over_one_that_is_held_open)
{
    stage_start();
    make_dirs("w/a/x");
    make_dirs("w/b");
    add("w", ENTRIES | IN_ATTRIB, TN_WATCH_TREE);
    tn_wd moved = found("w/a");
    int held = open("w/b", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(held, 0);
    move("w/a", "w/b");
    settle(notifier);
    recorder_clear(&seen);
    cr_expect_eq(found("w/b"), moved);
    make_dirs("w/b/x/y");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w/b/x:y");
    close(held);
    settle(notifier);
    EXPECT(&seen, "IGNORED w/b");
    cr_expect_eq(found("w/b"), moved);
    make_file("w/b/x/y/f");
    settle(notifier);
    EXPECT(&seen, "CREATE w/b/x/y:f");
}

/* Nothing is read until all has happened. */
Test(tree, a_directory_moves_over_one_that_was_not_taken_in_yet)
{
    stage_new(NULL);
    make_dirs("w");
    make_dirs("out/t/sub");
    add("w", ENTRIES, TN_WATCH_TREE);
    make_dir("w/b");
    move("out/t", "w/b");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR w:b", "MOVED_TO|ISDIR w:b", "CREATE|ISDIR w/b:sub synthetic");
    make_file("w/b/sub/f");
    settle(notifier);
    EXPECT(&seen, "CREATE w/b/sub:f");
}

Test(tree, one_directory_moves_over_another_again_and_again)
{
    char from[16], to[16];

    stage_new(NULL);
    make_dir("w");
    add("w", ENTRIES, TN_WATCH_TREE);
    for (int i = 0; i < 20; i++) {
        snprintf(from, sizeof(from), "w/%d", i);
        make_dir(from);
    }
    for (int i = 0; i < 19; i++) {
        snprintf(from, sizeof(from), "w/%d", i);
        snprintf(to, sizeof(to), "w/%d", i + 1);
        move(from, to);
    }
    settle(notifier);
    recorder_clear(&seen);
    for (int i = 0; i < 19; i++) {
        snprintf(from, sizeof(from), "w/%d", i);
        cr_expect(!is_watched(from), "%s", from);
    }
    make_file("w/19/f");
    settle(notifier);
    EXPECT(&seen, "CREATE w/19:f");
    cr_expect_eq(stats().watches, 2);
}

/* Below a moved root nothing can be opened: that is told, and is not tried again for ever. */
Test(tree, directories_made_below_a_moved_root)
{
    enum { MANY = 100 };
    char path[32];

    stage_start();
    make_dirs("w/a");
    add("w", ENTRIES | IN_MOVE_SELF, TN_WATCH_TREE);
    move("w", "v");
    make_dir("v/new");
    settle(notifier);
    EXPECT(&seen, "MOVE_SELF w unknown", "CREATE|ISDIR w:new unknown",
           "ISDIR w:new unknown unwatched No such file or directory");
    make_dir("v/a/deep");
    make_file("v/a/f");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE|ISDIR w/a:deep unknown",
               "ISDIR w/a:deep unknown unwatched No such file or directory",
               "CREATE w/a:f unknown");
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof(path), "v/d%d", i);
        make_dir(path);
        settle(notifier);
    }
    struct tn_stats got = stats();
    cr_expect_eq(got.unwatched, MANY + 2);
    cr_expect_leq(got.scans, 4 * (MANY + 2), "%llu", (unsigned long long)got.scans);
    cr_expect_eq(recorder_count(&seen), 2 * MANY);
}

/* The directory has moved, the record was not read, and the kernel would have to be asked. */
Test(tree, an_update_meets_a_move_that_was_not_read)
{
    const uint32_t fields = TN_UPDATE_MASK | TN_UPDATE_RECURSIVE;
    const struct tn_watch_options *more = TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_ATTRIB);

    stage_new(NULL);
    make_dirs("w/a");
    tn_wd wd = add("w", IN_CREATE, TN_WATCH_TREE), below = found("w/a");
    move("w/a", "w/b");
    cr_expect_eq(tn_watch_update(notifier, wd, fields, more), -EAGAIN);
    cr_expect_eq(info(wd).mask, IN_CREATE, "a failure changes nothing");
    cr_expect_eq(info(below).mask, IN_CREATE);
    settle(notifier);
    cr_expect_eq(tn_watch_update(notifier, wd, fields, more), 0);
    cr_expect_eq(info(below).mask, IN_CREATE | IN_ATTRIB);
    make_file("w/b/f");
    change_mode("w/b/f", 0600);
    settle(notifier);
    EXPECT(&seen, "CREATE w/b:f", "ATTRIB w/b:f");
}

/* The kernel need not be asked for what it tells already. */
Test(tree, an_update_to_less_meets_a_move_that_was_not_read)
{
    stage_new(NULL);
    make_dirs("w/a");
    tn_wd wd = add("w", ENTRIES, TN_WATCH_TREE);
    move("w/a", "w/b");
    cr_expect_eq(tn_watch_update(notifier, wd, TN_UPDATE_MASK | TN_UPDATE_RECURSIVE,
                                 TN_WATCH_OPTIONS(.mask = IN_CREATE)),
                 0);
    make_file("w/b/f");
    remove_file("w/b/f");
    settle(notifier);
    EXPECT(&seen, "CREATE w/b:f");
}
