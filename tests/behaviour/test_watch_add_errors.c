/* What tn_watch_add() refuses, and that nothing is left of it; what may not be watched below. */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(watch_add_errors, .init = stage_open, .fini = stage_close, .timeout = 60);

enum { NOBODY = 65534, KEPT_WD = 77 };

/* Becomes a user whom file modes bind; true if it had to. */
static bool become_nobody(void)
{
    if (geteuid() != 0)
        return false;
    cr_assert_eq(seteuid(NOBODY), 0);
    return true;
}

static void become_root(bool was_root)
{
    if (was_root)
        cr_assert_eq(seteuid(0), 0);
}

/* The add fails with the error, places nothing, and leaves ret_wd and release alone. */
static void fails(int error, const char *path, const struct tn_watch_options *options)
{
    static struct released released;
    struct tn_watch_options own = *options;
    uint64_t before = stats().watches;
    tn_wd wd = KEPT_WD;

    own.data = &released;
    own.release = count_release;
    int result = tn_watch_add(notifier, path, &own, &wd);
    cr_assert_eq(result, error, "add %s: %d, not %d", path, result, error);
    cr_assert_eq(wd, KEPT_WD);
    settle(notifier);
    cr_assert_eq(stats().watches, before);
    cr_assert_eq(released.count, 0);
    EXPECT_NONE(&seen);
}

Test(watch_add_errors, bad_masks)
{
    static const uint32_t masks[] = {0,
                                     IN_ONLYDIR,
                                     IN_ONESHOT | IN_EXCL_UNLINK | IN_DONT_FOLLOW,
                                     IN_CREATE | IN_MASK_ADD,
                                     IN_CREATE | IN_MASK_CREATE,
                                     IN_CREATE | 0x00010000u,
                                     IN_CREATE | 0x00001000u};
    stage_start();
    make_dir("d");
    for (size_t i = 0; i < sizeof(masks) / sizeof(*masks); i++)
        fails(-EINVAL, scratch("d"), TN_WATCH_OPTIONS(.mask = masks[i]));
}

Test(watch_add_errors, bad_options)
{
    struct {
        struct tn_watch_options options;
        uint64_t later;
    } longer = {.options = {.size = sizeof(longer), .mask = IN_CREATE}, .later = 1};
    struct tn_watch_options small = {.size = sizeof(size_t), .mask = IN_CREATE};

    stage_start();
    make_dir("d");
    fails(-EINVAL, scratch("d"), TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = 0x8000));
    fails(-EINVAL, scratch("d"),
          TN_WATCH_OPTIONS(.mask = IN_CREATE, .order = (enum tn_order)(TN_ORDER_NONE + 1)));
    cr_assert_eq(tn_watch_add(notifier, scratch("d"), &small, NULL), -EINVAL);
    small.size = 0;
    cr_assert_eq(tn_watch_add(notifier, scratch("d"), &small, NULL), -EINVAL);
    cr_assert_eq(tn_watch_add(notifier, scratch("d"), &longer.options, NULL), -E2BIG);
    cr_assert_eq(stats().watches, 0);
    longer.later = 0;
    cr_assert_eq(tn_watch_add(notifier, scratch("d"), &longer.options, NULL), 0);
}

Test(watch_add_errors, null_arguments)
{
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_CREATE);

    stage_start();
    cr_assert_eq(tn_watch_add(NULL, scratch(""), options, NULL), -EINVAL);
    cr_assert_eq(tn_watch_add(notifier, NULL, options, NULL), -EINVAL);
    cr_assert_eq(tn_watch_add(notifier, scratch(""), NULL, NULL), -EINVAL);
    cr_assert_eq(stats().watches, 0);
}

