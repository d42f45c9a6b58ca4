/*
 * Every allocation and every system call of the library fails in turn.
 *
 * For each scenario the calls are counted without a fault; then it is run again
 * for each call and each error that it may give, in a process of its own: once
 * with that call failing, and once with all the same calls from there on, until
 * something is told or given up. A failure is named
 * SCENARIO:CALL:N:ERRNO[:lasting], and run alone by that name.
 *
 * faults_sweep [--all | --sample N] [--jobs N] [SCENARIO | SCENARIO:CALL:N:ERRNO[:lasting]]
 *
 * Without --all, a part: for each scenario and call at most N faults (8), a quarter of that for
 * long scenarios and for faults that last, evenly spread over calls and errors.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stage.h"

enum { SAMPLE = 8, JOBS = 4, JOBS_MAX = 64, SECONDS = 20, SPARE = 2 };

struct job {
    pid_t pid; /* 0: free */
    const struct scenario *scenario;
    struct fault_plan plan;
};

struct tally {
    unsigned run, missed, failed, hung;
};

static struct job jobs[JOBS_MAX];
static unsigned job_count = JOBS, sample_size = SAMPLE;
static struct tally tally;
static uint32_t *counts; /* of the counting run, shared with its process */

static void print_name(const struct job *job)
{
    bool fault = job->plan.call != FAULT_NONE;

    fprintf(stderr, "%s:%s:%u:%d%s", job->scenario->name,
            fault ? fault_kinds[job->plan.call].name : "-", job->plan.n, job->plan.error,
            job->plan.lasting ? ":lasting" : "");
}

static void judge(const struct job *job, int status)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

    tally.run++;
    if (code == 3)
        tally.missed++;
    if (code == 0 || code == 3)
        return;
    tally.failed++;
    print_name(job);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        tally.hung++;
        fputs(": hangs\n", stderr);
    } else if (WIFSIGNALED(status)) {
        fprintf(stderr, ": killed by %s\n", strsignal(WTERMSIG(status)));
    } else {
        fprintf(stderr, ": exit status %d\n", code);
    }
}

static struct job *find_job(pid_t pid)
{
    unsigned i = 0;

    while (i < job_count && jobs[i].pid != pid)
        i++;
    return i < job_count ? &jobs[i] : NULL;
}

static void wait_one(void)
{
    int status;
    pid_t pid = wait(&status);
    struct job *job = pid > 0 ? find_job(pid) : NULL;

    if (!job)
        exit(1);
    judge(job, status);
    job->pid = 0;
}

static void wait_all(void)
{
    for (unsigned i = 0; i < job_count; i++)
        while (jobs[i].pid)
            wait_one();
}

static void run(const struct scenario *scenario, const struct fault_plan *plan)
{
    struct job *job = find_job(0);

    while (!job) {
        wait_one();
        job = find_job(0);
    }
    *job = (struct job){.scenario = scenario, .plan = *plan};
    fflush(NULL);
    job->pid = fork();
    if (job->pid < 0)
        exit(1);
    if (job->pid == 0) {
        uint32_t own[FAULT_COUNT];
        alarm(SECONDS);
        exit(stage_run(scenario, plan, plan->call == FAULT_NONE ? counts : own));
    }
}

static bool has_common_factor(unsigned a, unsigned b)
{
    while (b) {
        unsigned rest = a % b;
        a = b;
        b = rest;
    }
    return a != 1;
}

static unsigned error_count(enum fault_call call)
{
    unsigned count = 0;

    while (count < FAULT_ERRORS && fault_kinds[call].errors[count])
        count++;
    return count;
}

/*
 * All faults of one call; in a sample at most SAMPLE of them, evenly spread. The step has no
 * factor in common with the number of errors, so it meets each of them.
 */
