/*
 * What comes in between while an add or an update works through a tree: the
 * source is the test's own (replay), and its hook and `placed` come in between.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry/registry.h"
#include "replay_stage.h"

TestSuite(placing, .init = open_stage, .fini = close_stage, .timeout = 60);

static unsigned watch_calls, refused_call;
static int refusal;

/* The source refuses one of the watches that it is asked for. */
static void refuse(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call == TN__REPLAY_WATCH && ++watch_calls == refused_call)
        tn__replay_fail(source, TN__REPLAY_WATCH, refusal, 1);
}

static void refuse_call(unsigned number, int error)
{
    watch_calls = 0;
    refused_call = number;
    refusal = error;
}

/* The first call is for the root, the second for the directory in it. */

Test(placing, a_directory_that_has_gone_is_left_out)
{
    const int gone[] = {ENOENT, ENOTDIR, ELOOP, ESTALE};

    new_with_replay(refuse);
    make_dirs("w/a");
    for (size_t i = 0; i < sizeof(gone) / sizeof(*gone); i++) {
        struct placing placing = {.thread = pthread_self()};
        refuse_call(2, gone[i]);
        tn_wd wd = add_options("w", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE,
                                                     .data = &placing, .placed = note_placed));
        cr_expect_not(is_watched("w/a"));
        cr_expect_eq(placing.count, 1);
        cr_expect_eq(placing.errors, 0);
        cr_expect_eq(tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE), 0);
        settle(notifier);
    }
    cr_expect_eq(stats().unwatched, 0);
}

/* The reader tries again: what was refused once is watched then. */
static void add_refused(uint32_t flags)
{
    struct placing placing = {.thread = pthread_self()};

    new_with_replay(refuse);
    make_dirs("w/a/b");
    refuse_call(2, EACCES);
    add_options("w", TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE | flags,
                                      .data = &placing, .placed = note_placed));
    cr_expect_eq(placing.errors, 1);
    cr_expect_not(is_watched("w/a"));
    settle(notifier);
    cr_expect(is_watched("w/a/b"));
    cr_expect_eq(stats().unwatched, 0);
}

Test(placing, a_refused_directory_is_tried_again)
{
    add_refused(0);
    EXPECT(&seen, "CREATE|ISDIR w/a:b synthetic");
}

Test(placing, a_refused_directory_whose_contents_were_asked_for)
{
    add_refused(TN_WATCH_EXISTING);
    EXPECT(&seen, "CREATE|ISDIR w:a synthetic", "CREATE|ISDIR w/a:b synthetic");
}

/* Its one event comes, and is committed, while the add is on its way down. */
static int tell_when_placed(const char *path, tn_wd wd, int error, void *data)
{
    (void)wd;
    (void)data;
    cr_expect_eq(error, 0);
    if (strcmp(path, "w/a") == 0) {
        push("w", IN_CREATE, "f");
        cr_expect_eq(tn_notifier_read_events(notifier), 1);
    }
    return 0;
}

Test(placing, a_one_shot_that_is_told_meanwhile)
{
    new_with_replay(NULL);
    make_dirs("w/a/b/c");
    add_options("w", TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_ONESHOT, .flags = TN_WATCH_TREE,
                                      .placed = tell_when_placed));
    settle(notifier);
    EXPECT_SET(&seen, "CREATE w:f", "IGNORED w", "IGNORED w/a");
    cr_expect_eq(tn__replay_watches(source), 0);
    cr_expect_eq(stats().watches, 0);
}

static int stop_when_placed(const char *path, tn_wd wd, int error, void *data)
{
    (void)path;
    (void)wd;
    (void)data;
    cr_expect_eq(error, 0);
    return tn_notifier_stop(notifier, TN_FINISH_DISCARD);
}

Test(placing, a_stop_in_the_middle_of_a_list)
{
    const char *const paths[] = {"a", "b"};
    struct tn_watch_result results[2];

    new_with_replay(NULL);
    make_dir("a");
    make_dir("b");
    start();
    cr_expect_eq(tn_watch_add_list(notifier, paths, 2,
                                   TN_WATCH_OPTIONS(.mask = IN_CREATE, .placed = stop_when_placed),
                                   results),
                 1);
    cr_expect_eq(results[0].error, 0);
    cr_expect_eq(results[1].error, -ESHUTDOWN);
    cr_expect_eq(results[1].wd, -1);
}

Test(placing, lists_that_are_too_long_to_count)
{
    const size_t count = (size_t)INT32_MAX + 1;
    const char *path = "a";
    const tn_wd wd = 1;

    new_with_replay(NULL);
    cr_expect_eq(tn_watch_add_list(notifier, &path, count, TN_WATCH_OPTIONS(.mask = IN_CREATE),
                                   NULL),
                 -EINVAL);
    cr_expect_eq(tn_watch_update_list(notifier, &wd, count, TN_UPDATE_MASK,
                                      TN_WATCH_OPTIONS(.mask = IN_CREATE), NULL),
                 -EINVAL);
    cr_expect_eq(tn_watch_remove_list(notifier, &wd, count, 0, NULL), -EINVAL);
}

Test(placing, a_name_that_is_longer_than_a_path)
{
    static char name[5000];

    new_with_replay(NULL);
    memset(name, 'n', sizeof(name) - 1);
    cr_expect_eq(tn_watch_add(notifier, name, TN_WATCH_OPTIONS(.mask = IN_CREATE), NULL),
                 -ENAMETOOLONG);
    name[0] = '/';
    cr_expect_eq(tn_watch_add(notifier, name, TN_WATCH_OPTIONS(.mask = IN_CREATE), NULL),
                 -ENAMETOOLONG);
}

