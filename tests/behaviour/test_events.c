/*
 * The 15 events of inotify(7), each made for real, and what an event says:
 * IN_ISDIR, cookies, src_pathname, sequence, time.
 */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

TestSuite(events, .init = stage_open, .fini = stage_close, .timeout = 60);

/* One directory with a file in it, watched together with the file. */
static void watch_both(uint32_t mask)
{
    stage_start();
    make_dir("d");
    make_file("d/f");
    add(scratch("d"), mask, 0);
    add(scratch("d/f"), mask, 0);
}

static void open_close(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    close(fd);
}

Test(events, in_access)
{
    char byte;

    watch_both(IN_ACCESS);
    write_file("d/f", "x");
    int fd = open("d/f", O_RDONLY | O_CLOEXEC);
    cr_assert_eq(read(fd, &byte, 1), 1);
    close(fd);
    settle(notifier);
    EXPECT_SET(&seen, "ACCESS d:f", "ACCESS d/f");
}

Test(events, in_attrib)
{
    watch_both(IN_ATTRIB);
    change_mode("d/f", 0600);
    settle(notifier);
    EXPECT_SET(&seen, "ATTRIB d:f", "ATTRIB d/f");
    change_mode("d", 0700);
    settle(notifier);
    EXPECT(&seen, "ATTRIB|ISDIR d");
}

Test(events, in_close_write)
{
    watch_both(IN_CLOSE_WRITE);
    open_close("d/f", O_WRONLY);
    open_close("d/f", O_RDONLY);
    settle(notifier);
    EXPECT_SET(&seen, "CLOSE_WRITE d:f", "CLOSE_WRITE d/f");
}

Test(events, in_close_nowrite)
{
    watch_both(IN_CLOSE_NOWRITE);
    open_close("d/f", O_WRONLY);
    open_close("d/f", O_RDONLY);
    settle(notifier);
    EXPECT_SET(&seen, "CLOSE_NOWRITE d:f", "CLOSE_NOWRITE d/f");
}

Test(events, in_open)
{
    watch_both(IN_OPEN);
    open_close("d/f", O_RDONLY);
    settle(notifier);
    EXPECT_SET(&seen, "OPEN d:f", "OPEN d/f");
}

Test(events, in_open_of_the_directory_itself)
{
    stage_start();
    make_dir("d");
    add(scratch("d"), IN_OPEN | IN_CLOSE_NOWRITE, 0);
    open_close("d", O_RDONLY | O_DIRECTORY);
    settle(notifier);
    EXPECT(&seen, "OPEN|ISDIR d", "CLOSE_NOWRITE|ISDIR d");
}

Test(events, in_modify)
{
    watch_both(IN_MODIFY);
    write_file("d/f", "x");
    settle(notifier);
    EXPECT_SET(&seen, "MODIFY d:f", "MODIFY d/f");
    cr_assert_eq(truncate("d/f", 0), 0);
    settle(notifier);
    EXPECT_SET(&seen, "MODIFY d:f", "MODIFY d/f");
}

Test(events, in_create)
{
    watch_both(IN_CREATE);
    make_file("d/g");
    make_dir("d/sub");
    link_to("f", "d/link");
    cr_assert_eq(link("d/f", "d/hard"), 0);
    cr_assert_eq(mkfifo("d/pipe", 0600), 0);
    settle(notifier);
    EXPECT(&seen, "CREATE d:g", "CREATE|ISDIR d:sub", "CREATE d:link", "CREATE d:hard",
           "CREATE d:pipe");
}

Test(events, in_delete)
{
    stage_start();
    make_dirs("d/sub");
    make_file("d/f");
    add(scratch("d"), IN_DELETE, 0);
    remove_file("d/f");
    remove_dir("d/sub");
    settle(notifier);
    EXPECT(&seen, "DELETE d:f", "DELETE|ISDIR d:sub");
}

Test(events, in_delete_self_of_a_file)
{
    watch_both(IN_DELETE_SELF);
    remove_file("d/f");
    settle(notifier);
    const struct tn_event *event = recorder_event(&seen, 0);
    cr_assert_null(event->name);
    cr_assert_not(tn_event_is_dir(event));
    EXPECT(&seen, "DELETE_SELF d/f", "IGNORED d/f");
}

