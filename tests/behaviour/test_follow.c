/*
 * TN_WATCH_FOLLOW_NAME: a name is watched, whatever has it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "follow_stage.h"
#include "gate.h"

TestSuite(follow, .init = open_follow, .fini = stage_close, .timeout = 120);

static void exchange(const char *one, const char *other)
{
    cr_assert_eq(syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, other, 2 /* RENAME_EXCHANGE */),
                 0);
}

Test(follow, a_file_that_is_written_in_place)
{
    make_file("w/f");
    stage_start();
    tn_wd wd = follow("w/f");
    expect_written("w/f");
    append("w/f", "x");
    settle(notifier);
    cr_assert_eq(recorder_event(&seen, 0)->wd, wd);
    cr_assert_eq(recorder_event(&seen, 0)->root, wd);
    cr_assert_null(recorder_event(&seen, 0)->name);
    cr_assert_eq(stats().watches, 1);
}

Test(follow, write_a_new_one_and_rename)
{
    make_file("w/f");
    stage_start();
    tn_wd wd = follow("w/f");
    for (int i = 0; i < 3; i++) {
        write_file("w/tmp", "new");
        move("w/tmp", "w/f");
        settle(notifier);
        cr_assert_eq(recorder_event(&seen, 0)->wd, wd);
        EXPECT(&seen, "DELETE_SELF w/f", "MOVED_TO w/f", "CLOSE_WRITE w/f synthetic");
        expect_written("w/f");
    }
    cr_assert_eq(found("w/f"), wd);
}

/* As vim saves with a backup: the old one moves away, and a new one is written. */
Test(follow, move_away_and_write_anew)
{
    make_file("w/f");
    stage_start();
    follow("w/f");
    move("w/f", "w/f~");
    write_file("w/f", "new");
    remove_file("w/f~");
    settle(notifier);
    cr_assert_eq(recorder_count_of(&seen, IN_CLOSE_WRITE), 1);
    cr_assert_not_null(recorder_find(&seen, IN_MOVE_SELF));
    cr_assert_not_null(recorder_find(&seen, IN_CREATE));
    cr_assert_null(recorder_find(&seen, IN_DELETE_SELF));
    recorder_clear(&seen);
    expect_written("w/f");
}

Test(follow, deleted_and_made_again)
{
    make_file("w/f");
    stage_start();
    tn_wd wd = follow("w/f");
    remove_file("w/f");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/f");
    cr_assert_eq(found("w/f"), wd);
    make_file("w/f");
    settle(notifier);
    cr_assert_eq(recorder_count_of(&seen, IN_CLOSE_WRITE), 1);
    cr_assert_not_null(recorder_find(&seen, IN_CREATE));
    cr_assert_eq(recorder_count(&seen), 2);
    recorder_clear(&seen);
    expect_written("w/f");
}

