/*
 * TN_WATCH_EXISTING: what is there at the add is announced once, as the mask
 * asks, and then what happens.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "replay_stage.h"

TestSuite(existing, .init = stage_open, .fini = stage_close);

#define ASKED (ENTRIES | (uint32_t)IN_CLOSE_WRITE)

static void make_tree(void)
{
    make_dirs("t/a/b");
    make_file("t/f");
    write_file("t/a/b/g", "text");
    link_to("a", "t/link");
    cr_assert_eq(mkfifo(scratch("t/fifo"), 0600), 0);
}

/* The place of an IN_CREATE among the events. */
static uint64_t created(const char *name)
{
    for (size_t i = 0; i < recorder_count(&seen); i++) {
        const struct tn_event *event = recorder_event(&seen, i);
        if (event->mask & IN_CREATE && strcmp(event->name, name) == 0)
            return event->sequence;
    }
    cr_assert_fail("%s was not created", name);
    return 0;
}

Test(existing, a_tree_from_the_top_down)
{
    make_tree();
    stage_start();
    add("t", ASKED, TN_WATCH_TREE | TN_WATCH_EXISTING);
    settle(notifier);
    cr_assert_lt(created("a"), created("b"));
    cr_assert_lt(created("b"), created("g"));
    EXPECT_SET(&seen, "CREATE|ISDIR t:a synthetic", "CREATE|ISDIR t/a:b synthetic",
               "CREATE t:f synthetic", "CLOSE_WRITE t:f synthetic", "CREATE t/a/b:g synthetic",
               "CLOSE_WRITE t/a/b:g synthetic", "CREATE t:link synthetic",
               "CREATE t:fifo synthetic");
    make_file("t/a/b/h");
    settle(notifier);
    EXPECT(&seen, "CREATE t/a/b:h", "CLOSE_WRITE t/a/b:h");
}

Test(existing, as_the_mask_asks)
{
    make_tree();
    stage_start();
    add("t", IN_CLOSE_WRITE, TN_WATCH_TREE | TN_WATCH_EXISTING);
    settle(notifier);
    EXPECT_SET(&seen, "CLOSE_WRITE t:f synthetic", "CLOSE_WRITE t/a/b:g synthetic");
    add("t/a", IN_DELETE, TN_WATCH_TREE | TN_WATCH_EXISTING);
    settle(notifier);
    EXPECT_NONE(&seen);
    remove_file("t/a/b/g");
    settle(notifier);
    EXPECT(&seen, "DELETE t/a/b:g");
}

Test(existing, without_recursion_the_directory_alone)
{
    make_tree();
    stage_start();
    add("t/a", ASKED, TN_WATCH_EXISTING);
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR t/a:b synthetic");
    /* What is there is not taken in by an add that takes in what comes. */
    add("t", ASKED, TN_WATCH_AUTO_ADD | TN_WATCH_EXISTING);
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE|ISDIR t:a synthetic"), 1);
    recorder_clear(&seen);
    make_file("t/a/b/h");
    settle(notifier);
    EXPECT_NONE(&seen);
    make_dir("t/new");
    settle(notifier);
    make_file("t/new/i");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR t:new", "CREATE t/new:i", "CLOSE_WRITE t/new:i");
}

Test(existing, recursion_alone_takes_in_nothing_later)
{
    make_tree();
    stage_start();
    add("t", IN_CREATE, TN_WATCH_RECURSIVE | TN_WATCH_EXISTING);
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE t/a/b:g synthetic"), 1);
    cr_assert_eq(recorder_count(&seen), 6);
    recorder_clear(&seen);
    make_dir("t/new");
    settle(notifier);
    make_file("t/new/i");
    make_file("t/a/b/h");
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR t:new", "CREATE t/a/b:h");
}

Test(existing, a_file_is_told_itself)
{
    make_file("f");
    stage_start();
    add("f", IN_CLOSE_WRITE | IN_CREATE, TN_WATCH_EXISTING);
    settle(notifier);
    EXPECT(&seen, "CREATE f synthetic", "CLOSE_WRITE f synthetic");
    write_file("f", "more");
    settle(notifier);
    EXPECT(&seen, "CLOSE_WRITE f");
}

/* Nobody closes it after writing, so it is only there. */
Test(existing, a_fifo_is_told_itself)
{
    cr_assert_eq(mkfifo(scratch("p"), 0600), 0);
    stage_start();
    add("p", ASKED, TN_WATCH_EXISTING);
    settle(notifier);
    EXPECT(&seen, "CREATE p synthetic");
}

