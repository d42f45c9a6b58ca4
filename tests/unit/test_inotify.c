/* The kernel's inotify behind the table: source/inotify.c. */
#include "source/source.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reader/decode.h"

static struct tn__source *source;
static char directory[] = "/tmp/tn-inotify-XXXXXX";
_Alignas(8) static char buffer[64 * 1024];
static size_t filled, offset;

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
    cr_assert_eq(tn__source_new_inotify(&source), 0);
}

static void tear_down(void)
{
    char command[64];

    source->ops->close(source);
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(inotify, .init = set_up, .fini = tear_down);

/* False: nothing is queued. */
static bool next(struct tn__raw *ret_raw)
{
    if (offset == filled) {
        ssize_t got = source->ops->read(source, buffer, sizeof(buffer));
        if (got == -EAGAIN)
            return false;
        cr_assert_gt(got, 0);
        filled = (size_t)got;
        offset = 0;
    }
    cr_assert_eq(tn__decode(buffer, filled, &offset, ret_raw), 1);
    return true;
}

static void assert_next(uint64_t key, uint32_t mask, const char *name)
{
    struct tn__raw raw;

    cr_assert(next(&raw));
    cr_assert_eq(raw.key, key);
    cr_assert_eq(raw.mask, mask);
    if (name)
        cr_assert_str_eq(raw.name, name);
    else
        cr_assert_null(raw.name);
}

static void assert_empty(void)
{
    struct tn__raw raw;

    cr_assert_not(next(&raw));
}

static uint64_t watch(int fd, const char *path, uint32_t mask)
{
    uint64_t key = 0;

    cr_assert_eq(source->ops->watch(source, fd, path, mask, &key), 0);
    cr_assert_gt(key, 0);
    return key;
}

static uint64_t mark(void)
{
    uint64_t key = 0;

    cr_assert_eq(source->ops->mark(source, &key), 0);
    return key;
}

static int open_at(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    return fd;
}

static void touch(const char *name)
{
    int fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    cr_assert_geq(fd, 0);
    close(fd);
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

Test(inotify, descriptor_is_closed_on_exec_and_never_blocks)
{
    int fd = source->ops->fd(source);

    cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    cr_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_empty();
}

Test(inotify, a_new_source_has_nothing_queued_and_close_gives_all_back)
{
    struct tn__source *other;
    int before = count_descriptors();

    cr_assert_eq(tn__source_new_inotify(&other), 0);
    cr_assert_eq(other->ops->read(other, buffer, sizeof(buffer)), -EAGAIN);
    other->ops->close(other);
    cr_assert_eq(count_descriptors(), before);
}

Test(inotify, no_descriptor_left)
{
    struct rlimit limit;
    struct tn__source *other = NULL;
    int before = count_descriptors(), failures = 0;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    /* Each of the descriptors that a source needs is the one that is missing, in turn. */
    for (rlim_t room = 0; room < 64; room++) {
        struct rlimit low = {.rlim_cur = room, .rlim_max = limit.rlim_max};
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        int result = tn__source_new_inotify(&other);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        if (result == 0) {
            other->ops->close(other);
            break;
        }
        cr_assert_eq(result, -EMFILE);
        cr_assert_null(other);
        cr_assert_eq(count_descriptors(), before);
        failures++;
    }
    cr_assert_geq(failures, 3);
}

Test(inotify, small_buffer)
{
    watch(AT_FDCWD, ".", IN_CREATE);
    touch("x");
    cr_assert_eq(source->ops->read(source, buffer, 16), -EINVAL);
    cr_assert_eq(source->ops->read(source, buffer, 32), 32);
}

Test(inotify, one_key_by_path_and_by_descriptor)
{
    cr_assert_eq(mkdir("a", 0700), 0);
    uint64_t key = watch(AT_FDCWD, "a", IN_CREATE);
    int fd = open_at("a", O_RDONLY | O_DIRECTORY), way = open_at("a", O_PATH);

    cr_assert_eq(watch(fd, NULL, IN_CREATE), key);
    cr_assert_eq(watch(way, "elsewhere", IN_CREATE), key, "the path is not used");
    cr_assert_eq(watch(fd, NULL, IN_CREATE | IN_DONT_FOLLOW | IN_ONLYDIR), key);
    close(fd);
    close(way);
    touch("a/x");
    assert_next(key, IN_CREATE, "x");
    assert_empty();
}

Test(inotify, a_descriptor_of_a_symlink_is_the_symlink)
{
    touch("file");
    cr_assert_eq(symlink("file", "link"), 0);
    uint64_t file = watch(AT_FDCWD, "file", IN_ATTRIB);
    int fd = open_at("link", O_PATH | O_NOFOLLOW);
    uint64_t link = watch(fd, NULL, IN_ATTRIB);

    close(fd);
    cr_assert_neq(link, file);
    cr_assert_eq(watch(AT_FDCWD, "link", IN_ATTRIB), file);
    cr_assert_eq(watch(AT_FDCWD, "link", IN_ATTRIB | IN_DONT_FOLLOW), link);
}

Test(inotify, a_removed_directory_by_its_descriptor)
{
    cr_assert_eq(mkdir("a", 0700), 0);
    int fd = open_at("a", O_RDONLY | O_DIRECTORY);
    cr_assert_eq(rmdir("a"), 0);
    watch(fd, NULL, IN_CREATE);
    close(fd);
}

Test(inotify, masks)
{
    uint64_t key = 0, untouched = 42;

    cr_assert_eq(source->ops->watch(source, AT_FDCWD, ".", IN_CREATE | IN_MASK_CREATE, &key), 0);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, ".", IN_DELETE | IN_MASK_CREATE, &untouched),
                 -EEXIST);
    cr_assert_eq(untouched, 42);
    touch("x");
    unlink("x");
    assert_next(key, IN_CREATE, "x");
    assert_empty();
    cr_assert_eq(watch(AT_FDCWD, ".", IN_DELETE | IN_MASK_ADD), key);
    touch("x");
    unlink("x");
    assert_next(key, IN_CREATE, "x");
    assert_next(key, IN_DELETE, "x");
    cr_assert_eq(watch(AT_FDCWD, ".", IN_DELETE), key);
    touch("x");
    unlink("x");
    assert_next(key, IN_DELETE, "x");
    assert_empty();
}

