/* Filters: what they exclude is neither watched nor reported. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

TestSuite(filters, .init = stage_open, .fini = stage_close, .timeout = 60);

static tn_wd add_filtered(const char *path, const char *pattern, uint32_t flags)
{
    struct tn_filter *filter = regex_filter(pattern, flags);
    tn_wd wd = add_options(path, TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                                  .filter = filter));

    tn_filter_unref(filter);
    return wd;
}

Test(filters, an_excluded_root_is_refused)
{
    struct tn_filter *filter = regex_filter("/d$", 0);
    static struct released released;
    tn_wd wd = 77;

    stage_start();
    make_dirs("d/a");
    make_file("f.d");
    const struct tn_watch_options *options =
        TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE, .filter = filter,
                         .data = &released, .release = count_release);
    cr_assert_eq(tn_watch_add(notifier, scratch("d"), options, &wd), -ECANCELED);
    cr_assert_eq(tn_watch_add(notifier, scratch("d/"), options, &wd), -ECANCELED);
    cr_assert_eq(wd, 77);
    cr_assert_eq(stats().watches, 0);
    cr_assert_eq(tn_watch_add(notifier, scratch("d/a"), options, &wd), 0);
    tn_filter_unref(filter);
    cr_assert_eq(released.count, 0);
}

Test(filters, an_excluded_file_is_refused)
{
    struct tn_filter *filter = regex_filter("\\.tmp$", 0);

    stage_start();
    make_file("f.tmp");
    cr_assert_eq(tn_watch_add(notifier, scratch("f.tmp"),
                              TN_WATCH_OPTIONS(.mask = IN_MODIFY, .filter = filter), NULL),
                 -ECANCELED);
    tn_filter_unref(filter);
}

Test(filters, prune_what_is_there)
{
    stage_start();
    make_dirs("d/.git/objects/00");
    make_dirs("d/src/.git");
    make_dirs("d/src/deep");
    add_filtered(scratch("d"), "/\\.git$", 0);
    cr_assert_eq(stats().watches, 3);
    make_file("d/.git/f");
    make_file("d/.git/objects/00/f");
    make_file("d/src/deep/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d/src/deep:f");
}

Test(filters, prune_what_comes)
{
    stage_start();
    make_dir("d");
    make_dirs("in/.git/x");
    make_dirs("in/y");
    add_filtered(scratch("d"), "/\\.git$", 0);
    make_dirs("d/.git/objects");
    make_dir("d/src");
    settle(notifier);
    make_file("d/.git/f");
    make_file("d/.git/objects/f");
    make_file("d/src/f");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR d:src", "CREATE d/src:f");
    move("in", "d/in");
    settle(notifier);
    EXPECT(&seen, "MOVED_TO|ISDIR d:in", "CREATE|ISDIR d/in:y synthetic");
    cr_assert_eq(stats().watches, 4);
}

Test(filters, an_excluded_entry_is_not_reported)
{
    stage_start();
    make_dirs("d/a");
    add_filtered(scratch("d"), "\\.(o|tmp)$", 0);
    make_file("d/x.o");
    make_file("d/x.c");
    make_file("d/a/y.tmp");
    make_file("d/a/y.tmp.c");
    remove_file("d/x.o");
    settle(notifier);
    EXPECT(&seen, "CREATE d:x.c", "CREATE d/a:y.tmp.c");
}

Test(filters, case_may_not_matter)
{
    stage_start();
    make_dir("d");
    add_filtered(scratch("d"), "\\.TMP$", TN_FILTER_ICASE);
    make_file("d/a.tmp");
    make_file("d/b.Tmp");
    make_file("d/c");
    settle(notifier);
    EXPECT(&seen, "CREATE d:c");
}

Test(filters, an_include_reports_only_what_matches_and_prunes_nothing)
{
    stage_start();
    make_dirs("d/a/b");
    add_filtered(scratch("d"), "\\.c$", TN_FILTER_INCLUDE);
    cr_assert_eq(stats().watches, 3);
    make_file("d/x.h");
    make_file("d/x.c");
    make_file("d/a/b/y.c");
    make_file("d/a/b/y.o");
    make_dirs("d/new/deep");
    settle(notifier);
    make_file("d/new/deep/z.c");
    make_file("d/new/deep/z.h");
    settle(notifier);
    EXPECT(&seen, "CREATE d:x.c", "CREATE d/a/b:y.c", "CREATE d/new/deep:z.c");
    cr_assert_eq(stats().watches, 5);
}

Test(filters, an_exclude_wins_over_an_include)
{
    struct tn_filter *filter = regex_filter("\\.c$", TN_FILTER_INCLUDE);

    stage_start();
    make_dirs("d/skip");
    cr_assert_eq(tn_filter_add_regex(filter, "/skip$", 0), 0);
    cr_assert_eq(tn_filter_add_regex(filter, "/bad\\.c$", 0), 0);
    add_options(scratch("d"),
                TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE, .filter = filter));
    tn_filter_unref(filter);
    make_file("d/skip/x.c");
    make_file("d/bad.c");
    make_file("d/good.c");
    settle(notifier);
    EXPECT(&seen, "CREATE d:good.c");
    cr_assert_eq(stats().watches, 1);
}

struct testing {
    _Atomic int asked, directories, released;
};

static bool is_secret(const char *path, bool is_dir, void *userdata)
{
    struct testing *testing = userdata;
    const char *name = strrchr(path, '/');

    testing->asked++;
    testing->directories += is_dir;
    return name && strcmp(name, "/secret") == 0 && is_dir;
}

static void release_testing(void *userdata)
{
    struct testing *testing = userdata;

    testing->released++;
}

Test(filters, a_test_of_ones_own)
{
    struct testing testing = {0};
    struct tn_filter *filter;

    stage_start();
    make_dirs("d/secret/x");
    make_dirs("d/a/b");
    cr_assert_eq(tn_filter_new(&filter), 0);
    cr_assert_eq(tn_filter_add_test(filter, is_secret, &testing, release_testing), 0);
    tn_wd wd = add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                                          .filter = filter));
    cr_assert_eq(tn_filter_add_regex(filter, "x", 0), -EBUSY);
    tn_filter_unref(filter);
    cr_assert_eq(stats().watches, 3);
    cr_assert_geq(testing.directories, 4);
    make_file("d/a/secret");
    make_dir("d/a/b/secret");
    settle(notifier);
    EXPECT(&seen, "CREATE d/a:secret");
    cr_assert_eq(testing.released, 0);
    cr_assert_eq(tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE), 0);
    notifier = tn_notifier_free(notifier);
    cr_assert_eq(testing.released, 1);
}

Test(filters, the_notifiers_filter_serves_watches_without_one)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_filter *general = regex_filter("\\.tmp$", 0), *own = regex_filter("\\.c$", 0);

    options.filter = general;
    stage_new(&options);
    make_dir("d");
    make_dir("e");
    add(scratch("d"), ENTRIES, 0);
    tn_wd wd = add_options(scratch("e"), TN_WATCH_OPTIONS(.mask = ENTRIES, .filter = own));
    cr_assert_eq(tn_filter_add_regex(general, "x", 0), -EBUSY);
    tn_filter_unref(general);
    tn_filter_unref(own);
    make_file("d/x.tmp");
    make_file("d/x.c");
    make_file("e/x.tmp");
    make_file("e/x.c");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE d:x.c", "CREATE e:x.tmp");
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_FILTER, TN_WATCH_OPTIONS(.filter = NULL)),
                 0);
    make_file("e/y.tmp");
    make_file("e/y.c");
    settle(notifier);
    EXPECT(&seen, "CREATE e:y.c");
}

Test(filters, a_directory_that_moves_under_an_excluded_name_is_watched_no_more)
{
    stage_start();
    make_dirs("d/a/b");
    add_filtered(scratch("d"), "/skip$", 0);
    move("d/a", "d/skip");
    settle(notifier);
    recorder_clear(&seen);
    make_file("d/skip/f");
    make_file("d/skip/b/f");
    settle(notifier);
    EXPECT_NONE(&seen);
    cr_assert_eq(stats().watches, 1);
}

Test(filters, a_directory_that_moves_out_of_an_excluded_name_is_watched)
{
    stage_start();
    make_dirs("d/skip/b");
    add_filtered(scratch("d"), "/skip$", 0);
    move("d/skip", "d/a");
    settle(notifier);
    make_file("d/a/b/f");
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE d/a/b:f"), 1);
    cr_assert_eq(stats().watches, 3);
}

Test(filters, ask_for_relative_paths_as_they_are)
{
    stage_start();
    make_dirs("d/a");
    add_filtered("d", "^d/a$", 0);
    make_file("d/a/f");
    make_file("d/f");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 1);
    cr_assert_str_eq(recorder_event(&seen, 0)->pathname, "d/f");
}

Test(filters, do_not_keep_ignored_back)
{
    stage_start();
    make_dirs("d/a");
    tn_wd wd = add_filtered(scratch("d"), "\\.c$", TN_FILTER_INCLUDE);
    cr_assert_eq(tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE), 0);
    settle(notifier);
    EXPECT_SET(&seen, "IGNORED d", "IGNORED d/a");
}
