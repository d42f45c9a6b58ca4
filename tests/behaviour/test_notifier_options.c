/* What the options of a notifier do that no other test is about. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "replay_stage.h"

TestSuite(notifier_options, .init = open_stage, .fini = close_stage, .timeout = 60);

/* Log levels: what is not more important than that is not logged. */

struct logged {
    atomic_uint levels[TN_LOG_DEBUG + 1];
    atomic_uint others;
};

static void keep_log(int level, const char *message, void *userdata)
{
    struct logged *logged = userdata;

    if (level < TN_LOG_ERROR || level > TN_LOG_DEBUG || !message[0] || strchr(message, '\n'))
        atomic_fetch_add(&logged->others, 1);
    else
        atomic_fetch_add(&logged->levels[level], 1);
}

static int fail(const struct tn_event *event, void *unused)
{
    (void)unused;
    return event->mask & IN_ATTRIB ? -EIO : 0;
}

/* Whatever is a directory can not be watched, once the test says so. */
static void refuse_watches(void *context, enum tn__replay_call call)
{
    (void)context;
    if (call == TN__REPLAY_WATCH && atomic_load(&armed))
        tn__replay_fail(source, TN__REPLAY_WATCH, EACCES, 1);
}

/* An error (a processor fails), and a warning (a directory is not watched). */
static struct logged *log_at(int level)
{
    static struct logged logged;
    static unsigned rounds;
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    logged = (struct logged){.others = 0};
    ops.process_default = fail;
    options.processor = processor_of(&ops, NULL);
    options.log_level = level;
    options.log = keep_log;
    options.log_userdata = &logged;
    cr_assert_eq(tn__source_new_replay(&source), 0);
    tn__replay_hook(source, refuse_watches, NULL);
    cr_assert_eq(tn__notifier_new_with(&options, source, &notifier), 0);
    tn_processor_unref(options.processor);
    add("d", IN_ATTRIB, TN_WATCH_TREE);
    atomic_store(&armed, true);
    make_dir(at("d/%u", ++rounds));
    push("d", IN_CREATE | IN_ISDIR, at("%u", rounds));
    push("d", IN_ATTRIB, "f");
    settle(notifier);
    atomic_store(&armed, false);
    cr_assert_eq(stats().unwatched, 1);
    cr_assert_eq(stats().errors, 1);
    notifier = tn_notifier_free(notifier);
    cr_expect_eq(logged.others, 0);
    return &logged;
}

Test(notifier_options, log_level)
{
    make_dir("d");
    cr_expect_eq(log_at(TN_LOG_ERROR)->levels[TN_LOG_ERROR], 1);
    cr_expect_eq(log_at(TN_LOG_ERROR)->levels[TN_LOG_WARNING], 0);
    for (int level = TN_LOG_WARNING; level <= TN_LOG_DEBUG; level++) {
        struct logged *logged = log_at(level);
        cr_expect_eq(logged->levels[TN_LOG_ERROR], 1);
        cr_expect_eq(logged->levels[TN_LOG_WARNING], 1);
        for (int above = level + 1; above <= TN_LOG_DEBUG; above++)
            cr_expect_eq(logged->levels[above], 0);
    }
    cr_expect_eq(log_at(TN_LOG_WARNING)->levels[TN_LOG_INFO], 0);
}

/* Naps: under a stream the reader waits for a while, for its eventfd alone, before it reads. */

enum { NAP_US = 2000, EVENTS = 200 };

/* Of the first thread of this process that has the name. */
static pid_t thread_named(const char *wanted)
{
    struct dirent *entry;
    pid_t found = 0;
    DIR *tasks = opendir("/proc/self/task");

    while (tasks && !found && (entry = readdir(tasks))) {
        char path[300], name[32] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%31s", name) == 1 && strcmp(name, wanted) == 0)
            found = atoi(entry->d_name);
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return found;
}

/* Whether the thread is in poll(2) or ppoll(2) of one descriptor. */
static bool is_napping(pid_t thread)
{
    unsigned long count = 0;
    char path[64];
    long call = -1;

    snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", (int)thread);
    FILE *file = fopen(path, "re");
    bool sleeps = file && fscanf(file, "%ld %*x %lx", &call, &count) == 2;
    if (file)
        fclose(file);
#ifdef SYS_poll
    if (call == SYS_poll)
        return sleeps && count == 1;
#endif
    return sleeps && call == SYS_ppoll && count == 1;
}

/* Whether the reader naps in a stream of that many events; it ends with the first nap. */
static bool naps(uint32_t delay_us, unsigned events)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    bool napped = false;

    options.batch_delay_us = delay_us;
    options.threads = 1;
    stage_new(&options);
    cr_assert_eq(tn_notifier_start(notifier), 0);
    add(".", IN_CREATE, 0);
    const pid_t reader = thread_named("tn-reader");
    cr_assert_gt(reader, 0);
    for (unsigned i = 0; i < events && !napped; i++) {
        make_file(at("%u-%u", delay_us, i));
        while (recorder_count(&seen) <= i && !napped)
            napped = is_napping(reader);
    }
    notifier = tn_notifier_free(notifier);
    recorder_done(&seen);
    return napped;
}