/* The closing is told by its own record where the new one was watched in time. */
Test(follow, a_closing_that_comes_after_the_watch)
{
    stage_start();
    follow("w/f");
    int fd = open(scratch("w/f"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    settle(notifier);
    EXPECT(&seen, "CREATE w/f");
    close(fd);
    settle(notifier);
    EXPECT(&seen, "CLOSE_WRITE w/f");
}

Test(follow, moved_away_and_back)
{
    make_file("w/f");
    stage_start();
    follow("w/f");
    move("w/f", "w/g");
    append("w/g", "unseen");
    settle(notifier);
    EXPECT(&seen, "MOVE_SELF w/f unknown");
    move("w/g", "w/f");
    settle(notifier);
    EXPECT(&seen, "MOVED_TO w/f", "CLOSE_WRITE w/f synthetic");
    expect_written("w/f");
}

Test(follow, nothing_there_at_first)
{
    stage_start();
    tn_wd wd = follow("w/f");
    char *path;
    cr_assert_eq(found("w/f"), wd);
    cr_assert_eq(tn_watch_path_dup(notifier, wd, &path), 0);
    cr_assert_str_eq(path, "w/f");
    free(path);
    make_file("w/other");
    settle(notifier);
    EXPECT_NONE(&seen);
    make_file("w/f");
    settle(notifier);
    cr_assert_eq(recorder_count_of(&seen, IN_CREATE), 1);
    cr_assert_eq(recorder_count_of(&seen, IN_CLOSE_WRITE), 1);
}

Test(follow, a_hard_link_is_whole)
{
    make_file("g");
    stage_start();
    follow("w/f");
    cr_assert_eq(link(scratch("g"), scratch("w/f")), 0);
    settle(notifier);
    EXPECT(&seen, "CREATE w/f", "CLOSE_WRITE w/f synthetic");
    remove_file("w/f");
    append("g", "of another name");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/f");
}

Test(follow, two_that_are_exchanged)
{
    make_file("w/f");
    make_file("w/g");
    stage_start();
    follow("w/f");
    exchange(scratch("w/f"), scratch("w/g"));
    settle(notifier);
    EXPECT(&seen, "MOVE_SELF w/f unknown", "MOVED_TO w/f", "CLOSE_WRITE w/f synthetic");
    exchange(scratch("w/g"), scratch("w/f"));
    settle(notifier);
    EXPECT(&seen, "MOVE_SELF w/f unknown", "MOVED_TO w/f", "CLOSE_WRITE w/f synthetic");
    expect_written("w/f");
}

Test(follow, the_old_file_is_told_no_more)
{
    make_file("w/f");
    stage_start();
    follow("w/f");
    int fd = open(scratch("w/f"), O_WRONLY | O_CLOEXEC);
    remove_file("w/f");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/f");
    cr_assert_eq(write(fd, "x", 1), 1);
    close(fd);
    settle(notifier);
    EXPECT_NONE(&seen);
}

Test(follow, a_thousand_quick_replacements)
{
    char text[32];

    make_file("w/f");
    stage_start();
    tn_wd wd = follow("w/f");
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof(text), "%d", i);
        write_file("w/tmp", text);
        move("w/tmp", "w/f");
    }
    settle(notifier);
    cr_assert_eq(recorder_count_of(&seen, IN_MOVED_TO), 1000);
    cr_assert_eq(recorder_count_of(&seen, IN_DELETE_SELF), 1000);
    cr_assert(recorder_event(&seen, recorder_count(&seen) - 1)->mask & IN_CLOSE_WRITE);
    recorder_clear(&seen);
    expect_written("w/f");
    cr_assert_eq(found("w/f"), wd);
    cr_assert_eq(stats().watches, 1);
}

/* Each as if it were alone. */
Test(follow, several_on_one_name)
{
    make_file("w/f");
    stage_start();
    tn_wd one = follow("w/f");
    tn_wd two = add("w/f", IN_MOVED_TO, TN_WATCH_FOLLOW_NAME);
    tn_wd plain = add("w/f", ASKED, 0);
    write_file("w/tmp", "x");
    move("w/tmp", "w/f");
    settle(notifier);
    EXPECT_SET(&seen, "DELETE_SELF w/f", "MOVED_TO w/f", "CLOSE_WRITE w/f synthetic", /* one */
               "MOVED_TO w/f",                                                        /* two */
               "DELETE_SELF w/f", "IGNORED w/f");                                     /* plain */
    cr_assert_eq(tn_watch_get_info(notifier, plain, &(struct tn_watch_info){.size = 8}), -ENOENT);
    cr_assert_eq(found("w/f"), one);
    cr_assert_eq(tn_watch_remove(notifier, one, TN_REMOVE_SYNC), 0);
    cr_assert_eq(found("w/f"), two);
    make_file("w/tmp");
    move("w/tmp", "w/f");
    settle(notifier);
    EXPECT(&seen, "MOVED_TO w/f");
}

