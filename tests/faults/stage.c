#include "stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mirror.h"

enum { PATH_SIZE = 512, MESSAGES = 4, LASTING_MS = 300 };

struct tn_notifier *notifier;
struct tn_processor *mirror;

static const struct scenario *scenario;
static struct fault_plan plan;
static char base[PATH_SIZE];
static atomic_bool failed;
static atomic_int messages;
static _Atomic int releases, releases_due, after_events;

void fail(const char *format, ...)
{
    va_list arguments;
    bool fault = plan.call != FAULT_NONE;

    atomic_store(&failed, true);
    if (atomic_fetch_add(&messages, 1) >= MESSAGES)
        return;
    fprintf(stderr, "%s:%s:%u:%d%s: ", scenario->name, fault ? fault_kinds[plan.call].name : "-",
            plan.n, plan.error, plan.lasting ? ":lasting" : "");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void arm(void)
{
    fault_arm(&plan);
}

bool may_fail(const char *call, long result, const int *errors)
{
    if (!fault_fired())
        return false;
    fault_disarm();
    while (*errors && *errors != -result)
        errors++;
    if (!*errors)
        fail("%s has no such error: %s", call, tn_strerror((int)result));
    return true;
}

static void count_release(void *data)
{
    (void)data;
    atomic_fetch_add(&releases, 1);
}

void expect_releases(int more)
{
    atomic_fetch_add(&releases_due, more);
}

void expect_release(struct tn_watch_options *options)
{
    options->release = count_release;
}

void open_notifier(const struct tn_notifier_options *options)
{
    struct tn_notifier_options own = TN_NOTIFIER_OPTIONS_INIT;
    int result;

    if (options)
        own = *options;
    own.threads = options ? own.threads : 2;
    own.processor = own.processor ? own.processor : mirror;
    own.batch_delay_us = TN_NEVER;
    own.move_timeout_ms = 20;
    TRY(result, tn_notifier_new(&own, &notifier), EMFILE, ENFILE, ENOMEM, EAGAIN, ENOSPC);
    if (result < 0)
        exit(1);
}

void start(void)
{
    int result;

    TRY(result, tn_notifier_start(notifier), EAGAIN, ENOMEM);
}

/* What lasts may well keep it from settling. */
static int patience(void)
{
    return fault_lasts() ? LASTING_MS : SETTLE_MS;
}

void settle(void)
{
    int result;

    TRY(result, tn_notifier_settle(notifier, patience()), ENOMEM, ENOSPC, EACCES, ENOENT, EMFILE,
        ENFILE, EINVAL, EIO, plan.lasting ? ETIMEDOUT : EIO);
}

void nudge(const char *directory)
{
    char path[PATH_SIZE];

    fault_disarm();
    snprintf(path, sizeof(path), "%s/nudge", directory);
    make_file(path);
    settle();
}

tn_wd add_options(const char *path, const struct tn_watch_options *options)
{
    struct tn_watch_options own = *options;
    tn_wd wd = 0;
    int result;

    expect_release(&own);
    TRY(result, tn_watch_add(notifier, full(path), &own, &wd), ENOMEM, ENOSPC, ENOENT, EACCES,
        EMFILE, ENFILE, ELOOP, ENOTDIR, EIO, EINVAL);
    expect_releases(result == 0);
    return wd;
}

tn_wd add(const char *path, uint32_t mask, uint32_t flags)
{
    return add_options(path, TN_WATCH_OPTIONS(.mask = mask, .flags = flags));
}

/* Paths. */

const char *full(const char *path)
{
    static char buffers[4][PATH_SIZE * 2];
    static unsigned next;
    char *buffer = buffers[next++ % 4];

    if (*path == '/')
        return path;
    snprintf(buffer, sizeof(buffers[0]), "%s/%s", base, path);
    return buffer;
}

static void expect(bool done, const char *what, const char *path)
{
    if (!done)
        fail("%s %s: %s", what, path, tn_strerror(-errno));
}

void make_dirs(const char *path)
{
    char copy[PATH_SIZE * 2];
    size_t length = strlen(full(path));

    memcpy(copy, full(path), length + 1);
    for (size_t i = strlen(base) + 1; i <= length; i++)
        if (copy[i] == '/' || !copy[i]) {
            char kept = copy[i];
            copy[i] = '\0';
            expect(mkdir(copy, 0700) == 0 || errno == EEXIST, "mkdir", copy);
            copy[i] = kept;
        }
}

void make_file(const char *path)
{
    int fd = open(full(path), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    expect(fd >= 0, "open", path);
    if (fd >= 0)
        close(fd);
}

void move(const char *from, const char *to)
{
    expect(rename(full(from), full(to)) == 0, "rename", from);
}

static int remove_item(const char *path, const struct stat *status, int type, struct FTW *at)
{
    (void)status;
    (void)type;
    (void)at;
    return remove(path);
}

void remove_tree(const char *path)
{
    nftw(full(path), remove_item, 16, FTW_DEPTH | FTW_PHYS);
}

/* After the fault. */

static int count_after(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    if (event->name && event->mask & IN_CREATE)
        atomic_fetch_add(&after_events, 1);
    return 0;
}

/* It still works. */
static void check_works(void)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = count_after};
    struct tn_processor *processor = NULL;

    fault_disarm();
    make_dirs("after");
    atomic_store(&after_events, 0);
    if (tn_processor_new(&ops, NULL, &processor) < 0)
        fail("no processor afterwards");
    int result = tn_watch_add(notifier, full("after"),
                              TN_WATCH_OPTIONS(.mask = IN_CREATE, .processor = processor), NULL);
    if (result < 0)
        fail("no add afterwards: %s", tn_strerror(result));
    make_file("after/file");
    result = tn_notifier_settle(notifier, SETTLE_MS);
    if (result < 0)
        fail("no settle afterwards: %s", tn_strerror(result));
    if (atomic_load(&after_events) != 1)
        fail("afterwards %d events instead of 1", atomic_load(&after_events));
    tn_processor_unref(processor);
    remove_tree("after");
}

