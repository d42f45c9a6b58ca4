/* tn_watch_add(); its errors are in test_watch_add_errors.c. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

TestSuite(watch_add, .init = stage_open, .fini = stage_close, .timeout = 60);

enum { KEPT_WD = 77 };

Test(watch_add, watches_a_directory)
{
    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), ENTRIES, 0);
    make_file("d/f");
    settle(notifier);
    const struct tn_event *event = recorder_event(&seen, 0);
    cr_assert_eq(event->wd, wd);
    cr_assert_eq(event->root, wd);
    cr_assert_str_eq(event->path, scratch("d"));
    cr_assert_str_eq(event->name, "f");
    cr_assert_str_eq(event->pathname, scratch("d/f"));
    cr_assert_null(event->data);
    EXPECT(&seen, "CREATE d:f");
    cr_assert_eq(stats().watches, 1);
}

Test(watch_add, watches_a_file)
{
    stage_start();
    make_file("f");
    make_file("other");
    tn_wd wd = add(scratch("f"), IN_MODIFY | IN_CLOSE_WRITE, TN_WATCH_TREE);
    write_file("f", "text");
    write_file("other", "text");
    settle(notifier);
    const struct tn_event *event = recorder_event(&seen, 0);
    cr_assert_null(event->name);
    cr_assert_str_eq(event->pathname, scratch("f"));
    cr_assert_not(tn_event_is_dir(event));
    EXPECT(&seen, "MODIFY f", "CLOSE_WRITE f");
    cr_assert_not(info(wd).is_dir);
}

Test(watch_add, stands_before_the_start)
{
    stage_new(NULL);
    make_dir("d");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    make_dirs("d/a/b");
    make_file("d/a/b/f");
    cr_assert_eq(tn_notifier_start(notifier), 0);
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR d:a"), 1);
    cr_assert_eq(recorder_count(&seen), 3);
}

Test(watch_add, without_flags_watches_nothing_below)
{
    stage_start();
    make_dirs("d/old");
    add(scratch("d"), ENTRIES, 0);
    make_file("d/old/f");
    make_dir("d/new");
    settle(notifier);
    make_file("d/new/f");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR d:new");
    cr_assert_eq(stats().watches, 1);
}

Test(watch_add, recursive_watches_what_is_there)
{
    stage_start();
    make_dirs("d/a/b/c");
    make_dir("d/x");
    add(scratch("d"), ENTRIES, TN_WATCH_RECURSIVE);
    cr_assert_eq(stats().watches, 5);
    make_file("d/a/b/c/f");
    make_file("d/x/f");
    make_dir("d/x/new");
    settle(notifier);
    make_file("d/x/new/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d/a/b/c:f", "CREATE d/x:f", "CREATE|ISDIR d/x:new");
}

Test(watch_add, recursive_does_not_announce_what_is_there)
{
    stage_start();
    make_dirs("d/a/b");
    make_file("d/a/f");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    settle(notifier);
    EXPECT_NONE(&seen);
}

Test(watch_add, auto_add_watches_what_comes)
{
    stage_start();
    make_dirs("d/old");
    add(scratch("d"), ENTRIES, TN_WATCH_AUTO_ADD);
    make_file("d/old/f");
    make_dir("d/new");
    settle(notifier);
    make_file("d/new/f");
    make_dir("d/new/deep");
    settle(notifier);
    make_file("d/new/deep/f");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR d:new", "CREATE d/new:f", "CREATE|ISDIR d/new:deep",
           "CREATE d/new/deep:f");
}

Test(watch_add, auto_add_does_not_need_the_mask_to_ask_for_names)
{
    stage_start();
    make_dir("d");
    add(scratch("d"), IN_CLOSE_WRITE, TN_WATCH_TREE);
    make_dir("d/new");
    make_dir("elsewhere");
    move("elsewhere", "d/moved");
    settle(notifier);
    make_file("d/new/f");
    make_file("d/moved/f");
    settle(notifier);
    EXPECT(&seen, "CLOSE_WRITE d/new:f", "CLOSE_WRITE d/moved:f");
}

Test(watch_add, auto_add_announces_each_entry_once)
{
    stage_start();
    make_dir("d");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    for (int i = 0; i < 40; i++) {
        char path[64];
        snprintf(path, sizeof(path), "d/%d/a/b/c", i);
        make_dirs(path);
        strcat(path, "/f");
        make_file(path);
    }
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 200);
    for (size_t i = 0; i < 200; i++)
        for (size_t j = i + 1; j < 200; j++)
            cr_assert_str_neq(recorder_event(&seen, i)->pathname,
                              recorder_event(&seen, j)->pathname);
    cr_assert_eq(stats().watches, 161);
}

Test(watch_add, a_tree_that_moves_in_is_announced_entry_by_entry)
{
    stage_start();
    make_dir("d");
    make_dirs("out/a/b");
    make_file("out/a/b/f");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    move("out", "d/in");
    settle(notifier);
    const struct tn_event *event = recorder_event(&seen, 0);
    cr_assert_eq(event->cookie, 0);
    EXPECT(&seen, "MOVED_TO|ISDIR d:in", "CREATE|ISDIR d/in:a synthetic",
           "CREATE|ISDIR d/in/a:b synthetic", "CREATE d/in/a/b:f synthetic");
    make_file("d/in/a/b/g");
    settle(notifier);
    EXPECT(&seen, "CREATE d/in/a/b:g");
}

Test(watch_add, a_file_written_before_its_directory_is_watched_is_told_as_closed)
{
    stage_new(NULL);
    make_dir("d");
    add(scratch("d"), IN_CREATE | IN_CLOSE_WRITE, TN_WATCH_TREE);
    make_dir("d/new");
    write_file("d/new/f", "text");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR d:new", "CREATE d/new:f synthetic",
           "CLOSE_WRITE d/new:f synthetic");
}

Test(watch_add, follows_no_symbolic_link_below_the_root)
{
    stage_start();
    make_dir("d");
    make_dirs("out/a");
    link_to("../out", "d/old");
    add(scratch("d"), ENTRIES | IN_CLOSE_WRITE, TN_WATCH_TREE);
    link_to("../out", "d/new");
    link_to(".", "d/self");
    make_dir("d/sub");
    link_to("../../out", "d/sub/link");
    settle(notifier);
    recorder_clear(&seen);
    make_file("out/f");
    make_file("out/a/f");
    settle(notifier);
    EXPECT_NONE(&seen);
    cr_assert_eq(stats().watches, 2);
}

Test(watch_add, a_root_may_be_a_symbolic_link)
{
    stage_start();
    make_dirs("real/a");
    link_to("real", "link");
    add(scratch("link"), ENTRIES, TN_WATCH_TREE);
    make_file("real/a/f");
    make_dirs("real/b/c");
    settle(notifier);
    make_file("real/b/c/f");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE link/a:f", "CREATE|ISDIR link:b",
               recorder_lines(&seen, "CREATE|ISDIR link/b:c") ? "CREATE|ISDIR link/b:c"
                                                              : "CREATE|ISDIR link/b:c synthetic",
               "CREATE link/b/c:f");
}

Test(watch_add, the_descriptor_is_unique_and_not_used_again)
{
    tn_wd last = 0;

    stage_start();
    make_dir("d");
    for (int i = 0; i < 100; i++) {
        tn_wd wd = add(scratch("d"), ENTRIES, 0);
        cr_assert_gt(wd, last);
        last = wd;
        cr_assert_eq(tn_watch_remove(notifier, wd, i % 2 ? TN_REMOVE_SYNC : 0), 0);
    }
}

Test(watch_add, the_descriptor_may_be_left_out)
{
    stage_start();
    make_dir("d");
    cr_assert_eq(tn_watch_add(notifier, scratch("d"), TN_WATCH_OPTIONS(.mask = IN_CREATE), NULL),
                 0);
    make_file("d/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d:f");
}

struct early {
    _Atomic int wrong, calls;
    _Atomic bool done;
    _Atomic(tn_wd *) wd;
};

static int look_at_wd(const struct tn_event *event, void *userdata)
{
    struct early *early = userdata;

    early->calls++;
    if (*early->wd != event->wd && event->mask != IN_IGNORED)
        early->wrong++;
    return 0;
}

static void *write_always(void *arg)
{
    struct early *early = arg;

    while (!early->done)
        write_file("d/f", "");
    return NULL;
}

Test(watch_add, the_descriptor_is_written_before_the_first_event)
{
    struct early early = {0};
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *processor;
    static tn_wd wds[300];
    pthread_t writer;

    ops.process_default = look_at_wd;
    stage_start();
    make_dir("d");
    make_file("d/f");
    cr_assert_eq(tn_processor_new(&ops, &early, &processor), 0);
    cr_assert_eq(pthread_create(&writer, NULL, write_always, &early), 0);
    for (size_t i = 0; i < 300; i++) {
        early.wd = &wds[i];
        cr_assert_eq(tn_watch_add(notifier, scratch("d"),
                                  TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE, .processor = processor),
                                  &wds[i]),
                     0);
        while (i == 299 && !early.calls) /* the reader may not have come to the others in time */
            sched_yield();
        cr_assert_eq(tn_watch_remove(notifier, wds[i], TN_REMOVE_SYNC), 0);
    }
    early.done = true;
    pthread_join(writer, NULL);
    cr_assert_eq(early.wrong, 0);
    tn_processor_unref(processor);
}

