/*
 * Processors, filters, orders and bounds.
 */
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "mirror.h"
#include "scenarios.h"

/* Filters, processors, executors. */

static bool is_hidden(const char *path, bool is_dir, void *userdata)
{
    (void)is_dir;
    (void)userdata;
    return strstr(path, "/hidden") != NULL;
}

static bool is_shown(const struct tn_event *event, void *userdata)
{
    (void)userdata;
    return event->name != NULL || event->mask & IN_Q_OVERFLOW;
}

static struct tn_filter *make_filter(void)
{
    struct tn_filter *filter = NULL;
    int result;
    FILE *file = fopen("rules", "we");

    fputs("# a comment\n/one$\n/two$\n", file);
    fclose(file);
    TRY(result, tn_filter_new(&filter), ENOMEM);
    TRY(result, tn_filter_add_regex(filter, "/excluded(/|$)", TN_FILTER_ICASE), ENOMEM);
    TRY(result, tn_filter_load(filter, "rules", TN_FILTER_REGEX), ENOMEM, ENOENT, EACCES, EMFILE,
        ENFILE, ELOOP, ENOTDIR, EINTR, EIO);
    TRY(result, tn_filter_add_test(filter, is_hidden, NULL, NULL), ENOMEM);
    return filter;
}

struct processors {
    struct tn_processor *print, *stats, *condition, *chain;
    FILE *out;
};

static void make_processors(struct processors *made)
{
    int result;

    made->out = fopen("printed", "we");
    TRY(result, tn_processor_new_print(made->out, &made->print), ENOMEM);
    TRY(result, tn_processor_new_stats(&made->stats), ENOMEM);
    TRY(result, tn_processor_new_if(is_shown, NULL, NULL, &made->condition), ENOMEM);
    struct tn_processor *members[] = {made->condition, made->print, made->stats, mirror};
    TRY(result, tn_processor_new_chain(members, 4, &made->chain), ENOMEM);
}

static void drop_processors(struct processors *made)
{
    tn_processor_unref(made->chain);
    tn_processor_unref(made->condition);
    tn_processor_unref(made->stats);
    tn_processor_unref(made->print);
    fclose(made->out);
}

void scenario_plugs(void)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_pool_options pool = {.size = sizeof(pool), .threads = 2, .stack_bytes = 256 << 10};
    struct processors made;
    char text[512];
    int result;

    make_tree("top");
    mirror_take("top");
    arm();
    options.filter = make_filter();
    make_processors(&made);
    options.processor = made.chain;
    TRY(result, tn_executor_new_pool(&pool, &options.executor), ENOMEM, EAGAIN, EINVAL);
    open_notifier(&options);
    add_options("top",
                TN_WATCH_OPTIONS(.mask = NAMES, .flags = TN_WATCH_TREE, .placed = excuse_placed));
    start();
    make_dirs("top/new/deeper/a-long-name/that-makes-the-path/longer-than-it-was");
    make_file("top/new/deeper/file");
    settle();
    mirror_check("top");
    tn_processor_stats_format(made.stats, text, sizeof(text));
    TRY(result, tn_processor_stats_dump(made.stats, "dump"), OPEN_ERRORS, ENOSPC, EIO, EAGAIN);
    make_dirs("top/excluded/one");
    make_file("top/hidden");
    settle();
    if (tn_watch_find(notifier, full("top/excluded"), NULL) != -ENOENT)
        fail("an excluded directory is watched");
    close_notifier();
    drop_processors(&made);
    tn_executor_unref(options.executor);
    tn_filter_unref(options.filter);
}

static int ignore(const struct tn_event *event, void *userdata)
{
    (void)event;
    (void)userdata;
    return 0;
}

/* Orders whose events go to several lanes, and a one-shot. */
void scenario_orders(void)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = ignore};
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_watch_options once = TN_WATCH_OPTIONS_INIT;
    struct tn_watch_info info = TN_WATCH_INFO_INIT;
    struct tn_stats stats = TN_STATS_INIT;
    tn_wd wd;

    once.mask = IN_CREATE | IN_ONESHOT;
    make_tree("top");
    tn_processor_new(&ops, NULL, &options.processor);
    open_notifier(&options);
    start();
    arm();
    for (int order = TN_ORDER_TREE; order <= TN_ORDER_NONE; order++)
        add_options("top", TN_WATCH_OPTIONS(.mask = IN_ALL_EVENTS, .flags = TN_WATCH_TREE,
                                            .order = (enum tn_order)order));
    wd = add_options("top/e", &once);
    make_dirs("top/new/below");
    make_file("top/new/below/file");
    make_file("top/e/other");
    settle();
    tn_notifier_get_stats(notifier, &stats);
    if (!stats.dropped && tn_watch_get_info(notifier, wd, &info) != -ENOENT)
        fail("a one-shot goes on");
    close_notifier();
    tn_processor_unref(options.processor);
}

