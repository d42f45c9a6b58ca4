/*
 * The built-in pool: workers take tasks from a bounded ring. When the ring is
 * full a task goes to the inbox, an intrusive list, so a submit never fails and
 * never allocates. Workers look at both in turns, so neither starves.
 *
 * No lost task. Every submit publishes a task and then wakes (P1 and P2 of
 * park.c); a worker looks at everything between W1 and W3 of park.c. Three
 * places bend that rule, and each says how it makes up for it:
 *
 *   O1  Overflow: one worker at a time, by a try-lock, moves the inbox to the
 *       backlog and takes the oldest. One that finds the lock taken goes on as
 *       if there were nothing, to sleep or to its end. So the holder looks once
 *       more after the unlock: if anything is left, it wakes one worker, or
 *       takes it itself if it has got nothing. Lock and unlock are
 *       read-modify-writes of one word: an unlock that follows a failed try
 *       sees all that the failed worker had seen, so that look finds it.
 *   O2  Spinning: a submit wakes nobody while a worker spins. The submit reads
 *       the spinning mark by a read-modify-write after it published, the spinner
 *       clears it by one and looks again after that: either the submit finds the
 *       mark cleared and wakes, or the spinner finds the task.
 *   O3  A task that submits itself again from its own run wakes nobody: its
 *       worker looks for a task next.
 *
 * One sleeper a submit is enough for all submits, except that the wake may have
 * been spent on a worker that found the ring's next cell still under way. So a
 * worker that took a task after a sleep, a spin or an O3 wakes one more if more
 * is ready (P3).
 *
 * Life: `alive` counts the workers and the owner; who takes it to zero frees the
 * pool. The last unref stops the workers, which run all that is queued first,
 * and joins them; inside a worker (of any pool, so that two pools cannot wait
 * for each other) it detaches them instead.
 *
 * Checked by tests/model/park.pml, tests/model/ring.pml, tests/model/pool.pml
 * and tests/stress/stress_executor.c.
 */
#include "executor/pool.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "atomic.h"
#include "compiler.h"
#include "executor/executor.h"
#include "options.h"
#include "queue/inbox.h"
#include "queue/park.h"
#include "queue/ring.h"

#define MAX_THREADS   1024
#define RING_CAPACITY 4096
#define SPINS         2000 /* some 20 microseconds */
#define NAME_BYTES    16

struct pool;

struct worker {
    struct pool *pool;
    pthread_t thread;
    char name[NAME_BYTES];
    /* The worker's own from here on. */
    const struct tn_task *running;
    bool resubmitted; /* O3 */
    unsigned turn;
};

struct pool {
    struct tn__ring ring;
    TN__ALIGNED struct tn__park park;
    _Atomic unsigned spinning; /* O2 */
    _Atomic bool stopping;
    _Atomic unsigned alive;
    TN__ALIGNED struct tn__inbox inbox;
    _Atomic(struct tn_task *) backlog; /* written by the holder of backlog_taken */
    _Atomic bool backlog_taken;        /* O1 */
    /* Constant once the workers run. */
    bool may_spin;
    pid_t process;
    unsigned count;
    struct worker workers[];
};

static _Thread_local struct worker *self;

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ volatile("yield");
#endif
}

static bool overflow_empty(const struct pool *pool)
{
    return tn__load(&pool->backlog, acquire) == NULL && tn__inbox_empty(&pool->inbox);
}

static struct tn_task *overflow_pop(struct pool *pool)
{
    while (TN__UNLIKELY(!overflow_empty(pool))) {
        if (tn__exchange(&pool->backlog_taken, true, acq_rel))
            return NULL;
        struct tn_task *task = tn__load(&pool->backlog, relaxed);
        if (!task)
            task = tn__inbox_take(&pool->inbox);
        if (task)
            tn__store(&pool->backlog, task->next, release);
        tn__exchange(&pool->backlog_taken, false, acq_rel);
        if (!task)
            continue; /* O1 */
        if (!overflow_empty(pool))
            tn__park_wake(&pool->park, 1); /* O1 */
        return task;
    }
    return NULL;
}

static struct tn_task *next_task(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct tn_task *task = NULL;

    if (worker->turn++ % 2)
        task = overflow_pop(pool);
    if (!task)
        task = tn__ring_pop(&pool->ring);
    if (!task)
        task = overflow_pop(pool);
    return task;
}

static struct tn_task *spin_for_task(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct tn_task *task = NULL;

    if (!pool->may_spin || tn__exchange(&pool->spinning, 1, seq_cst))
        return NULL;
    for (unsigned i = 0; i < SPINS && !task; i++) {
        relax();
        task = next_task(worker);
    }
    tn__exchange(&pool->spinning, 0, seq_cst); /* O2 */
    return task;
}

/* NULL: the pool stops and all is done. */
static struct tn_task *wait_task(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct tn_task *task = spin_for_task(worker);

    while (!task) {
        uint32_t epoch = tn__park_prepare(&pool->park);
        /* Read before the look, so that the look sees all that came before the stop. */
        bool stopping = tn__load(&pool->stopping, acquire);

        task = next_task(worker);
        if (task || stopping) {
            tn__park_cancel(&pool->park);
            break;
        }
        tn__park_wait(&pool->park, epoch, -1);
        task = next_task(worker);
    }
    return task;
}

static struct tn_task *take_task(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct tn_task *task = next_task(worker);
    bool pass_on = worker->resubmitted || !task;

    worker->resubmitted = false;
    if (!task)
        task = wait_task(worker);
    if (task && pass_on && (!tn__ring_empty(&pool->ring) || !overflow_empty(pool)))
        tn__park_wake(&pool->park, 1); /* P3 */
    return task;
}

