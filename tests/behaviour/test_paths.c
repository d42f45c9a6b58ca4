/* Paths as bytes, of any length, and true at each point of the stream (P3). */
#include "support.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(paths, .init = stage_open, .fini = stage_close, .timeout = 60);

enum { DEEP_NAME = 200, DEEP_LEVELS = 30 };

static void odd_name(const char *name)
{
    char path[NAME_MAX + 8], line[NAME_MAX + 64];

    snprintf(path, sizeof(path), "d/%s", name);
    make_dir(path);
    settle(notifier);
    const struct tn_event *event = recorder_event(&seen, 0);
    cr_assert_str_eq(event->name, name);
    cr_assert_str_eq(event->pathname, scratch(path));
    snprintf(line, sizeof(line), "CREATE|ISDIR d:%s", name);
    EXPECT(&seen, line);
    strcat(path, "/f");
    make_file(path);
    settle(notifier);
    snprintf(line, sizeof(line), "CREATE d/%s:f", name);
    EXPECT(&seen, line);
}

Test(paths, names_are_bytes)
{
    char longest[NAME_MAX + 1];

    stage_start();
    make_dir("d");
    add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    odd_name("with space");
    odd_name("line\nbreak");
    odd_name("tab\tand\x7f");
    odd_name("\xff\xfe invalid \xc3");
    odd_name("\xe2\x82\xac");
    odd_name("-rf");
    odd_name("\\ \" ' % %s * ?");
    odd_name("...");
    odd_name(" ");
    memset(longest, 'x', NAME_MAX);
    longest[NAME_MAX] = '\0';
    odd_name(longest);
    memset(longest, '\xf0', NAME_MAX);
    odd_name(longest);
}

Test(paths, names_of_each_length)
{
    char path[NAME_MAX + 8] = "d/", line[NAME_MAX + 64];

    stage_start();
    make_dir("d");
    add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    for (size_t length = 1; length <= 40; length++) {
        memset(path + 2, 'a', length);
        path[2 + length] = '\0';
        make_dir(path);
    }
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 40);
    recorder_clear(&seen);
    for (size_t length = 1; length <= 40; length++) {
        memset(path + 2, 'a', length);
        strcpy(path + 2 + length, "/f");
        make_file(path);
        settle(notifier);
        path[2 + length] = '\0';
        snprintf(line, sizeof(line), "CREATE %s:f", path);
        EXPECT(&seen, line);
    }
}

Test(paths, roots_with_odd_names)
{
    stage_start();
    make_dirs("line\nbreak/\xff/x");
    tn_wd wd = add(scratch("line\nbreak/\xff"), IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(found(scratch("line\nbreak/\xff")), wd);
    make_file("line\nbreak/\xff/x/f");
    settle(notifier);
    EXPECT(&seen, "CREATE line\nbreak/\xff/x:f");
}

/* Goes down by steps and ends there, since the whole path is too long for the kernel. */
static void go_deep(const char *from, bool make)
{
    char name[DEEP_NAME + 1];

    memset(name, 'n', DEEP_NAME);
    name[DEEP_NAME] = '\0';
    cr_assert_eq(chdir(from), 0);
    for (int i = 0; i < DEEP_LEVELS; i++) {
        if (make)
            make_dir(name);
        cr_assert_eq(chdir(name), 0);
    }
}

static const struct tn_event *deep_file(const char *name)
{
    make_file(name);
    settle(notifier);
    const struct tn_event *event = recorder_event(&seen, recorder_count(&seen) - 1);
    size_t length = strlen(scratch("d")) + DEEP_LEVELS * (DEEP_NAME + 1);
    cr_assert_str_eq(event->name, name);
    cr_assert_eq(strlen(event->path), length);
    cr_assert_gt(length, PATH_MAX);
    cr_assert_eq(strlen(event->pathname), length + 1 + strlen(name));
    cr_assert_eq(strncmp(event->path, scratch("d/nnnn"), strlen(scratch("d/nnnn"))), 0);
    return event;
}

Test(paths, beyond_path_max_that_is_there)
{
    stage_start();
    make_dir("d");
    go_deep(scratch("d"), true);
    tn_wd wd = add(scratch("d"), IN_CREATE | IN_DELETE, TN_WATCH_TREE);
    cr_assert_eq(stats().watches, DEEP_LEVELS + 1);
    const struct tn_event *event = deep_file("f");
    char *path = NULL;
    cr_assert_eq(tn_watch_path_dup(notifier, event->wd, &path), 0);
    cr_assert_str_eq(path, event->path);
    cr_assert_eq(found(path), event->wd);
    cr_assert_eq(tn_watch_path(notifier, event->wd, NULL, 0), (ssize_t)strlen(path));
    free(path);
    cr_assert_eq(tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE), 0);
    settle(notifier);
    cr_assert_eq(stats().watches, 0);
}

