#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "executor/pool.h"
#include "job.h"

static struct tn_executor *make_pool(unsigned threads)
{
    struct tn_pool_options options = {.size = sizeof(options), .threads = threads};
    struct tn_executor *executor = NULL;

    cr_assert_eq(tn_executor_new_pool(&options, &executor), 0);
    return executor;
}

static unsigned count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned count = 0;

    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

/* Where every worker has to be at once. */
struct gate {
    pthread_barrier_t barrier;
    pthread_mutex_t mutex;
    char names[64][16];
    unsigned count;
};

static void gate_init(struct gate *gate, unsigned parties)
{
    memset(gate, 0, sizeof(*gate));
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_barrier_init(&gate->barrier, NULL, parties);
}

static void step_meet(struct job *job)
{
    struct gate *gate = job->context;

    pthread_mutex_lock(&gate->mutex);
    pthread_getname_np(pthread_self(), gate->names[gate->count++], 16);
    pthread_mutex_unlock(&gate->mutex);
    pthread_barrier_wait(&gate->barrier);
}

/* --- options --- */

Test(pool_new, checks_its_options)
{
    struct {
        struct tn_pool_options options;
        size_t more;
    } newer = {.options = {.size = sizeof(newer)}, .more = 1};
    struct tn_pool_options options = {.size = sizeof(options), .threads = 1025};
    struct tn_executor *executor = NULL;
    unsigned threads = count_threads();

    cr_assert_eq(tn_executor_new_pool(&options, NULL), -EINVAL);
    cr_assert_eq(tn_executor_new_pool(&options, &executor), -EINVAL);
    options.threads = 1;
    options.stack_bytes = 1;
    cr_assert_eq(tn_executor_new_pool(&options, &executor), -EINVAL);
    cr_assert_eq(tn_executor_new_pool(&newer.options, &executor), -E2BIG);
    cr_assert_null(executor);
    cr_assert_eq(count_threads(), threads);
}

Test(pool_new, one_thread_per_cpu_by_default)
{
    unsigned before = count_threads();
    struct tn_executor *executor;
    cpu_set_t set;

    cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    cr_assert_eq(tn_executor_new_pool(NULL, &executor), 0);
    cr_assert_eq(count_threads() - before, (unsigned)CPU_COUNT(&set));
    cr_assert_not(tn__executor_is_inline(executor));
    cr_assert_not(tn__executor_may_refuse(executor));
    tn_executor_unref(executor);
    cr_assert_eq(count_threads(), before);
}

Test(pool_new, takes_the_most_threads)
{
    unsigned before = count_threads();
    struct tn_pool_options options = {.size = sizeof(options),
                                      .threads = 1024,
                                      .stack_bytes = 256 * 1024};
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_pool(&options, &executor), 0);
    cr_assert_eq(count_threads() - before, 1024);
    tn_executor_unref(executor);
    cr_assert_eq(count_threads(), before);
}

static bool met(const struct gate *gate, const char *name)
{
    for (unsigned i = 0; i < gate->count; i++)
        if (strcmp(gate->names[i], name) == 0)
            return true;
    return false;
}

static void meet_in_pool(const char *name, unsigned threads, struct gate *gate)
{
    struct tn_pool_options options = {.size = sizeof(options), .threads = threads, .name = name};
    struct tn_executor *executor;
    struct job jobs[16];

    gate_init(gate, threads);
    cr_assert_eq(tn_executor_new_pool(&options, &executor), 0);
    for (unsigned i = 0; i < threads; i++) {
        jobs[i] = make_job(executor, step_meet, gate);
        submit(&jobs[i]);
    }
    tn_executor_unref(executor);
    cr_assert_eq(gate->count, threads);
}

Test(pool_new, names_its_threads)
{
    struct gate gate;

    meet_in_pool(NULL, 3, &gate);
    cr_assert(met(&gate, "tn-worker-0"));
    cr_assert(met(&gate, "tn-worker-1"));
    cr_assert(met(&gate, "tn-worker-2"));
    meet_in_pool("a-very-long-pool-name", 11, &gate);
    cr_assert(met(&gate, "a-very-long-p-0"));
    cr_assert(met(&gate, "a-very-long--10"));
}

static void step_look_at_signals(struct job *job)
{
    pthread_sigmask(SIG_SETMASK, NULL, job->context);
}

