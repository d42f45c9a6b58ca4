/* tn_watch_update() and tn_watch_update_list(). */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(watch_update, .init = stage_open, .fini = stage_close, .timeout = 60);
TestSuite(watch_update_list, .init = stage_open, .fini = stage_close, .timeout = 60);

static void update(tn_wd wd, uint32_t fields, const struct tn_watch_options *options)
{
    int result = tn_watch_update(notifier, wd, fields, options);

    cr_assert_eq(result, 0, "tn_watch_update: %s", tn_strerror(result));
}

Test(watch_update, mask_replaces_the_old_one)
{
    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CREATE, 0);
    make_file("d/a");
    settle(notifier);
    EXPECT(&seen, "CREATE d:a");
    update(wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_DELETE));
    cr_assert_eq(info(wd).mask, IN_DELETE);
    make_file("d/b");
    remove_file("d/a");
    settle(notifier);
    EXPECT(&seen, "DELETE d:a");
}

Test(watch_update, mask_of_a_file)
{
    stage_start();
    make_file("f");
    tn_wd wd = add(scratch("f"), IN_ATTRIB, 0);
    update(wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_MODIFY));
    write_file("f", "x");
    change_mode("f", 0600);
    settle(notifier);
    EXPECT(&seen, "MODIFY f");
}

Test(watch_update, mask_add_keeps_the_old_one)
{
    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CREATE, 0);
    update(wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_DELETE | IN_MASK_ADD));
    cr_assert_eq(info(wd).mask, IN_CREATE | IN_DELETE);
    make_file("d/a");
    remove_file("d/a");
    settle(notifier);
    EXPECT(&seen, "CREATE d:a", "DELETE d:a");
}

Test(watch_update, mask_of_one_of_several_on_a_path)
{
    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CREATE, 0);
    tn_wd other = add(scratch("d"), IN_CREATE | IN_CLOSE_WRITE, 0);
    update(wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_DELETE));
    make_file("d/a");
    remove_file("d/a");
    settle(notifier);
    cr_assert_eq(recorder_find(&seen, IN_CREATE)->wd, other);
    cr_assert_eq(recorder_find(&seen, IN_DELETE)->wd, wd);
    EXPECT_SET(&seen, "CREATE d:a", "CLOSE_WRITE d:a", "DELETE d:a");
    update(other, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE));
    make_file("d/b");
    settle(notifier);
    EXPECT(&seen, "CLOSE_WRITE d:b");
}

Test(watch_update, mask_stands_from_that_point_of_the_stream_on)
{
    stage_new(NULL);
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CREATE, 0);
    make_file("d/a");
    settle(notifier);
    update(wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_DELETE));
    remove_file("d/a");
    make_file("d/b");
    settle(notifier);
    EXPECT(&seen, "CREATE d:a", "DELETE d:a");
}

Test(watch_update, of_one_directory_alone)
{
    stage_start();
    make_dirs("d/a/b");
    add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    update(found(scratch("d/a")), TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_DELETE));
    make_file("d/f");
    make_file("d/a/f");
    make_file("d/a/b/f");
    remove_file("d/f");
    remove_file("d/a/f");
    remove_file("d/a/b/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d:f", "CREATE d/a/b:f", "DELETE d/a:f");
}

Test(watch_update, recursive_goes_on_below)
{
    stage_start();
    make_dirs("d/a/b");
    make_dir("d/x");
    add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    tn_wd other = add(scratch("d/a"), IN_CREATE, TN_WATCH_TREE);
    update(found(scratch("d/a")), TN_UPDATE_MASK | TN_UPDATE_RECURSIVE,
           TN_WATCH_OPTIONS(.mask = IN_DELETE));
    make_file("d/x/f");
    make_file("d/a/f");
    make_file("d/a/b/f");
    remove_file("d/x/f");
    remove_file("d/a/f");
    remove_file("d/a/b/f");
    settle(notifier);
    size_t others = 0;
    for (size_t i = 0; i < recorder_count(&seen); i++)
        others += recorder_event(&seen, i)->root == other;
    cr_assert_eq(others, 2);
    EXPECT_SET(&seen, "CREATE d/x:f", "CREATE d/a:f", "CREATE d/a/b:f", "DELETE d/a:f",
               "DELETE d/a/b:f");
}