Test(events, in_delete_self_of_a_directory)
{
    stage_start();
    make_dirs("d/sub");
    add(scratch("d"), IN_DELETE_SELF | IN_DELETE, TN_WATCH_TREE);
    remove_dir("d/sub");
    settle(notifier);
    const struct tn_event *event = recorder_find(&seen, IN_DELETE_SELF);
    cr_assert_not_null(event);
    cr_assert_not(event->mask & IN_ISDIR);
    cr_assert(tn_event_is_dir(event));
    EXPECT_SET(&seen, "DELETE|ISDIR d:sub", "DELETE_SELF d/sub", "IGNORED d/sub");
    remove_dir("d");
    settle(notifier);
    EXPECT(&seen, "DELETE_SELF d", "IGNORED d");
}

Test(events, in_ignored)
{
    stage_start();
    make_dir("d");
    make_file("f");
    add(scratch("d"), IN_CREATE, 0);
    tn_wd file = add(scratch("f"), IN_MODIFY, 0);
    remove_dir("d");
    settle(notifier);
    cr_assert(tn_event_is_dir(recorder_event(&seen, 0)));
    EXPECT(&seen, "IGNORED d");
    cr_assert_eq(tn_watch_remove(notifier, file, 0), 0);
    settle(notifier);
    EXPECT(&seen, "IGNORED f");
}

Test(events, in_move_self)
{
    stage_start();
    make_dir("d");
    make_file("d/f");
    add(scratch("d/f"), IN_MOVE_SELF, 0);
    add(scratch("d"), IN_MOVE_SELF, 0);
    move("d/f", "d/g");
    settle(notifier);
    EXPECT(&seen, "MOVE_SELF d/f unknown");
    move("d", "e");
    settle(notifier);
    const struct tn_event *event = recorder_event(&seen, 0);
    cr_assert(tn_event_is_dir(event));
    EXPECT(&seen, "MOVE_SELF d unknown");
}

Test(events, in_move_self_below_a_root_knows_its_path)
{
    stage_start();
    make_dirs("d/a");
    add(scratch("d"), IN_MOVE_SELF, TN_WATCH_TREE);
    move("d/a", "d/b");
    settle(notifier);
    EXPECT(&seen, "MOVE_SELF d/b");
}

Test(events, in_moved_from_and_in_moved_to)
{
    stage_start();
    make_dir("d");
    make_dir("e");
    make_file("d/f");
    add(scratch("d"), IN_MOVE, 0);
    add(scratch("e"), IN_MOVE, 0);
    move("d/f", "e/g");
    settle(notifier);
    const struct tn_event *from = recorder_find(&seen, IN_MOVED_FROM);
    const struct tn_event *to = recorder_find(&seen, IN_MOVED_TO);
    cr_assert_not_null(from);
    cr_assert_not_null(to);
    cr_assert_neq(from->cookie, 0);
    cr_assert_eq(from->cookie, to->cookie);
    cr_assert_null(from->src_pathname);
    EXPECT_SET(&seen, "MOVED_FROM d:f", "MOVED_TO e:g <- d/f");
}

Test(events, moves_of_directories)
{
    stage_start();
    make_dirs("d/a/b");
    make_dir("d/x");
    add(scratch("d"), IN_MOVE, TN_WATCH_TREE);
    move("d/a/b", "d/x/c");
    settle(notifier);
    cr_assert_eq(recorder_event(&seen, 0)->cookie, recorder_event(&seen, 1)->cookie);
    cr_assert_neq(recorder_event(&seen, 0)->cookie, 0);
    EXPECT(&seen, "MOVED_FROM|ISDIR d/a:b", "MOVED_TO|ISDIR d/x:c <- d/a/b");
    cr_assert_eq(stats().moves, 1);
}

