#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAMES = 4, WATCHED = 256, CHANGES_AT_ONCE = 3, OPEN_FILES = 16 };

/* The last one does not fit into a node. */
static const char *const names[NAMES] = {"a", "b", "c", "a-name-that-is-longer-than-a-node-holds"};

struct stage stage;

static char top[STAGE_PATH - 256];

/* What the library watches: the inode lives, and is told of its end when it is deleted. */
static struct watched {
    uint64_t key;
    int fd;
} watched[WATCHED];
static size_t watched_count;
static uint32_t last_cookie;

/*
 * liburcu sleeps 10 ms at a time by poll without descriptors, and each notifier
 * that is freed waits for it: no more than 100 inputs a second would run.
 */
int poll(struct pollfd *fds, nfds_t nfds, int timeout)
{
    const struct timespec limit = {timeout / 1000, timeout % 1000 * 1000000L};

    if (nfds == 0) {
        sched_yield();
        return 0;
    }
    return ppoll(fds, nfds, timeout < 0 ? NULL : &limit, NULL);
}

void stage_path(char path[STAGE_PATH], const char *name)
{
    snprintf(path, STAGE_PATH, "%s/%s", top, name);
}

void stage_take_path(char path[STAGE_PATH])
{
    uint16_t choice = take16(&stage.input);
    size_t length = (size_t)snprintf(path, STAGE_PATH, "%s/%s", top, choice & 0x1000 ? "o" : "t");

    for (unsigned depth = choice & 3, i = 0; i <= depth; i++)
        length += (size_t)snprintf(path + length, STAGE_PATH - length, "/%s",
                                   names[choice >> (2 * i + 2) & (NAMES - 1)]);
}

uint64_t stage_take_key(void)
{
    uint8_t choice = take8(&stage.input);

    if (choice < 0xe0 && watched_count > 0)
        return watched[choice % watched_count].key;
    return choice < 0xff ? take16(&stage.input) : TN__REPLAY_NO_KEY;
}

void stage_take_name(char *name, size_t size)
{
    uint8_t choice = take8(&stage.input);
    size_t length = 0;

    if (choice < 0xc0) {
        snprintf(name, size, "%s", names[choice % NAMES]);
        return;
    }
    if (choice < 0xf0)
        length = take_bytes(&stage.input, name, choice & 15);
    else if (choice < 0xf8)
        memset(name, 'n', length = size - 1 - choice % 8);
    name[length] = '\0';
    for (char *at = name; *at; at++)
        if (*at == '/' || *at == '.')
            *at = '-';
}

/* 0: not watched, or nobody is to be told. */
static uint64_t key_of(const char *path)
{
    return stage.silent ? 0 : tn__replay_key_of(stage.replay, path);
}

/* The directory of a path and the name in it; the path is cut. */
static const char *split(char *path)
{
    char *slash = strrchr(path, '/');

    *slash = '\0';
    return slash + 1;
}

static void tell_key(uint64_t key, uint32_t mask, uint32_t cookie, const char *name)
{
    if (key && (tn__replay_mask_of(stage.replay, key) & mask & IN_ALL_EVENTS))
        CHECK(tn__replay_push(stage.replay, key, mask, cookie, name) == 0);
}

/* To the watch on the entry's directory. */
static void tell(const char *path, uint32_t mask, uint32_t cookie)
{
    char directory[STAGE_PATH];

    snprintf(directory, sizeof(directory), "%s", path);
    const char *name = split(directory);
    tell_key(key_of(directory), mask, cookie, name);
}

static void tell_self(const char *path, uint32_t mask)
{
    tell_key(key_of(path), mask, 0, NULL);
}

static void make_directory(const char *path)
{
    if (mkdir(path, 0700) == 0)
        tell(path, IN_CREATE | IN_ISDIR, 0);
}

static void write_file(const char *path, int flags)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);

    if (fd < 0)
        return;
    if (flags & O_CREAT)
        tell(path, IN_CREATE, 0);
    tell(path, IN_OPEN, 0);
    tell_self(path, IN_OPEN);
    tell(path, IN_MODIFY, 0);
    tell_self(path, IN_MODIFY);
    tell(path, IN_CLOSE_WRITE, 0);
    tell_self(path, IN_CLOSE_WRITE);
    close(fd);
}

static void remove_file(const char *path)
{
    uint64_t key = key_of(path);

    if (unlink(path) < 0)
        return;
    tell_key(key, IN_ATTRIB, 0, NULL);
    tell(path, IN_DELETE, 0);
}

static void remove_directory(const char *path)
{
    if (rmdir(path) == 0)
        tell(path, IN_DELETE | IN_ISDIR, 0);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)at;
    if (type == FTW_DP)
        remove_directory(path);
    else
        remove_file(path);
    return 0;
}

static void remove_tree(const char *path)
{
    nftw(path, remove_entry, OPEN_FILES, FTW_DEPTH | FTW_PHYS);
}

void stage_delete_all(void)
{
    char path[STAGE_PATH];

    stage_path(path, "t");
    remove_tree(path);
    stage_path(path, "o");
    remove_tree(path);
}

static void move(const char *from, const char *to)
{
    struct stat status;

    if (lstat(from, &status) < 0)
        return;
    uint32_t is_dir = S_ISDIR(status.st_mode) ? IN_ISDIR : 0;
    uint64_t stood = key_of(to);
    if (strcmp(from, to) == 0 || rename(from, to) < 0)
        return;
    ++last_cookie;
    tell(from, IN_MOVED_FROM | is_dir, last_cookie);
    tell(to, IN_MOVED_TO | is_dir, last_cookie);
    tell_key(stood, IN_ATTRIB, 0, NULL);
    tell_self(to, IN_MOVE_SELF);
}