void close_notifier(void)
{
    check_works();
    notifier = tn_notifier_free(notifier);
    if (atomic_load(&releases) != atomic_load(&releases_due))
        fail("%d releases instead of %d", atomic_load(&releases), atomic_load(&releases_due));
}

static int count_descriptors(bool print)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    for (const struct dirent *item; directory && (item = readdir(directory)) != NULL; count++) {
        char path[300], target[300] = "";
        snprintf(path, sizeof(path), "/proc/self/fd/%.200s", item->d_name);
        if (print && readlink(path, target, sizeof(target) - 1) > 0)
            fprintf(stderr, "  %s -> %s\n", item->d_name, target);
    }
    if (directory)
        closedir(directory);
    return count;
}

/* Of the library. */
static int count_threads(void)
{
    DIR *directory = opendir("/proc/self/task");
    int found = 0;

    for (const struct dirent *item; directory && (item = readdir(directory)) != NULL;) {
        char path[300], name[16] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%.200s/comm", item->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, name, sizeof(name) - 1) > 0 && strncmp(name, "tn-", 3) == 0)
            found++;
        if (fd >= 0)
            close(fd);
    }
    if (directory)
        closedir(directory);
    return found;
}

/*
 * A thread that was joined may still be seen for a moment. liburcu's own stays, under the name of
 * the thread that made it.
 */
static void check_rest(int descriptors)
{
    time_t end = time(NULL) + 5;
    char here[PATH_SIZE];

    while (count_threads() > 1 && time(NULL) < end)
        sched_yield();
    if (count_threads() > 1)
        fail("a thread is left");
    int left = count_descriptors(false);
    if (left != descriptors) {
        fail("%d descriptors before, %d after", descriptors, left);
        count_descriptors(true);
    }
    if (!getcwd(here, sizeof(here)) || strcmp(here, base) != 0)
        fail("the working directory is another");
}

int stage_run(const struct scenario *which, const struct fault_plan *which_plan, uint32_t *counts)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = mirror_event};
    const char *directory = getenv("TMPDIR");
    char template[PATH_SIZE];

    scenario = which;
    plan = *which_plan;
    snprintf(template, sizeof(template), "%.200s/tn-faults-XXXXXX",
             directory && *directory ? directory : "/tmp");
    if (!mkdtemp(template) || !realpath(template, base) || chdir(base) < 0)
        return 77;
    int descriptors = count_descriptors(false);
    if (tn_processor_new(&ops, NULL, &mirror) < 0)
        return 77;
    which->run();
    bool was_fired = fault_fired();
    fault_disarm();
    tn_processor_unref(mirror);
    mirror_forget();
    check_rest(descriptors);
    for (int i = 0; i < FAULT_COUNT; i++)
        counts[i] = fault_calls((enum fault_call)i);
    remove_tree("");
    return atomic_load(&failed) ? 1 : was_fired || plan.call == FAULT_NONE ? 0 : 3;
}
