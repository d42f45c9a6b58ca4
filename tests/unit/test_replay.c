/* The source that tests write: source/replay.c. */
#include "source/replay.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reader/decode.h"

static struct tn__source *source;
static char directory[] = "/tmp/tn-replay-XXXXXX";
_Alignas(8) static char buffer[4096];
static size_t filled, offset;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
    cr_assert_eq(tn__source_new_replay(&source), 0);
}

static void tear_down(void)
{
    char command[64];

    source->ops->close(source);
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(replay, .init = set_up, .fini = tear_down);

static bool is_ready(void)
{
    struct pollfd poll_fd = {.fd = source->ops->fd(source), .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

/* The next record; fails the test when there is none. */
static struct tn__raw next(void)
{
    struct tn__raw raw = {0};

    if (offset == filled) {
        ssize_t got = source->ops->read(source, buffer, sizeof(buffer));
        cr_assert_gt(got, 0);
        filled = (size_t)got;
        offset = 0;
    }
    cr_assert_eq(tn__decode(buffer, filled, &offset, &raw), 1);
    return raw;
}

static void assert_empty(void)
{
    cr_assert_eq(offset, filled);
    cr_assert_eq(source->ops->read(source, buffer, sizeof(buffer)), -EAGAIN);
    cr_assert_not(is_ready());
}

static uint64_t watch(const char *path, uint32_t mask)
{
    uint64_t key = 0;

    cr_assert_eq(source->ops->watch(source, AT_FDCWD, path, mask, &key), 0);
    return key;
}

Test(replay, records_come_as_they_were_pushed)
{
    char longest[NAME_MAX + 1] = {0};
    struct tn__raw raw;

    memset(longest, 'n', NAME_MAX);
    assert_empty();
    cr_assert_eq(tn__replay_push(source, 1, IN_CREATE | IN_ISDIR, 0, "a\nb"), 0);
    cr_assert_eq(tn__replay_push(source, 2, IN_MOVED_TO, 77, longest), 0);
    cr_assert_eq(tn__replay_push(source, TN__REPLAY_NO_KEY, IN_Q_OVERFLOW, 0, NULL), 0);
    cr_assert(is_ready());

    raw = next();
    cr_assert_eq(raw.key, 1);
    cr_assert_eq(raw.mask, IN_CREATE | IN_ISDIR);
    cr_assert_str_eq(raw.name, "a\nb");
    raw = next();
    cr_assert_eq(raw.cookie, 77);
    cr_assert_str_eq(raw.name, longest);
    cr_assert_eq(next().key, UINT64_MAX);
    assert_empty();
}

/* The layout is the kernel's: names padded to 16 bytes, with at least one NUL. */
Test(replay, names_are_padded_as_by_the_kernel)
{
    static const struct {
        const char *name;
        ssize_t size;
    } cases[] = {{NULL, 16}, {"x", 32}, {"0123456789abcde", 32}, {"0123456789abcdef", 48}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_assert_eq(tn__replay_push(source, 1, IN_CREATE, 0, cases[i].name), 0);
        cr_assert_eq(source->ops->read(source, buffer, sizeof(buffer)), cases[i].size);
    }
}

Test(replay, a_read_gives_whole_records)
{
    cr_assert_eq(tn__replay_push(source, 1, IN_CREATE, 0, "x"), 0);
    cr_assert_eq(tn__replay_push(source, 1, IN_CREATE, 0, "y"), 0);
    cr_assert_eq(source->ops->read(source, buffer, 31), -EINVAL);
    cr_assert_eq(source->ops->read(source, buffer, 63), 32);
    cr_assert(is_ready());
    cr_assert_eq(source->ops->read(source, buffer, 63), 32);
    assert_empty();
}

Test(replay, ends_once_drained)
{
    cr_assert_eq(tn__replay_push(source, 1, IN_CREATE, 0, "x"), 0);
    tn__replay_end(source);
    cr_assert_eq(next().key, 1);
    cr_assert(is_ready(), "the end wakes a poll");
    cr_assert_eq(source->ops->read(source, buffer, sizeof(buffer)), 0);
    cr_assert(is_ready());
    cr_assert_eq(source->ops->read(source, buffer, sizeof(buffer)), 0);
}

Test(replay, one_key_for_one_inode)
{
    uint64_t key;
    int fd;

    cr_assert_eq(mkdir("a", 0700), 0);
    cr_assert_eq(symlink("a", "link"), 0);
    key = watch("a", IN_CREATE);
    cr_assert_eq(key, 1);
    cr_assert_eq(watch(".", IN_CREATE), 2);
    cr_assert_eq(watch("a/.", IN_CREATE), key);
    cr_assert_eq(watch("link", IN_CREATE), key);
    cr_assert_eq(watch("link", IN_CREATE | IN_DONT_FOLLOW), 3);
    fd = open("a", O_RDONLY);
    cr_assert_eq(source->ops->watch(source, fd, NULL, IN_CREATE, &key), 0);
    close(fd);
    cr_assert_eq(key, 1);
    cr_assert_eq(tn__replay_key_of(source, "a"), 1);
    cr_assert_eq(tn__replay_key_of(source, "link"), 3);
    cr_assert_eq(tn__replay_key_of(source, "/"), 0);
    cr_assert_eq(tn__replay_key_of(source, "none"), 0);
    cr_assert_eq(tn__replay_watches(source), 3);
}

/* Both have the inode number 1 where they are mounted as usual. */
Test(replay, inodes_of_two_file_systems_are_two)
{
    cr_assert_neq(watch("/proc", IN_CREATE), watch("/sys", IN_CREATE));
}

Test(replay, masks_are_kept_as_by_the_kernel)
{
    uint64_t key = watch(".", IN_CREATE | IN_MASK_CREATE), untouched = 42;

    cr_assert_eq(tn__replay_mask_of(source, key), IN_CREATE);
    watch(".", IN_DELETE | IN_MASK_ADD);
    cr_assert_eq(tn__replay_mask_of(source, key) & IN_ALL_EVENTS, IN_CREATE | IN_DELETE);
    watch(".", IN_MODIFY);
    cr_assert_eq(tn__replay_mask_of(source, key), IN_MODIFY);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, ".", IN_OPEN | IN_MASK_CREATE, &untouched),
                 -EEXIST);
    cr_assert_eq(untouched, 42);
    cr_assert_eq(tn__replay_mask_of(source, key), IN_MODIFY);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, ".", IN_ONLYDIR, &untouched), -EINVAL);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, ".", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE,
                                    &untouched),
                 -EINVAL);
    cr_assert_eq(watch(".", IN_OPEN | IN_ONLYDIR), key);
}

