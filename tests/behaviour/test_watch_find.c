/* tn_watch_find(), tn_watch_path(), tn_watch_path_dup() and tn_watch_get_info(). */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(watch_find, .init = stage_open, .fini = stage_close, .timeout = 60);
TestSuite(watch_path, .init = stage_open, .fini = stage_close, .timeout = 60);
TestSuite(watch_get_info, .init = stage_open, .fini = stage_close, .timeout = 60);

static void has_path(tn_wd wd, const char *path)
{
    char *got = NULL;
    int result = tn_watch_path_dup(notifier, wd, &got);

    cr_assert_eq(result, 0, "tn_watch_path_dup: %s", tn_strerror(result));
    cr_assert_str_eq(got, path);
    free(got);
}

Test(watch_find, root_and_below)
{
    stage_start();
    make_dirs("d/a/b");
    tn_wd wd = add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    cr_assert_eq(found(scratch("d")), wd);
    cr_assert_neq(found(scratch("d/a")), wd);
    cr_assert_neq(found(scratch("d/a")), found(scratch("d/a/b")));
    has_path(found(scratch("d/a/b")), scratch("d/a/b"));
    cr_assert_not(is_watched(scratch("d/a/c")));
    cr_assert_not(is_watched(scratch("d/a/b/c")));
    cr_assert_not(is_watched(scratch("")));
    cr_assert_not(is_watched(scratch("dd")));
    cr_assert_not(is_watched("/"));
    cr_assert_not(is_watched("d"));
    cr_assert_not(is_watched(""));
}

Test(watch_find, takes_a_path_in_any_spelling)
{
    stage_start();
    make_dirs("d/a/b");
    tn_wd wd = add(scratch("d/"), ENTRIES, TN_WATCH_TREE);
    cr_assert_eq(found(scratch("d/")), wd);
    cr_assert_eq(found(scratch("d//")), wd);
    cr_assert_eq(found(scratch("./d/.")), wd);
    cr_assert_eq(found(scratch("d//a/./b/")), found(scratch("d/a/b")));
}

Test(watch_find, a_file_is_no_directory_on_the_way)
{
    stage_start();
    make_file("f");
    tn_wd wd = add(scratch("f"), IN_MODIFY, 0);
    cr_assert_eq(found(scratch("f")), wd);
    cr_assert_not(is_watched(scratch("f/x")));
}

Test(watch_find, the_oldest_of_several)
{
    stage_start();
    make_dirs("d/a/b");
    tn_wd inner = add(scratch("d/a"), ENTRIES, TN_WATCH_TREE);
    tn_wd outer = add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    tn_wd again = add(scratch("d/a"), ENTRIES, 0);
    cr_assert_eq(found(scratch("d/a")), inner);
    cr_assert_eq(info(found(scratch("d/a/b"))).root, inner);
    cr_assert_eq(tn_watch_remove(notifier, inner, TN_REMOVE_RECURSIVE), 0);
    cr_assert_eq(info(found(scratch("d/a"))).root, outer);
    cr_assert_eq(info(found(scratch("d/a/b"))).root, outer);
    cr_assert_eq(tn_watch_remove(notifier, outer, TN_REMOVE_RECURSIVE), 0);
    cr_assert_eq(found(scratch("d/a")), again);
    cr_assert_not(is_watched(scratch("d/a/b")));
}

Test(watch_find, stands_at_what_was_read)
{
    stage_new(NULL);
    make_dirs("d/a/b");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    tn_wd deep = found(scratch("d/a/b"));
    move("d/a", "d/z");
    cr_assert_eq(found(scratch("d/a/b")), deep);
    cr_assert_not(is_watched(scratch("d/z/b")));
    settle(notifier);
    cr_assert_eq(found(scratch("d/z/b")), deep);
    cr_assert_not(is_watched(scratch("d/a/b")));
    has_path(deep, scratch("d/z/b"));
}

Test(watch_find, relative_and_absolute_are_different_paths)
{
    stage_start();
    make_dirs("d/a");
    add("d", ENTRIES, TN_WATCH_TREE);
    cr_assert(is_watched("d/a"));
    cr_assert_not(is_watched(scratch("d/a")));
}

