#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>

#include "queue/park.h"

#define SECOND   INT64_C(1000000000)
#define SLEEPERS 4

static uint32_t waiters(struct tn__park *park)
{
    return (uint32_t)tn__load(&park->word, seq_cst);
}

Test(park, cancel_takes_the_waiter_back)
{
    struct tn__park park;

    tn__park_init(&park);
    tn__park_prepare(&park);
    cr_assert_eq(waiters(&park), 1);
    tn__park_cancel(&park);
    cr_assert_eq(waiters(&park), 0);
}

Test(park, wait_ends_at_once_when_the_epoch_moved)
{
    struct tn__park park;

    tn__park_init(&park);
    uint32_t epoch = tn__park_prepare(&park);
    tn__park_wake(&park, 1);
    cr_assert_eq(tn__park_wait(&park, epoch, -1), 0);
    cr_assert_eq(waiters(&park), 0);
    cr_assert_neq(tn__park_prepare(&park), epoch);
}

Test(park, wait_times_out)
{
    struct tn__park park;

    tn__park_init(&park);
    errno = EXDEV;
    cr_assert_eq(tn__park_wait(&park, tn__park_prepare(&park), SECOND / 1000), -ETIMEDOUT);
    cr_assert_eq(tn__park_wait(&park, tn__park_prepare(&park), 0), -ETIMEDOUT);
    cr_assert_eq(waiters(&park), 0);
    cr_assert_eq(errno, EXDEV);
}

Test(park, epoch_comes_round_without_touching_the_waiters)
{
    struct tn__park park;

    tn__park_init(&park);
    tn__store(&park.word, (uint64_t)UINT32_MAX << 32 | 3, relaxed);
    tn__park_wake(&park, 1);
    cr_assert_eq(tn__load(&park.word, relaxed), 3);
}

struct sleepers {
    struct tn__park park;
    _Atomic bool open;
    _Atomic unsigned returned;
};

static void *sleep_until_open(void *argument)
{
    struct sleepers *sleepers = argument;

    for (;;) {
        uint32_t epoch = tn__park_prepare(&sleepers->park);

        if (tn__load(&sleepers->open, acquire)) {
            tn__park_cancel(&sleepers->park);
            break;
        }
        tn__park_wait(&sleepers->park, epoch, -1);
    }
    tn__fetch_add(&sleepers->returned, 1, seq_cst);
    return NULL;
}

Test(park, wake_all_wakes_all)
{
    struct sleepers sleepers = {.returned = 0};
    pthread_t threads[SLEEPERS];

    tn__park_init(&sleepers.park);
    for (int i = 0; i < SLEEPERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, sleep_until_open, &sleepers), 0);
    while (waiters(&sleepers.park) < SLEEPERS)
        sched_yield();
    tn__store(&sleepers.open, true, release);
    tn__park_wake(&sleepers.park, INT_MAX);
    for (int i = 0; i < SLEEPERS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(tn__load(&sleepers.returned, seq_cst), SLEEPERS);
    cr_assert_eq(waiters(&sleepers.park), 0);
}

static struct sleepers handled;

static void wake_from_handler(int signal)
{
    (void)signal;
    tn__store(&handled.open, true, release);
    tn__park_wake(&handled.park, 1);
}

Test(park, wake_in_a_signal_handler)
{
    struct sigaction action = {.sa_handler = wake_from_handler};
    pthread_t thread;

    tn__park_init(&handled.park);
    sigaction(SIGUSR1, &action, NULL);
    cr_assert_eq(pthread_create(&thread, NULL, sleep_until_open, &handled), 0);
    while (waiters(&handled.park) < 1)
        sched_yield();
    raise(SIGUSR1);
    pthread_join(thread, NULL);
    cr_assert_eq(tn__load(&handled.returned, seq_cst), 1);
}

static void ignore_signal(int signal)
{
    (void)signal;
}

static void *wait_once(void *argument)
{
    struct sleepers *sleepers = argument;
    int result = tn__park_wait(&sleepers->park, tn__park_prepare(&sleepers->park), -1);

    cr_expect_eq(result, 0);
    tn__fetch_add(&sleepers->returned, 1, seq_cst);
    return NULL;
}

Test(park, a_signal_ends_the_wait_without_an_error)
{
    struct sigaction action = {.sa_handler = ignore_signal};
    struct sleepers sleepers = {.returned = 0};
    pthread_t thread;

    tn__park_init(&sleepers.park);
    sigaction(SIGUSR1, &action, NULL);
    cr_assert_eq(pthread_create(&thread, NULL, wait_once, &sleepers), 0);
    while (!tn__load(&sleepers.returned, seq_cst)) {
        pthread_kill(thread, SIGUSR1);
        sched_yield();
    }
    pthread_join(thread, NULL);
}