Test(paths, beyond_path_max_that_comes)
{
    stage_start();
    make_dir("d");
    add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    go_deep(scratch("d"), true);
    settle(notifier);
    cr_assert_eq(stats().watches, DEEP_LEVELS + 1);
    cr_assert_eq(recorder_count(&seen), DEEP_LEVELS);
    recorder_clear(&seen);
    deep_file("f");
    make_dir("g");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    cr_assert_eq(stats().watches, DEEP_LEVELS + 2);
}

Test(paths, beyond_path_max_updates_and_moves)
{
    stage_start();
    make_dir("d");
    go_deep(scratch("d"), true);
    make_dirs("a/b");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    move("a", "z");
    make_file("z/b/f");
    settle(notifier);
    const struct tn_event *event = recorder_event(&seen, 2);
    cr_assert_not_null(strstr(event->path, "/z/b"));
    cr_assert_eq(recorder_count(&seen), 3);
    cr_assert_eq(tn_watch_update(notifier, event->wd, TN_UPDATE_MASK,
                                 TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE)),
                 0);
    recorder_clear(&seen);
    make_file("z/b/g");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 1);
    cr_assert_eq(recorder_event(&seen, 0)->mask, IN_CLOSE_WRITE);
}

Test(paths, a_root_beyond_path_max_is_relative_or_an_error)
{
    stage_start();
    make_dir("d");
    go_deep(scratch("d"), true);
    char *whole = malloc(DEEP_LEVELS * (DEEP_NAME + 1) + PATH_MAX);
    cr_assert_not_null(whole);
    strcpy(whole, scratch("d"));
    for (size_t i = 0, end = strlen(whole); i < DEEP_LEVELS; i++, end += DEEP_NAME + 1) {
        whole[end] = '/';
        memset(whole + end + 1, 'n', DEEP_NAME);
        whole[end + 1 + DEEP_NAME] = '\0';
    }
    make_dir("here");
    add("here", IN_CREATE, TN_WATCH_TREE);
    make_file("here/f");
    settle(notifier);
    cr_assert_str_eq(recorder_event(&seen, 0)->pathname, "here/f");
    recorder_clear(&seen);
    int result = tn_watch_add(notifier, whole, TN_WATCH_OPTIONS(.mask = IN_CREATE), NULL);
    cr_assert(result == 0 || result == -ENAMETOOLONG, "%d", result);
    if (result == 0) {
        make_file("f");
        settle(notifier);
        cr_assert_str_eq(recorder_event(&seen, 0)->path, whole);
    }
    free(whole);
}

Test(paths, a_relative_root_stays_relative)
{
    stage_start();
    make_dirs("d/a");
    make_dir("elsewhere");
    tn_wd wd = add("d", IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(chdir("elsewhere"), 0);
    make_dirs("d/a");
    make_file(scratch("d/a/f"));
    make_dirs(scratch("d/new/deep"));
    settle(notifier);
    make_file(scratch("d/new/deep/f"));
    make_file("d/a/f");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 4);
    cr_assert_str_eq(recorder_event(&seen, 0)->path, "d/a");
    cr_assert_str_eq(recorder_event(&seen, 0)->pathname, "d/a/f");
    cr_assert_str_eq(recorder_event(&seen, 3)->pathname, "d/new/deep/f");
    cr_assert_eq(found("d"), wd);
    cr_assert_eq(tn_watch_update(notifier, found("d/new"), TN_UPDATE_MASK,
                                 TN_WATCH_OPTIONS(.mask = IN_CLOSE_WRITE)),
                 0);
    recorder_clear(&seen);
    make_file(scratch("d/new/f"));
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 1);
    cr_assert_eq(recorder_event(&seen, 0)->mask, IN_CLOSE_WRITE);
}

Test(paths, the_working_directory_as_a_root)
{
    stage_start();
    make_dir("a");
    make_dir("elsewhere");
    add(".", IN_CREATE, TN_WATCH_TREE);
    cr_assert_eq(chdir("elsewhere"), 0);
    make_file(scratch("f"));
    make_file(scratch("a/f"));
    settle(notifier);
    cr_assert_str_eq(recorder_event(&seen, 0)->pathname, "./f");
    cr_assert_str_eq(recorder_event(&seen, 1)->pathname, "./a/f");
}