Test(watch_add_errors, nothing_there)
{
    stage_start();
    make_file("f");
    link_to("nowhere", "dangling");
    fails(-ENOENT, scratch("missing"), TN_WATCH_OPTIONS(.mask = IN_CREATE));
    fails(-ENOENT, scratch("missing/deep"), TN_WATCH_OPTIONS(.mask = IN_CREATE));
    fails(-ENOENT, "", TN_WATCH_OPTIONS(.mask = IN_CREATE));
    fails(-ENOENT, scratch("dangling"), TN_WATCH_OPTIONS(.mask = IN_CREATE));
    fails(-ENOTDIR, scratch("f/below"), TN_WATCH_OPTIONS(.mask = IN_CREATE));
}

Test(watch_add_errors, a_loop_of_links_is_an_error)
{
    stage_start();
    link_to("two", "one");
    link_to("one", "two");
    fails(-ELOOP, scratch("one"), TN_WATCH_OPTIONS(.mask = IN_CREATE));
}

Test(watch_add_errors, an_item_that_may_not_be_read)
{
    stage_start();
    make_dir("d");
    make_file("f");
    change_mode("d", 0);
    change_mode("f", 0);
    change_mode(".", 0755);
    bool was_root = become_nobody();
    fails(-EACCES, scratch("d"), TN_WATCH_OPTIONS(.mask = IN_CREATE));
    fails(-EACCES, scratch("f"), TN_WATCH_OPTIONS(.mask = IN_MODIFY));
    become_root(was_root);
}

Test(watch_add_errors, a_directory_below_that_may_not_be_read_does_not_fail_it)
{
    struct placing placing = {.thread = pthread_self()};

    stage_start();
    make_dirs("d/shut/below");
    make_dir("d/open");
    change_mode("d/shut", 0);
    change_mode("d/open", 0777);
    change_mode(".", 0755);
    bool was_root = become_nobody();
    add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_TREE,
                                               .data = &placing, .placed = note_placed));
    make_file("d/open/f");
    settle(notifier);
    become_root(was_root);
    cr_assert_eq(placing.count, 3);
    cr_assert_eq(placing.errors, 1);
    for (int i = 0; i < 3; i++)
        if (strcmp(placing.paths[i], scratch("d/shut")) == 0)
            cr_assert_eq(placing.wds[i], -EACCES);
    EXPECT_SET(&seen, "CREATE d/open:f", "ISDIR d:shut unwatched Permission denied");
    cr_assert_eq(stats().unwatched, 1);
    cr_assert_eq(stats().watches, 2);
}

Test(watch_add_errors, a_new_directory_that_may_not_be_read_is_an_event)
{
    stage_start();
    make_dir("d");
    change_mode("d", 0777);
    change_mode(".", 0755);
    bool was_root = become_nobody();
    tn_wd wd = add(scratch("d"), IN_CLOSE_WRITE, TN_WATCH_TREE);
    cr_assert_eq(mkdir("d/shut", 0), 0);
    settle(notifier);
    become_root(was_root);
    const struct tn_event *event = recorder_event(&seen, 0);
    cr_assert_eq(event->wd, wd);
    cr_assert_str_eq(event->pathname, scratch("d/shut"));
    cr_assert_eq(event->flags & TN_EVENT_UNWATCHED, TN_EVENT_UNWATCHED);
    cr_assert_eq(event->error, -EACCES);
    cr_assert(tn_event_is_dir(event));
    cr_assert_eq(recorder_count(&seen), 1);
    cr_assert_eq(stats().unwatched, 1);
    cr_assert_eq(stats().watches, 1);
}

/* In a user namespace of its own, whose limit binds nobody else; false: not possible here. */
static bool limit_watches(unsigned count)
{
    static const char limit[] = "/proc/sys/user/max_inotify_watches";
    const int user = (int)geteuid();

    if (unshare(CLONE_NEWUSER) < 0)
        return false;
    int map = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    char line[32];
    int length = snprintf(line, sizeof(line), "0 %d 1", user);
    bool mapped = map >= 0 && write(map, line, (size_t)length) == length;
    if (map >= 0)
        close(map);
    FILE *file = mapped ? fopen(limit, "we") : NULL;
    if (!file)
        return false;
    fprintf(file, "%u", count);
    return fclose(file) == 0;
}

