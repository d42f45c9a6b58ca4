/*
 * What the kernel and the C library do seldom or never: the linker puts the
 * functions here between the library and its calls.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <tnotify/event.h>
#include <tnotify/executor.h>
#include <tnotify/filter.h>
#include <tnotify/limits.h>
#include <tnotify/processor.h>
#include <unistd.h>

#include "filter.h"
#include "limit.h"
#include "source/replay.h"

enum call { NONE, CALLOC, CLOSE, EVENTFD, FSTATAT, MALLOC, OPENAT, REGEXEC, WRITE };

static enum call failing;
static int error, times;
static const char *only; /* paths that openat fails for have it */
static int opened_instead = -1;
static time_t seconds_ahead;
static bool no_limit, no_cpus;

/* error 0: an answer without one. */
static void let_fail(enum call call, int with, int how_often)
{
    failing = call;
    error = with;
    times = how_often;
}

static bool fails(enum call call)
{
    if (failing != call || times == 0)
        return false;
    times--;
    errno = error;
    return true;
}

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

WRAP(void *, malloc, size_t size)
{
    return fails(MALLOC) ? NULL : __real_malloc(size);
}

WRAP(void *, calloc, size_t count, size_t size)
{
    return fails(CALLOC) ? NULL : __real_calloc(count, size);
}

WRAP(int, close, int fd)
{
    int result = __real_close(fd);

    return fails(CLOSE) ? -1 : result;
}

WRAP(int, eventfd, unsigned value, int flags)
{
    return fails(EVENTFD) ? -1 : __real_eventfd(value, flags);
}

WRAP(int, fstatat, int at, const char *path, struct stat *ret_stat, int flags)
{
    return fails(FSTATAT) ? -1 : __real_fstatat(at, path, ret_stat, flags);
}

WRAP(ssize_t, write, int fd, const void *bytes, size_t count)
{
    if (fails(WRITE))
        return error ? -1 : 0;
    return __real_write(fd, bytes, count);
}

WRAP(int, regexec, const regex_t *regex, const char *text, size_t count, regmatch_t *matched,
     int flags)
{
    return fails(REGEXEC) ? REG_ESPACE : __real_regexec(regex, text, count, matched, flags);
}

WRAP(int, getrlimit, int which, struct rlimit *ret_limit)
{
    int result = __real_getrlimit(which, ret_limit);

    if (no_limit)
        ret_limit->rlim_cur = RLIM_INFINITY;
    return result;
}

WRAP(int, sched_getaffinity, pid_t pid, size_t size, cpu_set_t *ret_set)
{
    return no_cpus ? -1 : __real_sched_getaffinity(pid, size, ret_set);
}

WRAP(long, sysconf, int name)
{
    return no_cpus ? -1 : __real_sysconf(name);
}

WRAP(int, clock_gettime, clockid_t clock, struct timespec *ret_time)
{
    int result = __real_clock_gettime(clock, ret_time);

    ret_time->tv_sec += seconds_ahead;
    return result;
}

WRAP(int, openat, int at, const char *path, int flags, ...)
{
    if ((!only || strstr(path, only)) && fails(OPENAT))
        return -1;
    return __real_openat(at, path, flags);
}

WRAP(int, open, const char *path, int flags, ...)
{
    int fd = opened_instead;
    va_list arguments;

    opened_instead = -1;
    if (fd >= 0)
        return fd;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return __real_open(path, flags, mode);
}

/* Limits */