Test(inotify, what_cannot_be_watched)
{
    uint64_t key = 42;
    int fd;

    touch("file");
    fd = open_at("file", O_RDONLY);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, "none", IN_OPEN, &key), -ENOENT);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, "file", IN_OPEN | IN_ONLYDIR, &key),
                 -ENOTDIR);
    cr_assert_eq(source->ops->watch(source, fd, NULL, IN_OPEN | IN_ONLYDIR, &key), -ENOTDIR);
    cr_assert_eq(source->ops->watch(source, AT_FDCWD, "file", 0, &key), -EINVAL);
    cr_assert_eq(key, 42);
    close(fd);
}

Test(inotify, unwatch)
{
    uint64_t key = watch(AT_FDCWD, ".", IN_CREATE);

    cr_assert_eq(source->ops->unwatch(source, key + ((uint64_t)1 << 32)), -EINVAL);
    cr_assert_eq(source->ops->unwatch(source, key), 0);
    assert_next(key, IN_IGNORED, NULL);
    cr_assert_eq(source->ops->unwatch(source, key), -EINVAL);
    cr_assert_eq(source->ops->unwatch(source, UINT64_MAX), -EINVAL);
    assert_empty();
}

Test(inotify, marker_stands_between_before_and_after)
{
    uint64_t key = watch(AT_FDCWD, ".", IN_CREATE);
    char name[32];

    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "before%d", i);
        touch(name);
        uint64_t marker = mark();
        cr_assert_neq(marker, key);
        snprintf(name, sizeof(name), "after%d", i);
        touch(name);
        snprintf(name, sizeof(name), "before%d", i);
        assert_next(key, IN_CREATE, name);
        assert_next(marker, IN_IGNORED, NULL);
        snprintf(name, sizeof(name), "after%d", i);
        assert_next(key, IN_CREATE, name);
    }
    assert_empty();
}

Test(inotify, markers_are_all_different_and_in_order)
{
    enum { COUNT = 1000 };
    static uint64_t keys[COUNT];

    for (int i = 0; i < COUNT; i++) {
        keys[i] = mark();
        cr_assert(i == 0 || keys[i] > keys[i - 1]);
        cr_assert_eq(source->ops->unwatch(source, keys[i]), -EINVAL, "it is gone already");
    }
    for (int i = 0; i < COUNT; i++)
        assert_next(keys[i], IN_IGNORED, NULL);
    assert_empty();
}

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return ok;
}