static void make_chain(char *path)
{
    for (char *at = path + strlen(top) + 3; (at = strchr(at, '/')); at++) {
        *at = '\0';
        make_directory(path);
        *at = '/';
    }
    write_file(path, O_CREAT | O_EXCL);
}

void stage_change(void)
{
    char path[STAGE_PATH], other[STAGE_PATH];
    uint8_t kind = take8(&stage.input) % 12;

    stage_take_path(path);
    switch (kind) {
    case 0:
    case 1:
        make_directory(path);
        break;
    case 2:
        write_file(path, O_CREAT | O_EXCL);
        break;
    case 3:
        write_file(path, O_APPEND);
        break;
    case 4:
        remove_file(path);
        break;
    case 5:
        remove_directory(path);
        break;
    case 6:
        remove_tree(path);
        break;
    case 7:
    case 8:
        make_chain(path);
        break;
    default:
        stage_take_path(other);
        move(path, other);
    }
}

/* Between two steps of the library. */
static void change_between(void)
{
    if (!stage.between || input_is_empty(&stage.input))
        return;
    for (unsigned count = take8(&stage.input) % (CHANGES_AT_ONCE + 1); count > 0; count--)
        stage_change();
}

static void watch_ends(struct watched *watch)
{
    close(watch->fd);
    *watch = watched[--watched_count];
}

bool stage_end_deleted(void)
{
    struct stat status;
    bool ended = false;

    for (size_t i = watched_count; i-- > 0;) {
        uint64_t key = watched[i].key;
        if (!tn__replay_mask_of(stage.replay, key)) {
            watch_ends(&watched[i]);
        } else if (fstat(watched[i].fd, &status) == 0 && status.st_nlink == 0) {
            tell_key(key, IN_DELETE_SELF, 0, NULL);
            CHECK(tn__replay_push(stage.replay, key, IN_IGNORED, 0, NULL) == 0);
            watch_ends(&watched[i]);
            ended = true;
        }
    }
    return ended;
}

static int source_fd(struct tn__source *source)
{
    (void)source;
    return stage.replay->ops->fd(stage.replay);
}

static ssize_t source_read(struct tn__source *source, void *buffer, size_t size)
{
    (void)source;
    change_between();
    size_t most = stage.most && stage.most < size ? stage.most : size;
    size_t tail = stage.tail < most / 2 ? stage.tail : 0;
    ssize_t got = stage.replay->ops->read(stage.replay, buffer, most - tail);
    if (got == -EINVAL && most < size)
        got = stage.replay->ops->read(stage.replay, buffer, size - tail);
    if (got <= 0)
        return got;
    got -= (ssize_t)(stage.cut % (size_t)got);
    memcpy((char *)buffer + got, stage.garbage, tail);
    stage.cut = 0;
    stage.tail = 0;
    return got + (ssize_t)tail;
}

static void keep(int fd, const char *path, uint32_t mask, uint64_t key)
{
    int flags = O_PATH | O_CLOEXEC | (mask & IN_DONT_FOLLOW ? O_NOFOLLOW : 0);

    for (size_t i = 0; i < watched_count; i++)
        if (watched[i].key == key)
            return;
    CHECK(watched_count < WATCHED);
    int own = fd == AT_FDCWD ? open(path, flags) : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    CHECK(own >= 0);
    watched[watched_count++] = (struct watched){.key = key, .fd = own};
}

static void forget_ended(void)
{
    for (size_t i = watched_count; i-- > 0;)
        if (!tn__replay_mask_of(stage.replay, watched[i].key))
            watch_ends(&watched[i]);
}

static int source_watch(struct tn__source *source, int fd, const char *path, uint32_t mask,
                        uint64_t *ret_key)
{
    (void)source;
    change_between();
    forget_ended(); /* a key may come again */
    int result = stage.replay->ops->watch(stage.replay, fd, path, mask, ret_key);
    if (result == 0)
        keep(fd, path, mask, *ret_key);
    change_between();
    return result;
}

static int source_unwatch(struct tn__source *source, uint64_t key)
{
    (void)source;
    change_between();
    return stage.replay->ops->unwatch(stage.replay, key);
}

static int source_mark(struct tn__source *source, uint64_t *ret_key)
{
    (void)source;
    change_between();
    int result = stage.replay->ops->mark(stage.replay, ret_key);
    change_between();
    return result;
}

static void source_close(struct tn__source *source)
{
    (void)source;
    stage.replay->ops->close(stage.replay);
    stage.replay = NULL;
}

static const struct tn__source_ops source_ops = {
    .fd = source_fd,
    .read = source_read,
    .watch = source_watch,
    .unwatch = source_unwatch,
    .mark = source_mark,
    .close = source_close,
};

static void leave_top(void)
{
    rmdir(top);
}

static void make_top(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(top, sizeof(top), "%s/tnotify-fuzz-XXXXXX", base && *base ? base : "/tmp");
    CHECK(mkdtemp(top));
    atexit(leave_top);
}

void stage_open(const uint8_t *data, size_t size)
{
    char path[STAGE_PATH];

    if (!*top)
        make_top();
    stage_path(path, "t");
    CHECK(mkdir(path, 0700) == 0);
    stage_path(path, "o");
    CHECK(mkdir(path, 0700) == 0);
    stage = (struct stage){.input = {data, data + size}, .source = {&source_ops}};
    last_cookie = 0;
    CHECK(tn__source_new_replay(&stage.replay) == 0);
}

void stage_close(void)
{
    CHECK(!stage.replay);
    while (watched_count > 0)
        watch_ends(&watched[watched_count - 1]);
    stage.silent = true;
    stage_delete_all();
}