Test(watch_add, data_is_in_each_event_and_released_once)
{
    static struct released released;

    stage_start();
    make_dirs("d/a");
    tn_wd wd =
        add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                                   .data = &released, .release = count_release));
    make_file("d/a/f");
    make_dir("d/b");
    settle(notifier);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(recorder_event(&seen, i)->data, &released);
        cr_assert_eq(recorder_event(&seen, i)->root, wd);
    }
    cr_assert_eq(info(wd).data, &released);
    cr_assert_eq(released.count, 0);
    notifier = tn_notifier_free(notifier);
    cr_assert_eq(released.count, 1);
}

Test(watch_add, placed_is_told_of_each_directory)
{
    struct placing placing = {.thread = pthread_self()};

    stage_start();
    make_dirs("d/a/b");
    make_file("d/f");
    make_dir("d/c");
    tn_wd wd =
        add_options(scratch("d/"), TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                                    .data = &placing, .placed = note_placed));
    cr_assert_eq(placing.count, 4);
    cr_assert_eq(placing.errors, 0);
    cr_assert_eq(placing.strangers, 0);
    cr_assert_str_eq(placing.paths[0], scratch("d"));
    cr_assert_eq(placing.wds[0], wd);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(found(placing.paths[i]), placing.wds[i], "%s", placing.paths[i]);
    make_dir("d/later");
    settle(notifier);
    cr_assert(is_watched(scratch("d/later")));
    cr_assert_eq(placing.count, 4);
}

