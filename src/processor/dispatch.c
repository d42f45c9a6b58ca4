/*
 * A run of records of one watch is delivered under one entry into the watch
 * (watch.c) and one reference on its policy; before each call the removed mark
 * is looked at again, so that a processor that removes its own watch is not
 * called for what was queued behind.
 *
 * A final record holds the watch's own reference. Records of an order that
 * spreads over lanes hold one each; the final one then waits until they are
 * gone: its lane stalls, and whoever drops the last of them resumes it.
 *
 *   worker of the final record          worker of another record
 *   S1  link = lane                     D1  refs -= 1; STALLED in the old
 *   S2  |= STALLED; refs in the old         value and one left? resume the lane
 *       value == 1? go on
 *
 * S2 and D1 change one word: S2 before D1 sees refs > 1 and D1 sees STALLED;
 * D1 before S2: S2 sees refs == 1.
 *
 * Checked by tests/model/watch.pml.
 */
#include "processor/dispatch.h"

#include <string.h>
#include <sys/inotify.h>
#include <tnotify/limits.h>
#include <tnotify/notifier.h>

#include "callback.h"
#include "clock.h"
#include "processor/processor.h"

/* What one deliver has counted. */
struct tally {
    uint64_t delivered, suppressed, dropped, unhandled, errors;
    uint32_t latency[TN__LATENCY_BUCKETS];
    uint64_t last_ns;
};

static void add(_Atomic uint64_t *counter, uint64_t value)
{
    if (value)
        tn__fetch_add(counter, value, relaxed);
}

static void add_tally(struct tn__dispatch *dispatch, const struct tally *tally)
{
    add(&dispatch->delivered, tally->delivered);
    add(&dispatch->suppressed, tally->suppressed);
    add(&dispatch->dropped, tally->dropped);
    add(&dispatch->unhandled, tally->unhandled);
    add(&dispatch->errors, tally->errors);
    for (size_t i = 0; i < TN__LATENCY_BUCKETS; i++)
        add(&dispatch->latency[i], tally->latency[i]);
}

static void count_latency(struct tally *tally, const struct tn__record *record)
{
    tally->last_ns = tn__now_ns();
    uint64_t ns = tally->last_ns - record->read_ns;
    unsigned bucket = 63u - (unsigned)__builtin_clzll(ns | 1);
    tally->latency[tn__min(bucket, TN__LATENCY_BUCKETS - 1)]++;
}

static void count_result(struct tn__dispatch *dispatch, struct tally *tally, int result,
                         bool unhandled, uint64_t events)
{
    if (unhandled)
        tally->unhandled += events;
    else
        tally->delivered += events;
    if (result < 0) {
        tally->errors++;
        tn__log(dispatch->log, TN_LOG_ERROR, "a processor failed: %s", tn_strerror(result));
    }
}

static void call(struct tn__dispatch *dispatch, struct tally *tally, struct tn_processor *processor,
                 const struct tn__record *record, void *data)
{
    struct tn__callback callback;
    struct tn_event event;
    bool unhandled = true;
    int result = 0;

    tn__record_event(record, &event);
    event.data = data;
    count_latency(tally, record);
    if (processor) {
        tn__callback_enter(&callback, dispatch->registry);
        result = tn__processor_call(processor, &event, &unhandled);
        tn__callback_leave(&callback);
    }
    count_result(dispatch, tally, result, unhandled, 1);
}

static void call_batch(struct tn__dispatch *dispatch, struct tally *tally,
                       struct tn_processor *processor, const struct tn__record *const *records,
                       size_t count, void *data)
{
    struct tn_event events[TN__TURN_EVENTS];
    const struct tn_event *pointers[TN__TURN_EVENTS];
    struct tn__callback callback;

    for (size_t i = 0; i < count; i++) {
        tn__record_event(records[i], &events[i]);
        events[i].data = data;
        pointers[i] = &events[i];
        count_latency(tally, records[i]);
    }
    tn__callback_enter(&callback, dispatch->registry);
    int result = tn__processor_call_batch(processor, pointers, count);
    tn__callback_leave(&callback);
    count_result(dispatch, tally, result, false, count);
}

static bool is_late(const struct tally *tally, uint64_t start)
{
    return tally->last_ns > start && tally->last_ns - start >= TN__TURN_NS;
}

/* Records of one watch; how many were consumed: fewer when the turn's time is over. */
static size_t deliver_run(struct tn__dispatch *dispatch, struct tally *tally, uint64_t start,
                          const struct tn__record *const *records, size_t count)
{
    struct tn__registry *registry = dispatch->registry;
    struct tn__watch *watch = tn__registry_watch(registry, records[0]->watch);
    struct tn__policy *policy = tn__watch_policy(watch);
    struct tn__add *own = policy->add;
    struct tn_processor *processor = policy->processor ? policy->processor : dispatch->processor;
    size_t done = 0;

    if (!tn__watch_enter(watch, &registry->quiet)) {
        tally->suppressed += count;
        done = count;
    } else {
        if (processor && tn__processor_has_batch(processor)) {
            call_batch(dispatch, tally, processor, records, count, own->data);
            done = count;
        }
        while (done < count && !(done && is_late(tally, start))) {
            if (tn__load(&watch->state, acquire) & TN__WATCH_REMOVED)
                tally->suppressed++;
            else if (tn__load(&dispatch->discard, acquire))
                tally->dropped++;
            else
                call(dispatch, tally, processor, records[done], own->data);
            done++;
        }
        tn__watch_leave(watch, &registry->quiet);
    }
    bool counted = tn__add_spreads(own);
    tn__policy_unref(policy);
    if (counted)
        tn__registry_drop(registry, records[0]->watch, done);
    return done;
}