Test(events, each_move_has_a_cookie_of_its_own)
{
    stage_start();
    make_dir("d");
    make_file("d/a");
    make_file("d/b");
    add(scratch("d"), IN_MOVE, 0);
    move("d/a", "d/c");
    move("d/b", "d/d");
    settle(notifier);
    cr_assert_eq(recorder_event(&seen, 0)->cookie, recorder_event(&seen, 1)->cookie);
    cr_assert_eq(recorder_event(&seen, 2)->cookie, recorder_event(&seen, 3)->cookie);
    cr_assert_neq(recorder_event(&seen, 0)->cookie, recorder_event(&seen, 2)->cookie);
    EXPECT(&seen, "MOVED_FROM d:a", "MOVED_TO d:c <- d/a", "MOVED_FROM d:b", "MOVED_TO d:d <- d/b");
}

Test(events, a_move_out_has_no_other_half)
{
    stage_start();
    make_dirs("d/sub");
    make_file("d/f");
    add(scratch("d"), IN_MOVE, TN_WATCH_TREE);
    move("d/f", "f");
    settle(notifier);
    EXPECT(&seen, "MOVED_FROM d:f");
    move("d/sub", "sub");
    settle(notifier);
    /* Of a directory it is known. */
    cr_assert_eq(recorder_event(&seen, 0)->cookie, 0);
    EXPECT(&seen, "MOVED_FROM|ISDIR d:sub", "IGNORED d/sub unknown");
}

Test(events, a_move_in_has_no_source)
{
    stage_start();
    make_dir("d");
    make_dir("sub");
    make_file("f");
    add(scratch("d"), IN_MOVE, 0);
    move("f", "d/f");
    move("sub", "d/sub");
    settle(notifier);
    cr_assert_eq(recorder_event(&seen, 1)->cookie, 0);
    EXPECT(&seen, "MOVED_TO d:f", "MOVED_TO|ISDIR d:sub");
}

Test(events, a_move_over_a_file)
{
    stage_start();
    make_dir("d");
    make_file("d/new");
    make_file("d/old");
    add(scratch("d"), ENTRIES, 0);
    add(scratch("d/old"), IN_DELETE_SELF, 0);
    move("d/new", "d/old");
    settle(notifier);
    EXPECT_SET(&seen, "MOVED_FROM d:new", "MOVED_TO d:old <- d/new", "DELETE_SELF d/old",
               "IGNORED d/old");
}

Test(events, a_move_over_an_empty_directory)
{
    stage_start();
    make_dirs("d/new/deep");
    make_dir("d/old");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    tn_wd wd = found(scratch("d/new"));
    move("d/new", "d/old");
    settle(notifier);
    EXPECT_SET(&seen, "MOVED_FROM|ISDIR d:new", "MOVED_TO|ISDIR d:old <- d/new", "IGNORED d/old");
    cr_assert_eq(found(scratch("d/old")), wd);
    make_file("d/old/deep/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d/old/deep:f");
    cr_assert_eq(stats().watches, 3);
}

Test(events, an_exchange_of_files)
{
    stage_start();
    make_dir("d");
    make_file("d/a");
    make_file("d/b");
    add(scratch("d"), IN_MOVE, 0);
    cr_assert_eq(renameat2(AT_FDCWD, "d/a", AT_FDCWD, "d/b", RENAME_EXCHANGE), 0);
    settle(notifier);
    EXPECT_SET(&seen, "MOVED_FROM d:a", "MOVED_TO d:b <- d/a", "MOVED_FROM d:b",
               "MOVED_TO d:a <- d/b");
}

/* In a mount namespace of its own; false: not possible here. */
static bool mount_there(const char *path)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", path, "tmpfs", 0, "size=1m") == 0;
}