Test(watch_update, what_comes_later_takes_after_its_directory)
{
    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    update(wd, TN_UPDATE_MASK | TN_UPDATE_RECURSIVE, TN_WATCH_OPTIONS(.mask = IN_DELETE));
    make_dir("d/new");
    settle(notifier);
    make_file("d/new/f");
    remove_file("d/new/f");
    settle(notifier);
    EXPECT(&seen, "DELETE d/new:f");
}

Test(watch_update, processor)
{
    struct recorder other;

    stage_start();
    recorder_init(&other);
    make_dirs("d/a");
    tn_wd wd = add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    update(wd, TN_UPDATE_PROCESSOR, TN_WATCH_OPTIONS(.processor = other.processor));
    make_file("d/f");
    make_file("d/a/f");
    settle(notifier);
    EXPECT(&other, "CREATE d:f");
    EXPECT(&seen, "CREATE d/a:f");
    update(wd, TN_UPDATE_PROCESSOR | TN_UPDATE_RECURSIVE,
           TN_WATCH_OPTIONS(.processor = other.processor));
    make_file("d/a/g");
    settle(notifier);
    EXPECT(&other, "CREATE d/a:g");
    update(wd, TN_UPDATE_PROCESSOR | TN_UPDATE_RECURSIVE, TN_WATCH_OPTIONS(.processor = NULL));
    make_file("d/h");
    make_file("d/a/h");
    settle(notifier);
    EXPECT_NONE(&other);
    EXPECT(&seen, "CREATE d:h", "CREATE d/a:h");
    notifier = tn_notifier_free(notifier);
    recorder_done(&other);
    cr_assert_eq(other.released, 1);
}

Test(watch_update, processor_is_told_also_of_what_is_queued)
{
    struct recorder other;

    stage_new(NULL);
    recorder_init(&other);
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CREATE, 0);
    make_file("d/f");
    cr_assert_gt(tn_notifier_read_events(notifier), 0);
    update(wd, TN_UPDATE_PROCESSOR, TN_WATCH_OPTIONS(.processor = other.processor));
    cr_assert_eq(tn_notifier_process_events(notifier), 1);
    EXPECT_NONE(&seen);
    EXPECT(&other, "CREATE d:f");
    notifier = tn_notifier_free(notifier);
    recorder_done(&other);
}

Test(watch_update, filter)
{
    struct tn_filter *temporary = regex_filter("\\.tmp$", 0);

    stage_start();
    make_dirs("d/a");
    tn_wd wd = add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    make_file("d/one.tmp");
    update(wd, TN_UPDATE_FILTER | TN_UPDATE_RECURSIVE, TN_WATCH_OPTIONS(.filter = temporary));
    tn_filter_unref(temporary);
    make_file("d/two.tmp");
    make_file("d/a/three.tmp");
    make_file("d/four");
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE d:two.tmp"), 0);
    cr_assert_eq(recorder_lines(&seen, "CREATE d/a:three.tmp"), 0);
    cr_assert_eq(recorder_lines(&seen, "CREATE d:four"), 1);
    recorder_clear(&seen);
    update(wd, TN_UPDATE_FILTER, TN_WATCH_OPTIONS(.filter = NULL));
    make_file("d/five.tmp");
    make_file("d/a/six.tmp");
    settle(notifier);
    EXPECT(&seen, "CREATE d:five.tmp");
}

Test(watch_update, auto_add_on_and_off)
{
    stage_start();
    make_dirs("d/old");
    tn_wd wd = add(scratch("d"), IN_CREATE, TN_WATCH_RECURSIVE);
    cr_assert_eq(info(wd).flags, TN_WATCH_RECURSIVE);
    make_dir("d/one");
    settle(notifier);
    cr_assert_not(is_watched(scratch("d/one")));
    update(wd, TN_UPDATE_AUTO_ADD, TN_WATCH_OPTIONS(.flags = TN_WATCH_AUTO_ADD));
    cr_assert_eq(info(wd).flags, TN_WATCH_TREE);
    make_dir("d/two");
    make_dir("d/old/three");
    settle(notifier);
    cr_assert(is_watched(scratch("d/two")));
    cr_assert_not(is_watched(scratch("d/old/three")));
    update(wd, TN_UPDATE_AUTO_ADD | TN_UPDATE_RECURSIVE, TN_WATCH_OPTIONS(.flags = 0));
    cr_assert_eq(info(wd).flags, TN_WATCH_RECURSIVE);
    make_dir("d/four");
    make_dir("d/two/five");
    settle(notifier);
    cr_assert_not(is_watched(scratch("d/four")));
    cr_assert_not(is_watched(scratch("d/two/five")));
    cr_assert_eq(stats().watches, 3);
}