Test(watch_find, bad_input)
{
    tn_wd wd = 77;
    int status;

    stage_start();
    make_dir("d");
    add(scratch("d"), ENTRIES, 0);
    cr_assert_eq(tn_watch_find(NULL, scratch("d"), &wd), -EINVAL);
    cr_assert_eq(tn_watch_find(notifier, NULL, &wd), -EINVAL);
    cr_assert_eq(tn_watch_find(notifier, scratch("x"), &wd), -ENOENT);
    cr_assert_eq(wd, 77);
    cr_assert_eq(tn_watch_find(notifier, scratch("d"), NULL), 0);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        struct tn_watch_info got = TN_WATCH_INFO_INIT;
        char *path;
        _exit(tn_watch_find(notifier, scratch("d"), &wd) != -ECHILD ||
              tn_watch_path(notifier, 1, NULL, 0) != -ECHILD ||
              tn_watch_path_dup(notifier, 1, &path) != -ECHILD ||
              tn_watch_get_info(notifier, 1, &got) != -ECHILD);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
}

Test(watch_path, is_cut_as_by_snprintf)
{
    char buffer[8] = "xxxxxxx";

    stage_start();
    make_dirs("dir/sub");
    tn_wd wd = add("dir", ENTRIES, TN_WATCH_TREE);
    tn_wd sub = found("dir/sub");
    cr_assert_eq(tn_watch_path(notifier, wd, buffer, sizeof(buffer)), 3);
    cr_assert_str_eq(buffer, "dir");
    cr_assert_eq(tn_watch_path(notifier, sub, buffer, sizeof(buffer)), 7);
    cr_assert_str_eq(buffer, "dir/sub");
    cr_assert_eq(tn_watch_path(notifier, sub, buffer, 5), 7);
    cr_assert_str_eq(buffer, "dir/");
    cr_assert_eq(tn_watch_path(notifier, sub, buffer, 1), 7);
    cr_assert_str_eq(buffer, "");
    buffer[0] = 'x';
    cr_assert_eq(tn_watch_path(notifier, sub, buffer, 0), 7);
    cr_assert_eq(buffer[0], 'x');
    cr_assert_eq(tn_watch_path(notifier, sub, NULL, 0), 7);
}

Test(watch_path, is_kept_as_given_but_for_spelling)
{
    stage_start();
    make_dirs("d/a");
    make_dir("e");
    has_path(add("d//./a/", ENTRIES, 0), "d/a");
    has_path(add("d/../e", ENTRIES, 0), "d/../e");
    has_path(add(".", ENTRIES, 0), ".");
    has_path(add("/", IN_DELETE_SELF, 0), "/");
    has_path(add("//", IN_DELETE_SELF, 0), "/");
    has_path(add(scratch("d/../e//"), ENTRIES, 0), scratch("d/../e"));
}

Test(watch_path, follows_moves)
{
    stage_start();
    make_dirs("d/a/b/c");
    make_dir("d/x");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    tn_wd deep = found(scratch("d/a/b/c"));
    move("d/a", "d/x/y");
    move("d/x", "d/z");
    settle(notifier);
    has_path(deep, scratch("d/z/y/b/c"));
}

Test(watch_path, bad_input)
{
    char buffer[8] = "x";
    char *path = buffer;

    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), ENTRIES, 0);
    cr_assert_eq(tn_watch_path(NULL, wd, buffer, sizeof(buffer)), -EINVAL);
    cr_assert_eq(tn_watch_path(notifier, wd, NULL, 1), -EINVAL);
    cr_assert_eq(tn_watch_path(notifier, wd + 1, buffer, sizeof(buffer)), -ENOENT);
    cr_assert_eq(tn_watch_path(notifier, 0, buffer, sizeof(buffer)), -ENOENT);
    cr_assert_eq(tn_watch_path(notifier, -1, buffer, sizeof(buffer)), -ENOENT);
    cr_assert_eq(tn_watch_path_dup(NULL, wd, &path), -EINVAL);
    cr_assert_eq(tn_watch_path_dup(notifier, wd, NULL), -EINVAL);
    cr_assert_eq(tn_watch_path_dup(notifier, wd + 1, &path), -ENOENT);
    cr_assert_eq(path, buffer);
    cr_assert_eq(buffer[0], 'x');
}

