/* What a healing's walk does not see, because it moves meanwhile. */
#include <sys/inotify.h>
#include <tnotify/tnotify.h>

#include "replay_stage.h"

TestSuite(gap_walk, .init = open_stage, .fini = close_stage, .timeout = 60);

static unsigned walks; /* the number of its mark; before it the settle's, with a snapshot two */

/* Until then it stood where the walk does not look. */
static void come_back(void *context, enum tn__replay_call call)
{
    (void)context;
    if (mark_number(call) == walks)
        move("out", "w/b/a");
}

static void miss(uint32_t flags)
{
    walks = flags & TN_WATCH_SNAPSHOT ? 3 : 2;
    make_dirs("w/a/deep");
    make_dir("w/b");
    new_with_replay(come_back);
    add("w", ENTRIES, TN_WATCH_TREE | flags);
    settle(notifier);
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    make_dirs("w/a/new/in");
    make_file("w/a/file");
    move("w/a", "out");
    push_key(key_of("w"), IN_MOVED_FROM | IN_ISDIR, 7, "a");
    push_key(key_of("w/b"), IN_MOVED_TO | IN_ISDIR, 7, "a");
    push_key(tn__replay_key_of(source, "out"), IN_MOVE_SELF, 0, NULL);
    atomic_store(&armed, true);
    settle(notifier);
}

static void expect_whole(void)
{
    static const char *const directories[] = {"w/b/a", "w/b/a/deep", "w/b/a/new", "w/b/a/new/in"};

    for (size_t i = 0; i < 4; i++) {
        push(directories[i], IN_CREATE, "probe");
        settle(notifier);
        EXPECT(&seen, at("CREATE %s:probe", directories[i]));
    }
}

Test(gap_walk, a_directory_that_moves)
{
    miss(0);
    EXPECT(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w/b:a <- w/a",
           "CREATE|ISDIR w/b/a:new synthetic", "CREATE|ISDIR w/b/a/new:in synthetic");
    expect_whole();
}

Test(gap_walk, a_directory_with_a_snapshot_that_moves)
{
    miss(TN_WATCH_SNAPSHOT);
    EXPECT_SET(&seen, "Q_OVERFLOW -", "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w/b:a <- w/a",
               "CREATE|ISDIR w/b/a:new synthetic", "CREATE|ISDIR w/b/a/new:in synthetic",
               "CREATE w/b/a:file synthetic");
    expect_whole();
}

/* What it held went before it did, in the gap. */
Test(gap_walk, a_directory_that_moves_and_is_deleted)
{
    walks = 0;
    make_dirs("w/a/deep");
    make_dir("w/b");
    new_with_replay(NULL);
    add("w", ENTRIES, TN_WATCH_TREE);
    settle(notifier);
    push_key(TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL);
    cr_assert_eq(tn_notifier_read_events(notifier), 1);
    push_key(key_of("w"), IN_MOVED_FROM | IN_ISDIR, 7, "a");
    push_key(key_of("w/b"), IN_MOVED_TO | IN_ISDIR, 7, "a");
    push_key(key_of("w/a"), IN_MOVE_SELF, 0, NULL);
    push_key(key_of("w/a"), IN_IGNORED, 0, NULL);
    push_key(key_of("w/b"), IN_DELETE | IN_ISDIR, 0, "a");
    remove_tree("w/a");
    settle(notifier);
    EXPECT(&seen, "Q_OVERFLOW -", "DELETE|ISDIR w/a:deep synthetic", "IGNORED w/a/deep",
           "MOVED_FROM|ISDIR w:a", "MOVED_TO|ISDIR w/b:a <- w/a", "IGNORED w/b/a",
           "DELETE|ISDIR w/b:a");
}