Test(existing, to_that_add_alone)
{
    make_tree();
    stage_start();
    tn_wd first = add("t", IN_CREATE, TN_WATCH_TREE);
    tn_wd second = add("t", IN_CREATE, TN_WATCH_TREE | TN_WATCH_EXISTING);
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 6);
    for (size_t i = 0; i < recorder_count(&seen); i++)
        cr_assert_eq(recorder_event(&seen, i)->root, second);
    recorder_clear(&seen);
    make_file("t/a/n");
    settle(notifier);
    EXPECT(&seen, "CREATE t/a:n", "CREATE t/a:n");
    cr_assert_neq(first, second);
}

Test(existing, a_filter_leaves_out)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    make_tree();
    stage_start();
    options.mask = IN_CREATE;
    options.flags = TN_WATCH_TREE | TN_WATCH_EXISTING;
    options.filter = regex_filter("/a$|fifo", 0);
    add_options("t", &options);
    tn_filter_unref(options.filter);
    settle(notifier);
    EXPECT_SET(&seen, "CREATE t:f synthetic", "CREATE t:link synthetic");
}

Test(existing, in_the_caller_s_thread)
{
    make_tree();
    stage_new(NULL);
    add("t", IN_CREATE, TN_WATCH_TREE | TN_WATCH_EXISTING);
    EXPECT_NONE(&seen);
    cr_assert_eq(tn_notifier_check_events(notifier, -1), 1);
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 6);
}

/* What was done before the notifier reads is in the list, and is not told again. */
Test(existing, what_happens_before_it_is_read)
{
    make_tree();
    stage_new(NULL);
    add("t", ENTRIES, TN_WATCH_TREE | TN_WATCH_EXISTING);
    make_file("t/a/b/h");
    move("t/a/b", "t/c");
    remove_file("t/f");
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE t/c:h synthetic") +
                     recorder_lines(&seen, "CREATE t/a/b:h") +
                     recorder_lines(&seen, "CREATE t/a/b:h synthetic"),
                 1);
    cr_assert_eq(recorder_lines(&seen, "CREATE t:f synthetic") +
                     recorder_lines(&seen, "CREATE t:f"),
                 recorder_lines(&seen, "DELETE t:f"));
    recorder_clear(&seen);
    make_file("t/c/i");
    settle(notifier);
    EXPECT(&seen, "CREATE t/c:i");
    cr_assert(is_watched("t/c"));
    cr_assert_not(is_watched("t/a/b"));
}

/* Its children are told although nothing is told of the directory itself any more. */
Test(existing, a_removed_root_leaves_its_children)
{
    make_tree();
    stage_new(NULL);
    tn_wd root = add("t", IN_CREATE, TN_WATCH_TREE | TN_WATCH_EXISTING);
    cr_assert_eq(tn_watch_remove(notifier, root, TN_REMOVE_SYNC), 0);
    settle(notifier);
    EXPECT(&seen, "CREATE|ISDIR t/a:b synthetic", "CREATE t/a/b:g synthetic");
}

Test(existing, removed_before_it_is_told)
{
    make_tree();
    stage_new(NULL);
    tn_wd root = add("t", IN_CREATE, TN_WATCH_TREE | TN_WATCH_EXISTING);
    cr_assert_eq(tn_watch_remove(notifier, root, TN_REMOVE_SYNC | TN_REMOVE_RECURSIVE), 0);
    settle(notifier);
    EXPECT_NONE(&seen);
    cr_assert_eq(stats().watches, 0);
}

Test(existing, one_shot_ends_with_the_first)
{
    static struct released released;
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    make_tree();
    stage_start();
    options.mask = IN_CREATE | IN_ONESHOT;
    options.flags = TN_WATCH_TREE | TN_WATCH_EXISTING;
    options.data = &released;
    options.release = count_release;
    add_options("t", &options);
    settle(notifier);
    size_t count = 0;
    for (size_t i = 0; i < recorder_count(&seen); i++)
        count += recorder_event(&seen, i)->mask & IN_CREATE ? 1 : 0;
    cr_assert_eq(count, 1);
    cr_assert_eq(released.count, 1);
}