/* Nothing is called any more, but what the records hold must go. */
static void discard_run(struct tn__dispatch *dispatch, struct tally *tally,
                        const struct tn__record *const *records, size_t count)
{
    struct tn__policy *policy =
        tn__watch_policy(tn__registry_watch(dispatch->registry, records[0]->watch));
    bool counted = tn__add_spreads(policy->add);

    tally->dropped += count;
    tn__policy_unref(policy);
    if (counted)
        tn__registry_drop(dispatch->registry, records[0]->watch, count);
}

/* One that is asleep still has no record; the reference is its marker's. */
static bool must_stall(uint64_t state)
{
    return (state & TN__WATCH_REFS) > TN__WATCH_REF && !(state & TN__WATCH_ASLEEP);
}

/* False: other records of the watch are on their way in other lanes. */
static bool deliver_final(struct tn__dispatch *dispatch, struct tally *tally,
                          const struct tn__record *record)
{
    struct tn__registry *registry = dispatch->registry;
    struct tn__watch *watch = tn__registry_watch(registry, record->watch);
    struct tn__policy *policy = tn__watch_policy(watch);
    uint64_t state = tn__load(&watch->state, acquire);

    if (tn__add_spreads(policy->add) && must_stall(state)) {
        tn__policy_unref(policy);
        return false;
    }
    struct tn_processor *processor = policy->processor ? policy->processor : dispatch->processor;
    if (!tn__load(&dispatch->discard, acquire) && tn__watch_enter_final(watch, &registry->quiet)) {
        call(dispatch, tally, processor, record, policy->add->data);
        tn__watch_leave(watch, &registry->quiet);
    }
    tn__policy_unref(policy);
    tn__registry_drop(registry, record->watch, TN__WATCH_REF);
    return true;
}

size_t tn__dispatch_deliver(struct tn__dispatch *dispatch, const struct tn__record *const *records,
                            size_t count)
{
    struct tally tally = {0};
    uint64_t start = tn__now_ns();
    size_t done = 0;

    while (done < count && !is_late(&tally, start)) {
        const struct tn__record *first = records[done];
        bool discard = tn__load(&dispatch->discard, acquire);
        if (!first->watch) {
            if (!discard)
                call(dispatch, &tally, dispatch->processor, first, NULL);
            done++;
        } else if (first->kind == TN__ENTRY_FINAL) {
            if (!deliver_final(dispatch, &tally, first))
                break;
            done++;
        } else {
            size_t run = 1;
            while (done + run < count && records[done + run]->watch == first->watch &&
                   records[done + run]->kind == TN__ENTRY_EVENT)
                run++;
            if (discard)
                discard_run(dispatch, &tally, records + done, run);
            else
                run = deliver_run(dispatch, &tally, start, records + done, run);
            done += run;
        }
    }
    add_tally(dispatch, &tally);
    return done;
}

bool tn__dispatch_stall(struct tn__dispatch *dispatch, struct tn__lane *lane,
                        const struct tn__record *record)
{
    if (!record->watch || record->kind != TN__ENTRY_FINAL)
        return false; /* the turn's time was over */
    struct tn__watch *watch = tn__registry_watch(dispatch->registry, record->watch);
    struct tn__policy *policy = tn__watch_policy(watch);
    bool may_stall = tn__add_spreads(policy->add);
    tn__policy_unref(policy);
    if (!may_stall || !must_stall(tn__load(&watch->state, acquire)))
        return false;
    watch->link = lane->id;                                                 /* S1 */
    uint64_t old = tn__fetch_or(&watch->state, TN__WATCH_STALLED, acq_rel); /* S2, pairs with D1 */
    if (must_stall(old))
        return true;
    tn__fetch_and(&watch->state, ~TN__WATCH_STALLED, acq_rel);
    return false;
}

/* The policy of the wd-th watch or a later one, referenced; NULL: there is none. */
static struct tn__policy *next_policy(struct tn__dispatch *dispatch, uint64_t *wd)
{
    struct tn__registry *registry = dispatch->registry;
    struct tn__policy *policy = NULL;
    uint32_t id;

    tn__rcu_read_lock();
    while (!policy && tn__index_next_rcu(&registry->by_wd, wd, &id)) {
        policy = tn__watch_policy_rcu(tn__registry_watch(registry, id));
        ++*wd;
    }
    tn__rcu_read_unlock();
    return policy;
}

/* A processor may be flushed more than once; that finds nothing held back. */
void tn__dispatch_flush(struct tn__dispatch *dispatch)
{
    struct tn__policy *last = NULL, *policy;
    struct tn__callback callback;
    uint64_t wd = 0;

    tn__callback_enter(&callback, dispatch->registry);
    if (dispatch->processor)
        tn__processor_flush(dispatch->processor);
    while (tn__load(&dispatch->registry->flushers, acquire) &&
           (policy = next_policy(dispatch, &wd)) != NULL) {
        if (policy->processor && (!last || policy->processor != last->processor))
            tn__processor_flush(policy->processor);
        tn__policy_unref(last);
        last = policy;
    }
    tn__policy_unref(last);
    tn__callback_leave(&callback);
}
