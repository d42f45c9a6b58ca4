/*
 * From a lane's records to the application's functions.
 */
#ifndef TN_SRC_PROCESSOR_DISPATCH_H
#define TN_SRC_PROCESSOR_DISPATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tnotify/processor.h>

#include "atomic.h"
#include "log.h"
#include "queue/lane.h"
#include "registry/registry.h"

#define TN__LATENCY_BUCKETS 32

struct tn__dispatch {
    /* constant */
    struct tn__registry *registry;
    struct tn_processor *processor; /* the notifier's; NULL: none */
    const struct tn__log *log;
    atomic_bool discard; /* stop with discard: nothing is called any more */
    /* added to by workers, a turn at a time; relaxed */
    _Atomic uint64_t delivered, suppressed, dropped, unhandled, errors;
    _Atomic uint64_t latency[TN__LATENCY_BUCKETS];
};

/* struct tn__lanes_ops; the context is the dispatch. */
size_t tn__dispatch_deliver(struct tn__dispatch *dispatch, const struct tn__record *const *records,
                            size_t count);
bool tn__dispatch_stall(struct tn__dispatch *dispatch, struct tn__lane *lane,
                        const struct tn__record *record);

/* Lets every processor in use deliver what it holds back. */
void tn__dispatch_flush(struct tn__dispatch *dispatch);

#endif