Test(paths, the_spelling_of_a_root)
{
    stage_start();
    make_dirs("d/a");
    add(scratch(".//d/./a//"), IN_CREATE, 0);
    make_file("d/a/f");
    settle(notifier);
    cr_assert_str_eq(recorder_event(&seen, 0)->path, scratch("d/a"));
    cr_assert_str_eq(recorder_event(&seen, 0)->pathname, scratch("d/a/f"));
    recorder_clear(&seen);
    add("d/../d/a", IN_DELETE, 0);
    remove_file("d/a/f");
    settle(notifier);
    cr_assert_str_eq(recorder_event(&seen, 0)->pathname, "d/../d/a/f");
}

Test(paths, the_root_directory_joins_without_a_second_slash)
{
    char name[64];

    stage_start();
    snprintf(name, sizeof(name), "/tnotify-test-%d", (int)getpid());
    if (mkdir(name, 0700) < 0) {
        SKIP("/ may not be written to");
    }
    rmdir(name);
    add("///", IN_CREATE | IN_DELETE, TN_WATCH_AUTO_ADD);
    make_dir(name);
    settle(notifier);
    char path[80];
    snprintf(path, sizeof(path), "%s/f", name);
    make_file(path);
    settle(notifier);
    remove_file(path);
    remove_dir(name);
    bool made = false, below = false;
    for (size_t i = 0; i < recorder_count(&seen); i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        cr_assert_neq(event->pathname[1], '/');
        made = made || (strcmp(event->pathname, name) == 0 && strcmp(event->path, "/") == 0 &&
                        strcmp(event->name, name + 1) == 0);
        below = below || (strcmp(event->pathname, path) == 0 && strcmp(event->path, name) == 0);
    }
    cr_assert(made);
    cr_assert(below);
}

/* P3 */
Test(paths, deep_descendants_of_a_moved_directory)
{
    stage_start();
    make_dirs("d/a/b/c/e");
    make_dir("d/x");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    tn_wd deep = found(scratch("d/a/b/c/e"));
    make_file("d/a/b/c/e/1");
    move("d/a", "d/z");
    make_file("d/z/b/c/e/2");
    move("d/z", "d/x/y");
    make_file("d/x/y/b/c/e/3");
    move("d/x/y/b/c", "d/c");
    make_file("d/c/e/4");
    settle(notifier);
    cr_assert_eq(recorder_find(&seen, IN_CREATE)->wd, deep);
    EXPECT(&seen, "CREATE d/a/b/c/e:1", "MOVED_FROM|ISDIR d:a", "MOVED_TO|ISDIR d:z <- d/a",
           "CREATE d/z/b/c/e:2", "MOVED_FROM|ISDIR d:z", "MOVED_TO|ISDIR d/x:y <- d/z",
           "CREATE d/x/y/b/c/e:3", "MOVED_FROM|ISDIR d/x/y/b:c", "MOVED_TO|ISDIR d:c <- d/x/y/b/c",
           "CREATE d/c/e:4");
    cr_assert_eq(found(scratch("d/c/e")), deep);
    cr_assert_eq(stats().watches, 6);
}

/* P3: the reader is far ahead, nothing is processed until all was read. */
Test(paths, are_those_of_their_point_of_the_stream)
{
    stage_new(NULL);
    make_dirs("d/a/b");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    make_file("d/a/b/1");
    move("d/a", "d/z");
    make_file("d/z/b/2");
    move("d/z", "d/a");
    make_file("d/a/b/3");
    while (tn_notifier_read_events(notifier) > 0)
        ;
    cr_assert_gt(tn_notifier_process_events(notifier), 0);
    EXPECT(&seen, "CREATE d/a/b:1", "MOVED_FROM|ISDIR d:a", "MOVED_TO|ISDIR d:z <- d/a",
           "CREATE d/z/b:2", "MOVED_FROM|ISDIR d:z", "MOVED_TO|ISDIR d:a <- d/z", "CREATE d/a/b:3");
}

Test(paths, a_moved_root_keeps_its_last_path)
{
    stage_start();
    make_dirs("d/a");
    tn_wd wd = add(scratch("d"), IN_CREATE | IN_MOVE_SELF, TN_WATCH_TREE);
    move("d", "e");
    make_file("e/f");
    make_file("e/a/f");
    settle(notifier);
    EXPECT(&seen, "MOVE_SELF d unknown", "CREATE d:f unknown", "CREATE d/a:f unknown");
    cr_assert_eq(found(scratch("d")), wd);
    /* Where the root is now is not known, so it can't be opened there. */
    make_dir("e/new");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR d:new unknown",
           "ISDIR d:new unknown unwatched No such file or directory");
    cr_assert_eq(tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE), 0);
    settle(notifier);
    EXPECT_SET(&seen, "IGNORED d unknown", "IGNORED d/a unknown");
}

