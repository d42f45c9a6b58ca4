/*
 * The ring, the park, the inbox and the pool under more threads than CPUs, for
 * the sanitizers. Every item and every run is counted; a lost wake-up shows as a
 * hang.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "atomic.h"
#include "compiler.h"
#include "executor/executor.h"
#include "executor/pool.h"
#include "queue/inbox.h"
#include "queue/park.h"
#include "queue/ring.h"

#define SIDES 3 /* producers, and as many consumers */
#define ITEMS 30000
#define JOBS  200
#define RUNS  300

static _Atomic bool failed;

static void check(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "stress_executor: %s\n", what);
    tn__store(&failed, true, relaxed);
}

static void start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    if (pthread_create(thread, NULL, run, argument) != 0) {
        perror("pthread_create");
        exit(EXIT_FAILURE);
    }
}

/* --- a channel of ring, inbox and park, as the pool uses them --- */

struct item {
    struct tn_task task;
    unsigned producer, number;
    unsigned plain; /* written before the push and after the pop, for the race detector */
    _Atomic unsigned taken;
};

struct channel {
    struct tn__ring ring;
    struct tn__inbox inbox;
    struct tn__park park;
    bool use_inbox;
    _Atomic unsigned next_producer, taken;
    struct item (*items)[ITEMS];
};

static void *produce(void *argument)
{
    struct channel *channel = argument;
    unsigned producer = tn__fetch_add(&channel->next_producer, 1, relaxed);

    for (unsigned i = 0; i < ITEMS; i++) {
        struct item *item = &channel->items[producer][i];

        item->producer = producer;
        item->number = i + 1;
        item->plain = i;
        if (channel->use_inbox)
            tn__inbox_push(&channel->inbox, &item->task);
        else
            while (!tn__ring_push(&channel->ring, item))
                sched_yield();
        tn__park_wake(&channel->park, 1);
    }
    return NULL;
}

static void take_item(struct channel *channel, struct item *item, unsigned last[SIDES])
{
    check(item->number > last[item->producer], "items of one producer out of order");
    last[item->producer] = item->number;
    item->plain++;
    check(tn__fetch_add(&item->taken, 1, relaxed) == 0, "an item came out twice");
    if (tn__fetch_add(&channel->taken, 1, acq_rel) + 1 == SIDES * ITEMS)
        tn__park_wake(&channel->park, SIDES);
}

static bool take_some(struct channel *channel, unsigned last[SIDES])
{
    struct item *item;

    if (!channel->use_inbox) {
        item = tn__ring_pop(&channel->ring);
        if (item)
            take_item(channel, item, last);
        return item;
    }
    struct tn_task *task = tn__inbox_take(&channel->inbox);
    bool any = task;
    while (task) {
        item = tn__container_of(task, struct item, task);
        task = task->next;
        take_item(channel, item, last);
    }
    return any;
}

static bool all_taken(struct channel *channel)
{
    return tn__load(&channel->taken, acquire) == SIDES * ITEMS;
}

static void *consume(void *argument)
{
    struct channel *channel = argument;
    unsigned last[SIDES] = {0};

    while (!all_taken(channel)) {
        if (take_some(channel, last))
            continue;
        uint32_t epoch = tn__park_prepare(&channel->park);
        if (take_some(channel, last) || all_taken(channel))
            tn__park_cancel(&channel->park);
        else
            tn__park_wait(&channel->park, epoch, -1);
    }
    return NULL;
}

static void stress_channel(bool use_inbox)
{
    struct channel channel = {.use_inbox = use_inbox};
    pthread_t threads[2 * SIDES];

    channel.items = calloc(SIDES, sizeof(*channel.items));
    if (!channel.items || tn__ring_init(&channel.ring, 16) < 0)
        exit(EXIT_FAILURE);
    tn__inbox_init(&channel.inbox);
    tn__park_init(&channel.park);
    for (unsigned i = 0; i < 2 * SIDES; i++)
        start(&threads[i], i % 2 ? produce : consume, &channel);
    for (unsigned i = 0; i < 2 * SIDES; i++)
        pthread_join(threads[i], NULL);
    for (unsigned producer = 0; producer < SIDES; producer++)
        for (unsigned i = 0; i < ITEMS; i++)
            check(channel.items[producer][i].plain == i + 1, "an item was lost");
    check((uint32_t)tn__load(&channel.park.word, relaxed) == 0, "waiters are left in the park");
    tn__ring_done(&channel.ring);
    free(channel.items);
}

/* --- the pool: tasks that are submitted from outside and by themselves, one run at a time --- */

struct job {
    struct tn__task task;
    struct tn_executor *executor;
    _Atomic unsigned owed; /* runs to come; who makes it more than 0 submits */
    unsigned plain;        /* handed from run to run */
    bool by_itself;
};

static void job_submit(struct job *job)
{
    if (tn__executor_submit(job->executor, &job->task) < 0)
        check(false, "the pool refused a task");
}

