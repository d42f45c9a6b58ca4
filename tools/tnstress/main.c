/*
 * The mirror check. A tree is watched and changed; what the events told is
 * compared with what is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <tnotify/tnotify.h>
#include <unistd.h>

#include "options.h"
#include "rounds.h"
#include "trace.h"
#include "walk.h"
#include "workload.h"

enum { SKIPPED = 77 };

static int fail(const char *what, int error)
{
    fprintf(stderr, "tnstress: %s: %s\n", what, tn_strerror(error));
    return 2;
}

static int count_overflow(const struct tn_event *event, void *userdata)
{
    if (event->mask & IN_Q_OVERFLOW)
        atomic_fetch_add((atomic_uint *)userdata, 1);
    return 0;
}

/* With a kernel queue as small as asked for. Others who do the same wait for the lock, else the
 * last one could put back what was not the first value. */
static int new_with_queue(const struct options *options, const struct tn_notifier_options *with,
                          struct tn_notifier **ret_notifier)
{
    int lock = open("/proc/sys/fs/inotify/max_queued_events", O_RDONLY | O_CLOEXEC);
    struct tn_limits limits = TN_LIMITS_INIT;
    int result;

    if (lock >= 0)
        flock(lock, LOCK_EX);
    result = tn_limits_get(&limits);
    if (result == 0)
        result = tn_limits_set(TN_LIMIT_QUEUED_EVENTS, options->queue);
    if (result < 0) {
        printf("skipped: the kernel's queue can't be set: %s\n", strerror(-result));
        result = SKIPPED;
    } else {
        result = tn_notifier_new(with, ret_notifier);
        tn_limits_set(TN_LIMIT_QUEUED_EVENTS, limits.queued_events);
    }
    if (lock >= 0)
        close(lock);
    return result;
}

static int new_notifier(const struct options *options, atomic_uint *overflows,
                        struct tn_notifier **ret_notifier)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = count_overflow};
    struct tn_notifier_options with = TN_NOTIFIER_OPTIONS_INIT;

    int result = tn_processor_new(&ops, overflows, &with.processor);
    if (result < 0)
        return result;
    with.threads = options->threads;
    result = options->queue ? new_with_queue(options, &with, ret_notifier)
                            : tn_notifier_new(&with, ret_notifier);
    tn_processor_unref(with.processor);
    return result;
}

/* 0 or 1, as an exit status. */
static int report(const struct run *run)
{
    unsigned overflows = atomic_load(&run->overflows);
    const struct options *options = run->options;
    uint64_t events = 0, synthetic = 0, gaps = 0;
    struct verdict sum = {0};

    for (unsigned i = 0; i < run->steady_count; i++) {
        const struct model *model = run->steadies[i].model;
        const struct verdict *verdict = model_verdict(run->steadies[i].model);
        events += model_events(model);
        synthetic += model_synthetic(model);
        gaps += model_gaps(model);
        sum.missed += verdict->missed;
        sum.duplicated += verdict->duplicated;
        sum.wrong_path += verdict->wrong_path;
        sum.unwatched += verdict->unwatched;
        sum.stray += verdict->stray;
    }
    printf("%s seed %" PRIu64 ": %" PRIu64 " events, %" PRIu64 " synthetic: missed %" PRIu64
           ", duplicated %" PRIu64 ", wrong path %" PRIu64 ", unwatched %" PRIu64,
           run->workload->name, options->seed, events, synthetic, sum.missed, sum.duplicated,
           sum.wrong_path, sum.unwatched);
    if (overflows || options->queue || options->stopped)
        printf(", gaps %" PRIu64, gaps);
    if (sum.stray)
        printf(", stray %" PRIu64, sum.stray);
    putchar('\n');
    if (rounds_found_fault(run))
        return 1;
    if (!events) {
        fprintf(stderr, "tnstress: %s has changed nothing\n", run->workload->name);
        return 2;
    }
    if (!overflows || options->queue || options->stopped || options->snapshot)
        return 0;
    puts("the kernel's queue was full: not everything was compared");
    return SKIPPED;
}