Test(notifier_options, batch_delay_us)
{
    cr_expect(naps(NAP_US, UINT_MAX));
    cr_expect_not(naps(TN_NEVER, EVENTS));
}

/*
 * A directory leaves by a move whose other half does not come, from one that
 * has gone itself since: nothing tells that it will not come but the time.
 */
static uint64_t settle_without_arrival(uint32_t timeout_ms)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct timespec start, end;

    options.move_timeout_ms = timeout_ms;
    recorder_init(&seen);
    options.processor = seen.processor;
    cr_assert_eq(tn__source_new_replay(&source), 0);
    cr_assert_eq(tn__notifier_new_with(&options, source, &notifier), 0);
    make_dirs("d/p/moving");
    add("d", ENTRIES, TN_WATCH_TREE);
    uint64_t key = tn__replay_key_of(source, "d/p");
    move("d/p", "away");
    cr_assert_eq(tn__replay_push(source, key, IN_MOVED_FROM | IN_ISDIR, 5, "moving"), 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    settle(notifier);
    clock_gettime(CLOCK_MONOTONIC, &end);
    cr_expect_eq(recorder_lines(&seen, "MOVED_FROM|ISDIR d/p:moving"), 1);
    cr_expect_not(is_watched("d/p/moving"));
    notifier = tn_notifier_free(notifier);
    recorder_done(&seen);
    remove_tree("d");
    remove_tree("away");
    return (uint64_t)(end.tv_sec - start.tv_sec) * 1000 +
           (uint64_t)((end.tv_nsec - start.tv_nsec) / 1000000);
}

Test(notifier_options, move_timeout_ms)
{
    uint64_t never = UINT64_MAX;

    cr_expect_geq(settle_without_arrival(800), 799);
    cr_expect_geq(settle_without_arrival(0), 499, "the default");
    for (int i = 0; i < 5 && never >= 400; i++)
        never = settle_without_arrival(TN_NEVER);
    cr_expect_lt(never, 400);
}

/* A filter is frozen by its use, before it is asked anything. */

static void check_frozen(struct tn_filter *filter)
{
    cr_expect_eq(tn_filter_add_regex(filter, "a", 0), -EBUSY);
    cr_expect_eq(tn_filter_load(filter, "/dev/null", TN_FILTER_REGEX), -EBUSY);
}

Test(notifier_options, a_filter_is_frozen_by_a_notifier)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;

    options.filter = regex_filter("x", 0);
    options.threads = 5000;
    cr_assert_eq(tn_notifier_new(&options, &notifier), -EINVAL);
    cr_expect_eq(tn_filter_add_regex(options.filter, "y", 0), 0, "it is not in use");
    options.threads = 0;
    cr_assert_eq(tn_notifier_new(&options, &notifier), 0);
    check_frozen(options.filter);
    tn_filter_unref(options.filter);
}

Test(notifier_options, a_filter_is_frozen_by_a_watch)
{
    struct tn_filter *added = regex_filter("x", 0), *updated = regex_filter("x", 0);

    stage_new(NULL);
    make_dir("d");
    tn_wd wd = add_options("d", TN_WATCH_OPTIONS(.mask = IN_CREATE, .filter = added));
    check_frozen(added);
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_MASK,
                                 TN_WATCH_OPTIONS(.mask = IN_CREATE, .filter = updated)),
                 0);
    cr_expect_eq(tn_filter_add_regex(updated, "y", 0), 0, "it was not taken");
    cr_assert_eq(tn_watch_update(notifier, wd, TN_UPDATE_FILTER,
                                 TN_WATCH_OPTIONS(.filter = updated)),
                 0);
    check_frozen(updated);
    tn_filter_unref(added);
    tn_filter_unref(updated);
}

/* Limits: each is written where it belongs. What is set is what it is already. */

Test(notifier_options, each_limit_is_set_by_its_name)
{
    struct tn_limits limits = TN_LIMITS_INIT, after = TN_LIMITS_INIT;

    cr_assert_eq(tn_limits_get(&limits), 0);
    int result = tn_limits_set(TN_LIMIT_USER_INSTANCES, limits.user_instances);
    if (result == -EACCES || result == -EPERM || result == -EROFS)
        SKIP("may not set limits");
    cr_expect_eq(result, 0);
    cr_expect_eq(tn_limits_set(TN_LIMIT_QUEUED_EVENTS, limits.queued_events), 0);
    cr_expect_eq(tn_limits_set(TN_LIMIT_USER_WATCHES, limits.user_watches), 0);
    for (enum tn_limit which = TN_LIMIT_QUEUED_EVENTS; which <= TN_LIMIT_USER_WATCHES; which++)
        cr_expect_eq(tn_limits_set(which, UINT64_MAX), -EINVAL, "the kernel does not take it");
    cr_assert_eq(tn_limits_get(&after), 0);
    cr_expect(after.queued_events == limits.queued_events &&
              after.user_instances == limits.user_instances &&
              after.user_watches == limits.user_watches);
}
