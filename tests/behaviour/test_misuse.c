/* Bad input to every function that takes it: a clear error, and nothing changed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

TestSuite(misuse, .init = stage_open, .fini = stage_close, .timeout = 60);

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* One call's result. */
#define RESULT(call, expected) check_result(__LINE__, #call, (call), (expected))

static void check_result(int line, const char *call, ssize_t got, ssize_t expected)
{
    cr_expect_eq(got, expected, "line %d: %s: %zd, not %zd", line, call, got, expected);
}

static int visit_none(tn_wd wd, const char *path, void *userdata)
{
    (void)wd;
    (void)path;
    (void)userdata;
    return 0;
}

/* Watch descriptors that are none, or not this notifier's. */

static void refuse_remove(tn_wd wd)
{
    int error;

    for (uint32_t flags = 0; flags <= (TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC); flags++) {
        error = 1;
        RESULT(tn_watch_remove(notifier, wd, flags), -ENOENT);
        RESULT(tn_watch_remove_list(notifier, &wd, 1, flags, &error), 0);
        cr_expect_eq(error, -ENOENT);
    }
}

static void refuse(tn_wd wd)
{
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_DELETE);
    struct tn_watch_info info = TN_WATCH_INFO_INIT;
    char text[8] = "kept", *path = text;
    int error = 1;

    info.wd = 77;
    RESULT(tn_watch_update(notifier, wd, TN_UPDATE_MASK, options), -ENOENT);
    RESULT(tn_watch_update(notifier, wd, TN_UPDATE_MASK | TN_UPDATE_RECURSIVE, options), -ENOENT);
    RESULT(tn_watch_update_list(notifier, &wd, 1, TN_UPDATE_MASK, options, &error), 0);
    cr_expect_eq(error, -ENOENT);
    refuse_remove(wd);
    RESULT(tn_watch_path(notifier, wd, text, sizeof(text)), -ENOENT);
    RESULT(tn_watch_path(notifier, wd, NULL, 0), -ENOENT);
    RESULT(tn_watch_path_dup(notifier, wd, &path), -ENOENT);
    RESULT(tn_watch_get_info(notifier, wd, &info), -ENOENT);
    cr_expect_eq(info.wd, 77);
    cr_expect_eq(path, text);
    cr_expect_str_eq(text, "kept");
}

Test(misuse, descriptors)
{
    struct tn_notifier *other;
    tn_wd foreign = 0;

    stage_start();
    make_dirs("d/a");
    make_dir("gone");
    cr_assert_eq(tn_notifier_new(NULL, &other), 0);
    for (int i = 0; i < 10; i++)
        foreign = add_to(other, scratch("d"), IN_CREATE, 0);
    tn_wd stale = add(scratch("gone"), ENTRIES, 0);
    tn_wd removed = add(scratch("d"), ENTRIES, 0);
    tn_wd wd = add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    remove_dir("gone");
    cr_assert_eq(tn_watch_remove(notifier, removed, 0), 0);
    settle(notifier);
    recorder_clear(&seen);
    const tn_wd bad[] = {0,       -1,     INT64_MIN,        INT64_MAX,        UINT32_MAX, stale,
                         removed, wd + 9, wd + (1LL << 32), wd + (1LL << 48), -wd,        foreign};
    cr_assert_gt(foreign, wd + 1);
    for (size_t i = 0; i < COUNT(bad); i++)
        refuse(bad[i]);
    cr_expect_eq(info(wd).mask, IN_CREATE);
    cr_expect_eq(stats().watches, 2);
    make_file("d/a/f");
    remove_file("d/a/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d/a:f");
    tn_notifier_free(other);
}

/* Some of a list may be bad; the others are served, and the results stand in the list's order. */
Test(misuse, descriptors_among_good_ones)
{
    int errors[3] = {1, 1, 1};

    stage_start();
    make_dir("d");
    tn_wd wds[3] = {-1, add(scratch("d"), IN_CREATE, 0), INT64_MAX};
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_DELETE);
    cr_expect_eq(tn_watch_update_list(notifier, wds, 3, TN_UPDATE_MASK, options, errors), 1);
    cr_expect(errors[0] == -ENOENT && errors[1] == 0 && errors[2] == -ENOENT);
    cr_expect_eq(info(wds[1]).mask, IN_DELETE);
    errors[1] = 1;
    cr_expect_eq(tn_watch_remove_list(notifier, wds, 3, TN_REMOVE_SYNC, errors), 1);
    cr_expect(errors[0] == -ENOENT && errors[1] == 0 && errors[2] == -ENOENT);
    cr_expect_eq(stats().watches, 0);
}

/* Every bit that is no flag, and every value that is none of an enum. */