static int start(struct run *run, const char *tree)
{
    const struct options *options = run->options;
    int result = 0;

    for (unsigned i = 0; i < run->steady_count && result == 0; i++)
        result = steady_add(&run->steadies[i], run->notifier);
    if (result == 0 && options->threads)
        result = tn_notifier_start(run->notifier);
    /* The first lists are made right after the add; a gap before that is told as without them. */
    if (result == 0 && options->snapshot)
        result = tn_notifier_settle(run->notifier, -1);
    if (result == 0 && options->churn)
        result = churn_start(run->notifier, tree, options->churn, options->seed, &run->churn);
    return result;
}

static int watch_and_run(struct run *run, const char *tree)
{
    int result = new_notifier(run->options, &run->overflows, &run->notifier);

    if (result)
        return result < 0 ? fail("a notifier", result) : result;
    result = start(run, tree);
    if (result == 0)
        result = rounds_run(run);
    int churned = churn_stop(run->churn);
    tn_notifier_free(run->notifier);
    unsigned unreleased = churn_free(run->churn);
    if (result < 0)
        return fail(run->workload->name, result);
    if (churned < 0)
        return fail("a watch that comes and goes", churned);
    if (unreleased)
        fprintf(stderr, "tnstress: %u adds were not released, or twice\n", unreleased);
    int status = report(run);
    return unreleased ? 1 : status;
}

/* In the place, with the tree and what is beside it made. */
static int run_in(const struct options *options, const struct workload *workload, const char *place)
{
    struct run run = {.options = options, .workload = workload};
    char tree[4200], alias[4200];
    unsigned share = options->operations < options->rest ? options->operations : options->rest;
    int result =
        workload->run ? 0 : script_prepare(workload, options->seed, share / options->writers);

    if (result)
        return result < 0 ? fail(workload->name, result) : result;
    snprintf(tree, sizeof(tree), "%s/tree", place);
    snprintf(alias, sizeof(alias), "%s/alias", place);
    result = steady_init(&run.steadies[run.steady_count++], options, tree, 0, TN_ORDER_TREE);
    if (result == 0 && (options->churn || options->alias))
        result =
            steady_init(&run.steadies[run.steady_count++], options, options->alias ? alias : tree,
                        IN_ATTRIB | IN_MODIFY, TN_ORDER_NOTIFIER);
    result = result < 0 ? fail("a processor", result) : watch_and_run(&run, tree);
    for (unsigned i = 0; i < run.steady_count; i++)
        steady_done(&run.steadies[i]);
    return result;
}

static int run(const struct options *options, const struct workload *workload)
{
    char place[4096];

    snprintf(place, sizeof(place), "%s/tnstress-XXXXXX", options->directory);
    if (!mkdtemp(place) || chdir(place) < 0 || mkdir("tree", 0755) < 0 ||
        mkdir("outside", 0755) < 0 || symlink("tree", "alias") < 0)
        return fail(place, -errno);
    int result = run_in(options, workload, place);
    if (options->keep)
        printf("the tree: %s\n", place);
    else
        walk_remove(place);
    return result;
}

int main(int count, char **arguments)
{
    struct options options;
    int result = options_parse(&options, count, arguments);
    int worst = 0;
    bool known = false;
    char *directory = NULL;

    if (result)
        return result < 0 ? 0 : 2;
    if (options.trace && (result = trace_open(options.trace)) < 0)
        return fail(options.trace, result);
    if (!(directory = realpath(options.directory, NULL)))
        return fail(options.directory, -errno);
    options.directory = directory;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    bool all = strcmp(options.workload, "all") == 0;
    for (const struct workload *workload = workloads; workload->name; workload++) {
        if (!all && strcmp(options.workload, workload->name) != 0)
            continue;
        known = true;
        result = run(&options, workload);
        if (result && worst != 1)
            worst = result;
    }
    free(directory);
    if (!known) {
        fprintf(stderr, "tnstress: no workload is called %s; see --help\n", options.workload);
        return 2;
    }
    return worst;
}