/* IN_EXCL_UNLINK is the source's only as long as all ask for it. */

static bool excludes(void)
{
    return tn__replay_mask_of(source, key_of("w")) & IN_EXCL_UNLINK;
}

Test(placing, exclusion_of_what_is_unlinked)
{
    const uint32_t mask = IN_MODIFY | IN_EXCL_UNLINK;

    new_with_replay(NULL);
    make_dir("w");
    tn_wd one = add("w", mask, 0);
    cr_expect(excludes());
    tn_wd two = add("w", mask | IN_CREATE, 0);
    cr_expect(excludes());
    cr_expect_eq(tn_watch_update(notifier, one, TN_UPDATE_MASK,
                                 TN_WATCH_OPTIONS(.mask = IN_MODIFY)),
                 0);
    cr_expect_not(excludes());
    cr_expect_eq(tn_watch_update(notifier, one, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = mask)), 0);
    cr_expect(excludes());
    add("w", IN_MODIFY, 0);
    cr_expect_not(excludes());
    cr_expect_eq(tn_watch_remove(notifier, two, 0), 0);
}

/* The third call would lift the exclusion that the first watch stands with. */
Test(placing, an_exclusion_that_can_not_be_lifted)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    new_with_replay(refuse);
    make_dir("w");
    add("w", IN_MODIFY | IN_EXCL_UNLINK, 0);
    refuse_call(3, ENOMEM);
    options.mask = IN_MODIFY;
    cr_expect_eq(tn_watch_add(notifier, "w", &options, NULL), -ENOMEM);
    cr_expect_eq(watch_calls, 3);
    cr_expect_eq(stats().watches, 1);
    add("w", IN_MODIFY, 0);
    cr_expect_not(excludes());
}

/* Updates of a tree whose directories differ, each from the others. */
Test(placing, an_update_of_many_that_differ)
{
    enum { COUNT = 24 };
    static const uint32_t bits[] = {IN_ACCESS, IN_MODIFY, IN_ATTRIB, IN_OPEN, IN_CLOSE_WRITE};

    new_with_replay(NULL);
    for (unsigned i = 0; i < COUNT; i++)
        make_dirs(at("w/%u", i));
    tn_wd wd = add("w", IN_CREATE, TN_WATCH_TREE);
    for (unsigned i = 0; i < COUNT; i++) {
        uint32_t mask = IN_DELETE;
        for (unsigned bit = 0; bit < 5; bit++)
            mask |= i & 1u << bit ? bits[bit] : 0;
        cr_assert_eq(tn_watch_update(notifier, found(at("w/%u", i)), TN_UPDATE_MASK,
                                     TN_WATCH_OPTIONS(.mask = mask)),
                     0);
    }
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_MASK | TN_UPDATE_RECURSIVE,
                                 TN_WATCH_OPTIONS(.mask = IN_MASK_ADD | IN_MOVED_TO)),
                 0);
    cr_expect_eq(info(wd).mask, IN_CREATE | IN_MOVED_TO);
    for (unsigned i = 0; i < COUNT; i++) {
        uint32_t mask = IN_DELETE | IN_MOVED_TO;
        for (unsigned bit = 0; bit < 5; bit++)
            mask |= i & 1u << bit ? bits[bit] : 0;
        cr_expect_eq(info(found(at("w/%u", i))).mask, mask, "%u", i);
    }
}

/* Told, removed, or given by updates: one guard for each as long as it stands, and the reader's. */
Test(placing, guards_of_one_shots_are_given_back)
{
    new_with_replay(NULL);
    make_dir("w");
    for (unsigned i = 0; i < 50; i++) {
        const struct tn_watch_options *once = TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_ONESHOT);
        tn_wd removed = add("w", IN_DELETE | IN_ONESHOT, 0);
        tn_wd updated = add("w", IN_CREATE, 0);
        add_options("w", once);
        cr_assert_eq(tn_watch_update(notifier, updated, TN_UPDATE_MASK, once), 0);
        cr_assert_eq(tn_watch_update(notifier, updated, TN_UPDATE_MASK, once), 0);
        cr_assert_eq(tn__notifier_registry(notifier)->guards_reserved, 4);
        settle(notifier);
        push("w", IN_CREATE, "f");
        cr_assert_eq(tn_watch_remove(notifier, removed, 0), 0);
        settle(notifier);
        cr_assert_eq(stats().watches, 0);
        tn_wd last = add("w", IN_MODIFY, 0); /* gives back what has ended */
        cr_assert_eq(tn__notifier_registry(notifier)->guards_reserved, 1);
        cr_assert_eq(tn_watch_remove(notifier, last, 0), 0);
        settle(notifier);
    }
}

/* The root is opened again for each that comes; a symlink is followed or not as at first. */
Test(placing, a_root_that_is_not_followed)
{
    new_with_replay(NULL);
    make_dir("w");
    add("w", ENTRIES | IN_DONT_FOLLOW, TN_WATCH_TREE);
    make_dir("w/x");
    push("w", IN_CREATE | IN_ISDIR, "x");
    settle(notifier);
    cr_expect(is_watched("w/x"));
    move("w", "elsewhere");
    link_to("elsewhere", "w");
    make_dir("w/y");
    push("elsewhere", IN_CREATE | IN_ISDIR, "y");
    settle(notifier);
    cr_expect_not(is_watched("w/y"), "what stands there is a symlink");
}