Test(watch_update, auto_add_where_the_mask_asks_for_no_names)
{
    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CLOSE_WRITE, 0);
    update(wd, TN_UPDATE_AUTO_ADD, TN_WATCH_OPTIONS(.flags = TN_WATCH_AUTO_ADD));
    make_dir("d/new");
    settle(notifier);
    make_file("d/new/f");
    settle(notifier);
    EXPECT(&seen, "CLOSE_WRITE d/new:f");
}

Test(watch_update, several_fields_at_once)
{
    struct recorder other;

    stage_start();
    recorder_init(&other);
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CREATE, 0);
    update(wd, TN_UPDATE_MASK | TN_UPDATE_PROCESSOR,
           TN_WATCH_OPTIONS(.mask = IN_DELETE, .processor = other.processor));
    make_file("d/f");
    remove_file("d/f");
    settle(notifier);
    EXPECT_NONE(&seen);
    EXPECT(&other, "DELETE d:f");
    notifier = tn_notifier_free(notifier);
    recorder_done(&other);
}

Test(watch_update, keeps_data_and_release)
{
    static struct released released;
    int other = 0;

    stage_start();
    make_dir("d");
    tn_wd wd = add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = IN_CREATE, .data = &released,
                                                          .release = count_release));
    update(wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_DELETE, .data = &other));
    cr_assert_eq(info(wd).data, &released);
    cr_assert_eq(tn_watch_remove(notifier, wd, TN_REMOVE_SYNC), 0);
    settle(notifier);
    cr_assert_eq(released.count, 1);
}

struct changing {
    struct recorder *other;
    _Atomic int result;
};

static int change_self(const struct tn_event *event, void *userdata)
{
    struct changing *changing = userdata;

    changing->result = tn_watch_update(notifier, event->wd, TN_UPDATE_PROCESSOR,
                                       TN_WATCH_OPTIONS(.processor = changing->other->processor));
    return 0;
}

Test(watch_update, works_inside_the_processor_that_it_replaces)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *processor;
    struct changing changing = {.other = &seen, .result = 1};

    ops.process_default = change_self;
    stage_start();
    make_dir("d");
    cr_assert_eq(tn_processor_new(&ops, &changing, &processor), 0);
    add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = processor));
    tn_processor_unref(processor);
    make_file("d/one");
    settle(notifier);
    cr_assert_eq(changing.result, 0);
    make_file("d/two");
    settle(notifier);
    EXPECT(&seen, "CREATE d:two");
}

Test(watch_update, a_moved_directory)
{
    stage_start();
    make_dirs("d/a");
    make_dir("d/x");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    tn_wd wd = found(scratch("d/a"));
    move("d/a", "d/x/b");
    settle(notifier);
    recorder_clear(&seen);
    update(wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE));
    make_file("d/x/b/f");
    settle(notifier);
    EXPECT(&seen, "CLOSE_WRITE d/x/b:f");
}

Test(watch_update, an_item_that_has_just_moved_is_asked_for_again)
{
    stage_new(NULL);
    make_dirs("d/a");
    add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    tn_wd wd = found(scratch("d/a"));
    move("d/a", "d/b");
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE);
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_MASK, options), -EAGAIN);
    cr_assert_eq(info(wd).mask, IN_CREATE);
    settle(notifier);
    update(wd, TN_UPDATE_MASK, options);
    make_file("d/b/f");
    settle(notifier);
    EXPECT(&seen, "CLOSE_WRITE d/b:f");
}

/* The update fails with the error, and the watch is as it was. */
static void fails(int error, tn_wd wd, uint32_t fields, const struct tn_watch_options *options)
{
    cr_assert_eq(tn_watch_update(notifier, wd, fields, options), error);
}

