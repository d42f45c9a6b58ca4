/* A watch's state word, and its policy: registry/watch.c. */
#include "registry/watch.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/inotify.h>

#define ALIVE (TN__WATCH_REF | TN__WATCH_DIR)

static struct tn__watch watch;
static struct tn__park quiet;

static void set_up(void)
{
    memset(&watch, 0, sizeof(watch));
    tn__store(&watch.wd, 1, relaxed);
    tn__store(&watch.state, ALIVE, relaxed);
    tn__park_init(&quiet);
}

TestSuite(watch_state, .init = set_up, .timeout = 30);

static uint64_t state(void)
{
    return tn__load(&watch.state, acquire);
}

Test(watch_state, enter_and_leave)
{
    cr_expect(tn__watch_enter(&watch, &quiet));
    cr_expect(tn__watch_enter(&watch, &quiet));
    cr_expect_eq(state(), ALIVE + 2 * TN__WATCH_RUN);
    tn__watch_leave(&watch, &quiet);
    tn__watch_leave(&watch, &quiet);
    cr_expect_eq(state(), ALIVE);
}

Test(watch_state, a_removed_one_is_not_entered)
{
    cr_expect(tn__watch_kill(&watch, 0));
    cr_expect_not(tn__watch_enter(&watch, &quiet));
    cr_expect_eq(state(), ALIVE | TN__WATCH_REMOVED, "it is not counted in");
}

/* Asleep, stalled or muted, what decides is REMOVED alone. */
Test(watch_state, other_flags_do_not_keep_from_entering)
{
    const uint64_t flags[] = {TN__WATCH_MUTE, TN__WATCH_WAITER, TN__WATCH_STALLED,
                              TN__WATCH_ASLEEP};

    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
        tn__store(&watch.state, ALIVE | flags[i], relaxed);
        cr_expect(tn__watch_enter(&watch, &quiet));
        tn__watch_leave(&watch, &quiet);
        cr_expect_eq(state(), ALIVE | flags[i]);
    }
}

Test(watch_state, kill_is_done_once)
{
    cr_expect(tn__watch_enter(&watch, &quiet));
    cr_expect(tn__watch_kill(&watch, TN__WATCH_MUTE));
    cr_expect_eq(state(), ALIVE | TN__WATCH_RUN | TN__WATCH_REMOVED | TN__WATCH_MUTE);
    cr_expect_not(tn__watch_kill(&watch, 0), "it is another's");
    tn__store(&watch.state, TN__WATCH_ENDED, relaxed);
    cr_expect_not(tn__watch_kill(&watch, TN__WATCH_MUTE));
    cr_expect_eq(state(), TN__WATCH_ENDED);
}

Test(watch_state, the_fields_do_not_overlap)
{
    const uint64_t fields[] = {TN__WATCH_REFS,    TN__WATCH_RUNS,   TN__WATCH_REMOVED,
                               TN__WATCH_MUTE,    TN__WATCH_ENDED,  TN__WATCH_WAITER,
                               TN__WATCH_STALLED, TN__WATCH_ASLEEP, TN__WATCH_DIR};
    uint64_t all = 0;

    for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
        cr_expect_eq(all & fields[i], 0, "%zu", i);
        all |= fields[i];
    }
    cr_expect_eq(TN__WATCH_REFS & -TN__WATCH_REFS, TN__WATCH_REF);
    cr_expect_eq(TN__WATCH_RUNS & -TN__WATCH_RUNS, TN__WATCH_RUN);
}

Test(watch_state, is_live)
{
    cr_expect(tn__watch_is_live(&watch));
    tn__store(&watch.state, ALIVE | TN__WATCH_ASLEEP, relaxed);
    cr_expect(tn__watch_is_live(&watch));
    tn__store(&watch.state, ALIVE | TN__WATCH_REMOVED, relaxed);
    cr_expect_not(tn__watch_is_live(&watch));
    tn__store(&watch.state, TN__WATCH_ENDED, relaxed);
    cr_expect_not(tn__watch_is_live(&watch));
    tn__store(&watch.state, ALIVE, relaxed);
    tn__store(&watch.wd, 0, relaxed);
    cr_expect_not(tn__watch_is_live(&watch), "a free slot");
}

/* Waiting for the calls that run */

struct waiting {
    pthread_t thread;
    tn_wd wd;
    atomic_bool over;
};

static void *wait_quiet(void *arg)
{
    struct waiting *waiting = arg;

    tn__watch_wait_quiet(&watch, waiting->wd, &quiet);
    atomic_store(&waiting->over, true);
    return NULL;
}