static void job_run(struct tn__task *task)
{
    struct job *job = tn__container_of(task, struct job, task);

    job->plain++;
    if (tn__fetch_sub(&job->owed, 1, acq_rel) > 1)
        job_submit(job);
}

struct crowd {
    struct tn_executor *executor;
    struct job *jobs;
};

static void *submit_all(void *argument)
{
    struct crowd *crowd = argument;

    for (unsigned run = 0; run < RUNS; run++)
        for (unsigned i = 0; i < JOBS; i++)
            if (tn__fetch_add(&crowd->jobs[i].owed, 1, acq_rel) == 0)
                job_submit(&crowd->jobs[i]);
    tn_executor_unref(crowd->executor);
    return NULL;
}

static struct tn_executor *make_pool(unsigned threads, unsigned cpus, size_t capacity)
{
    struct tn_pool_options options = {.size = sizeof(options), .threads = threads};
    struct tn__pool_tuning tuning = {.cpus = cpus, .ring_capacity = capacity};
    struct tn_executor *executor;

    if (tn__pool_new(&options, &tuning, &executor) < 0) {
        fprintf(stderr, "stress_executor: no pool\n");
        exit(EXIT_FAILURE);
    }
    return executor;
}

/*
 * The owed runs keep a task submitted at most once at a time, as a lane's state
 * word does. The last unref may come while runs are still owed: a task that
 * submits itself again from a worker needs no reference.
 */
static void stress_pool(unsigned threads, unsigned cpus, size_t capacity)
{
    struct crowd crowd = {.executor = make_pool(threads, cpus, capacity)};
    pthread_t submitters[2];

    crowd.jobs = calloc(JOBS, sizeof(*crowd.jobs));
    if (!crowd.jobs)
        exit(EXIT_FAILURE);
    for (unsigned i = 0; i < JOBS; i++) {
        crowd.jobs[i].task.run = job_run;
        crowd.jobs[i].executor = crowd.executor;
    }
    for (unsigned i = 0; i < 2; i++) {
        tn_executor_ref(crowd.executor);
        start(&submitters[i], submit_all, &crowd);
    }
    for (unsigned i = 0; i < 2; i++)
        pthread_join(submitters[i], NULL);
    tn_executor_unref(crowd.executor);
    for (unsigned i = 0; i < JOBS; i++)
        check(crowd.jobs[i].plain == 2 * RUNS, "a run was lost or doubled");
    free(crowd.jobs);
}

/* --- short lives: the last reference goes inside or outside, with work queued --- */

static void job_unref(struct tn__task *task)
{
    struct job *job = tn__container_of(task, struct job, task);

    if (job->by_itself)
        tn_executor_unref(job->executor);
    tn__store(&job->owed, 0, release);
}

static void stress_lives(unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        struct tn_executor *executor = make_pool(1 + round % 4, 1 + round % 5, 2);
        struct job jobs[8];
        bool inside = round % 2;

        for (unsigned i = 0; i < 8; i++) {
            jobs[i] = (struct job){
                .task = {.run = job_unref},
                .executor = inside ? tn_executor_ref(executor) : executor,
                .owed = 1,
                .by_itself = inside,
            };
        }
        for (unsigned i = 0; i < 8; i++)
            job_submit(&jobs[i]);
        tn_executor_unref(executor);
        for (unsigned i = 0; i < 8; i++)
            while (tn__load(&jobs[i].owed, acquire))
                sched_yield();
    }
}

/* --- wake-ups: every task is awaited before the next is submitted, so workers sleep in between ---
 */

static void job_done(struct tn__task *task)
{
    tn__store(&tn__container_of(task, struct job, task)->owed, 0, release);
}

static void stress_wake(unsigned threads, unsigned cpus, unsigned rounds)
{
    struct tn_executor *executor = make_pool(threads, cpus, 2);
    struct job jobs[4];

    for (unsigned round = 0; round < rounds; round++) {
        unsigned count = 1 + round % 4;

        for (unsigned i = 0; i < count; i++) {
            jobs[i] = (struct job){.task = {.run = job_done}, .executor = executor, .owed = 1};
            job_submit(&jobs[i]);
        }
        for (unsigned i = 0; i < count; i++)
            while (tn__load(&jobs[i].owed, acquire))
                sched_yield();
    }
    tn_executor_unref(executor);
}

int main(void)
{
    stress_channel(false);
    stress_channel(true);
    stress_pool(1, 1, 4096);
    stress_pool(2, 2, 4096);
    stress_pool(4, 2, 8);
    stress_pool(4, 8, 4096);
    stress_pool(8, 8, 8);
    stress_lives(400);
    stress_wake(2, 2, 5000);
    stress_wake(3, 8, 5000);
    return tn__load(&failed, relaxed) ? EXIT_FAILURE : EXIT_SUCCESS;
}
