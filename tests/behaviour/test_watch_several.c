/* Several watches on one path or one inode do not disturb each other (P10). */
#include "support.h"

#include <criterion/criterion.h>
#include <unistd.h>

TestSuite(watch_several, .init = stage_open, .fini = stage_close, .timeout = 60);

Test(watch_several, several_on_one_path_do_not_disturb_each_other)
{
    struct recorder creates, deletes;

    stage_start();
    recorder_init(&creates);
    recorder_init(&deletes);
    make_dir("d");
    struct tn_filter *filter = regex_filter("\\.tmp$", 0);
    tn_wd first = add_options(scratch("d"),
                              TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = creates.processor));
    tn_wd second =
        add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = IN_DELETE | IN_CREATE, .filter = filter,
                                                   .processor = deletes.processor));
    add(scratch("d"), IN_CLOSE_WRITE, 0);
    tn_filter_unref(filter);
    cr_assert_eq(found(scratch("d")), first);
    make_file("d/f");
    make_file("d/f.tmp");
    remove_file("d/f");
    remove_file("d/f.tmp");
    settle(notifier);
    EXPECT(&creates, "CREATE d:f", "CREATE d:f.tmp");
    EXPECT(&deletes, "CREATE d:f", "DELETE d:f");
    EXPECT(&seen, "CLOSE_WRITE d:f", "CLOSE_WRITE d:f.tmp");

    cr_assert_eq(tn_watch_remove(notifier, first, 0), 0);
    settle(notifier);
    EXPECT(&creates, "IGNORED d");
    cr_assert_eq(found(scratch("d")), second);
    make_file("d/g");
    settle(notifier);
    EXPECT_NONE(&creates);
    EXPECT(&deletes, "CREATE d:g");
    EXPECT(&seen, "CLOSE_WRITE d:g");
    notifier = tn_notifier_free(notifier);
    recorder_done(&creates);
    recorder_done(&deletes);
    cr_assert_eq(creates.released, 1);
    cr_assert_eq(deletes.released, 1);
}

Test(watch_several, one_inode_by_several_paths)
{
    stage_start();
    make_dirs("d/a");
    link_to("d/a", "link");
    add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    add(scratch("d/a"), IN_CREATE, 0);
    add(scratch("link"), IN_CREATE, 0);
    make_file("d/a/f");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE d/a:f", "CREATE d/a:f", "CREATE link:f");
    make_file("d/one");
    if (link("d/one", "two") == 0) {
        add(scratch("d/one"), IN_MODIFY, 0);
        add(scratch("two"), IN_MODIFY, 0);
        write_file("two", "x");
        settle(notifier);
        EXPECT_SET(&seen, "CREATE d:one", "MODIFY d/one", "MODIFY two");
    }
}

Test(watch_several, trees_inside_one_another_each_get_their_own)
{
    stage_start();
    make_dirs("d/a/b");
    tn_wd outer = add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    tn_wd inner = add(scratch("d/a"), IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(stats().watches, 5);
    make_dir("d/a/b/c");
    settle(notifier);
    make_file("d/a/b/c/f");
    settle(notifier);
    cr_assert_eq(stats().watches, 7);
    EXPECT_SET(&seen, "CREATE|ISDIR d/a/b:c", "CREATE|ISDIR d/a/b:c", "CREATE d/a/b/c:f",
               "CREATE d/a/b/c:f");
    cr_assert_eq(tn_watch_remove(notifier, outer, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC), 0);
    make_dir("d/a/x");
    settle(notifier);
    make_file("d/a/x/f");
    settle(notifier);
    cr_assert_eq(recorder_event(&seen, 0)->root, inner);
    EXPECT(&seen, "CREATE|ISDIR d/a:x", "CREATE d/a/x:f");
}

Test(watch_several, a_later_watch_is_not_told_what_happened_before_it)
{
    stage_new(NULL);
    make_dir("d");
    add(scratch("d"), IN_CREATE, 0);
    make_file("d/before");
    tn_wd second = add(scratch("d"), IN_CREATE, 0);
    make_file("d/after");
    settle(notifier);
    size_t told = 0;
    for (size_t i = 0; i < recorder_count(&seen); i++)
        told += recorder_event(&seen, i)->wd == second;
    cr_assert_eq(told, 1);
    EXPECT_SET(&seen, "CREATE d:before", "CREATE d:after", "CREATE d:after");
}

/* What the source was not asked for before the tree took the directory in is in no record. */
Test(watch_several, one_that_asks_for_less_hides_nothing_from_a_tree)
{
    int balance = 0;

    stage_new(NULL);
    make_dir("t");
    tn_wd tree = add("t", ENTRIES | IN_CLOSE_WRITE, TN_WATCH_TREE);
    make_dir("t/a");
    add("t/a", IN_CREATE, 0);
    make_file("t/a/f");
    make_file("t/a/g");
    remove_file("t/a/f");
    settle(notifier);
    for (size_t i = 0; i < recorder_count(&seen); i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        if (event->root != tree || !event->name || strcmp(event->name, "f") != 0)
            continue;
        balance += event->mask & IN_CREATE ? 1 : 0;
        balance -= event->mask & IN_DELETE ? 1 : 0;
    }
    cr_assert_eq(balance, 0);
    cr_assert_eq(recorder_lines(&seen, "CLOSE_WRITE t/a:g synthetic"), 1);
    recorder_clear(&seen);
    make_file("t/a/h");
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE t/a:h"), 2);
}

/* Where it came from is in the tree of the first add too, which has not come to it yet. */
Test(watch_several, a_source_that_only_another_knows)
{
    make_dir("t");
    stage_new(NULL);
    add("t", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
    make_dir("t/d");
    make_file("t/d/f");
    add("t/d", IN_MOVED_FROM, 0);
    move("t/d/f", "t/f");
    move("t/d", "t/e");
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "MOVED_FROM t/d:f"), 1);
    cr_assert_eq(recorder_lines(&seen, "MOVED_TO t:f"), 1);
    for (size_t i = 0; i < recorder_count(&seen); i++)
        if (recorder_event(&seen, i)->mask == IN_MOVED_TO)
            cr_assert_eq(recorder_event(&seen, i)->cookie, 0);
}

/* The file's record was made when only its name was asked for, by another. */
Test(watch_several, what_was_made_before_more_was_asked_for)
{
    make_dir("t");
    stage_new(NULL);
    tn_wd tree = add("t", ENTRIES | (uint32_t)IN_CLOSE_WRITE, TN_WATCH_TREE);
    settle(notifier);
    make_dir("t/d");
    add("t/d", IN_CREATE, 0);
    make_file("t/d/f");
    add("t/d", ENTRIES | (uint32_t)IN_CLOSE_WRITE, 0);
    settle(notifier);
    size_t made = 0, closed = 0;
    for (size_t i = 0; i < recorder_count(&seen); i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        made += event->root == tree && event->mask == IN_CREATE;
        closed += event->root == tree && event->mask == IN_CLOSE_WRITE;
    }
    cr_assert_eq(made, 1);
    cr_assert_eq(closed, 1);
}
