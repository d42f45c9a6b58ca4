/*
 * Names that are followed when records were lost.
 */
#include <errno.h>
#include <sys/inotify.h>

#include "replay_stage.h"

#define ASKED (NAMES | (uint32_t)(IN_MODIFY | IN_CLOSE_WRITE))

static void open_name(void)
{
    open_stage();
    make_dir("w");
    make_file("w/f");
}

TestSuite(follow_gaps, .init = open_name, .fini = close_stage, .timeout = 60);

static void expect_modified(const char *path)
{
    push(path, IN_MODIFY, NULL);
    settle(notifier);
    EXPECT(&seen, at("MODIFY %s", path));
}

static void replace(const char *path)
{
    make_file("w/tmp");
    move("w/tmp", path);
}

static void lose(void)
{
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    settle(notifier);
}

static tn_wd follow_gaps(const char *path, uint32_t flags)
{
    tn_wd wd = add(path, ASKED | IN_Q_OVERFLOW, TN_WATCH_FOLLOW_NAME | flags);

    settle(notifier);
    return wd;
}

Test(follow_gaps, lost_and_nothing_happened)
{
    new_with_replay(NULL);
    tn_wd wd = follow_gaps("w/f", 0);
    lose();
    cr_assert_eq(recorder_count(&seen), 3);
    cr_assert_str_eq(recorder_event(&seen, 1)->path, "w/f");
    recorder_clear(&seen);
    expect_modified("w/f");
    cr_assert_eq(found("w/f"), wd);
}

static void expect_between(const char *const *lines)
{
    size_t count = 0;

    while (lines[count]) {
        cr_assert_eq(recorder_lines(&seen, lines[count]), 1, "%s", lines[count]);
        count++;
    }
    cr_assert_eq(recorder_count(&seen), count + 3);
    recorder_clear(&seen);
}

#define LOST(...) expect_between((const char *const[]){__VA_ARGS__, NULL})

Test(follow_gaps, a_replacement_that_was_lost)
{
    new_with_replay(NULL);
    tn_wd wd = follow_gaps("w/f", 0);
    replace("w/f");
    lose();
    LOST("DELETE_SELF w/f synthetic", "CREATE w/f synthetic", "CLOSE_WRITE w/f synthetic");
    expect_modified("w/f");
    cr_assert_eq(found("w/f"), wd);
    cr_assert_eq(tn__replay_watches(source), 2);
}

Test(follow_gaps, a_deletion_and_a_creation_that_were_lost)
{
    new_with_replay(NULL);
    follow_gaps("w/f", 0);
    remove_file("w/f");
    lose();
    LOST("DELETE_SELF w/f synthetic");
    make_file("w/f");
    lose();
    LOST("CREATE w/f synthetic", "CLOSE_WRITE w/f synthetic");
    expect_modified("w/f");
    cr_assert_eq(tn__replay_watches(source), 2);
}

Test(follow_gaps, lost_before_a_departure)
{
    new_with_replay(NULL);
    follow_gaps("w/f", 0);
    remove_file("w/f");
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    play();
    push("w", IN_DELETE, "f");
    settle(notifier);
    cr_assert_eq(recorder_count_of(&seen, IN_DELETE_SELF), 1);
}

Test(follow_gaps, a_tree_that_was_replaced_unheard)
{
    remove_file("w/f");
    make_dirs("w/f/a");
    make_dirs("new/b");
    new_with_replay(NULL);
    tn_wd wd = follow_gaps("w/f", TN_WATCH_TREE);
    make_dir("w/f/x");
    lose();
    LOST("CREATE|ISDIR w/f:x synthetic");
    move("w/f", "old");
    move("new", "w/f");
    lose();
    LOST("DELETE_SELF w/f synthetic", "IGNORED w/f/a", "IGNORED w/f/x",
         "CREATE|ISDIR w/f synthetic", "CREATE|ISDIR w/f:b synthetic");
    push("w/f/b", IN_CREATE, "y");
    settle(notifier);
    EXPECT(&seen, "CREATE w/f/b:y");
    cr_assert_eq(found("w/f"), wd);
}

Test(follow_gaps, its_directory_is_gone_unheard)
{
    new_with_replay(NULL);
    follow_gaps("w/f", 0);
    uint64_t directory = key_of("w"), file = key_of("w/f");
    remove_tree("w");
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    push_key(directory, IN_IGNORED, 0, NULL);
    push_key(file, IN_IGNORED, 0, NULL);
    settle(notifier);
    cr_assert_eq(recorder_count_of(&seen, IN_IGNORED), 1);
    cr_assert_eq(stats().watches, 0);
}

/* The mark of a healing that reads ahead: after the settle's, the same put again, and that of the
 * end of what is dropped. */
enum { HEAL = 4 };

static void replace_now(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) != HEAL)
        return;
    replace("w/f");
    push("w", IN_MOVED_TO, "f");
}

Test(follow_gaps, replaced_while_it_heals)
{
    new_with_replay(replace_now);
    follow_gaps("w/f", 0);
    atomic_store(&armed, true);
    lose();
    LOST("DELETE_SELF w/f synthetic", "MOVED_TO w/f", "CLOSE_WRITE w/f synthetic");
    expect_modified("w/f");
}

static void delete_now(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) != HEAL)
        return;
    remove_file("w/f");
    push("w", IN_DELETE, "f");
}

Test(follow_gaps, deleted_while_it_heals)
{
    new_with_replay(delete_now);
    follow_gaps("w/f", 0);
    atomic_store(&armed, true);
    lose();
    LOST("DELETE_SELF w/f");
    cr_assert_eq(tn__replay_watches(source), 1);
}

static void lose_now(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) == HEAL)
        push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
}

Test(follow_gaps, lost_again_while_it_heals)
{
    new_with_replay(lose_now);
    follow_gaps("w/f", 0);
    atomic_store(&armed, true);
    replace("w/f");
    lose();
    settle(notifier);
    cr_assert_eq(recorder_lines(&seen, "CREATE w/f synthetic"), 1);
    cr_assert_eq(recorder_lines(&seen, "DELETE_SELF w/f synthetic"), 1);
    recorder_clear(&seen);
    expect_modified("w/f");
}
