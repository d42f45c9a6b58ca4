/* What the tests of names that are followed share. */
#ifndef TN_TESTS_BEHAVIOUR_FOLLOW_STAGE_H
#define TN_TESTS_BEHAVIOUR_FOLLOW_STAGE_H

#include <criterion/criterion.h>
#include <sys/inotify.h>

#include "support.h"

#define ASKED (NAMES | (uint32_t)(IN_MODIFY | IN_CLOSE_WRITE))

static inline void open_follow(void)
{
    stage_open();
    make_dir("w");
}

static inline tn_wd follow(const char *path)
{
    return add(path, ASKED, TN_WATCH_FOLLOW_NAME);
}

/* That the item is watched: a write is told, once. */
static inline void expect_written(const char *path)
{
    append(path, "more");
    settle(notifier);
    EXPECT(&seen, at("MODIFY %s", path), at("CLOSE_WRITE %s", path));
}

static inline void make_tree(const char *top, const char *file)
{
    make_dirs(at("%s/a/b", top));
    make_file(at("%s/a/b/%s", top, file));
}

#endif