Test(events, in_unmount)
{
    static struct released released;

    make_dir("m");
    if (!mount_there("m")) {
        SKIP("cannot mount: %s", strerror(errno));
    }
    stage_start();
    make_dirs("m/a");
    make_file("m/f");
    add_options(scratch("m"), TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_TREE,
                                               .data = &released, .release = count_release));
    tn_wd file = add(scratch("m/f"), IN_MODIFY, 0);
    make_file("m/a/f");
    settle(notifier);
    EXPECT(&seen, "CREATE m/a:f");
    cr_assert_eq(umount("m"), 0);
    settle(notifier);
    for (size_t i = 0; i < recorder_count(&seen); i++) {
        const struct tn_event *unmount = recorder_event(&seen, i), *ignored = NULL;
        for (size_t j = i + 1; unmount->mask & IN_UNMOUNT && j < recorder_count(&seen); j++)
            if (recorder_event(&seen, j)->wd == unmount->wd)
                ignored = recorder_event(&seen, j);
        cr_assert(ignored || unmount->mask == IN_IGNORED);
    }
    EXPECT_SET(&seen, "UNMOUNT|ISDIR m", "IGNORED m", "UNMOUNT|ISDIR m/a", "IGNORED m/a",
               "UNMOUNT m/f", "IGNORED m/f");
    cr_assert_eq(released.count, 1);
    cr_assert_eq(tn_watch_remove(notifier, file, 0), -ENOENT);
    cr_assert_eq(stats().watches, 0);
}

Test(events, in_q_overflow)
{
    struct tn_limits limits = TN_LIMITS_INIT;

    stage_new(NULL);
    make_dir("d");
    make_file("d/a");
    make_file("d/b");
    add(scratch("d"), IN_ATTRIB, 0);
    cr_assert_eq(tn_limits_get(&limits), 0);
    if (limits.queued_events > 200000) {
        SKIP("the kernel's queue is too long to fill");
    }
    for (uint64_t i = 0; i < limits.queued_events + 10; i++)
        change_mode(i % 2 ? "d/a" : "d/b", 0600);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    settle(notifier);
    const struct tn_event *event = recorder_find(&seen, IN_Q_OVERFLOW);
    cr_assert_not_null(event);
    cr_assert_eq(event->wd, -1);
    cr_assert_eq(event->root, -1);
    cr_assert_null(event->path);
    cr_assert_null(event->name);
    cr_assert_null(event->pathname);
    cr_assert_null(event->src_pathname);
    cr_assert_eq(recorder_lines(&seen, "Q_OVERFLOW -"), 1);
    cr_assert_eq(stats().overflows, 1);
    recorder_clear(&seen);
    change_mode("d/a", 0644);
    settle(notifier);
    EXPECT(&seen, "ATTRIB d:a");
}

Test(events, what_only_the_library_asked_for_is_not_delivered)
{
    stage_start();
    make_dirs("d/a");
    add(scratch("d"), IN_CLOSE_WRITE, TN_WATCH_TREE);
    make_dir("d/b");
    move("d/a", "d/c");
    move("d/b", "d/c/b");
    settle(notifier);
    remove_dir("d/c/b");
    settle(notifier);
    EXPECT(&seen, "IGNORED d/c/b");
}

Test(events, sequence_and_time_go_up)
{
    struct timespec before, after;

    stage_start();
    make_dir("d");
    add(scratch("d"), IN_CREATE | IN_CLOSE_WRITE, 0);
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 50; i++) {
        char path[16];
        snprintf(path, sizeof(path), "d/%d", i);
        make_file(path);
    }
    settle(notifier);
    clock_gettime(CLOCK_MONOTONIC, &after);
    cr_assert_eq(recorder_count(&seen), 100);
    uint64_t sequence = 0, time = (uint64_t)before.tv_sec * 1000000000u + (uint64_t)before.tv_nsec;
    for (size_t i = 0; i < 100; i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        cr_assert_gt(event->sequence, sequence);
        cr_assert_geq(event->read_ns, time);
        sequence = event->sequence;
        time = event->read_ns;
    }
    cr_assert_leq(time, (uint64_t)after.tv_sec * 1000000000u + (uint64_t)after.tv_nsec);
    cr_assert_eq(recorder_event(&seen, 0)->sequence, 1);
}

Test(events, a_real_sequence_in_order)
{
    stage_start();
    make_dir("d");
    add(scratch("d"), IN_ALL_EVENTS, 0);
    write_file("d/f", "x");
    change_mode("d/f", 0600);
    move("d/f", "d/g");
    remove_file("d/g");
    settle(notifier);
    EXPECT(&seen, "CREATE d:f", "OPEN d:f", "MODIFY d:f", "CLOSE_WRITE d:f", "ATTRIB d:f",
           "MOVED_FROM d:f", "MOVED_TO d:g <- d/f", "DELETE d:g");
}