/* The names of the directory are told to who watches it, as ever. */
static void expect_entries(tn_wd wd)
{
    size_t count = 0;

    for (size_t i = 0; i < recorder_count(&seen); i++)
        count += recorder_event(&seen, i)->wd == wd;
    cr_assert_eq(count, 5);
    cr_assert_eq(recorder_lines(&seen, "CREATE w:tmp"), 1);
    cr_assert_eq(recorder_lines(&seen, "MOVED_FROM w:tmp"), 1);
    cr_assert_eq(recorder_lines(&seen, "MOVED_TO w:f <- w/tmp"), 1);
    cr_assert_eq(recorder_lines(&seen, "CREATE w:other"), 1);
    cr_assert_eq(recorder_lines(&seen, "DELETE w:f"), 1);
}

static void change_entries(void)
{
    make_file("w/tmp");
    move("w/tmp", "w/f");
    make_file("w/other");
    remove_file("w/f");
    settle(notifier);
}

Test(follow, beside_a_watch_on_the_directory)
{
    make_file("w/f");
    stage_start();
    tn_wd wd = add("w", ENTRIES, 0);
    tn_wd name = follow("w/f");
    change_entries();
    expect_entries(wd);
    cr_assert_eq(recorder_count_of(&seen, IN_DELETE_SELF), 2);
    remove_file("w/other");
    cr_assert_eq(tn_watch_remove(notifier, name, TN_REMOVE_SYNC), 0);
    settle(notifier);
    recorder_clear(&seen);
    change_entries();
    expect_entries(wd);
    cr_assert_eq(recorder_count(&seen), 5);
}

Test(follow, a_tree_beside_one_on_the_directory)
{
    make_tree("w/t", "f");
    make_tree("new", "g");
    stage_start();
    tn_wd tree = add("w", ENTRIES, TN_WATCH_TREE);
    tn_wd name = add("w/t", ENTRIES, TN_WATCH_TREE | TN_WATCH_FOLLOW_NAME);
    cr_assert_eq(stats().watches, 7);
    move("w/t", "w/u");
    move("new", "w/t");
    settle(notifier);
    recorder_clear(&seen);
    make_file("w/t/a/x");
    make_file("w/u/a/x");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE w/t/a:x", "CREATE w/t/a:x", "CREATE w/u/a:x");
    cr_assert_eq(tn_watch_remove(notifier, name, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC), 0);
    cr_assert_eq(stats().watches, 7);
    make_file("w/t/a/y");
    settle(notifier);
    cr_assert_eq(recorder_event(&seen, 0)->root, tree);
    EXPECT(&seen, "CREATE w/t/a:y");
}

Test(follow, its_directory_is_deleted)
{
    static struct released released;

    make_file("w/f");
    stage_start();
    add_options("w/f", TN_WATCH_OPTIONS(.mask = ASKED, .flags = TN_WATCH_FOLLOW_NAME,
                                        .data = &released, .release = count_release));
    remove_tree("w");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF w/f", "IGNORED w/f");
    cr_assert_eq(atomic_load(&released.count), 1);
    cr_assert_eq(stats().watches, 0);
    cr_assert_not(is_watched("w/f"));
}

Test(follow, its_directory_moves)
{
    make_tree("w/t", "f");
    stage_start();
    add("w/t", ASKED, TN_WATCH_TREE | TN_WATCH_FOLLOW_NAME);
    add("w/absent", ASKED, TN_WATCH_FOLLOW_NAME);
    add("w", IN_MOVE_SELF, 0);
    move("w", "x");
    make_file("x/t/a/unseen");
    settle(notifier);
    EXPECT_SET(&seen, "IGNORED w/t/a/b unknown", "IGNORED w/t/a unknown", "IGNORED w/t unknown",
               "IGNORED w/absent unknown", "MOVE_SELF w unknown");
    cr_assert_eq(stats().watches, 1);
}
