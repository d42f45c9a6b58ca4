#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "job.h"

/* --- the application's own executor --- */

struct foreign {
    struct tn_task *kept;
    int answer;
    unsigned released;
};

static int foreign_submit(void *executor, struct tn_task *task)
{
    struct foreign *foreign = executor;

    if (foreign->answer >= 0)
        foreign->kept = task;
    return foreign->answer;
}

static void foreign_release(void *executor)
{
    ((struct foreign *)executor)->released++;
}

static const struct tn_executor_ops foreign_ops = {
    .size = sizeof(foreign_ops),
    .submit = foreign_submit,
    .release = foreign_release,
};

Test(executor_new, hands_tasks_to_submit)
{
    struct foreign foreign = {.answer = 0};
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new(&foreign_ops, &foreign, &executor), 0);
    struct job job = make_job(executor, NULL, NULL);
    submit(&job);
    cr_assert_eq(foreign.kept, &job.task.task);
    cr_assert_eq(job.runs, 0);
    tn_task_run(foreign.kept);
    cr_assert_eq(job.runs, 1);
    tn_task_cancel(foreign.kept);
    cr_assert_eq(job.cancels, 1);
    cr_assert(tn__executor_may_refuse(executor));
    cr_assert_not(tn__executor_is_inline(executor));
    tn_executor_unref(executor);
}

Test(executor_new, passes_a_refusal_on)
{
    struct foreign foreign = {.answer = -EBUSY};
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new(&foreign_ops, &foreign, &executor), 0);
    struct job job = make_job(executor, NULL, NULL);
    cr_assert_eq(tn__executor_submit(executor, &job.task), -EBUSY);
    foreign.answer = 7;
    cr_assert_eq(tn__executor_submit(executor, &job.task), 0);
    tn_executor_unref(executor);
}

Test(executor_new, releases_once_at_the_last_unref)
{
    struct foreign foreign = {.answer = 0};
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new(&foreign_ops, &foreign, &executor), 0);
    cr_assert_eq(tn_executor_ref(executor), executor);
    cr_assert_null(tn_executor_unref(executor));
    cr_assert_eq(foreign.released, 0);
    cr_assert_null(tn_executor_unref(executor));
    cr_assert_eq(foreign.released, 1);
}

Test(executor_new, release_may_be_missing)
{
    struct tn_executor_ops ops = {.size = sizeof(ops), .submit = foreign_submit};
    struct foreign foreign = {.answer = 0};
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new(&ops, &foreign, &executor), 0);
    tn_executor_unref(executor);
}

Test(executor_new, checks_its_table)
{
    struct {
        struct tn_executor_ops ops;
        size_t more;
    } newer = {.ops = foreign_ops};
    struct tn_executor_ops none = {.size = sizeof(none), .release = foreign_release};
    struct tn_executor *untouched = (struct tn_executor *)&none;
    struct tn_executor *executor = untouched;
    struct foreign foreign = {.answer = 0};

    cr_assert_eq(tn_executor_new(NULL, &foreign, &executor), -EINVAL);
    cr_assert_eq(tn_executor_new(&none, &foreign, &executor), -EINVAL);
    cr_assert_eq(tn_executor_new(&foreign_ops, &foreign, NULL), -EINVAL);
    newer.ops.size = sizeof(newer);
    newer.more = 1;
    cr_assert_eq(tn_executor_new(&newer.ops, &foreign, &executor), -E2BIG);
    cr_assert_eq(executor, untouched);
    cr_assert_eq(foreign.released, 0);
    newer.more = 0;
    cr_assert_eq(tn_executor_new(&newer.ops, &foreign, &executor), 0);
    tn_executor_unref(executor);
    cr_assert_eq(foreign.released, 1);
}

Test(executor_new, a_forked_child_does_not_release)
{
    struct foreign foreign = {.answer = 0};
    struct tn_executor *executor;
    int status;

    cr_assert_eq(tn_executor_new(&foreign_ops, &foreign, &executor), 0);
    pid_t child = fork();
    if (child == 0) {
        tn_executor_unref(executor);
        _exit(foreign.released == 0 ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    tn_executor_unref(executor);
    cr_assert_eq(foreign.released, 1);
}

Test(executor_ref, null_is_fine)
{
    cr_assert_null(tn_executor_ref(NULL));
    cr_assert_null(tn_executor_unref(NULL));
}

/* --- inline --- */

Test(inline_executor, runs_before_submit_returns)
{
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(NULL), -EINVAL);
    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    struct job job = make_job(executor, NULL, NULL);
    for (unsigned i = 1; i <= 3; i++) {
        submit(&job);
        cr_assert_eq(job.runs, i);
    }
    cr_assert(tn__executor_is_inline(executor));
    cr_assert_not(tn__executor_may_refuse(executor));
    tn_executor_unref(executor);
}

/* With recursion this would need more than any stack. */
Test(inline_executor, a_submit_from_inside_does_not_nest)
{
    struct tn_executor *executor;

    cr_assert_eq(tn_executor_new_inline(&executor), 0);
    struct job job = make_job(executor, step_again, NULL);
    job.left = 1000000;
    submit(&job);
    cr_assert_eq(job.runs, 1000001);
    tn_executor_unref(executor);
}

struct order {
    unsigned next;
    unsigned depth;
};

static void step_ordered(struct job *job)
{
    struct order *order = job->context;

    cr_assert_eq(job->left, order->next++);
    cr_assert_eq(order->depth, 0);
}

static void step_submit_three(struct job *job)
{
    struct job *others = job + 1;
    struct order *order = job->context;

    order->depth++;
    for (int i = 0; i < 3; i++)
        submit(&others[i]);
    cr_assert_eq(order->next, 0);
    order->depth--;
}

Test(inline_executor, queued_tasks_keep_their_order_across_executors)
{
    struct order order = {.next = 0};
    struct tn_executor *executors[2];
    struct job jobs[4];

    for (int i = 0; i < 2; i++)
        cr_assert_eq(tn_executor_new_inline(&executors[i]), 0);
    jobs[0] = make_job(executors[0], step_submit_three, &order);
    for (unsigned i = 1; i < 4; i++) {
        jobs[i] = make_job(executors[i % 2], step_ordered, &order);
        jobs[i].left = i - 1;
    }
    submit(&jobs[0]);
    cr_assert_eq(order.next, 3);
    for (int i = 0; i < 2; i++)
        tn_executor_unref(executors[i]);
}
