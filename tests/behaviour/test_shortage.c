/*
 * No memory, no descriptor, no thread: a clear error, and nothing changed. The
 * linker puts the functions here between the library and its allocations.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support.h"

TestSuite(shortage, .init = stage_open, .fini = stage_close, .timeout = 60);

/* How many allocations succeed until one fails; below 0: none fails any more. */
static atomic_int allowed = -1;
static atomic_bool failed;

static atomic_bool here_alone; /* none fails in threads of the notifier */
static pthread_t here;

static bool fails(void)
{
    if (atomic_load(&here_alone) && !pthread_equal(pthread_self(), here))
        return false;
    if (atomic_load(&allowed) < 0 || atomic_fetch_sub(&allowed, 1) != 0)
        return false;
    atomic_store(&failed, true);
    return true;
}

#define WRAP(name, parameters, arguments)                                                          \
    void *__real_##name parameters;                                                                \
    void *__wrap_##name parameters;                                                                \
    void *__wrap_##name parameters                                                                 \
    {                                                                                              \
        return fails() ? NULL : __real_##name arguments;                                           \
    }
WRAP(malloc, (size_t size), (size))
WRAP(realloc, (void *old, size_t size), (old, size))
WRAP(aligned_alloc, (size_t alignment, size_t size), (alignment, size))
WRAP(calloc, (size_t count, size_t size), (count, size))
WRAP(reallocarray, (void *old, size_t count, size_t size), (old, count, size))
WRAP(strdup, (const char *text), (text))

static int open_files(void)
{
    int count = 0;

    for (int fd = 0; fd < 200; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Each call is made with its first allocation failing, then its second, and so on until it has
 * all that it asks for. It may make what it is called with, unharmed, before it arms itself. */

static unsigned number; /* of the allocation that fails, from 0 */

static void arm(void)
{
    atomic_store(&failed, false);
    atomic_store(&allowed, (int)number);
}

static int disarm(int result)
{
    atomic_store(&allowed, -1);
    return result;
}

static const struct tn_event event = {.wd = 1, .mask = IN_CREATE, .path = "/a", .pathname = "/a"};

static int event_dup(void)
{
    struct tn_event *copy = NULL;

    arm();
    int result = disarm(tn_event_dup(&event, &copy));
    cr_expect_eq(result == 0, copy != NULL);
    tn_event_free(copy);
    return result;
}

static void never(void *userdata)
{
    (void)userdata;
    cr_assert_fail("released after a failure");
}

static void released(void *userdata)
{
    (void)userdata;
}

static bool always(const struct tn_event *unused, void *userdata)
{
    (void)unused;
    (void)userdata;
    return true;
}

static int made(int result, struct tn_processor *processor)
{
    disarm(0);
    cr_expect_eq(result == 0, processor != NULL);
    tn_processor_unref(processor);
    return result;
}

static int processor_new(void)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *processor = NULL;

    ops.release = number == 0 ? never : released;
    arm();
    int result = tn_processor_new(&ops, NULL, &processor);
    return made(result, processor);
}

static int processor_new_if(void)
{
    struct tn_processor *processor = NULL;

    arm();
    int result = tn_processor_new_if(always, NULL, number == 0 ? never : released, &processor);
    return made(result, processor);
}

static int processor_new_print(void)
{
    struct tn_processor *processor = NULL;

    arm();
    int result = tn_processor_new_print(stderr, &processor);
    return made(result, processor);
}

static int processor_new_stats(void)
{
    struct tn_processor *processor = NULL;

    arm();
    int result = tn_processor_new_stats(&processor);
    return made(result, processor);
}

static int processor_new_chain(void)
{
    struct tn_processor *members[2], *chain = NULL;

    for (int i = 0; i < 2; i++)
        cr_assert_eq(tn_processor_new_stats(&members[i]), 0);
    arm();
    int result = disarm(tn_processor_new_chain(members, 2, &chain));
    tn_processor_unref(members[0]);
    tn_processor_unref(members[1]);
    return made(result, chain);
}

static int submit_nothing(void *executor, struct tn_task *task)
{
    (void)executor;
    (void)task;
    return -EAGAIN;
}

static int executor_made(int result, struct tn_executor *executor)
{
    disarm(0);
    cr_expect_eq(result == 0, executor != NULL);
    tn_executor_unref(executor);
    return result;
}

static int executor_new(void)
{
    struct tn_executor_ops ops = TN_EXECUTOR_OPS_INIT;
    struct tn_executor *executor = NULL;

    ops.submit = submit_nothing;
    ops.release = number == 0 ? never : released;
    arm();
    int result = tn_executor_new(&ops, NULL, &executor);
    return executor_made(result, executor);
}

static int executor_new_inline(void)
{
    struct tn_executor *executor = NULL;

    arm();
    int result = tn_executor_new_inline(&executor);
    return executor_made(result, executor);
}

static int executor_new_pool(void)
{
    struct tn_pool_options options = TN_POOL_OPTIONS_INIT;
    struct tn_executor *executor = NULL;

    options.threads = 2;
    arm();
    int result = tn_executor_new_pool(&options, &executor);
    return executor_made(result, executor);
}

static bool exclude_none(const char *path, bool is_dir, void *userdata)
{
    (void)path;
    (void)is_dir;
    (void)userdata;
    return false;
}

static int filter_new(void)
{
    struct tn_filter *filter = NULL;

    arm();
    int result = disarm(tn_filter_new(&filter));
    cr_expect_eq(result == 0, filter != NULL);
    tn_filter_unref(filter);
    return result;
}

/* What a filter that could not be added to excludes: nothing. */
static int checked(int result, struct tn_filter *filter)
{
    if (result < 0) {
        tn_wd wd = add_options("d", TN_WATCH_OPTIONS(.mask = IN_CREATE, .flags = TN_WATCH_TREE,
                                                     .filter = filter));
        cr_expect(is_watched("d/a/b"), "the filter is not as it was");
        tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC);
    }
    tn_filter_unref(filter);
    return result;
}