/* Bounds. */

void scenario_overflow(void)
{
    struct tn_limits limits = TN_LIMITS_INIT;

    if (tn_limits_get(&limits) < 0 || limits.queued_events > 20000)
        return;
    watch_tree();
    add("top", NAMES | IN_ATTRIB, TN_WATCH_TREE);
    start();
    arm();
    tn_wd root = add("top/a", IN_ATTRIB, 0);
    make_dirs("top/new/below");
    for (uint64_t i = 0; i <= limits.queued_events + 1000; i++)
        chmod(i % 2 ? "top/file" : "top/a/file", 0600);
    tn_watch_remove(notifier, root, 0);
    make_dirs("top/late/below");
    settle();
    struct tn_stats stats = TN_STATS_INIT;
    tn_notifier_get_stats(notifier, &stats);
    if ((stats.overflows > 0) != mirror_gap())
        fail("%llu overflows, and it was %stold", (unsigned long long)stats.overflows,
             mirror_gap() ? "" : "not ");
    mirror_check("top");
    close_notifier();
}

/* A processor that holds back until it is let go, and an executor with one thread. */
static sem_t gate;

static int wait_gate(const struct tn_event *event, void *userdata)
{
    if (event->mask & IN_CREATE && event->name && strcmp(event->name, "wait") == 0)
        sem_wait(&gate);
    return mirror_event(event, userdata);
}

static void fill(void)
{
    char path[64];

    for (int i = 0; i < 400; i++) {
        snprintf(path, sizeof(path), "top/sub/a-name-that-takes-some-room-%d", i);
        make_file(path);
    }
}

static struct tn_processor *open_full(void)
{
    struct tn_notifier_options options = TN_NOTIFIER_OPTIONS_INIT;
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = wait_gate};

    sem_init(&gate, 0, 0);
    make_dirs("top/sub");
    mirror_take("top");
    tn_processor_new(&ops, NULL, &options.processor);
    options.threads = 1;
    options.queue_bytes = 64 << 10;
    options.when_full = TN_FULL_DROP;
    open_notifier(&options);
    add("top", NAMES | IN_Q_OVERFLOW, TN_WATCH_TREE);
    start();
    return options.processor;
}

static void close_full(struct tn_processor *processor)
{
    if (!fault_fired() && !mirror_gap())
        fail("there was room for all");
    close_notifier();
    tn_processor_unref(processor);
    sem_destroy(&gate);
}

void scenario_full(void)
{
    struct tn_processor *processor = open_full();

    arm();
    make_file("top/wait");
    fill();
    sem_post(&gate);
    settle();
    mirror_check("top");
    close_full(processor);
}

/* Directories come, go and move while nothing gets in. */
void scenario_gap(void)
{
    struct tn_processor *processor;

    make_tree("top");
    make_tree("out");
    processor = open_full();
    make_file("top/wait");
    fill();
    arm();
    change_tree();
    move("top/a/d/again", "top/sub/again");
    move("top/sub/again/new/below", "top/a/d/below");
    sem_post(&gate);
    settle();
    if (!fault_lasts())
        mirror_check_directories("top");
    mirror_check("top");
    close_full(processor);
}

/* Text and numbers. */
void scenario_numbers(void)
{
    struct tn_limits limits = TN_LIMITS_INIT;
    struct tn_stats stats = TN_STATS_INIT;
    char text[1024];
    int result;

    open_notifier(NULL);
    arm();
    TRY(result, tn_limits_get(&limits), OPEN_ERRORS, EIO, EAGAIN);
    TRY(result, tn_limits_set(TN_LIMIT_USER_WATCHES, limits.user_watches), OPEN_ERRORS, EIO, ENOSPC,
        EAGAIN, EPERM, EROFS);
    TRY(result, tn_notifier_get_stats(notifier, &stats), 0);
    tn_stats_format(&stats, text, sizeof(text));
    if (tn_error_format(-ENOSPC, text, sizeof(text)) == 0 ||
        tn_error_format(-EMFILE, text, sizeof(text)) == 0)
        fail("no text");
    close_notifier();
}