static void sweep_call(const struct scenario *scenario, enum fault_call call, bool all,
                       bool lasting, unsigned *total)
{
    unsigned errors = error_count(call);
    unsigned count = counts[call] ? (counts[call] + SPARE) * errors : 0;
    unsigned sample = scenario->is_long || lasting ? (sample_size + 3) / 4 : sample_size;
    unsigned step = all ? 1 : (count + sample - 1) / sample;

    while (step > 1 && has_common_factor(step, errors))
        step++;
    for (unsigned i = 0; i < count; i += step) {
        int error = fault_kinds[call].errors[i % errors];
        if (lasting && (error == EINTR || error == EAGAIN || error == EINVAL))
            continue; /* these do not last */
        run(scenario, &(struct fault_plan){
                          .call = call, .n = i / errors + 1, .error = error, .lasting = lasting});
    }
    *total += count;
}

/* Without a fault, alone: what it calls. */
static bool count_calls(const struct scenario *scenario)
{
    unsigned failed = tally.failed;

    memset(counts, 0, FAULT_COUNT * sizeof(*counts));
    run(scenario, &(struct fault_plan){.call = FAULT_NONE});
    wait_all();
    return tally.failed == failed;
}

static void sweep(const struct scenario *scenario, bool all)
{
    struct timespec begin, end;
    unsigned total = 0, before = tally.run, missed = tally.missed;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (!count_calls(scenario))
        return;
    for (int lasting = 0; lasting < 2; lasting++)
        for (int call = 0; call < FAULT_COUNT; call++)
            sweep_call(scenario, (enum fault_call)call, all, lasting, &total);
    wait_all();
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%-10s %4u of %5u faults, %3u not reached, %.1f s\n", scenario->name,
           tally.run - before - 1, total, tally.missed - missed,
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
}

static const struct scenario *find_scenario(const char *name, size_t length)
{
    for (size_t i = 0; i < scenario_count; i++)
        if (strlen(scenarios[i].name) == length && strncmp(scenarios[i].name, name, length) == 0)
            return &scenarios[i];
    return NULL;
}

/* In this process, so that a debugger sees it. */
static int run_named(const char *name)
{
    struct fault_plan plan = {.call = FAULT_NONE};
    char call[64], rest[16] = "";
    const char *colon = strchr(name, ':');
    const struct scenario *scenario = find_scenario(name, (size_t)(colon - name));

    int read = sscanf(colon, ":%63[^:]:%u:%d:%15s", call, &plan.n, &plan.error, rest);
    for (int i = 0; i < FAULT_COUNT; i++)
        if (strcmp(fault_kinds[i].name, call) == 0)
            plan.call = (enum fault_call)i;
    plan.lasting = strcmp(rest, "lasting") == 0;
    if (!scenario || read < 3)
        return 2;
    int result = stage_run(scenario, &plan, counts);
    printf("%s\n", result == 0 ? "good" : result == 3 ? "not reached" : "failed");
    return result;
}

int main(int argument_count, char **arguments)
{
    bool all = false;
    const char *only = NULL;

    for (int i = 1; i < argument_count; i++) {
        if (strcmp(arguments[i], "--all") == 0)
            all = true;
        else if (strcmp(arguments[i], "--sample") == 0 && i + 1 < argument_count)
            sample_size = (unsigned)strtoul(arguments[++i], NULL, 10);
        else if (strcmp(arguments[i], "--jobs") == 0 && i + 1 < argument_count)
            job_count = (unsigned)strtoul(arguments[++i], NULL, 10);
        else
            only = arguments[i];
    }
    counts = mmap(NULL, FAULT_COUNT * sizeof(*counts), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED || job_count < 1 || job_count > JOBS_MAX || sample_size < 1)
        return 2;
    if (only && strchr(only, ':'))
        return run_named(only);
    for (size_t i = 0; i < scenario_count; i++)
        if (!only || strcmp(scenarios[i].name, only) == 0)
            sweep(&scenarios[i], all);
    printf("%u runs, %u faults not reached, %u failed, %u hung\n", tally.run, tally.missed,
           tally.failed, tally.hung);
    return tally.failed || !tally.run;
}