Test(paths, a_moved_root_without_the_mask_for_it)
{
    stage_start();
    make_dirs("d/a");
    add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    move("d", "e");
    make_file("e/a/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d/a:f unknown");
}

Test(paths, a_root_inside_a_tree_of_another_add)
{
    stage_start();
    make_dirs("d/a/b");
    tn_wd outer = add(scratch("d"), IN_CREATE, TN_WATCH_TREE);
    tn_wd inner = add(scratch("d/a"), IN_CREATE, TN_WATCH_TREE);
    move("d/a", "d/z");
    make_file("d/z/b/f");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    for (size_t i = 0; i < 2; i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        if (event->root == outer)
            cr_assert_str_eq(event->pathname, scratch("d/z/b/f"));
        else
            cr_assert_str_eq(event->pathname, scratch("d/a/b/f"));
        cr_assert_eq(!(event->flags & TN_EVENT_PATH_UNKNOWN), event->root == outer);
    }
    cr_assert_eq(recorder_lines(&seen, "CREATE d/a/b:f unknown"), 1);
    cr_assert_eq(info(inner).root, inner);
}

Test(paths, a_subtree_that_moves_out_ends)
{
    static struct released released;

    stage_start();
    make_dirs("d/a/b");
    add_options(scratch("d"),
                TN_WATCH_OPTIONS(.mask = ENTRIES | IN_MOVE_SELF, .flags = TN_WATCH_TREE,
                                 .data = &released, .release = count_release));
    move("d/a", "out");
    settle(notifier);
    EXPECT_SET(&seen, "MOVED_FROM|ISDIR d:a", "MOVE_SELF d/a unknown", "IGNORED d/a unknown",
               "IGNORED d/a/b unknown");
    make_file("out/f");
    make_file("out/b/f");
    settle(notifier);
    EXPECT_NONE(&seen);
    cr_assert_eq(stats().watches, 1);
    move("out", "d/back");
    settle(notifier);
    EXPECT_SET(&seen, "MOVED_TO|ISDIR d:back", "CREATE d/back:f synthetic",
               "CREATE|ISDIR d/back:b synthetic", "CREATE d/back/b:f synthetic");
    cr_assert_eq(stats().watches, 3);
    cr_assert_eq(released.count, 0);
}

Test(paths, a_move_from_one_tree_to_another)
{
    stage_start();
    make_dirs("d/a/b");
    make_dir("e");
    tn_wd one = add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    tn_wd two = add(scratch("e"), ENTRIES, TN_WATCH_TREE);
    move("d/a", "e/z");
    make_file("e/z/b/f");
    settle(notifier);
    cr_assert_eq(info(found(scratch("e/z/b"))).root, two);
    cr_assert_not(is_watched(scratch("d/a")));
    cr_assert_not(is_watched(scratch("d/a/b")));
    cr_assert_eq(recorder_lines(&seen, "MOVED_FROM|ISDIR d:a"), 1);
    cr_assert_eq(recorder_lines(&seen, "IGNORED d/a unknown"), 1);
    cr_assert_eq(recorder_lines(&seen, "IGNORED d/a/b unknown"), 1);
    size_t arrived = 0, files = 0;
    for (size_t i = 0; i < recorder_count(&seen); i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        arrived += event->root == two && strcmp(event->pathname, scratch("e/z")) == 0;
        files += strcmp(event->pathname, scratch("e/z/b/f")) == 0;
        cr_assert(event->root == one || event->root == two);
    }
    cr_assert_eq(arrived, 1);
    cr_assert_eq(files, 1);
    recorder_clear(&seen);
    make_file("e/z/b/g");
    settle(notifier);
    EXPECT(&seen, "CREATE e/z/b:g");
    cr_assert_eq(stats().watches, 4);
}

Test(paths, a_moved_directory_that_is_made_again)
{
    stage_start();
    make_dirs("d/a/b");
    add(scratch("d"), ENTRIES, TN_WATCH_TREE);
    tn_wd old = found(scratch("d/a"));
    move("d/a", "d/z");
    make_dirs("d/a/b");
    settle(notifier);
    recorder_clear(&seen);
    make_file("d/a/b/f");
    make_file("d/z/b/f");
    settle(notifier);
    EXPECT(&seen, "CREATE d/a/b:f", "CREATE d/z/b:f");
    cr_assert_eq(found(scratch("d/z")), old);
    cr_assert_eq(stats().watches, 5);
}