static void wait_in_thread(struct waiting *waiting)
{
    cr_assert_eq(pthread_create(&waiting->thread, NULL, wait_quiet, waiting), 0);
}

static void until_waiter(void)
{
    while (!(state() & TN__WATCH_WAITER))
        sched_yield();
}

Test(watch_state, wait_quiet_returns_when_nothing_runs)
{
    tn__watch_kill(&watch, 0);
    tn__watch_wait_quiet(&watch, 1, &quiet);
    cr_expect_eq((uint32_t)tn__load(&quiet.word, relaxed), 0, "it does not stay a waiter");
}

Test(watch_state, wait_quiet_of_a_slot_that_is_another_watch_now)
{
    tn__watch_enter(&watch, &quiet);
    tn__watch_wait_quiet(&watch, 2, &quiet);
    cr_expect_eq(state(), ALIVE + TN__WATCH_RUN, "that one is left alone");
    cr_expect_eq((uint32_t)tn__load(&quiet.word, relaxed), 0);
}

Test(watch_state, wait_quiet_until_the_last_call_is_over)
{
    struct waiting waiting = {.wd = 1};

    tn__watch_enter(&watch, &quiet);
    tn__watch_enter(&watch, &quiet);
    tn__watch_kill(&watch, 0);
    wait_in_thread(&waiting);
    until_waiter();
    cr_expect_not(atomic_load(&waiting.over));
    tn__watch_leave(&watch, &quiet);
    for (int i = 0; i < 1000; i++) {
        sched_yield();
        cr_assert_not(atomic_load(&waiting.over), "a call is running");
    }
    tn__watch_leave(&watch, &quiet);
    pthread_join(waiting.thread, NULL);
}

Test(watch_state, wait_quiet_by_several_threads)
{
    struct waiting waiting[4] = {0};

    tn__watch_enter(&watch, &quiet);
    tn__watch_kill(&watch, 0);
    for (int i = 0; i < 4; i++) {
        waiting[i].wd = 1;
        wait_in_thread(&waiting[i]);
    }
    until_waiter();
    tn__watch_leave(&watch, &quiet);
    for (int i = 0; i < 4; i++)
        pthread_join(waiting[i].thread, NULL);
    cr_expect_eq((uint32_t)tn__load(&quiet.word, relaxed), 0);
}

/* A refused one counts itself in and out: if that is the last, it wakes. */
Test(watch_state, wait_quiet_with_a_worker_that_is_refused)
{
    struct waiting waiting = {.wd = 1};

    tn__watch_enter(&watch, &quiet);
    tn__watch_kill(&watch, 0);
    wait_in_thread(&waiting);
    until_waiter();
    tn__fetch_add(&watch.state, TN__WATCH_RUN, acq_rel); /* E1 of the other worker */
    tn__watch_leave(&watch, &quiet);
    tn__watch_leave(&watch, &quiet);
    pthread_join(waiting.thread, NULL);
    cr_expect_not(tn__watch_enter(&watch, &quiet));
}

Test(watch_state, wait_quiet_when_the_slot_comes_to_be_another_watch)
{
    struct waiting waiting = {.wd = 1};

    tn__watch_enter(&watch, &quiet);
    tn__watch_kill(&watch, 0);
    wait_in_thread(&waiting);
    until_waiter();
    tn__store(&watch.wd, 2, release);
    tn__watch_leave(&watch, &quiet);
    tn__watch_enter(&watch, &quiet);
    pthread_join(waiting.thread, NULL);
}

/* Calls and removers without end: after the wait nothing is called. */

enum { ROUNDS = 3000 };
static atomic_bool quiet_now;
static atomic_uint calls, calls_after;
static _Atomic unsigned round_now, left;

static void *work(void *unused)
{
    (void)unused;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        while (atomic_load(&round_now) < round)
            sched_yield();
        while (tn__watch_enter(&watch, &quiet)) {
            atomic_fetch_add(&calls, 1);
            if (atomic_load(&quiet_now))
                atomic_fetch_add(&calls_after, 1);
            tn__watch_leave(&watch, &quiet);
        }
        atomic_fetch_add(&left, 1);
    }
    return NULL;
}