Test(watch_update, bad_input)
{
    const struct tn_watch_options *good = TN_WATCH_OPTIONS(.mask = IN_DELETE);
    struct {
        struct tn_watch_options options;
        uint64_t later;
    } longer = {.options = {.size = sizeof(longer), .mask = IN_DELETE}, .later = 1};
    struct tn_watch_options small = {.size = sizeof(size_t), .mask = IN_DELETE};

    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CREATE, TN_WATCH_AUTO_ADD);
    fails(-ENOENT, wd + 1, TN_UPDATE_MASK, good);
    fails(-ENOENT, -1, TN_UPDATE_MASK, good);
    fails(-ENOENT, 0, TN_UPDATE_MASK, good);
    fails(-ENOENT, INT64_MAX, TN_UPDATE_MASK, good);
    fails(-EINVAL, wd, 0, good);
    fails(-EINVAL, wd, TN_UPDATE_RECURSIVE, good);
    fails(-EINVAL, wd, TN_UPDATE_MASK | 0x10, good);
    fails(-EINVAL, wd, TN_UPDATE_MASK, NULL);
    fails(-EINVAL, wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = 0));
    fails(-EINVAL, wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_MASK_ADD));
    fails(-EINVAL, wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_DELETE | IN_MASK_CREATE));
    fails(-EINVAL, wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_DELETE | 0x10000));
    fails(-EINVAL, wd, TN_UPDATE_MASK, &small);
    fails(-E2BIG, wd, TN_UPDATE_MASK, &longer.options);
    cr_assert_eq(tn_watch_update(NULL, wd, TN_UPDATE_MASK, good), -EINVAL);
    cr_assert_eq(info(wd).mask, IN_CREATE);
    cr_assert_eq(info(wd).flags, TN_WATCH_AUTO_ADD);
    make_file("d/f");
    remove_file("d/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d:f");
    cr_assert_eq(tn_watch_remove(notifier, wd, 0), 0);
    fails(-ENOENT, wd, TN_UPDATE_MASK, good);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    fails(-ESHUTDOWN, wd, TN_UPDATE_MASK, good);
}

Test(watch_update, a_forked_child_is_refused)
{
    int status;

    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CREATE, 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_DELETE);
        _exit(tn_watch_update(notifier, wd, TN_UPDATE_MASK, options) != -ECHILD ||
              tn_watch_update_list(notifier, &wd, 1, TN_UPDATE_MASK, options, NULL) != -ECHILD);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
}

Test(watch_update_list, changes_each)
{
    int errors[3] = {1, 1, 1};

    stage_start();
    make_dirs("a/deep");
    make_dir("b");
    tn_wd wds[] = {add(scratch("a"), IN_CREATE, TN_WATCH_TREE), 12345,
                   add(scratch("b"), IN_CREATE, 0)};
    cr_assert_eq(tn_watch_update_list(notifier, wds, 3, TN_UPDATE_MASK | TN_UPDATE_RECURSIVE,
                                      TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE), errors),
                 2);
    cr_assert_eq(errors[0], 0);
    cr_assert_eq(errors[1], -ENOENT);
    cr_assert_eq(errors[2], 0);
    make_file("a/deep/f");
    make_file("b/f");
    settle(notifier);
    EXPECT_SET(&seen, "CLOSE_WRITE a/deep:f", "CLOSE_WRITE b:f");
}

Test(watch_update_list, bad_input)
{
    const struct tn_watch_options *good = TN_WATCH_OPTIONS(.mask = IN_DELETE);
    int errors[1] = {1};

    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), IN_CREATE, 0);
    cr_assert_eq(tn_watch_update_list(NULL, &wd, 1, TN_UPDATE_MASK, good, errors), -EINVAL);
    cr_assert_eq(tn_watch_update_list(notifier, NULL, 1, TN_UPDATE_MASK, good, errors), -EINVAL);
    cr_assert_eq(tn_watch_update_list(notifier, &wd, 1, TN_UPDATE_MASK, NULL, errors), -EINVAL);
    cr_assert_eq(tn_watch_update_list(notifier, &wd, 1, 0, good, errors), -EINVAL);
    cr_assert_eq(tn_watch_update_list(notifier, &wd, 1, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = 0),
                                      errors),
                 -EINVAL);
    cr_assert_eq(errors[0], 1);
    cr_assert_eq(info(wd).mask, IN_CREATE);
    cr_assert_eq(tn_watch_update_list(notifier, &wd, 0, TN_UPDATE_MASK, good, NULL), 0);
    cr_assert_eq(tn_watch_update_list(notifier, &wd, 1, TN_UPDATE_MASK, good, NULL), 1);
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    cr_assert_eq(tn_watch_update_list(notifier, &wd, 1, TN_UPDATE_MASK, good, NULL), -ESHUTDOWN);
}