static int filter_add_regex(void)
{
    struct tn_filter *filter;

    cr_assert_eq(tn_filter_new(&filter), 0);
    arm();
    return checked(disarm(tn_filter_add_regex(filter, "b$", 0)), filter);
}

static int filter_add_test(void)
{
    struct tn_filter *filter;

    cr_assert_eq(tn_filter_new(&filter), 0);
    arm();
    return checked(disarm(tn_filter_add_test(filter, exclude_none, NULL,
                                             number == 0 ? never : released)),
                   filter);
}

static int filter_load(void)
{
    struct tn_filter *filter;

    cr_assert_eq(tn_filter_new(&filter), 0);
    arm();
    return checked(disarm(tn_filter_load(filter, "patterns", TN_FILTER_REGEX)), filter);
}

static int notifier_new(void)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_executor_ops ops = TN_EXECUTOR_OPS_INIT;
    struct tn_notifier *own = NULL;

    ops.submit = submit_nothing;
    cr_assert_eq(tn_executor_new(&ops, NULL, &options.executor), 0);
    const int before = open_files();
    arm();
    int result = disarm(tn_notifier_new(&options, &own));
    cr_expect_eq(result == 0, own != NULL);
    tn_notifier_free(own);
    cr_expect_eq(open_files(), before, "the %u-th", number);
    tn_executor_unref(options.executor);
    return result;
}

/* It is as it was, and may be started again. */
static int notifier_start(void)
{
    struct tn_notifier *own;

    cr_assert_eq(tn_notifier_new(NULL, &own), 0);
    here = pthread_self();
    atomic_store(&here_alone, true);
    arm();
    int result = disarm(tn_notifier_start(own));
    atomic_store(&here_alone, false);
    if (result < 0)
        cr_expect_eq(tn_notifier_start(own), 0);
    cr_expect_eq(tn_notifier_settle(own, -1), 0);
    tn_notifier_free(own);
    return result;
}