/* The name's length is what makes its link as long as an inotify instance's. */
static int memory_file(const char *text)
{
    int fd = memfd_create("x", MFD_CLOEXEC);

    cr_assert_geq(fd, 0);
    cr_assert_eq(__real_write(fd, text, strlen(text)), (ssize_t)strlen(text));
    cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

Test(limits_calls, a_sysctl_that_holds_no_number)
{
    uint64_t value = 42;

    opened_instead = memory_file("many\n");
    cr_assert_eq(tn__limit_value(TN_LIMIT_USER_WATCHES, &value), -EIO);
    opened_instead = memory_file("");
    cr_assert_eq(tn__limit_value(TN_LIMIT_USER_WATCHES, &value), -EIO);
    cr_assert_eq(value, 42);
    opened_instead = memory_file("17\n");
    cr_assert_eq(tn__limit_value(TN_LIMIT_USER_WATCHES, &value), 0);
    cr_assert_eq(value, 17);
}

Test(limits_calls, a_write_that_ends_early)
{
    opened_instead = memory_file("");
    let_fail(WRITE, 0, 1);
    cr_assert_eq(tn_limits_set(TN_LIMIT_USER_WATCHES, 8192), -EIO);
    opened_instead = memory_file("");
    let_fail(WRITE, EPERM, 1);
    cr_assert_eq(tn_limits_set(TN_LIMIT_USER_WATCHES, 8192), -EPERM);
    opened_instead = memory_file("");
    let_fail(WRITE, EINTR, 2);
    cr_assert_eq(tn_limits_set(TN_LIMIT_USER_WATCHES, 8192), 0);
    cr_assert_eq(times, 0);
}

/* Where a bug here does not change the machine's limit. */
Test(limits_calls, zero_is_never_written)
{
    opened_instead = memory_file("");
    cr_assert_eq(tn_limits_set(TN_LIMIT_USER_WATCHES, 0), -EINVAL);
    cr_assert_eq(lseek(opened_instead, 0, SEEK_END), 0);
}

static struct tn_limits used(void)
{
    struct tn_limits limits = TN_LIMITS_INIT;

    cr_assert_eq(tn_limits_get(&limits), 0);
    return limits;
}

/* Processes and descriptors may end while they are counted. */
Test(limits_calls, what_ends_meanwhile_is_not_counted)
{
    int other = memory_file(""), instance = inotify_init1(IN_CLOEXEC);

    cr_assert_gt(inotify_add_watch(instance, "/", IN_OPEN), 0);
    struct tn_limits all = used();
    cr_assert_geq(all.instances_used, 1);
    cr_assert_geq(all.watches_used, 1);
    let_fail(FSTATAT, ENOENT, -1);
    cr_expect_eq(used().instances_used, 0);
    let_fail(OPENAT, ENOENT, -1);
    cr_expect_eq(used().instances_used, 0);
    only = "/fdinfo/";
    struct tn_limits unread = used();
    cr_expect_geq(unread.instances_used, 1);
    cr_expect_eq(unread.watches_used, 0);
    failing = NONE;
    close(other);
    close(instance);
}

Test(limits_calls, no_limit_of_descriptors)
{
    char text[1024];

    no_limit = true;
    tn_error_format(-EMFILE, text, sizeof(text));
    cr_expect_not_null(strstr(text, "ulimit -n 18446744073709551615"), "%s", text);
}

/* Filters */

/* Left in: rather one event too many. */
Test(filter_calls, a_match_without_memory_leaves_the_path_in)
{
    struct tn_filter *filter;

    cr_assert_eq(tn_filter_new(&filter), 0);
    cr_assert_eq(tn_filter_add_regex(filter, "x", 0), 0);
    cr_assert_eq(tn_filter_add_regex(filter, "y", TN_FILTER_INCLUDE), 0);
    cr_expect(tn__filter_excludes(filter, "/x", false));
    cr_expect(tn__filter_excludes(filter, "/z", false));
    let_fail(REGEXEC, 0, -1);
    cr_expect_not(tn__filter_excludes(filter, "/x", false));
    cr_expect_not(tn__filter_excludes(filter, "/z", false));
    tn_filter_unref(filter);
}

/* Processors */

static struct tn_processor *counts(void)
{
    struct tn_processor *stats;

    cr_assert_eq(tn_processor_new_stats(&stats), 0);
    return stats;
}

static void expect_elapsed(struct tn_processor *stats, time_t seconds, const char *expected)
{
    char text[256], wanted[64];

    seconds_ahead = seconds;
    tn_processor_stats_format(stats, text, sizeof(text));
    seconds_ahead = 0;
    snprintf(wanted, sizeof(wanted), "<Stats ElapsedTime=%s ", expected);
    cr_expect_eq(strncmp(text, wanted, strlen(wanted)), 0, "%s instead of %s", text, expected);
}

Test(processor_calls, elapsed_time_in_the_two_largest_units)
{
    struct tn_processor *stats = counts();

    expect_elapsed(stats, 2 * 60 + 5, "2mn5sec");
    expect_elapsed(stats, 3 * 3600 + 4 * 60 + 5, "3h4mn");
    expect_elapsed(stats, 2 * 86400 + 5 * 3600 + 6, "2d5h");
    tn_processor_unref(stats);
}

static int dump(struct tn_processor *stats, enum call call, int with, int how_often)
{
    char file[] = "/tmp/tn-dump-XXXXXX";

    cr_assert_not_null(mkdtemp(file));
    cr_assert_eq(rmdir(file), 0);
    let_fail(call, with, how_often);
    int result = tn_processor_stats_dump(stats, file);
    let_fail(NONE, 0, 0);
    cr_expect_eq(unlink(file) == 0, result == 0, "a failed dump leaves no file");
    return result;
}

Test(processor_calls, a_dump_is_whole_or_not_there)
{
    struct tn_processor *stats = counts();

    cr_expect_eq(dump(stats, NONE, 0, 0), 0);
    cr_expect_eq(dump(stats, WRITE, EINTR, 3), 0);
    cr_expect_eq(dump(stats, WRITE, ENOSPC, 1), -ENOSPC);
    cr_expect_eq(dump(stats, CLOSE, EDQUOT, 1), -EDQUOT);
    tn_processor_unref(stats);
}

Test(processor_calls, the_first_error_of_a_dump_is_told)
{
    struct tn_processor *stats = counts();
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    cr_assert_geq(full, 0);
    opened_instead = full;
    let_fail(CLOSE, EIO, 1);
    cr_expect_eq(tn_processor_stats_dump(stats, "/tmp/tn-never-made"), -ENOSPC);
    tn_processor_unref(stats);
}

Test(processor_calls, a_long_line_without_memory)
{
    struct tn_processor *print;
    char *text = NULL, path[2000];
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    struct tn_event event = {.wd = 1, .mask = IN_OPEN, .path = path, .pathname = path};

    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    cr_assert_eq(tn_processor_new_print(out, &print), 0);
    let_fail(MALLOC, ENOMEM, 1);
    cr_expect_eq(tn_processor_call(print, &event), -ENOMEM);
    cr_expect_eq(fflush(out), 0);
    cr_expect_eq(length, 0);
    cr_expect_eq(tn_processor_call(print, &event), 0);
    tn_processor_unref(print);
    fclose(out);
    free(text);
}

/* The built-in pool */

static nlink_t count_threads(void)
{
    struct stat status;

    cr_assert_eq(stat("/proc/self/task", &status), 0);
    return status.st_nlink;
}

Test(pool_calls, one_thread_where_nobody_knows_the_cpus)
{
    struct tn_executor *executor;
    nlink_t before = count_threads();

    no_cpus = true;
    cr_assert_eq(tn_executor_new_pool(NULL, &executor), 0);
    no_cpus = false;
    cr_expect_eq(count_threads(), before + 1);
    tn_executor_unref(executor);
}

/* The source that tests write. */

Test(replay_calls, no_source)
{
    struct tn__source *source = NULL;

    let_fail(CALLOC, ENOMEM, 1);
    cr_expect_eq(tn__source_new_replay(&source), -ENOMEM);
    let_fail(EVENTFD, EMFILE, 1);
    cr_expect_eq(tn__source_new_replay(&source), -EMFILE);
    cr_expect_null(source);
}

Test(replay_calls, without_memory_nothing_changes)
{
    struct tn__source *source;
    uint64_t key = 42;
    char buffer[64];

    cr_assert_eq(tn__source_new_replay(&source), 0);
    let_fail(MALLOC, ENOMEM, 1);
    cr_expect_eq(source->ops->watch(source, AT_FDCWD, "/", IN_CREATE, &key), -ENOMEM);
    cr_expect_eq(tn__replay_watches(source), 0);
    let_fail(CALLOC, ENOMEM, 2);
    cr_expect_eq(source->ops->mark(source, &key), -ENOMEM);
    cr_expect_eq(tn__replay_push(source, 1, IN_CREATE, 0, "f"), -ENOMEM);
    cr_expect_eq(key, 42);
    cr_expect_eq(source->ops->read(source, buffer, sizeof(buffer)), -EAGAIN);
    source->ops->close(source);
}