static void refuse_watch(const struct tn_watch_options *options)
{
    const char *paths[] = {scratch("")};
    struct tn_watch_result result = {.wd = 77};
    size_t count = 77;
    tn_wd wd = 77;

    RESULT(tn_watch_add(notifier, paths[0], options, &wd), -EINVAL);
    RESULT(tn_watch_add_list(notifier, paths, 1, options, &result), -EINVAL);
    RESULT(tn_watch_add_glob(notifier, paths[0], options, &count), -EINVAL);
    cr_expect(wd == 77 && result.wd == 77 && count == 77);
}

static void refuse_fields(tn_wd wd, uint32_t fields, uint32_t mask)
{
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = mask);
    int error = 1;

    RESULT(tn_watch_update(notifier, wd, fields, options), -EINVAL);
    RESULT(tn_watch_update_list(notifier, &wd, 1, fields, options, &error), -EINVAL);
    cr_expect_eq(error, 1);
}

Test(misuse, flags)
{
    const uint32_t flags =
        TN_WATCH_TREE | TN_WATCH_SNAPSHOT | TN_WATCH_FOLLOW_NAME | TN_WATCH_EXISTING;
    const uint32_t events = IN_ALL_EVENTS | IN_UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED;
    const uint32_t mask =
        events | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK | IN_ISDIR | IN_ONESHOT;
    const uint32_t fields = TN_UPDATE_MASK | TN_UPDATE_PROCESSOR | TN_UPDATE_FILTER |
                            TN_UPDATE_AUTO_ADD | TN_UPDATE_RECURSIVE;
    struct tn_filter *filter;

    stage_start();
    tn_wd wd = add(scratch(""), IN_CREATE, 0);
    cr_assert_eq(tn_filter_new(&filter), 0);
    for (uint32_t bit = 1; bit; bit <<= 1) {
        struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
        struct tn_notifier *made = NULL;

        options.flags = bit;
        if (bit != TN_NOTIFIER_COALESCE)
            cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL, "%#x", bit);
        cr_expect_null(made);
        if (!(bit & flags))
            refuse_watch(TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = bit));
        if (!(bit & mask)) {
            refuse_watch(TN_WATCH_OPTIONS(.mask = IN_CREATE | bit));
            if (bit != IN_MASK_ADD)
                refuse_fields(wd, TN_UPDATE_MASK, IN_DELETE | bit);
        }
        if (!(bit & fields))
            refuse_fields(wd, TN_UPDATE_MASK | bit, IN_DELETE);
        if (!(bit & (TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC))) {
            cr_expect_eq(tn_watch_remove(notifier, wd, bit), -EINVAL, "%#x", bit);
            cr_expect_eq(tn_watch_remove_list(notifier, &wd, 1, bit, NULL), -EINVAL);
        }
        if (!(bit & (TN_FILTER_INCLUDE | TN_FILTER_ICASE)))
            cr_expect_eq(tn_filter_add_regex(filter, "a", bit), -EINVAL, "%#x", bit);
    }
    tn_filter_unref(filter);
    cr_expect_eq(info(wd).mask, IN_CREATE);
    cr_expect_eq(stats().watches, 1);
    make_file("f");
    settle(notifier);
    EXPECT(&seen, "CREATE .:f");
}

Test(misuse, values_of_enums)
{
    struct tn_filter *filter;

    stage_new(NULL);
    cr_assert_eq(tn_filter_new(&filter), 0);
    for (int i = 0; i < 2; i++) {
        struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
        struct tn_notifier *made = NULL;
        int beyond = i ? -1 : 1;

        options.order = (enum tn_order)(i ? -1 : TN_ORDER_NONE + 1);
        cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
        refuse_watch(TN_WATCH_OPTIONS(.mask = IN_CREATE, .order = options.order));
        options.order = TN_ORDER_DEFAULT;
        options.when_full = (enum tn_full)(i ? -1 : TN_FULL_DROP + 1);
        cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
        options.when_full = TN_FULL_BLOCK;
        options.log_level = i ? -1 : TN_LOG_DEBUG + 1;
        cr_expect_eq(tn_notifier_new(&options, &made), -EINVAL);
        cr_expect_null(made);
        cr_expect_eq(tn_notifier_stop(notifier,
                                      (enum tn_finish)(i ? -1 : TN_FINISH_DISCARD + beyond)),
                     -EINVAL);
        cr_expect_eq(tn_filter_load(filter, "/dev/null",
                                    (enum tn_filter_syntax)(i ? -1 : TN_FILTER_IGNORE + 1)),
                     -EINVAL);
        cr_expect_eq(tn_limits_set((enum tn_limit)(i ? -1 : TN_LIMIT_USER_WATCHES + 1), 1 << 20),
                     -EINVAL);
    }
    tn_filter_unref(filter);
    cr_expect_eq(tn_notifier_start(notifier), 0, "nothing stopped it");
}

