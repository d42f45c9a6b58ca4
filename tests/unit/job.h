/*
 * Tasks for the tests of executors.
 */
#ifndef TN_TESTS_UNIT_JOB_H
#define TN_TESTS_UNIT_JOB_H

#include <criterion/criterion.h>

#include "atomic.h"
#include "compiler.h"
#include "executor/executor.h"

/* A task that counts its runs; `step` does the rest. */
struct job {
    struct tn__task task;
    void (*step)(struct job *job);
    struct tn_executor *executor;
    _Atomic unsigned runs;
    unsigned cancels;
    unsigned left;
    void *context;
};

static inline void job_run(struct tn__task *task)
{
    struct job *job = tn__container_of(task, struct job, task);
    void (*step)(struct job *) = job->step;

    tn__fetch_add(&job->runs, 1, relaxed);
    if (step)
        step(job);
}

static inline void job_cancel(struct tn__task *task)
{
    tn__container_of(task, struct job, task)->cancels++;
}

static inline struct job make_job(struct tn_executor *executor, void (*step)(struct job *),
                                  void *context)
{
    return (struct job){
        .task = {.run = job_run, .cancel = job_cancel},
        .step = step,
        .executor = executor,
        .context = context,
    };
}

static inline void submit(struct job *job)
{
    cr_assert_eq(tn__executor_submit(job->executor, &job->task), 0);
}

/* Runs left more times. */
static inline void step_again(struct job *job)
{
    if (job->left-- > 0)
        submit(job);
}

#endif