static void cancel_at(int count)
{
    struct placing placing = {.thread = pthread_self(), .cancel_at = count};
    static struct released released;
    tn_wd wd = KEPT_WD;

    stage_start();
    make_dirs("d/a/b/c");
    make_dirs("d/x/y/z");
    tn_wd other = add(scratch("d"), IN_DELETE, TN_WATCH_RECURSIVE);
    int result =
        tn_watch_add(notifier, scratch("d"),
                     TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE, .data = &placing,
                                      .placed = note_placed, .release = count_release),
                     &wd);
    cr_assert_eq(result, -EOWNERDEAD);
    cr_assert_eq(wd, KEPT_WD);
    cr_assert_eq(placing.count, count);
    make_file("d/a/b/f");
    settle(notifier);
    EXPECT_NONE(&seen);
    cr_assert_eq(stats().watches, 7);
    cr_assert_eq(released.count, 0);
    cr_assert_eq(found(scratch("d")), other);
    remove_file("d/a/b/f");
    settle(notifier);
    EXPECT(&seen, "DELETE d/a/b:f");
    cr_assert_eq(tn_watch_remove(notifier, other, TN_REMOVE_RECURSIVE), 0);
    settle(notifier);
    cr_assert_eq(stats().watches, 0);
}

Test(watch_add, placed_cancels_at_the_root)
{
    cancel_at(1);
}

Test(watch_add, placed_cancels_below)
{
    cancel_at(4);
}

Test(watch_add, placed_cancels_at_the_end)
{
    cancel_at(7);
}

static int add_in_placed(const char *path, tn_wd wd, int error, void *data)
{
    (void)wd;
    (void)error;
    if (strcmp(path, scratch("d/a")) != 0)
        return 0;
    return tn_watch_add(notifier, scratch("e"),
                        TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE), data);
}

Test(watch_add, placed_may_add)
{
    tn_wd inner = 0;

    stage_start();
    make_dirs("d/a/b");
    make_dirs("e/a");
    add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                               .data = &inner, .placed = add_in_placed));
    cr_assert_eq(found(scratch("e")), inner);
    make_file("e/a/f");
    make_file("d/a/b/f");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE e/a:f", "CREATE d/a/b:f");
}

static int add_another(const struct tn_event *event, void *userdata)
{
    _Atomic int *result = userdata;

    if (!(event->mask & IN_ISDIR))
        return 0;
    *result = tn_watch_add(notifier, scratch("other"),
                           TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_TREE,
                                            .processor = seen.processor),
                           NULL);
    return 0;
}

Test(watch_add, works_inside_a_processor)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *processor;
    _Atomic int result = 1;

    ops.process_create = add_another;
    stage_start();
    make_dir("d");
    make_dirs("other/a/b");
    cr_assert_eq(tn_processor_new(&ops, &result, &processor), 0);
    add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = processor));
    tn_processor_unref(processor);
    make_dir("d/go");
    settle(notifier);
    cr_assert_eq(result, 0);
    make_file("other/a/b/f");
    settle(notifier);
    EXPECT(&seen, "CREATE other/a/b:f");
}
