/*
 * Lanes on an executor that the test turns by hand, with a deliver that writes
 * down what it is given.
 */
#ifndef TN_TESTS_UNIT_LANE_HAND_H
#define TN_TESTS_UNIT_LANE_HAND_H

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "queue/lane.h"

#define LOG_MOST 100000

static struct tn__lanes lanes;
static struct tn__lane *lane;

static struct tn__task *ready[64];
static size_t ready_count, submits, delivers, most_at_once;
static uint32_t cookies[LOG_MOST];
static struct tn_event last_event;
static size_t logged;
static uint32_t stall_at; /* cookie that must wait; 0: none */
static bool stall_answer;
static size_t stall_count;
static void (*on_deliver)(struct tn__lane *);
static bool inline_runs;
static size_t cancels;

TN__UNUSED
static void submit(void *context, struct tn__task *task)
{
    cr_assert_eq(context, &lanes);
    submits++;
    if (inline_runs) {
        task->run(task);
        return;
    }
    cr_assert_lt(ready_count, TN__COUNT(ready));
    ready[ready_count++] = task;
}

TN__UNUSED
static size_t deliver(void *context, struct tn__lane *of, const struct tn__record *const *records,
                      size_t count)
{
    (void)context;
    delivers++;
    most_at_once = tn__max(most_at_once, count);
    if (on_deliver)
        on_deliver(of);
    for (size_t i = 0; i < count; i++) {
        if (stall_at != 0 && records[i]->cookie == stall_at)
            return i;
        cr_assert_lt(logged, LOG_MOST);
        cookies[logged++] = records[i]->cookie;
        tn__record_event(records[i], &last_event);
    }
    return count;
}

TN__UNUSED
static bool stall(void *context, struct tn__lane *of, const struct tn__record *record)
{
    (void)context;
    cr_assert_not_null(of);
    cr_assert_eq(record->cookie, stall_at);
    stall_count++;
    if (!stall_answer)
        stall_at = 0;
    return stall_answer;
}

TN__UNUSED
static void cancel(void *context, struct tn__task *task)
{
    cr_assert_eq(context, &lanes);
    cancels++;
    ready[ready_count++] = task;
}

static const struct tn__lanes_ops ops = {.submit = submit,
                                         .deliver = deliver,
                                         .stall = stall,
                                         .cancel = cancel};

TN__UNUSED
static void run_one(void)
{
    cr_assert_gt(ready_count, 0);
    struct tn__task *task = ready[0];
    ready_count--;
    memmove(ready, ready + 1, ready_count * sizeof(*ready));
    task->run(task);
}

TN__UNUSED
static void run_all(void)
{
    while (ready_count > 0)
        run_one();
}

TN__UNUSED
static struct tn__lane *lane_new(void)
{
    uint32_t id = tn__lanes_alloc(&lanes);

    cr_assert_neq(id, 0);
    return tn__lanes_get(&lanes, id);
}

TN__UNUSED
static void set_up_flags(uint32_t flags)
{
    tn__lanes_init(&lanes, &ops, &lanes, TN__POOL_FLOOR, flags);
    lane = lane_new();
}

TN__UNUSED
static void set_up(void)
{
    set_up_flags(0);
}

TN__UNUSED
static void tear_down(void)
{
    cr_expect(tn__lane_is_valid(lane));
    cr_expect(tn__slab_pool_is_valid(&lanes.pool));
    tn__lanes_done(&lanes);
}

TN__UNUSED
static struct tn__entry entry_of(const char *path, const char *name, uint64_t key)
{
    return (struct tn__entry){
        .wd = 7,
        .root = 3,
        .mask = IN_CREATE,
        .path = path,
        .path_length = path ? strlen(path) : 0,
        .path_key = key,
        .name = name,
        .name_length = name ? strlen(name) : 0,
    };
}

TN__UNUSED
static int push_number(struct tn__lane *to, uint32_t number)
{
    struct tn__entry entry = entry_of("/some/path", "name", 1);

    entry.cookie = number;
    int r = tn__lane_push(&lanes, to, &entry);
    cr_assert(tn__lane_is_valid(to));
    return r;
}

TN__UNUSED
static void push_numbers(struct tn__lane *to, uint32_t from, uint32_t below)
{
    for (; from < below; from++)
        cr_assert_eq(push_number(to, from), 0);
}

TN__UNUSED
static void expect_numbers(uint32_t from, uint32_t below)
{
    cr_assert_eq(logged, below - from);
    for (size_t i = 0; i < logged; i++)
        cr_assert_eq(cookies[i], from + i);
}

TN__UNUSED
static void *run_all_thread(void *arg)
{
    (void)arg;
    run_all();
    return NULL;
}

#endif