/* It moved away before it could be listed: its watch ends, and says so. */
Test(existing, a_root_that_is_gone)
{
    make_tree();
    stage_new(NULL);
    add("t/a/b", IN_CREATE, TN_WATCH_TREE | TN_WATCH_EXISTING);
    move("t/a/b", "elsewhere");
    settle(notifier);
    cr_assert_eq(recorder_count(&seen), 2);
    cr_assert(recorder_event(&seen, 0)->flags & TN_EVENT_UNWATCHED);
    cr_assert_eq(recorder_event(&seen, 0)->error, -ENOENT);
    cr_assert_eq(recorder_event(&seen, 1)->mask, IN_IGNORED);
    cr_assert_eq(stats().unwatched, 1);
    cr_assert_eq(stats().watches, 0);
}

/* Deleted before it could be listed: what was in it is known from the records. */
Test(existing, a_tree_that_is_deleted)
{
    make_dir("t");
    make_file("t/f");
    make_dir("t/a");
    stage_new(NULL);
    add("t", ENTRIES | (uint32_t)IN_DELETE_SELF, TN_WATCH_TREE | TN_WATCH_EXISTING);
    make_file("t/g");
    remove_file("t/g");
    remove_file("t/f");
    remove_dir("t/a");
    remove_dir("t");
    settle(notifier);
    EXPECT_SET(&seen, "CREATE t:f synthetic", "CREATE|ISDIR t:a synthetic", "CREATE t:g",
               "DELETE t:g", "DELETE t:f", "DELETE_SELF t/a", "IGNORED t/a", "DELETE|ISDIR t:a",
               "DELETE_SELF t", "IGNORED t");
}

Test(existing, a_file_that_is_deleted)
{
    make_file("f");
    stage_new(NULL);
    add("f", IN_CREATE | IN_MODIFY | IN_DELETE_SELF, TN_WATCH_EXISTING);
    write_file("f", "text");
    remove_file("f");
    settle(notifier);
    EXPECT(&seen, "CREATE f synthetic", "MODIFY f", "DELETE_SELF f", "IGNORED f");
}

/* Its watch stands on the file, wherever that goes. */
Test(existing, a_file_that_moves)
{
    make_file("f");
    stage_new(NULL);
    add("f", IN_CREATE | IN_MODIFY | IN_MOVE_SELF, TN_WATCH_EXISTING);
    move("f", "g");
    settle(notifier);
    EXPECT(&seen, "CREATE f synthetic", "MOVE_SELF f unknown");
    cr_assert_eq(stats().unwatched, 0);
    cr_assert_eq(stats().watches, 1);
}

/* Told to `placed`, and again in the stream, and counted once. */
Test(existing, what_can_t_be_entered_is_counted_once)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    struct placing placing = {.thread = pthread_self()};

    if (geteuid() != 0)
        SKIP("only root can become another");
    make_dirs("t/secret");
    change_mode(".", 0755);
    change_mode("t/secret", 0);
    cr_assert_eq(seteuid(65534), 0);
    stage_new(NULL);
    options.mask = IN_CREATE;
    options.flags = TN_WATCH_TREE | TN_WATCH_EXISTING;
    options.data = &placing;
    options.placed = note_placed;
    add_options("t", &options);
    settle(notifier);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_eq(placing.errors, 1);
    cr_assert_eq(recorder_count(&seen), 2);
    cr_assert(recorder_event(&seen, 1)->flags & TN_EVENT_UNWATCHED);
    cr_assert_eq(stats().unwatched, 1);
}

static int leave_when_placed(const char *path, tn_wd wd, int error, void *data)
{
    (void)wd;
    (void)error;
    (void)data;
    if (strcmp(path, "t/a") == 0)
        push_key(key_of("t/a"), IN_MOVED_FROM, 7, "f");
    return 0;
}

TestSuite(existing_replayed, .init = open_stage, .fini = close_stage);

/* The listing comes between a departure, which is not told, and its arrival. */
Test(existing_replayed, between_the_halves_of_a_move)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;

    make_dirs("t/a");
    make_file("t/f");
    new_with_replay(NULL);
    options.mask = ENTRIES;
    options.flags = TN_WATCH_TREE | TN_WATCH_EXISTING;
    options.placed = leave_when_placed;
    add_options("t", &options);
    push_key(key_of("t"), IN_MOVED_TO, 7, "f");
    play();
    cr_assert_eq(recorder_lines(&seen, "CREATE t:f synthetic"), 0);
    cr_assert_eq(recorder_lines(&seen, "MOVED_TO t:f"), 1);
    cr_assert_eq(recorder_find(&seen, IN_MOVED_TO)->cookie, 0);
}