/* In a user namespace of its own, with 10 watches to have. 0: it went as it should. */
static int use_all_watches(void)
{
    struct tn__source *own;
    uint64_t key, marker;
    char name[32];
    int i, placed = 0, result;

    if (unshare(CLONE_NEWUSER) < 0 || !write_text("/proc/sys/user/max_inotify_watches", "10"))
        return 77;
    if (tn__source_new_inotify(&own) < 0)
        return 1;
    for (i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        mkdir(name, 0700);
        result = own->ops->watch(own, AT_FDCWD, name, IN_CREATE, &key);
        if (result == -ENOSPC)
            break;
        placed++;
    }
    if (placed != 9)
        return 2;
    for (i = 0; i < 100; i++) {
        if (own->ops->mark(own, &marker) < 0)
            return 3;
        ssize_t got = own->ops->read(own, buffer, sizeof(buffer));
        struct tn__raw raw;
        size_t at = 0;
        if (got != 16 || tn__decode(buffer, 16, &at, &raw) != 1 || raw.key != marker)
            return 4;
    }
    if (own->ops->watch(own, AT_FDCWD, name, IN_CREATE, &key) != -ENOSPC)
        return 5;
    /* A source that finds no room for its marker works once there is some. */
    struct tn__source *late;
    if (tn__source_new_inotify(&late) < 0)
        return 6;
    if (late->ops->mark(late, &marker) != -ENOSPC)
        return 7;
    if (own->ops->unwatch(own, key) < 0 || late->ops->mark(late, &marker) < 0)
        return 8;
    if (late->ops->mark(late, &marker) < 0)
        return 9;
    late->ops->close(late);
    own->ops->close(own);
    return 0;
}

static int wait_for(pid_t child)
{
    int status = 0;

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

Test(inotify, marker_works_when_all_watches_are_used)
{
    pid_t child = fork();

    if (child == 0)
        _exit(use_all_watches());
    int result = wait_for(child);
    if (result == 77)
        cr_skip_test("no user namespace to be had");
    cr_assert_eq(result, 0);
}

/* The overflow record is queued before the marker that it swallows. */
Test(inotify, overflow_stands_in_for_a_marker)
{
    uint64_t key = watch(AT_FDCWD, ".", IN_CREATE | IN_DELETE), overflow = 0, marker;
    struct tn__raw raw;

    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    unsigned long limit = 0;
    cr_assert_eq(fscanf(file, "%lu", &limit), 1);
    fclose(file);
    if (limit > 200000)
        cr_skip_test("the queue is too long to fill here");
    for (unsigned long i = 0; i <= limit / 2; i++) {
        touch("x");
        unlink("x");
    }
    marker = mark();
    while (next(&raw)) {
        cr_assert_neq(raw.key, marker);
        overflow += raw.key == UINT64_MAX && (raw.mask & IN_Q_OVERFLOW);
    }
    cr_assert_eq(overflow, 1);
    touch("y");
    marker = mark();
    assert_next(key, IN_CREATE, "y");
    assert_next(marker, IN_IGNORED, NULL);
}

/* As the state in /proc tells: the main thread has ended. */
static bool main_thread_ended(void)
{
    char text[512] = {0};
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        _exit(3);
    close(fd);
    const char *state = strrchr(text, ')');
    return state && state[2] == 'Z';
}

static void *watch_alone(void *arg)
{
    struct tn__source *own;
    uint64_t key;
    int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)arg;
    while (!main_thread_ended())
        sched_yield();
    if (tn__source_new_inotify(&own) < 0)
        _exit(1);
    if (own->ops->mark(own, &key) < 0 || own->ops->watch(own, fd, NULL, IN_CREATE, &key) < 0)
        _exit(2);
    _exit(0);
}

Test(inotify, works_after_the_main_thread_ended)
{
    pid_t child = fork();

    if (child == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, watch_alone, NULL))
            _exit(4);
        pthread_exit(NULL);
    }
    cr_assert_eq(wait_for(child), 0);
}
