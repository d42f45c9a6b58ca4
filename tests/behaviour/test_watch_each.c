/* tn_watch_each(). */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(watch_each, .init = stage_open, .fini = stage_close, .timeout = 60);

enum { MOST = 64 };

struct visited {
    size_t count, end_at;
    char paths[MOST][256];
    tn_wd wds[MOST];
};

static int note(tn_wd wd, const char *path, void *userdata)
{
    struct visited *visited = userdata;

    cr_assert_lt(visited->count, MOST);
    for (size_t i = 0; i < visited->count; i++)
        cr_assert_neq(visited->wds[i], wd, "visited twice: %s", path);
    visited->wds[visited->count] = wd;
    snprintf(visited->paths[visited->count++], sizeof(*visited->paths), "%s", path);
    return visited->count == visited->end_at ? 42 : 0;
}

static bool was_visited(const struct visited *visited, const char *path)
{
    for (size_t i = 0; i < visited->count; i++)
        if (strcmp(visited->paths[i], path) == 0)
            return true;
    return false;
}

static struct visited visit(const char *path)
{
    struct visited visited = {0};

    cr_assert_eq(tn_watch_each(notifier, path, note, &visited), 0);
    return visited;
}

static void make_trees(void)
{
    stage_start();
    make_dirs("d/a/b");
    make_dirs("d/ab/c");
    make_file("f");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    add(scratch("f"), IN_MODIFY, 0);
    add(scratch("d/a"), IN_DELETE, 0);
}

Test(watch_each, none)
{
    stage_start();
    cr_assert_eq(visit(NULL).count, 0);
    cr_assert_eq(visit("/nowhere").count, 0);
}

Test(watch_each, all)
{
    make_trees();
    struct visited visited = visit(NULL);
    cr_assert_eq(visited.count, 7);
    cr_assert(was_visited(&visited, scratch("d")));
    cr_assert(was_visited(&visited, scratch("d/a")));
    cr_assert(was_visited(&visited, scratch("d/a/b")));
    cr_assert(was_visited(&visited, scratch("d/ab")));
    cr_assert(was_visited(&visited, scratch("d/ab/c")));
    cr_assert(was_visited(&visited, scratch("f")));
    for (size_t i = 0; i < visited.count; i++) {
        char *path = NULL;
        cr_assert_eq(tn_watch_path_dup(notifier, visited.wds[i], &path), 0);
        cr_assert_str_eq(path, visited.paths[i]);
        free(path);
    }
}

Test(watch_each, on_and_below_a_path)
{
    make_trees();
    struct visited visited = visit(scratch("d/a"));
    cr_assert_eq(visited.count, 3);
    cr_assert(was_visited(&visited, scratch("d/a")));
    cr_assert(was_visited(&visited, scratch("d/a/b")));
    cr_assert_eq(visit(scratch("d/a//")).count, 3);
    cr_assert_eq(visit(scratch("f")).count, 1);
    cr_assert_eq(visit(scratch("d")).count, 6);
    cr_assert_eq(visit(scratch("")).count, 7);
    cr_assert_eq(visit("/").count, 7);
    cr_assert_eq(visit(scratch("d/x")).count, 0);
}

Test(watch_each, has_the_paths_after_a_move)
{
    make_trees();
    move("d/a", "d/ab/z");
    settle(notifier);
    struct visited visited = visit(scratch("d/ab"));
    cr_assert(was_visited(&visited, scratch("d/ab/z")));
    cr_assert(was_visited(&visited, scratch("d/ab/z/b")));
    cr_assert(was_visited(&visited, scratch("d/ab/c")));
    cr_assert_eq(visited.count, 4);
}

Test(watch_each, a_result_ends_it)
{
    struct visited visited = {.end_at = 3};

    make_trees();
    cr_assert_eq(tn_watch_each(notifier, NULL, note, &visited), 42);
    cr_assert_eq(visited.count, 3);
}

static int remove_it(tn_wd wd, const char *path, void *userdata)
{
    size_t *count = userdata;

    (void)path;
    ++*count;
    return tn_watch_remove(notifier, wd, TN_REMOVE_SYNC);
}

Test(watch_each, visit_may_remove)
{
    size_t count = 0;

    make_trees();
    cr_assert_eq(tn_watch_each(notifier, NULL, remove_it, &count), 0);
    cr_assert_eq(count, 7);
    cr_assert_eq(visit(NULL).count, 0);
    settle(notifier);
    cr_assert_eq(stats().watches, 0);
    EXPECT_NONE(&seen);
}

static int remove_below(tn_wd wd, const char *path, void *userdata)
{
    size_t *count = userdata;

    (void)path;
    ++*count;
    return tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE);
}

Test(watch_each, what_has_gone_meanwhile_is_not_visited)
{
    size_t count = 0;

    stage_start();
    make_dirs("d/a/b/c");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    cr_assert_eq(tn_watch_each(notifier, NULL, remove_below, &count), 0);
    cr_assert_eq(count, 1);
}

static int update_it(tn_wd wd, const char *path, void *userdata)
{
    (void)path;
    (void)userdata;
    return tn_watch_update(notifier, wd, TN_UPDATE_MASK, TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE));
}

Test(watch_each, visit_may_update)
{
    make_trees();
    cr_assert_eq(tn_watch_each(notifier, scratch("d/ab"), update_it, NULL), 0);
    make_file("d/ab/c/f");
    make_file("d/a/b/f");
    settle(notifier);
    EXPECT(&seen, "CLOSE_WRITE d/ab/c:f", "CREATE d/a/b:f");
}

static int settle_it(tn_wd wd, const char *path, void *userdata)
{
    (void)wd;
    (void)path;
    (void)userdata;
    return tn_notifier_settle(notifier, 60000);
}

Test(watch_each, a_path_is_no_prefix_of_another)
{
    struct visited visited = {0};

    make_dir("x");
    make_dir("xy");
    stage_new(NULL);
    add("x", IN_CREATE, 0);
    add("xy", IN_CREATE, 0);
    cr_assert_eq(tn_watch_each(notifier, "x", note, &visited), 0);
    cr_assert_eq(visited.count, 1);
}

Test(watch_each, holds_no_lock_during_the_visit)
{
    make_trees();
    make_dir("d/new");
    cr_assert_eq(tn_watch_each(notifier, NULL, settle_it, NULL), 0);
}

Test(watch_each, bad_input)
{
    struct visited visited = {0};
    int status;

    make_trees();
    cr_assert_eq(tn_watch_each(NULL, NULL, note, &visited), -EINVAL);
    cr_assert_eq(tn_watch_each(notifier, NULL, NULL, NULL), -EINVAL);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0)
        _exit(tn_watch_each(notifier, NULL, note, &visited) != -ECHILD);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
    cr_assert_eq(visited.count, 0);
}