static int add_below(uint32_t mask, uint32_t flags, enum tn_order order)
{
    struct tn_watch_options options = TN_WATCH_OPTIONS_INIT;
    const uint64_t before = stats().watches;
    static struct released ended;
    tn_wd wd = 77;

    options.mask = mask;
    options.flags = flags;
    options.order = order;
    options.data = &ended;
    options.release = count_release;
    ended.count = 0;
    arm();
    int result = disarm(tn_watch_add(notifier, "d", &options, &wd));
    if (result == 0)
        cr_expect_eq(tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC), 0);
    else
        cr_expect_eq(wd, 77);
    settle(notifier);
    cr_expect_eq(stats().watches, before, "the %u-th", number);
    cr_expect_eq(ended.count, result == 0, "the %u-th", number);
    return result;
}

static int watch_add(void)
{
    return add_below(IN_CREATE, 0, TN_ORDER_TREE);
}

static int watch_add_once(void)
{
    return add_below(IN_CREATE | IN_ONESHOT, 0, TN_ORDER_PATH);
}

static int watch_add_tree(void)
{
    return add_below(IN_CREATE, TN_WATCH_TREE, TN_ORDER_TREE);
}

static int watch_add_list(void)
{
    const char *path = "d";
    struct tn_watch_result placed = {.error = 1};

    arm();
    int result =
        disarm(tn_watch_add_list(notifier, &path, 1, TN_WATCH_OPTIONS(.mask = IN_CREATE), &placed));
    cr_expect(result == 1 ? placed.error == 0 && placed.wd > 0 : placed.wd == -1);
    if (result == 1)
        tn_watch_remove(notifier, placed.wd, TN_REMOVE_SYNC);
    return placed.error;
}

static int watch_update(void)
{
    tn_wd wd = add("d", IN_CREATE, TN_WATCH_TREE);

    arm();
    int result = disarm(tn_watch_update(notifier, wd, TN_UPDATE_MASK | TN_UPDATE_RECURSIVE,
                                        TN_WATCH_OPTIONS(.mask = IN_DELETE | IN_ONESHOT)));
    cr_expect_eq(info(wd).mask & IN_ALL_EVENTS, result == 0 ? IN_DELETE : IN_CREATE);
    cr_expect_eq(info(found("d/a/b")).mask & IN_ALL_EVENTS, result == 0 ? IN_DELETE : IN_CREATE);
    tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC);
    return result;
}

static int watch_find(void)
{
    tn_wd wd = add("d", IN_CREATE, 0), at = 77;

    arm();
    int result = disarm(tn_watch_find(notifier, "d", &at));
    cr_expect_eq(at, result == 0 ? wd : 77);
    tn_watch_remove(notifier, wd, TN_REMOVE_SYNC);
    return result;
}

static int watch_path_dup(void)
{
    tn_wd wd = add("d", IN_CREATE, 0);
    char *path = NULL;

    arm();
    int result = disarm(tn_watch_path_dup(notifier, wd, &path));
    cr_expect_eq(result == 0, path != NULL);
    free(path);
    tn_watch_remove(notifier, wd, TN_REMOVE_SYNC);
    return result;
}

static int visit(tn_wd wd, const char *path, void *userdata)
{
    (void)wd;
    (void)path;
    ++*(int *)userdata;
    return 0;
}

static int watch_each(void)
{
    tn_wd wd = add("d", IN_CREATE, TN_WATCH_TREE);
    int visited = 0;

    settle(notifier); /* what was removed before is gone then */
    arm();
    int result = disarm(tn_watch_each(notifier, "d", visit, &visited));
    cr_expect(result < 0 || visited == 3);
    tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC);
    return result;
}

