/*
 * The mirror check. Rounds of changes by processes; after each, at rest, what
 * the events told is compared with what is there.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tnotify/tnotify.h>
#include <unistd.h>

#include "compare.h"
#include "options.h"
#include "random.h"
#include "trace.h"
#include "walk.h"
#include "workload.h"

enum { MARKER_WATCHES = 1 };

/* While watches are removed, some of them still tell what the others would explain. */
static atomic_bool is_deaf;

static int apply(const struct tn_event *event, void *userdata)
{
    trace_event(event);
    if (!atomic_load(&is_deaf))
        model_apply(userdata, event);
    return 0;
}

static int fail(const char *what, int error)
{
    fprintf(stderr, "tnstress: %s: %s\n", what, tn_strerror(error));
    return 2;
}

static pid_t start_writer(const struct options *options, const struct workload *workload,
                          unsigned writer, unsigned round, unsigned operations)
{
    struct share share = {.random = options->seed * 1000003 + (uint64_t)round * 1009 + writer,
                          .writer = writer,
                          .writers = options->writers,
                          .operations = operations / options->writers,
                          .round = round};
    pid_t child = fork();

    if (child == 0) {
        operation_begin(&share);
        workload->run(&share);
        _exit(0);
    }
    return child;
}

/* Reads a little, now and then, while the writers go on. */
static void read_now_and_then(struct tn_notifier *notifier, uint64_t *random)
{
    poll(NULL, 0, (int)random_below(random, 8));
    if (random_below(random, 3) == 0) {
        tn_notifier_read_events(notifier);
        tn_notifier_process_events(notifier);
    }
}

static void wait_writers(const struct options *options, struct tn_notifier *notifier,
                         unsigned writers, uint64_t *random)
{
    while (writers) {
        pid_t ended = waitpid(-1, NULL, options->threads ? 0 : WNOHANG);
        if (ended > 0)
            writers--;
        else if (ended < 0 && errno != EINTR)
            break;
        else if (!options->threads)
            read_now_and_then(notifier, random);
    }
}

static int add_tree(struct tn_notifier *notifier, const char *tree, uint32_t flags)
{
    return tn_watch_add(notifier, tree,
                        TN_WATCH_OPTIONS(.mask = IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE,
                                         .flags = TN_WATCH_TREE | flags, .order = TN_ORDER_TREE),
                        NULL);
}

/* While the writers go on: what the model knew is told again. */
static int add_again(struct model *model, struct tn_notifier *notifier)
{
    tn_wd wd;
    int result = tn_watch_find(notifier, model_root_path(model), &wd);

    atomic_store(&is_deaf, true);
    if (result == 0)
        result = tn_watch_remove(notifier, wd, TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC);
    if (result < 0)
        return result;
    trace_note("again");
    model_clear(model);
    atomic_store(&is_deaf, false);
    return add_tree(notifier, model_root_path(model), TN_WATCH_EXISTING);
}

static int compare(struct model *model, struct tn_notifier *notifier,
                   const struct workload *workload)
{
    int result = tn_notifier_settle(notifier, -1);

    trace_note("rest");
    if (result == 0)
        result = compare_tree(model, notifier, workload->check_closed);
    if (result == 0)
        result = compare_probe(model, notifier);
    if (result == 0)
        result = compare_kernel(model, MARKER_WATCHES);
    return result;
}

static bool is_faulty(const struct verdict *verdict)
{
    return verdict->missed || verdict->duplicated || verdict->wrong_path || verdict->unwatched ||
           verdict->stray;
}

static int run_rounds(const struct options *options, const struct workload *workload,
                      struct model *model, struct tn_notifier *notifier)
{
    uint64_t random = options->seed;
    unsigned left = options->operations;

    for (unsigned round = 0; left && !is_faulty(model_verdict(model)); round++) {
        unsigned operations = left < options->rest ? left : options->rest;
        unsigned started = 0;
        left -= operations;
        for (unsigned i = 0; i < options->writers; i++)
            started += start_writer(options, workload, i, round, operations) > 0;
        int result = options->existing ? add_again(model, notifier) : 0;
        wait_writers(options, notifier, started, &random);
        if (result == 0)
            result = compare(model, notifier, workload);
        if (result < 0)
            return result;
        if (model_overflows(model))
            break;
    }
    return 0;
}

static int report(const struct options *options, const struct workload *workload,
                  struct model *model)
{
    const struct verdict *verdict = model_verdict(model);

    if (model_overflows(model)) {
        printf("%s seed %" PRIu64 ": the kernel's queue was full\n", workload->name, options->seed);
        return 77;
    }
    printf("%s seed %" PRIu64 ": %" PRIu64 " events, %" PRIu64 " synthetic: missed %" PRIu64
           ", duplicated %" PRIu64 ", wrong path %" PRIu64 ", unwatched %" PRIu64,
           workload->name, options->seed, model_events(model), model_synthetic(model),
           verdict->missed, verdict->duplicated, verdict->wrong_path, verdict->unwatched);
    if (verdict->stray)
        printf(", stray %" PRIu64, verdict->stray);
    putchar('\n');
    return is_faulty(verdict);
}

static int watch_and_run(const struct options *options, const struct workload *workload,
                         struct model *model, const char *tree)
{
    const struct tn_processor_ops ops = {.size = sizeof(ops), .process_default = apply};
    struct tn_notifier_options notifier_options = TN_NOTIFIER_OPTIONS_INIT;
    struct tn_processor *processor;
    struct tn_notifier *notifier;

    int result = tn_processor_new(&ops, model, &processor);
    if (result < 0)
        return fail("a processor", result);
    notifier_options.threads = options->threads;
    notifier_options.processor = processor;
    result = tn_notifier_new(&notifier_options, &notifier);
    tn_processor_unref(processor);
    if (result < 0)
        return fail("a notifier", result);
    result = add_tree(notifier, tree, 0);
    if (result == 0 && options->threads)
        result = tn_notifier_start(notifier);
    if (result == 0)
        result = run_rounds(options, workload, model, notifier);
    tn_notifier_free(notifier);
    return result < 0 ? fail(workload->name, result) : report(options, workload, model);
}

static int run(const struct options *options, const struct workload *workload)
{
    char place[4096], tree[4200];

    snprintf(place, sizeof(place), "%s/tnstress-XXXXXX", options->directory);
    if (!mkdtemp(place) || chdir(place) < 0 || mkdir("tree", 0755) < 0 ||
        mkdir("outside", 0755) < 0)
        return fail(place, -errno);
    snprintf(tree, sizeof(tree), "%s/tree", place);
    struct model *model = model_new(tree);
    int result = watch_and_run(options, workload, model, tree);
    model_free(model);
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

    if (result)
        return result < 0 ? 0 : 2;
    if (options.trace && (result = trace_open(options.trace)) < 0)
        return fail(options.trace, result);
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
    if (!known) {
        fprintf(stderr, "tnstress: no workload is called %s; see --help\n", options.workload);
        return 2;
    }
    return worst;
}