/*
 * Runs body in a child, since only a process of one thread may make a user
 * namespace. False: it could not be made.
 */
static bool run_limited(unsigned count, void (*body)(void))
{
    enum { IMPOSSIBLE = 77 };
    int status;
    pid_t child = fork();

    cr_assert_geq(child, 0);
    if (child == 0) {
        if (!limit_watches(count))
            _exit(IMPOSSIBLE);
        stage_start();
        body();
        notifier = tn_notifier_free(notifier);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == IMPOSSIBLE);
    return WEXITSTATUS(status) == 0;
}

static void use_up_in_an_add(void)
{
    fails(-ENOSPC, scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES, .flags = TN_WATCH_TREE));
    make_file("d/f");
    make_file("d/a/f");
    settle(notifier);
    EXPECT_NONE(&seen);
    /* There is room again. */
    add(scratch("small"), ENTRIES, TN_WATCH_TREE);
    add(scratch("d/x/y"), ENTRIES, TN_WATCH_TREE);
    make_file("small/a/f");
    settle(notifier);
    EXPECT(&seen, "CREATE small/a:f");
}

Test(watch_add_errors, a_used_up_limit_takes_it_back)
{
    make_dirs("d/a/b/c");
    make_dirs("d/x/y/z");
    make_dirs("small/a");
    if (!run_limited(6, use_up_in_an_add))
        SKIP("no user namespace");
}

static void use_up_by_new_directories(void)
{
    add(scratch("d"), IN_CLOSE_WRITE, TN_WATCH_TREE);
    for (int i = 0; i < 6; i++) {
        char path[16];
        snprintf(path, sizeof(path), "d/%d", i);
        make_dir(path);
    }
    settle(notifier);
    struct tn_stats now = stats();
    cr_assert_gt(now.unwatched, 0);
    cr_assert_eq(now.unwatched + now.watches, 7);
    cr_assert_eq(recorder_count(&seen), now.unwatched);
    for (size_t i = 0; i < now.unwatched; i++) {
        cr_assert(recorder_event(&seen, i)->flags & TN_EVENT_UNWATCHED);
        cr_assert_eq(recorder_event(&seen, i)->error, -ENOSPC);
    }
}

Test(watch_add_errors, a_used_up_limit_of_a_new_directory_is_an_event)
{
    make_dir("d");
    if (!run_limited(4, use_up_by_new_directories))
        SKIP("no user namespace");
}

Test(watch_add_errors, a_stopped_notifier_takes_none)
{
    tn_wd wd = KEPT_WD;
    const char *paths[] = {scratch("")};

    stage_start();
    cr_assert_eq(tn_notifier_stop(notifier, TN_FINISH_DRAIN), 0);
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_CREATE);
    cr_assert_eq(tn_watch_add(notifier, paths[0], options, &wd), -ESHUTDOWN);
    cr_assert_eq(tn_watch_add_list(notifier, paths, 1, options, NULL), -ESHUTDOWN);
    cr_assert_eq(tn_watch_add_glob(notifier, paths[0], options, NULL), -ESHUTDOWN);
    cr_assert_eq(wd, KEPT_WD);
    cr_assert_eq(tn_notifier_join(notifier), 0);
    cr_assert_eq(tn_watch_add(notifier, paths[0], options, &wd), -ESHUTDOWN);
}

Test(watch_add_errors, a_forked_child_is_refused)
{
    const char *paths[] = {scratch("")};
    const struct tn_watch_options *options = TN_WATCH_OPTIONS(.mask = IN_CREATE);
    int status;

    stage_start();
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(tn_watch_add(notifier, paths[0], options, NULL) != -ECHILD ||
              tn_watch_add_list(notifier, paths, 1, options, NULL) != -ECHILD ||
              tn_watch_add_glob(notifier, paths[0], options, NULL) != -ECHILD);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
}