/* NULL where there must be something. What returns no error does nothing. */

Test(misuse, null_without_a_notifier)
{
    struct tn_processor_ops processor_ops = TN_PROCESSOR_OPS_INIT;
    struct tn_executor_ops executor_ops = TN_EXECUTOR_OPS_INIT;
    struct tn_event event = {.wd = 1, .mask = IN_CREATE}, *copy = &event;
    struct tn_processor *processor = NULL;
    struct tn_executor *executor = NULL;
    uint32_t mask = 77;
    char text[8] = "kept";

    cr_expect_eq(tn_event_dup(NULL, &copy), -EINVAL);
    cr_expect_eq(tn_event_dup(&event, NULL), -EINVAL);
    cr_expect_eq(copy, &event);
    cr_expect_eq(tn_mask_parse(NULL, &mask), -EINVAL);
    cr_expect_eq(tn_mask_parse("create", NULL), -EINVAL);
    cr_expect_eq(mask, 77);
    cr_expect_eq(tn_processor_new(NULL, NULL, &processor), -EINVAL);
    cr_expect_eq(tn_processor_new(&processor_ops, NULL, NULL), -EINVAL);
    cr_expect_eq(tn_processor_new_chain(NULL, 1, &processor), -EINVAL);
    cr_expect_eq(tn_processor_new_chain(NULL, 0, NULL), -EINVAL);
    cr_expect_eq(tn_processor_new_chain(&processor, 1, &processor), -EINVAL);
    cr_expect_eq(tn_processor_new_print(NULL, &processor), -EINVAL);
    cr_expect_eq(tn_processor_new_print(stderr, NULL), -EINVAL);
    cr_expect_eq(tn_processor_new_stats(NULL), -EINVAL);
    cr_expect_eq(tn_processor_new_if(NULL, NULL, NULL, &processor), -EINVAL);
    cr_expect_eq(tn_processor_stats_dump(NULL, "stats"), -EINVAL);
    cr_expect_eq(tn_processor_call(NULL, &event), -EINVAL);
    cr_expect_null(processor);
    cr_expect_eq(tn_executor_new(NULL, NULL, &executor), -EINVAL);
    cr_expect_eq(tn_executor_new(&executor_ops, NULL, &executor), -EINVAL, "no submit");
    cr_expect_eq(tn_executor_new_pool(NULL, NULL), -EINVAL);
    cr_expect_eq(tn_executor_new_inline(NULL), -EINVAL);
    cr_expect_null(executor);
    cr_expect_null(tn_executor_ref(NULL));
    cr_expect_null(tn_executor_unref(NULL));
    tn_task_run(NULL);
    tn_task_cancel(NULL);
    cr_expect_eq(tn_limits_get(NULL), -EINVAL);
    cr_expect_eq(tn_event_format(NULL, text, sizeof(text)), 0);
    cr_expect_str_eq(text, "");
    cr_expect_eq(tn_stats_format(NULL, text, sizeof(text)), 0);
    cr_expect_eq(tn_processor_stats_format(NULL, text, sizeof(text)), 0);
    cr_expect_eq(tn_mask_format(IN_OPEN, NULL, 8), strlen("IN_OPEN"), "nothing is written");
    cr_expect_eq(tn_error_format(-EACCES, NULL, 8), strlen(tn_strerror(-EACCES)));
    cr_expect_eq(tn_event_format(&event, NULL, 8), tn_event_format(&event, NULL, 0));
}

