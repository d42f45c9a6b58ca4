/*
 * Epochs: how a settle knows that all that was pushed before it has been
 * processed, without visiting the lanes.
 *
 * Each record belongs to the epoch that was current when it was pushed. The
 * producer closes the current epoch and keeps its number as a ticket; the
 * ticket is reached when every record of that epoch and of those before it has
 * been consumed. At most 64 epochs are incomplete at a time.
 */
#ifndef TN_SRC_QUEUE_EPOCH_H
#define TN_SRC_QUEUE_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "compiler.h"
#include "queue/park.h"

#define TN__EPOCHS 64u

struct tn__epochs {
    uint64_t pending;         /* producer: records of the current epoch */
    _Atomic uint64_t current; /* written by the producer */
    _Atomic uint64_t low;     /* all before it are complete; any thread */
    struct tn__park park;     /* woken when a count reaches 0 */
    atomic_bool watched;      /* then the producer is called too, once */
    void (*reached)(void *context);
    void *context;
    char pad[TN__CACHELINE];
    _Atomic uint64_t
        count[TN__EPOCHS]; /* records of the epoch, when it is closed, less those consumed */
};

void tn__epochs_init(struct tn__epochs *epochs);

/* The producer: one more record; returns the index that the record carries. */
static inline uint32_t tn__epochs_add(struct tn__epochs *epochs)
{
    epochs->pending++;
    return (uint32_t)(tn__load(&epochs->current, relaxed) % TN__EPOCHS);
}

/* Any worker, after it has consumed that many records that carry the index. */
void tn__epochs_sub(struct tn__epochs *epochs, uint32_t index, uint64_t count);

/* The producer: ticket for all records added so far; 0: no room, try again later. */
uint64_t tn__epochs_close(struct tn__epochs *epochs);

/* The producer: `reached` is called when a count reaches 0. Ask for the ticket again after this. */
static inline void tn__epochs_watch(struct tn__epochs *epochs)
{
    tn__store(&epochs->watched, true, seq_cst);
}

/* Any thread. True: what was done while those records were consumed happened before. */
bool tn__epochs_reached(struct tn__epochs *epochs, uint64_t ticket);

#endif