Test(replay, what_cannot_be_watched)
{
    uint64_t key = 42;

    cr_assert_eq(source->ops->watch(source, AT_FDCWD, "none", IN_CREATE, &key), -ENOENT);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, "/dev/null", IN_OPEN | IN_ONLYDIR, &key),
                 -ENOTDIR);
    cr_assert_eq(source->ops->watch(source, 9999, NULL, IN_CREATE, &key), -EBADF);
    cr_assert_eq(key, 42);
    cr_assert_eq(tn__replay_watches(source), 0);
}

Test(replay, unwatch_queues_ignored_and_forgets)
{
    uint64_t key = watch(".", IN_CREATE);

    cr_assert_eq(source->ops->unwatch(source, key + 1), -EINVAL);
    cr_assert_eq(source->ops->unwatch(source, key), 0);
    cr_assert_eq(source->ops->unwatch(source, key), -EINVAL);
    cr_assert_eq(tn__replay_key_of(source, "."), 0);
    cr_assert_eq(next().mask, IN_IGNORED);
    assert_empty();
    cr_assert_eq(watch(".", IN_CREATE), key + 1, "keys are not reused at once");
}

Test(replay, a_pushed_ignored_forgets_too)
{
    uint64_t key = watch(".", IN_CREATE);

    cr_assert_eq(tn__replay_push(source, key, IN_DELETE_SELF, 0, NULL), 0);
    cr_assert_eq(tn__replay_key_of(source, "."), key);
    cr_assert_eq(tn__replay_push(source, key, IN_IGNORED, 0, NULL), 0);
    cr_assert_eq(tn__replay_key_of(source, "."), 0);
}