static const struct {
    const char *name;
    int (*call)(void);
} calls[] = {
#define CALL(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
    CALL(event_dup),           CALL(processor_new),       CALL(processor_new_if),
    CALL(processor_new_print), CALL(processor_new_stats), CALL(processor_new_chain),
    CALL(executor_new),        CALL(executor_new_inline), CALL(executor_new_pool),
    CALL(filter_new),          CALL(filter_add_regex),    CALL(filter_add_test),
    CALL(filter_load),         CALL(notifier_new),        CALL(notifier_start),
    CALL(watch_add),           CALL(watch_add_once),      CALL(watch_add_tree),
    CALL(watch_add_list),      CALL(watch_update),        CALL(watch_find),
    CALL(watch_path_dup),      CALL(watch_each),
};

Test(shortage, of_memory)
{
    make_dirs("d/a/b");
    write_file("patterns", "b$\n# none\na/b\n");
    stage_new(NULL);
    settle(notifier);
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        int result;
        number = 0;
        do {
            cr_assert_lt(number, 200, "%s never succeeds", calls[i].name);
            result = calls[i].call();
            cr_expect_eq(result, atomic_load(&failed) ? -ENOMEM : 0, "%s, allocation %u: %d",
                         calls[i].name, number, result);
            number++;
        } while (atomic_load(&failed));
        cr_expect_gt(number, 1, "%s allocates nothing", calls[i].name);
    }
}

/* Descriptors */

Test(shortage, of_descriptors)
{
    const int before = open_files();
    struct rlimit limit, old;
    struct tn_notifier *own = NULL;
    int result = -EMFILE;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    limit = old;
    for (rlim_t count = 0; result != 0; count++) {
        cr_assert_lt(count, 200);
        limit.rlim_cur = count;
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
        result = tn_notifier_new(NULL, &own);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
        cr_expect(result == 0 || result == -EMFILE, "%d with %d", result, (int)count);
        if (result < 0)
            cr_expect_null(own);
        if (result < 0)
            cr_expect_eq(open_files(), before, "with %d", (int)count);
    }
    tn_notifier_free(own);
    cr_expect_eq(open_files(), before);
}

static bool become_user_without_processes(void)
{
    change_mode(".", 0777);
    return geteuid() == 0 && setresuid(54400, 54400, 0) == 0;
}

/* One that liburcu would end the process for want of. */
Test(shortage, of_the_first_thread)
{
    struct rlimit limit = {.rlim_cur = 1, .rlim_max = 64};
    struct tn_notifier *own = NULL;

    if (!become_user_without_processes())
        SKIP("needs root, to become a user without processes");
    cr_assert_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
    cr_expect_eq(tn_notifier_new(NULL, &own), -EAGAIN);
    cr_expect_null(own);
    limit.rlim_cur = 64;
    cr_assert_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
    cr_assert_eq(tn_notifier_new(NULL, &own), 0);
    tn_notifier_free(own);
    cr_assert_eq(setresuid(0, 0, 0), 0);
}

/* Threads: as a user that has no other process, and may have one thread more each time. */
Test(shortage, of_threads)
{
    struct rlimit limit = {.rlim_cur = 0, .rlim_max = 64};
    int result;

    stage_new(NULL);
    if (!become_user_without_processes())
        SKIP("needs root, to become a user without processes");
    add(".", IN_CREATE, 0);
    do {
        cr_assert_lt(++limit.rlim_cur, 64);
        cr_assert_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
        result = tn_notifier_start(notifier);
        cr_expect(result == 0 || result == -EAGAIN, "%d", result);
        cr_expect_eq(tn_notifier_fd(notifier) >= 0, result < 0, "in the caller's thread as before");
    } while (result < 0);
    cr_expect_geq(limit.rlim_cur, 4, "beside this one two workers and the reader");
    make_file("f");
    settle(notifier);
    EXPECT(&seen, "CREATE .:f");
    notifier = tn_notifier_free(notifier);
    cr_assert_eq(setresuid(0, 0, 0), 0);
}