Test(watch_get_info, of_a_root_and_of_one_below)
{
    int data = 0;

    stage_start();
    make_dirs("d/a/b");
    tn_wd wd =
        add_options(scratch("d"), TN_WATCH_OPTIONS(.mask = ENTRIES | IN_EXCL_UNLINK | IN_ONLYDIR,
                                                   .flags = TN_WATCH_TREE, .order = TN_ORDER_PATH,
                                                   .data = &data));
    struct tn_watch_info root = info(wd), below = info(found(scratch("d/a/b")));
    cr_assert_eq(root.size, sizeof(root));
    cr_assert_eq(root.wd, wd);
    cr_assert_eq(root.root, wd);
    cr_assert_eq(root.parent, -1);
    cr_assert_eq(root.mask, ENTRIES | IN_EXCL_UNLINK | IN_ONLYDIR);
    cr_assert_eq(root.flags, TN_WATCH_TREE);
    cr_assert_eq(root.order, TN_ORDER_PATH);
    cr_assert_eq(root.data, &data);
    cr_assert(root.is_dir);
    cr_assert_eq(below.wd, found(scratch("d/a/b")));
    cr_assert_eq(below.root, wd);
    cr_assert_eq(below.parent, found(scratch("d/a")));
    cr_assert_eq(below.data, &data);
    cr_assert(below.is_dir);
}

Test(watch_get_info, the_default_order_is_that_of_a_tree)
{
    stage_start();
    make_dir("d");
    cr_assert_eq(info(add(scratch("d"), ENTRIES, 0)).order, TN_ORDER_TREE);
}

Test(watch_get_info, the_notifiers_order)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.order = TN_ORDER_DIRECTORY;
    stage_new(&options);
    make_dir("d");
    cr_assert_eq(info(add(scratch("d"), ENTRIES, 0)).order, TN_ORDER_DIRECTORY);
}

Test(watch_get_info, parent_follows_moves)
{
    stage_start();
    make_dirs("d/a/b");
    make_dir("d/x");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    tn_wd deep = found(scratch("d/a/b"));
    move("d/a/b", "d/x/b");
    settle(notifier);
    cr_assert_eq(info(deep).parent, found(scratch("d/x")));
}

Test(watch_get_info, fills_no_more_than_the_callers_size)
{
    struct tn_watch_info got = TN_WATCH_INFO_INIT;

    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), ENTRIES, 0);
    memset(&got, 0x5a, sizeof(got));
    got.size = offsetof(struct tn_watch_info, root);
    tn_wd before = got.root;
    cr_assert_eq(tn_watch_get_info(notifier, wd, &got), 0);
    cr_assert_eq(got.wd, wd);
    cr_assert_eq(got.root, before);
    cr_assert_eq(got.size, offsetof(struct tn_watch_info, root));
}

Test(watch_get_info, bad_input)
{
    struct tn_watch_info got = TN_WATCH_INFO_INIT;

    stage_start();
    make_dir("d");
    tn_wd wd = add(scratch("d"), ENTRIES, 0);
    got.wd = 77;
    cr_assert_eq(tn_watch_get_info(NULL, wd, &got), -EINVAL);
    cr_assert_eq(tn_watch_get_info(notifier, wd, NULL), -EINVAL);
    cr_assert_eq(tn_watch_get_info(notifier, wd + 1, &got), -ENOENT);
    cr_assert_eq(tn_watch_get_info(notifier, -1, &got), -ENOENT);
    got.size = 0;
    cr_assert_eq(tn_watch_get_info(notifier, wd, &got), -EINVAL);
    got.size = (size_t)1 << 40;
    cr_assert_eq(tn_watch_get_info(notifier, wd, &got), -E2BIG);
    cr_assert_eq(got.wd, 77);
}