Test(replay, a_deleted_directory_keeps_its_key_until_ignored)
{
    uint64_t key;

    cr_assert_eq(mkdir("a", 0700), 0);
    key = watch("a", IN_CREATE);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(rmdir("a"), 0);
        cr_assert_eq(mkdir("a", 0700), 0);
        cr_assert_eq(tn__replay_key_of(source, "a"), 0, "its inode number was given away");
    }
    cr_assert_eq(tn__replay_mask_of(source, key), IN_CREATE);
}

Test(replay, marker_stands_behind_what_was_pushed)
{
    uint64_t mark = 0, again = 0;
    uint64_t key = watch(".", IN_CREATE);

    cr_assert_eq(tn__replay_push(source, key, IN_CREATE, 0, "before"), 0);
    cr_assert_eq(source->ops->mark(source, &mark), 0);
    cr_assert_eq(tn__replay_push(source, key, IN_CREATE, 0, "after"), 0);
    cr_assert_eq(source->ops->mark(source, &again), 0);
    cr_assert_neq(mark, key);
    cr_assert_neq(mark, again);
    cr_assert_str_eq(next().name, "before");
    struct tn__raw raw = next();
    cr_assert_eq(raw.key, mark);
    cr_assert_eq(raw.mask, IN_IGNORED);
    cr_assert_str_eq(next().name, "after");
    cr_assert_eq(next().key, again);
    cr_assert_eq(tn__replay_watches(source), 1);
}

Test(replay, keys_wrap_around_standing_ones)
{
    uint64_t key = watch(".", IN_CREATE);

    cr_assert_eq(mkdir("a", 0700), 0);
    cr_assert_eq(mkdir("b", 0700), 0);
    cr_assert_eq(mkdir("c", 0700), 0);
    tn__replay_next_key(source, INT32_MAX);
    cr_assert_eq(watch("a", IN_CREATE), INT32_MAX);
    cr_assert_eq(watch("b", IN_CREATE), key + 1, "the standing one is passed over");
    tn__replay_push(source, key, IN_IGNORED, 0, NULL);
    tn__replay_next_key(source, key);
    cr_assert_eq(watch("c", IN_CREATE), key, "a key comes again");
    cr_assert_eq(tn__replay_push(source, (uint64_t)INT32_MAX + 1, IN_CREATE, 0, NULL), -EINVAL);
}

Test(replay, calls_fail_as_told)
{
    uint64_t key = 42;

    cr_assert_eq(tn__replay_push(source, 1, IN_CREATE, 0, "x"), 0);
    tn__replay_fail(source, TN__REPLAY_WATCH, ENOSPC, 2);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, ".", IN_CREATE, &key), -ENOSPC);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, ".", IN_CREATE, &key), -ENOSPC);
    cr_assert_eq(key, 42);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, ".", IN_CREATE, &key), 0);
    tn__replay_fail(source, TN__REPLAY_WATCH, EACCES, 1);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, ".", IN_CREATE, &key), -EACCES);
    tn__replay_fail(source, TN__REPLAY_UNWATCH, EINVAL, 1);
    cr_assert_eq(source->ops->unwatch(source, key), -EINVAL);
    cr_assert_eq(tn__replay_key_of(source, "."), key);
    tn__replay_fail(source, TN__REPLAY_MARK, ENOSPC, 1);
    cr_assert_eq(source->ops->mark(source, &key), -ENOSPC);
    tn__replay_fail(source, TN__REPLAY_READ, EIO, 1);
    cr_assert_eq(source->ops->read(source, buffer, sizeof(buffer)), -EIO);
    cr_assert_eq(next().key, 1);
    assert_empty();
}

static enum tn__replay_call called;

static void push_before(void *context, enum tn__replay_call call)
{
    called = call;
    tn__replay_push(source, 5, IN_CREATE, 0, context);
}

Test(replay, the_hook_runs_before_the_call)
{
    char name[] = "overtaken";
    uint64_t mark;

    tn__replay_hook(source, push_before, name);
    cr_assert_eq(source->ops->mark(source, &mark), 0);
    cr_assert_eq(called, TN__REPLAY_MARK);
    cr_assert_str_eq(next().name, "overtaken");
    cr_assert_eq(next().key, mark);
}