static void pool_drop(struct pool *pool)
{
    if (tn__fetch_sub(&pool->alive, 1, acq_rel) != 1)
        return;
    tn__ring_done(&pool->ring);
    free(pool);
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct tn_task *task;

    self = worker;
    pthread_setname_np(pthread_self(), worker->name);
    while ((task = take_task(worker))) {
        worker->running = task;
        tn_task_run(task);
        worker->running = NULL;
    }
    self = NULL;
    pool_drop(worker->pool);
    return NULL;
}

static int pool_submit(void *userdata, struct tn_task *task)
{
    struct pool *pool = userdata;
    bool again = self && self->pool == pool && self->running == task;

    if (TN__UNLIKELY(!tn__ring_push(&pool->ring, task)))
        tn__inbox_push(&pool->inbox, task);
    if (again)
        self->resubmitted = true;                                           /* O3 */
    else if (!pool->may_spin || !tn__fetch_or(&pool->spinning, 0, seq_cst)) /* O2 */
        tn__park_wake(&pool->park, 1);
    return 0;
}

static void pool_stop(struct pool *pool)
{
    bool inside = self;

    tn__store(&pool->stopping, true, release);
    tn__park_wake(&pool->park, INT_MAX);
    for (unsigned i = 0; i < pool->count; i++) {
        if (inside)
            pthread_detach(pool->workers[i].thread);
        else
            pthread_join(pool->workers[i].thread, NULL);
    }
}

static void pool_release(void *userdata)
{
    struct pool *pool = userdata;

    /* A fork's child has none of the workers. */
    if (pool->process != getpid())
        tn__store(&pool->alive, 1, relaxed);
    else
        pool_stop(pool);
    pool_drop(pool);
}

/* The prefix gives way to the number where both do not fit. */
static void set_name(char ret_name[NAME_BYTES], const char *prefix, unsigned number)
{
    char suffix[NAME_BYTES];
    size_t digits = (size_t)snprintf(suffix, sizeof(suffix), "-%u", number);
    size_t length = strnlen(prefix, NAME_BYTES - 1 - digits);

    memcpy(ret_name, prefix, length);
    memcpy(ret_name + length, suffix, digits + 1);
}

static int pool_spawn(struct pool *pool, const struct tn_pool_options *options, unsigned threads)
{
    const char *name = options->name ? options->name : "tn-worker";
    pthread_attr_t attributes;
    sigset_t all, old;
    int error = pthread_attr_init(&attributes);

    if (error)
        return -error;
    if (options->stack_bytes)
        error = pthread_attr_setstacksize(&attributes, options->stack_bytes);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (!error && pool->count < threads) {
        struct worker *worker = &pool->workers[pool->count];

        set_name(worker->name, name, pool->count);
        worker->pool = pool;
        tn__fetch_add(&pool->alive, 1, relaxed);
        error = pthread_create(&worker->thread, &attributes, worker_main, worker);
        if (error)
            tn__fetch_sub(&pool->alive, 1, relaxed);
        else
            pool->count++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

static struct pool *pool_alloc(unsigned threads, const struct tn__pool_tuning *tuning)
{
    size_t size = sizeof(struct pool) + threads * sizeof(struct worker);
    size_t rounded = (size + TN__CACHELINE - 1) / TN__CACHELINE * TN__CACHELINE;
    struct pool *pool = aligned_alloc(TN__CACHELINE, rounded);

    if (!pool)
        return NULL;
    memset(pool, 0, rounded);
    if (tn__ring_init(&pool->ring, tuning->ring_capacity) < 0) {
        free(pool);
        return NULL;
    }
    tn__park_init(&pool->park);
    tn__inbox_init(&pool->inbox);
    tn__store(&pool->alive, 1, relaxed);
    pool->may_spin = tuning->cpus > 2;
    pool->process = getpid();
    return pool;
}

int tn__pool_new(const struct tn_pool_options *options, const struct tn__pool_tuning *tuning,
                 struct tn_executor **ret_executor)
{
    static const struct tn_executor_ops ops = {
        .size = sizeof(ops),
        .submit = pool_submit,
        .release = pool_release,
    };
    struct tn_pool_options own;
    struct tn_executor *executor;
    int result = tn__options_copy(&own, sizeof(own), options);

    if (result < 0)
        return result;
    if (own.threads > MAX_THREADS)
        return -EINVAL;
    unsigned threads = own.threads ? own.threads : (unsigned)tn__min(tuning->cpus, MAX_THREADS);
    struct pool *pool = pool_alloc(threads, tuning);
    if (!pool)
        return -ENOMEM;
    result = tn__executor_new(&ops, pool, 0, &executor);
    if (result < 0) {
        pool_drop(pool);
        return result;
    }
    result = pool_spawn(pool, &own, threads);
    if (result < 0) {
        tn_executor_unref(executor);
        return result;
    }
    *ret_executor = executor;
    return 0;
}

static unsigned online_cpus(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return (unsigned)CPU_COUNT(&set);
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (unsigned)count : 1;
}

int tn_executor_new_pool(const struct tn_pool_options *options, struct tn_executor **ret_executor)
{
    struct tn__pool_tuning tuning = {.cpus = online_cpus(), .ring_capacity = RING_CAPACITY};

    if (!ret_executor)
        return -EINVAL;
    return tn__pool_new(options, &tuning, ret_executor);
}
