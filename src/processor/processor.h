/*
 * A processor: the application's functions, resolved once so that a call is
 * one load from a table. Everything but the reference count is constant from
 * the moment that the processor is made, so any thread calls it without a lock.
 */
#ifndef TN_SRC_PROCESSOR_PROCESSOR_H
#define TN_SRC_PROCESSOR_PROCESSOR_H

#include <stdbool.h>
#include <stdint.h>

#include <tnotify/processor.h>

#include "atomic.h"
#include "compiler.h"
#include "mask.h"

/*
 * The table is indexed by the number of the event's bit. The 15 events use the
 * bits 0 to 11 and 13 to 15; number 12 is no event, and serves what has no
 * event bit at all.
 */
#define TN__SLOT_NONE  12u
#define TN__SLOT_COUNT 16u

struct tn_processor {
    tn_process_fn slots[TN__SLOT_COUNT]; /* NULL: see process_batch, is_chain; else unhandled */
    void *userdata;
    int (*process_batch)(const struct tn_event *const *events, size_t count, void *userdata);
    void (*flush)(void *userdata);
    void (*release)(void *userdata);
    _Atomic uint32_t references;
    bool is_chain;
    bool is_test; /* of tn_processor_new_if: letting an event pass is not handling it */
    size_t member_count;
    struct tn_processor *members[]; /* of a chain, referenced; never a chain itself */
};

/* The lowest event in the mask. */
static inline unsigned tn__processor_slot(uint32_t mask)
{
    uint32_t events = mask & TN__MASK_EVENTS;

    return events != 0 ? (unsigned)__builtin_ctz(events) : TN__SLOT_NONE;
}

/* One reference, room for so many members, all else zero; NULL: no memory. */
struct tn_processor *tn__processor_alloc(size_t member_count);

/*
 * What the processor's function gave; always writes *ret_unhandled: no function
 * stands for this event. A batch processor gets a run of one.
 */
int tn__processor_call(struct tn_processor *processor, const struct tn_event *event,
                       bool *ret_unhandled);

/* Whether to use tn__processor_call_batch; a chain takes events one at a time. */
static inline bool tn__processor_has_batch(const struct tn_processor *processor)
{
    return processor->process_batch != NULL;
}

/* Only if tn__processor_has_batch. */
int tn__processor_call_batch(struct tn_processor *processor, const struct tn_event *const *events,
                             size_t count);

/* Delivers what the processor, or a chain's members in their order, hold back. */
void tn__processor_flush(struct tn_processor *processor);

/* chain.c: the event through all members; the rest as tn__processor_call. */
int tn__chain_call(struct tn_processor *chain, const struct tn_event *event, bool *ret_unhandled);

#endif
