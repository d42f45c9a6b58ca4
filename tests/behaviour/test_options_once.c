/* IN_ONESHOT, IN_ONLYDIR, IN_DONT_FOLLOW and IN_EXCL_UNLINK. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(oneshot, .init = stage_open, .fini = stage_close, .timeout = 60);
TestSuite(onlydir, .init = stage_open, .fini = stage_close, .timeout = 60);
TestSuite(dont_follow, .init = stage_open, .fini = stage_close, .timeout = 60);
TestSuite(excl_unlink, .init = stage_open, .fini = stage_close, .timeout = 60);

Test(oneshot, the_first_event_ends_the_watch)
{
    static struct released released;

    stage_start();
    make_dir("d");
    tn_wd wd =
        add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_ONESHOT,
                                                   .data = &released, .release = count_release));
    make_file("d/f");
    make_file("d/g");
    settle(notifier);
    make_file("d/h");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    cr_assert_eq(recorder_lines(&seen, "CREATE d:f"), 1);
    cr_assert_eq(recorder_event(&seen, 1)->mask, IN_IGNORED);
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), -ENOENT);
    cr_assert_eq(released.count, 1);
    cr_assert_eq(stats().watches, 0);
}

Test(oneshot, an_event_that_is_not_asked_for_does_not_end_it)
{
    struct tn_filter *temporary = regex_filter("\\.tmp$", 0);

    stage_start();
    make_dir("d");
    add_options(scratch("d"),
                TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_ONESHOT, .filter = temporary));
    tn_filter_unref(temporary);
    add(scratch("d"), IN_ALL_EVENTS, 0);
    make_file("d/f.tmp");
    remove_file("d/f.tmp");
    settle(notifier);
    cr_assert_eq(stats().watches, 2);
    make_file("d/f");
    settle(notifier);
    cr_assert_eq(stats().watches, 1);
    cr_assert_eq(recorder_lines(&seen, "CREATE d:f"), 2);
}

Test(oneshot, the_first_event_below_ends_the_whole_add)
{
    static struct released released;

    stage_start();
    make_dirs("d/a/b");
    add_options(scratch("d"),
                TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_ONESHOT, .flags = TN_WATCH_TREE,
                                 .data = &released, .release = count_release));
    make_file("d/a/f");
    make_file("d/a/b/f");
    make_file("d/f");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 4);
    cr_assert_eq(recorder_lines(&seen, "CREATE d/a:f"), 1);
    cr_assert_eq(recorder_event(&seen, 1)->mask, IN_IGNORED);
    cr_assert_eq(recorder_event(&seen, 2)->mask, IN_IGNORED);
    cr_assert_eq(recorder_event(&seen, 3)->mask, IN_IGNORED);
    cr_assert_eq(released.count, 1);
    cr_assert_eq(stats().watches, 0);
}

Test(oneshot, a_new_directory_ends_it_and_is_not_watched)
{
    stage_start();
    make_dir("d");
    add(scratch("d"), IN_CREATE | IN_ONESHOT, TN_WATCH_TREE);
    make_dirs("d/a/b");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR d:a"), 1);
    cr_assert_eq(stats().watches, 0);
}

Test(oneshot, others_on_the_path_go_on)
{
    stage_start();
    make_dir("d");
    add(scratch("d"), IN_CREATE | IN_ONESHOT, 0);
    tn_wd other = add(scratch("d"), IN_CREATE, 0);
    make_file("d/f");
    make_file("d/g");
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE d:f"), 2);
    cr_assert_eq(recorder_lines(&seen, "CREATE d:g"), 1);
    cr_assert_eq(recorder_count(&seen), 4);
    cr_assert_eq(found(scratch("d")), other);
}

Test(oneshot, of_a_file)
{
    stage_start();
    make_file("f");
    add(scratch("f"), IN_ATTRIB | IN_ONESHOT, 0);
    change_mode("f", 0600);
    change_mode("f", 0644);
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    cr_assert_eq(recorder_lines(&seen, "ATTRIB f"), 1);
}

Test(oneshot, both_halves_of_a_move_are_two_events)
{
    stage_start();
    make_dirs("d/a");
    make_file("d/f");
    add(scratch("d"), IN_MOVE | IN_ONESHOT, 0);
    move("d/f", "d/g");
    settle(notifier);
    EXPECT_SET(&seen, "MOVED_FROM d:f", "IGNORED d");
    add(scratch("d"), IN_MOVE | IN_ONESHOT, TN_WATCH_TREE);
    move("d/a", "d/b");
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "MOVED_FROM|ISDIR d:a"), 1);
    cr_assert_eq(recorder_count(&seen), 3);
    cr_assert_eq(stats().watches, 0);
}

Test(onlydir, refuses_what_is_no_directory)
{
    tn_wd wd = 77;

    stage_start();
    make_dirs("d/a");
    make_file("f");
    link_to("d", "link");
    link_to("f", "flink");
    const struct tn_watch_options *options =
        TN_WATCH_OPTIONS(.mask = ENTRIES | IN_ONLYDIR, .flags = TN_WATCH_TREE);
    cr_assert_eq(tn_watch_add(notifier, scratch("f"), options, &wd), -ENOTDIR);
    cr_assert_eq(tn_watch_add(notifier, scratch("flink"), options, &wd), -ENOTDIR);
    cr_assert_eq(wd, 77);
    cr_assert_eq(stats().watches, 0);
    add_options(scratch("d"), options);
    add_options(scratch("link"), options);
    make_file("d/a/f");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE d/a:f", "CREATE link/a:f");
}

Test(dont_follow, watches_the_link_itself)
{
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    stage_start();
    make_dir("d");
    link_to("d", "link");
    link_to("nowhere", "dangling");
    tn_wd wd = add(scratch("link"), IN_CREATE | IN_ATTRIB | IN_DONT_FOLLOW, TN_WATCH_TREE);
    tn_wd dangling = add(scratch("dangling"), IN_ATTRIB | IN_DONT_FOLLOW, 0);
    cr_assert_not(info(wd).is_dir);
    cr_assert_not(info(dangling).is_dir);
    make_file("d/f");
    cr_assert_eq(utimensat(AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW), 0);
    cr_assert_eq(utimensat(AT_FDCWD, "dangling", times, AT_SYMLINK_NOFOLLOW), 0);
    settle(notifier);
    EXPECT_SET(&seen, "ATTRIB link", "ATTRIB dangling");
}

Test(dont_follow, of_a_directory_changes_nothing)
{
    stage_start();
    make_dirs("d/a");
    add(scratch("d"), IN_CREATE | IN_DONT_FOLLOW, TN_WATCH_TREE);
    make_file("d/a/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d/a:f");
}

Test(dont_follow, with_onlydir_refuses_a_link)
{
    stage_start();
    make_dir("d");
    link_to("d", "link");
    cr_assert_eq(tn_watch_add(notifier, scratch("link"),
                              TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_DONT_FOLLOW | IN_ONLYDIR),
                              NULL),
                 -ENOTDIR);
}

/* Writes to a file that was unlinked from d before. */
static void write_unlinked(void)
{
    int fd = open("d/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    cr_assert_geq(fd, 0);
    remove_file("d/f");
    cr_assert_eq(write(fd, "x", 1), 1);
    close(fd);
}

Test(excl_unlink, tells_nothing_of_what_is_unlinked)
{
    stage_start();
    make_dir("d");
    add(scratch("d"), IN_MODIFY | IN_EXCL_UNLINK, 0);
    write_file("d/g", "x");
    write_unlinked();
    settle(notifier);
    EXPECT(&seen, "MODIFY d:g");
}

Test(excl_unlink, without_it_all_is_told)
{
    stage_start();
    make_dir("d");
    add(scratch("d"), IN_MODIFY, 0);
    write_unlinked();
    settle(notifier);
    EXPECT(&seen, "MODIFY d:f");
}

Test(excl_unlink, of_one_does_not_keep_it_from_another)
{
    stage_start();
    make_dir("d");
    add(scratch("d"), IN_MODIFY | IN_EXCL_UNLINK, 0);
    tn_wd other = add(scratch("d"), IN_MODIFY, 0);
    write_unlinked();
    settle(notifier);
    size_t told = 0;
    for (size_t i = 0; i < recorder_count(&seen); i++)
        told += recorder_event(&seen, i)->wd == other;
    cr_assert_eq(told, 1);
}

Test(excl_unlink, an_update_of_one_does_not_bring_it_to_another)
{
    stage_start();
    make_dir("d");
    tn_wd one = add(scratch("d"), IN_MODIFY | IN_EXCL_UNLINK, 0);
    tn_wd other = add(scratch("d"), IN_MODIFY, 0);
    cr_assert_eq(tn_watch_update(notifier, one, TN_UPDATE_MASK,
                                 TN_WATCH_OPTIONS(.mask = IN_ATTRIB | IN_EXCL_UNLINK)),
                 0);
    write_unlinked();
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "MODIFY d:f"), 1);
    recorder_clear(&seen);
    cr_assert_eq(tn_watch_update(notifier, other, TN_UPDATE_MASK,
                                 TN_WATCH_OPTIONS(.mask = IN_MODIFY | IN_EXCL_UNLINK)),
                 0);
    write_unlinked();
    settle(notifier);
    EXPECT_NONE(&seen);
}
