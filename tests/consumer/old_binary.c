/*
 * A program that was built against an older tnotify: it has the structs as an
 * earlier version may have had them, without their last members, and includes
 * no header. What follows each struct in memory is garbage to the library.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CREATE 0x100u /* IN_CREATE */
#define TREE   0x3u   /* TN_WATCH_TREE */
#define SYNC   0x3u   /* TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC */

struct tn_event {
    int64_t wd, root;
    void *data;
    uint32_t mask, cookie, flags;
    int error;
    const char *path, *name;
};

struct tn_executor_ops {
    size_t size;
    int (*submit)(void *executor, void *task);
};

struct tn_pool_options {
    size_t size;
    unsigned threads;
};

struct tn_processor_ops {
    size_t size;
    int (*functions[17])(const struct tn_event *event, void *userdata);
    int (*process_default)(const struct tn_event *event, void *userdata);
};

struct tn_notifier_options {
    size_t size;
    uint32_t flags;
    unsigned threads;
    void *executor, *processor;
};

struct tn_watch_options {
    size_t size;
    uint32_t mask, flags;
    int order;
    void *processor, *filter, *data;
};

struct tn_watch_info {
    size_t size;
    int64_t wd, root, parent;
    uint32_t mask, flags;
};

struct tn_limits {
    size_t size;
    uint64_t queued_events, user_instances;
};

struct tn_stats {
    size_t size;
    uint64_t read, delivered;
};

int tn_executor_new(const struct tn_executor_ops *ops, void *userdata, void **ret_executor);
int tn_executor_new_pool(const struct tn_pool_options *options, void **ret_executor);
void *tn_executor_unref(void *executor);
int tn_processor_new(const struct tn_processor_ops *ops, void *userdata, void **ret_processor);
void *tn_processor_unref(void *processor);
int tn_notifier_new(const struct tn_notifier_options *options, void **ret_notifier);
int tn_notifier_start(void *notifier);
int tn_notifier_settle(void *notifier, int timeout_ms);
int tn_notifier_get_stats(void *notifier, struct tn_stats *ret_stats);
void *tn_notifier_free(void *notifier);
int tn_watch_add(void *notifier, const char *path, const struct tn_watch_options *options,
                 int64_t *ret_wd);
int tn_watch_update(void *notifier, int64_t wd, uint32_t fields,
                    const struct tn_watch_options *options);
int tn_watch_get_info(void *notifier, int64_t wd, struct tn_watch_info *ret_info);
int tn_watch_remove(void *notifier, int64_t wd, uint32_t flags);
size_t tn_stats_format(const struct tn_stats *stats, char *buffer, size_t size);
int tn_limits_get(struct tn_limits *ret_limits);

#define GARBAGE 0xa5

/* A struct of `type` called `name` with garbage behind it. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a declaration */
#define OLD(type, name)                                                                            \
    struct {                                                                                       \
        struct type known;                                                                         \
        unsigned char behind[512];                                                                 \
    } name;                                                                                        \
    memset(&(name), GARBAGE, sizeof(name));                                                        \
    memset(&(name).known, 0, sizeof((name).known));                                                \
    (name).known.size = sizeof((name).known)
/* NOLINTEND(bugprone-macro-parentheses) */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static atomic_int events;
static int mine;

static int process(const struct tn_event *event, void *userdata)
{
    if (event->mask == CREATE) {
        CHECK(userdata == &events && event->data == &mine && event->wd > 0 && event->root > 0);
        CHECK(strcmp(event->name, "file") == 0 && event->path[0] == '/');
        atomic_fetch_add(&events, 1);
    }
    return 0;
}

static int refuse(void *executor, void *task)
{
    (void)executor;
    (void)task;
    return -1;
}

static void *make_processor(void)
{
    OLD(tn_processor_ops, ops);
    void *processor = NULL;

    ops.known.process_default = process;
    CHECK(tn_processor_new(&ops.known, &events, &processor) == 0);
    return processor;
}

static void *make_notifier(void)
{
    OLD(tn_executor_ops, ops);
    OLD(tn_pool_options, pool);
    OLD(tn_notifier_options, options);
    void *executor = NULL, *notifier = NULL;

    ops.known.submit = refuse;
    CHECK(tn_executor_new(&ops.known, NULL, &executor) == 0);
    tn_executor_unref(executor); /* there is no release */
    pool.known.threads = 1;
    CHECK(tn_executor_new_pool(&pool.known, &options.known.executor) == 0);
    options.known.processor = make_processor();
    CHECK(tn_notifier_new(&options.known, &notifier) == 0);
    tn_executor_unref(options.known.executor);
    tn_processor_unref(options.known.processor);
    CHECK(tn_notifier_start(notifier) == 0);
    return notifier;
}

static int64_t watch(void *notifier, const char *directory)
{
    OLD(tn_watch_options, options);
    int64_t wd = 0;

    options.known.mask = 0x2; /* IN_MODIFY */
    options.known.flags = TREE;
    options.known.data = &mine;
    CHECK(tn_watch_add(notifier, directory, &options.known, &wd) == 0);
    options.known.mask = CREATE;
    CHECK(tn_watch_update(notifier, wd, 1, &options.known) == 0);
    return wd;
}

static void is_garbage(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        CHECK(bytes[i] == GARBAGE);
}

static void look(void *notifier, int64_t wd)
{
    OLD(tn_watch_info, info);
    OLD(tn_limits, limits);
    OLD(tn_stats, stats);
    char text[4096];

    CHECK(tn_watch_get_info(notifier, wd, &info.known) == 0);
    CHECK(info.known.size == sizeof(info.known) && info.known.wd == wd);
    CHECK(info.known.root == wd && info.known.parent == -1);
    CHECK(info.known.mask == CREATE && info.known.flags == TREE);
    is_garbage(info.behind, sizeof(info.behind));
    CHECK(tn_limits_get(&limits.known) == 0);
    CHECK(limits.known.size == sizeof(limits.known) && limits.known.user_instances > 0);
    is_garbage(limits.behind, sizeof(limits.behind));
    CHECK(tn_notifier_get_stats(notifier, &stats.known) == 0);
    CHECK(stats.known.size == sizeof(stats.known) && stats.known.delivered == 1);
    is_garbage(stats.behind, sizeof(stats.behind));
    CHECK(tn_stats_format(&stats.known, text, sizeof(text)) < sizeof(text));
    CHECK(strstr(text, "latency") == NULL); /* which this struct does not have */
}

int main(void)
{
    char directory[] = "/tmp/tn-old-binary-XXXXXX", file[64];

    CHECK(mkdtemp(directory) != NULL);
    void *notifier = make_notifier();
    int64_t wd = watch(notifier, directory);
    snprintf(file, sizeof(file), "%s/file", directory);
    CHECK(close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0);
    CHECK(tn_notifier_settle(notifier, 30000) == 0);
    CHECK(atomic_load(&events) == 1);
    look(notifier, wd);
    CHECK(tn_watch_remove(notifier, wd, SYNC) == 0);
    tn_notifier_free(notifier);
    unlink(file);
    rmdir(directory);
    return 0;
}