Test(pool_new, workers_block_all_signals_and_the_caller_keeps_its_mask)
{
    sigset_t inside, mine, after;
    struct job job;

    sigemptyset(&mine);
    sigaddset(&mine, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &mine, NULL);
    struct tn_executor *executor = make_pool(1);
    job = make_job(executor, step_look_at_signals, &inside);
    submit(&job);
    tn_executor_unref(executor);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal < NSIG; signal++) {
        bool real = signal != SIGKILL && signal != SIGSTOP && (signal < 32 || signal >= SIGRTMIN);

        if (real)
            cr_expect(sigismember(&inside, signal), "signal %d", signal);
        cr_expect_eq(sigismember(&after, signal), signal == SIGUSR2, "signal %d", signal);
    }
}

static void step_look_at_stack(struct job *job)
{
    pthread_attr_t attributes;

    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstacksize(&attributes, job->context);
    pthread_attr_destroy(&attributes);
}

Test(pool_new, stack_bytes_is_the_size_of_the_stacks)
{
    struct tn_pool_options options = {.size = sizeof(options),
                                      .threads = 1,
                                      .stack_bytes = 777 * 4096};
    struct tn_executor *executor;
    size_t size = 0;

    cr_assert_eq(tn_executor_new_pool(&options, &executor), 0);
    struct job job = make_job(executor, step_look_at_stack, &size);
    submit(&job);
    tn_executor_unref(executor);
    cr_assert_eq(size, 777 * 4096);
}

/* As a user that owns no other process, this one and three threads are all that the limit allows.
 */
Test(pool_new, takes_everything_back_when_a_thread_cannot_be_made)
{
    struct tn_pool_options options = {.size = sizeof(options), .threads = 8};
    struct rlimit limit = {.rlim_cur = 4, .rlim_max = 4};
    struct tn_executor *executor = NULL;
    unsigned before = count_threads();

    if (geteuid() != 0 || setresuid(54321, 54321, 54321) < 0)
        cr_skip_test("needs root, to become a user without processes");
    cr_assert_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
    cr_assert_eq(tn_executor_new_pool(&options, &executor), -EAGAIN);
    cr_assert_null(executor);
    cr_assert_eq(count_threads(), before);
    options.threads = 2;
    cr_assert_eq(tn_executor_new_pool(&options, &executor), 0);
    tn_executor_unref(executor);
}

/* --- work --- */

Test(pool, runs_as_many_tasks_at_once_as_it_has_threads)
{
    struct tn_executor *executor = make_pool(4);
    struct gate gate;
    struct job jobs[4];

    gate_init(&gate, 4);
    for (int round = 0; round < 2000; round++) {
        gate.count = 0;
        for (int i = 0; i < 4; i++) {
            jobs[i] = make_job(executor, step_meet, &gate);
            submit(&jobs[i]);
        }
        for (int i = 0; i < 4; i++)
            while (!tn__load(&jobs[i].runs, acquire))
                sched_yield();
        pthread_mutex_lock(&gate.mutex);
        while (gate.count < 4) {
            pthread_mutex_unlock(&gate.mutex);
            sched_yield();
            pthread_mutex_lock(&gate.mutex);
        }
        pthread_mutex_unlock(&gate.mutex);
    }
    tn_executor_unref(executor);
}

Test(pool, the_last_unref_waits_for_all_that_is_queued)
{
    enum { JOBS = 20000 };
    struct tn_executor *executor = make_pool(2);
    struct job *jobs = calloc(JOBS, sizeof(*jobs));
    unsigned before = count_threads();

    for (int i = 0; i < JOBS; i++) {
        jobs[i] = make_job(executor, NULL, NULL);
        submit(&jobs[i]);
    }
    tn_executor_unref(executor);
    for (int i = 0; i < JOBS; i++)
        cr_assert_eq(jobs[i].runs, 1);
    cr_assert_eq(count_threads(), before - 2);
    free(jobs);
}

/* While the only worker is held, more is submitted than the ring takes. */
Test(pool, never_refuses)
{
    enum { JOBS = 5000 };
    struct tn_pool_options options = {.size = sizeof(options), .threads = 1};
    struct tn__pool_tuning tuning = {.cpus = 1, .ring_capacity = 8};
    struct job *jobs = calloc(JOBS, sizeof(*jobs));
    struct tn_executor *executor;
    struct gate gate;

    cr_assert_eq(tn__pool_new(&options, &tuning, &executor), 0);
    gate_init(&gate, 2);
    struct job holder = make_job(executor, step_meet, &gate);
    submit(&holder);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = make_job(executor, NULL, NULL);
        submit(&jobs[i]);
    }
    pthread_barrier_wait(&gate.barrier);
    tn_executor_unref(executor);
    for (int i = 0; i < JOBS; i++)
        cr_assert_eq(jobs[i].runs, 1);
    free(jobs);
}

/* Drops a reference once main has dropped its own. */
static void step_unref(struct job *job)
{
    struct gate *gate = job->context;

    pthread_barrier_wait(&gate->barrier);
    tn_executor_unref(job->executor);
}