Test(misuse, null_to_a_notifier)
{
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_CREATE);
    const char *paths[] = {scratch(""), NULL};
    struct tn_watch_info info = TN_WATCH_INFO_INIT;
    char text[8], *path = text;

    stage_start();
    tn_wd wd = add(paths[0], IN_CREATE, 0);
    for (int i = 0; i < 2; i++) {
        struct tn_notifier *own = i ? notifier : NULL;

        cr_expect_eq(tn_watch_add(own, i ? NULL : paths[0], options, NULL), -EINVAL);
        cr_expect_eq(tn_watch_add(own, paths[0], i ? NULL : options, NULL), -EINVAL);
        cr_expect_eq(tn_watch_add_list(own, i ? NULL : paths, 1, options, NULL), -EINVAL);
        cr_expect_eq(tn_watch_add_list(own, paths, 1, i ? NULL : options, NULL), -EINVAL);
        cr_expect_eq(tn_watch_add_list(own, paths, 2, options, NULL), -EINVAL);
        cr_expect_eq(tn_watch_add_glob(own, i ? NULL : paths[0], options, NULL), -EINVAL);
        cr_expect_eq(tn_watch_add_glob(own, paths[0], i ? NULL : options, NULL), -EINVAL);
        cr_expect_eq(tn_watch_update(own, wd, TN_UPDATE_MASK, i ? NULL : options), -EINVAL);
        cr_expect_eq(tn_watch_update_list(own, i ? NULL : &wd, 1, TN_UPDATE_MASK, options, NULL),
                     -EINVAL);
        cr_expect_eq(tn_watch_update_list(own, &wd, 1, TN_UPDATE_MASK, i ? NULL : options, NULL),
                     -EINVAL);
        cr_expect_eq(tn_watch_remove_list(own, i ? NULL : &wd, 1, 0, NULL), -EINVAL);
        cr_expect_eq(tn_watch_find(own, i ? NULL : paths[0], &wd), -EINVAL);
        cr_expect_eq(tn_watch_path(own, wd, i ? NULL : text, 8), -EINVAL);
        cr_expect_eq(tn_watch_path_dup(own, wd, i ? NULL : &path), -EINVAL);
        cr_expect_eq(tn_watch_get_info(own, wd, i ? NULL : &info), -EINVAL);
        cr_expect_eq(tn_watch_each(own, NULL, i ? NULL : visit_none, NULL), -EINVAL);
        cr_expect_eq(tn_notifier_get_stats(own, NULL), -EINVAL);
    }
    cr_expect_eq(tn_watch_remove(NULL, wd, 0), -EINVAL);
    cr_expect_eq(stats().watches, 1);
    make_file("f");
    settle(notifier);
    EXPECT(&seen, "CREATE .:f");
}

/* After the end, lookups and removals go on; all that would begin something is refused. */

static void check_lookups(tn_wd wd)
{
    const char *path = scratch("d");
    char *copy = NULL;
    tn_wd at = 0;

    RESULT(tn_watch_find(notifier, path, &at), 0);
    cr_expect_eq(at, wd);
    RESULT(tn_watch_path(notifier, wd, NULL, 0), (ssize_t)strlen(path));
    RESULT(tn_watch_path_dup(notifier, wd, &copy), 0);
    cr_expect_str_eq(copy, path);
    free(copy);
    cr_expect_eq(info(wd).mask, ENTRIES);
    RESULT(tn_watch_each(notifier, NULL, visit_none, NULL), 0);
    cr_expect_eq(stats().watches, 1);
    RESULT(tn_watch_remove_list(notifier, &wd, 1, TN_REMOVE_SYNC, NULL), 1);
    cr_expect_eq(stats().watches, 0);
    RESULT(tn_watch_remove(notifier, wd, 0), -ENOENT);
}

static void check_ended(tn_wd wd, bool started)
{
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_CREATE);
    const int busy = started ? -EBUSY : 0;
    const char *path = scratch("d");
    tn_wd at = 0;

    RESULT(tn_notifier_start(notifier), started ? -EALREADY : -ESHUTDOWN);
    RESULT(tn_notifier_settle(notifier, -1), -ESHUTDOWN);
    RESULT(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    RESULT(tn_notifier_join(notifier), 0);
    RESULT(tn_notifier_loop(notifier, NULL, NULL), busy);
    RESULT(tn_notifier_process_events(notifier), busy);
    RESULT(tn_notifier_check_events(notifier, -1), started ? -EBUSY : -ESHUTDOWN);
    cr_expect(started ? tn_notifier_fd(notifier) == -EBUSY : tn_notifier_fd(notifier) >= 0);
    RESULT(tn_watch_add(notifier, path, options, &at), -ESHUTDOWN);
    RESULT(tn_watch_add_list(notifier, &path, 1, options, NULL), -ESHUTDOWN);
    RESULT(tn_watch_add_glob(notifier, path, options, NULL), -ESHUTDOWN);
    RESULT(tn_watch_update(notifier, wd, TN_UPDATE_MASK, options), -ESHUTDOWN);
    RESULT(tn_watch_update_list(notifier, &wd, 1, TN_UPDATE_MASK, options, NULL), -ESHUTDOWN);
}

static void end_and_check(bool started, enum tn_finish how)
{
    make_dir("d");
    stage_new(NULL);
    tn_wd wd = add(scratch("d"), ENTRIES, 0);
    if (started)
        cr_assert_eq(tn_notifier_start(notifier), 0);
    cr_assert_eq(tn_notifier_stop(notifier, how), 0);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    check_ended(wd, started);
    check_lookups(wd);
}

Test(misuse, calls_after_a_drain)
{
    end_and_check(true, TN_FINISH_DRAIN);
}

Test(misuse, calls_after_a_drain_without_a_start)
{
    end_and_check(false, TN_FINISH_DRAIN);
}

Test(misuse, calls_after_a_discard)
{
    end_and_check(true, TN_FINISH_DISCARD);
}

Test(misuse, calls_after_a_discard_without_a_start)
{
    end_and_check(false, TN_FINISH_DISCARD);
}
