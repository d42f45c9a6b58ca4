#include "rounds.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare.h"
#include "random.h"
#include "trace.h"

enum {
    MARKER_WATCHES = 1,
    QUEUE = 8192,
    EVENTS_A_PROBE = 48 /* what else looks at the tree too */
};

static pid_t start_writer(const struct run *run, unsigned writer, unsigned round,
                          unsigned operations)
{
    const struct options *options = run->options;
    struct share share = {.random = options->seed * 1000003 + (uint64_t)round * 1009 + writer,
                          .writer = writer,
                          .writers = options->writers,
                          .operations = operations / options->writers,
                          .round = round};
    pid_t child = fork();

    if (child != 0)
        return child;
    operation_begin(&share);
    if (run->workload->run)
        run->workload->run(&share);
    else
        script_run(run->workload, &share);
    _exit(0);
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

static void wait_writers(const struct run *run, unsigned writers, uint64_t *random)
{
    bool reads_here = !run->options->threads && !run->options->stopped;

    while (writers) {
        pid_t ended = waitpid(-1, NULL, reads_here ? WNOHANG : 0);
        if (ended > 0)
            writers--;
        else if (ended < 0 && errno != EINTR)
            break;
        else if (reads_here)
            read_now_and_then(run->notifier, random);
    }
}

/* If nothing else happened meanwhile, what was lost is healed at once. */
static void check_gaps(const struct run *run, struct steady *steady)
{
    uint64_t gaps = model_gaps(steady->model) - steady->gaps;

    steady->gaps += gaps;
    if (run->options->stopped && !run->churn && gaps > 1)
        model_fault(steady->model, &model_verdict(steady->model)->duplicated, "several gaps",
                    model_root_path(steady->model));
}

static int compare_steady(const struct run *run, struct steady *steady)
{
    unsigned queue = run->options->queue ? run->options->queue : QUEUE;
    unsigned batch = queue / EVENTS_A_PROBE + 1;
    struct pace pace = {.notifier = run->notifier, .batch = batch, .left = batch};
    int result = compare_tree(steady->model, pace, steady->root, run->workload->check_closed);

    check_gaps(run, steady);
    return result < 0 ? result : compare_probe(steady->model, pace);
}

/* In every other round while the churn's watches stand. Not all of them are in the tree then. */
static int compare(struct run *run, unsigned round)
{
    bool empty = round % 2 == 0;
    int result = churn_pause(run->churn, empty);

    if (result == 0)
        result = tn_notifier_settle(run->notifier, -1);
    trace_note("rest");
    for (unsigned i = 0; i < run->steady_count && result == 0; i++)
        result = compare_steady(run, &run->steadies[i]);
    if (result == 0 && (empty || !run->churn))
        result = compare_kernel(run->steadies[0].model, MARKER_WATCHES);
    churn_resume(run->churn);
    return result;
}

bool rounds_found_fault(const struct run *run)
{
    for (unsigned i = 0; i < run->steady_count; i++) {
        const struct verdict *verdict = model_verdict(run->steadies[i].model);
        if (verdict->missed || verdict->duplicated || verdict->wrong_path || verdict->unwatched ||
            verdict->stray)
            return true;
    }
    return false;
}

int rounds_run(struct run *run)
{
    const struct options *options = run->options;
    uint64_t random = options->seed;
    unsigned left = options->operations;

    for (unsigned round = 0; left && !rounds_found_fault(run); round++) {
        unsigned operations = left < options->rest ? left : options->rest;
        unsigned started = 0;
        left -= operations;
        for (unsigned i = 0; i < options->writers; i++)
            started += start_writer(run, i, round, operations) > 0;
        int result = options->existing ? steady_add_again(&run->steadies[0], run->notifier) : 0;
        wait_writers(run, started, &random);
        if (result == 0)
            result = compare(run, round);
        if (result < 0)
            return result;
    }
    return 0;
}