Test(watch_state, nothing_is_called_after_the_wait)
{
    pthread_t workers[2];

    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&workers[i], NULL, work, NULL), 0);
    for (unsigned round = 1; round <= ROUNDS; round++) {
        set_up();
        atomic_store(&quiet_now, false);
        atomic_store(&left, 0);
        atomic_store(&calls, 0);
        atomic_store(&round_now, round);
        while (!atomic_load(&calls))
            sched_yield();
        tn__watch_kill(&watch, 0);
        tn__watch_wait_quiet(&watch, 1, &quiet);
        atomic_store(&quiet_now, true);
        while (atomic_load(&left) < 2)
            sched_yield();
    }
    for (int i = 0; i < 2; i++)
        pthread_join(workers[i], NULL);
    cr_expect_eq(atomic_load(&calls_after), 0);
}

/* Policies */

static struct tn__policy *new_policy(uint32_t mask, uint32_t flags)
{
    struct tn__add *add = tn__add_new(TN_WATCH_OPTIONS(.mask = mask), TN_ORDER_TREE);

    cr_assert_not_null(add);
    struct tn__policy *policy = tn__policy_new(add, mask, flags, NULL, NULL);
    cr_assert_not_null(policy);
    tn__add_unref(add);
    return policy;
}

static uint32_t kernel_mask(uint32_t mask, uint32_t flags, bool is_root)
{
    struct tn__policy *policy = new_policy(mask, flags);
    uint32_t result = tn__policy_kernel_mask(policy, is_root);

    tn__policy_unref(policy);
    return result;
}

Test(watch_policy, kernel_mask)
{
    const uint32_t names = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MOVE_SELF;
    const uint32_t odd = (uint32_t)(IN_ONESHOT | IN_ONLYDIR | IN_DONT_FOLLOW);

    cr_expect_eq(kernel_mask(IN_OPEN, 0, false), IN_OPEN);
    cr_expect_eq(kernel_mask(IN_OPEN, 0, true), IN_OPEN | IN_MOVE_SELF);
    cr_expect_eq(kernel_mask(IN_OPEN, TN_WATCH_AUTO_ADD, false), IN_OPEN | names);
    cr_expect_eq(kernel_mask(IN_OPEN, TN_WATCH_RECURSIVE, false), IN_OPEN | names);
    cr_expect_eq(kernel_mask(IN_OPEN | odd, 0, false), IN_OPEN, "those are the library's");
    cr_expect_eq(kernel_mask(IN_OPEN | IN_EXCL_UNLINK, 0, false), IN_OPEN | IN_EXCL_UNLINK);
    cr_expect_neq(kernel_mask(IN_IGNORED, 0, false) & IN_ALL_EVENTS, 0, "the kernel wants a bit");
}

Test(watch_policy, is_taken_while_it_is_referenced)
{
    struct tn__policy *policy = new_policy(IN_OPEN, 0);

    cr_expect_null(tn__watch_policy(&watch), "there is none");
    tn__store(&watch.policy, policy, release);
    cr_expect_eq(tn__watch_policy(&watch), policy);
    tn__policy_unref(policy);
    tn__rcu_read_lock();
    tn__policy_unref(policy);
    cr_expect_null(tn__watch_policy_rcu(&watch), "its last reference has gone");
    tn__store(&watch.policy, NULL, release);
    tn__rcu_read_unlock();
    cr_expect_null(tn__watch_policy(&watch));
}

static void count(void *userdata)
{
    ++*(int *)userdata;
}

Test(watch_policy, its_processor_goes_with_its_last_reference)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;
    struct tn_processor *processor;
    int released = 0;

    ops.release = count;
    cr_assert_eq(tn_processor_new(&ops, &released, &processor), 0);
    struct tn__add *add = tn__add_new(TN_WATCH_OPTIONS(.mask = IN_OPEN), TN_ORDER_PATH);
    cr_assert_not_null(add);
    cr_expect(tn__add_spreads(add));
    struct tn__policy *policy = tn__policy_new(add, IN_OPEN, 0, processor, NULL);
    cr_assert_not_null(policy);
    tn__add_unref(add);
    tn_processor_unref(processor);
    tn__policy_ref(policy);
    tn__policy_unref(policy);
    cr_expect_eq(released, 0);
    tn__policy_unref(policy);
    cr_expect_eq(released, 1, "at once, not after a grace period");
}

Test(watch_policy, what_spreads_over_lanes)
{
    for (int order = TN_ORDER_TREE; order <= TN_ORDER_NONE; order++) {
        struct tn__add *add = tn__add_new(TN_WATCH_OPTIONS(.mask = IN_OPEN), (enum tn_order)order);
        cr_assert_not_null(add);
        cr_expect_eq(tn__add_spreads(add), order == TN_ORDER_PATH || order == TN_ORDER_NONE);
        tn__add_unref(add);
    }
}