static long address_space(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    cr_assert_eq(fscanf(file, "%ld", &pages), 1);
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

/* Threads that were not detached would keep their stacks. */
Test(pool, the_last_unref_may_come_from_a_worker)
{
    enum { ROUNDS = 50, THREADS = 3, STACK = 8 << 20 };
    struct tn_pool_options options = {.size = sizeof(options),
                                      .threads = THREADS,
                                      .stack_bytes = STACK};
    unsigned before = count_threads();
    long space = address_space();
    struct gate gate;

    gate_init(&gate, 2);
    for (int round = 0; round < ROUNDS; round++) {
        struct tn_executor *executor;

        cr_assert_eq(tn_executor_new_pool(&options, &executor), 0);
        struct job job = make_job(tn_executor_ref(executor), step_unref, &gate);
        submit(&job);
        tn_executor_unref(executor);
        pthread_barrier_wait(&gate.barrier);
        while (count_threads() != before)
            sched_yield();
    }
    cr_assert_lt(address_space() - space, (long)ROUNDS * THREADS * STACK / 4);
}

/* Each pool's last reference goes in a worker of the other: neither may wait. */
Test(pool, two_pools_may_end_in_each_others_workers)
{
    unsigned before = count_threads();
    struct gate gate;

    gate_init(&gate, 3);
    for (int round = 0; round < 50; round++) {
        struct tn_executor *a = make_pool(1);
        struct tn_executor *b = make_pool(1);
        struct job in_a = make_job(tn_executor_ref(b), step_unref, &gate);
        struct job in_b = make_job(tn_executor_ref(a), step_unref, &gate);

        cr_assert_eq(tn__executor_submit(a, &in_a.task), 0);
        cr_assert_eq(tn__executor_submit(b, &in_b.task), 0);
        tn_executor_unref(a);
        tn_executor_unref(b);
        pthread_barrier_wait(&gate.barrier);
        while (count_threads() != before)
            sched_yield();
    }
}

Test(pool, a_task_may_submit_itself_again)
{
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct tn_executor *executor = make_pool(threads);
        struct job jobs[8];

        for (unsigned i = 0; i < 8; i++) {
            jobs[i] = make_job(executor, step_again, NULL);
            jobs[i].left = 5000;
            submit(&jobs[i]);
        }
        for (unsigned i = 0; i < 8; i++)
            while (tn__load(&jobs[i].runs, acquire) != 5001)
                sched_yield();
        tn_executor_unref(executor);
    }
}

/* A task submits another one and waits for it: the wake must not be kept back. */
static void step_wait_for_next(struct job *job)
{
    struct job *next = job + 1;

    submit(next);
    while (!tn__load(&next->runs, acquire))
        sched_yield();
}

Test(pool, a_task_may_wait_for_another_that_it_submits)
{
    enum { ROUNDS = 2000 };
    struct tn_executor *executor = make_pool(2);
    static struct job jobs[ROUNDS][2];

    for (int round = 0; round < ROUNDS; round++) {
        jobs[round][0] = make_job(executor, step_wait_for_next, NULL);
        jobs[round][1] = make_job(executor, NULL, NULL);
        submit(&jobs[round][0]);
        while (!tn__load(&jobs[round][1].runs, acquire))
            sched_yield();
    }
    tn_executor_unref(executor);
}

/* To and fro between two pools' workers, of which one may sleep at any time. */
static void step_pass_on(struct job *job)
{
    struct job *partner = job->context;

    if (job->left-- > 0)
        submit(partner);
}

Test(pool, a_worker_submits_to_another_pool)
{
    enum { ROUNDS = 10000 };
    struct tn_executor *executors[2] = {make_pool(1), make_pool(1)};
    struct job jobs[2];

    for (int i = 0; i < 2; i++) {
        jobs[i] = make_job(executors[i], step_pass_on, &jobs[1 - i]);
        jobs[i].left = ROUNDS;
    }
    submit(&jobs[0]);
    while (tn__load(&jobs[0].runs, acquire) <= ROUNDS)
        sched_yield();
    for (int i = 0; i < 2; i++)
        tn_executor_unref(executors[i]);
    cr_assert_eq(jobs[0].runs, ROUNDS + 1);
    cr_assert_eq(jobs[1].runs, ROUNDS);
}

Test(pool, a_forked_child_only_gives_memory_back)
{
    struct tn_executor *executor = make_pool(2);
    int status;
    pid_t child = fork();

    if (child == 0) {
        size_t used = mallinfo2().uordblks; /* 0 under a sanitizer */

        tn_executor_unref(executor);
        _exit(used == 0 || mallinfo2().uordblks < used ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    tn_executor_unref(executor);
}
