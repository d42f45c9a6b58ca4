/*
 * Counting the records of each epoch.
 *
 *   producer                            worker                    waiter
 *   E1  pending += 1, publish           E4  deliver               E7  waiters += 1
 *   E2  close: count[e] += pending      E5  count[e] -= n         E8  count[e] == 0?
 *   E3  current = e + 1                 E6  it is 0 and there     E9  sleep
 *                                           are waiters? wake
 *
 * The count of an open epoch wraps below 0 and means nothing. E2 makes it the
 * number of records that are under way. E2 comes before E3, and a closed epoch
 * gets no more, so its count never rises: once it is seen as 0 it stays 0, and
 * `low` may pass it.
 *
 * A slot is used again, for epoch e + 64, only when `low` has passed e. Whoever
 * reads a slot and finds it busy looks at `low` again, since the slot may have
 * changed hands in between. Whoever finds it 0 passes `low` on by a CAS, which
 * fails if the slot had changed hands.
 *
 * No lost wake-up: E5, E6, E7 and E8 are seq_cst, so either E8 sees what E5
 * wrote, or E6 sees the waiter of E7. A waiter has its ticket from E3, so E8
 * looks at a count that E2 has made whole, and the last E5 finds it 0.
 *
 * Checked by tests/stress/stress_lane.c and tests/unit/test_lane.c.
 */
#include "queue/epoch.h"

#include <limits.h>

void tn__epochs_init(struct tn__epochs *epochs)
{
    for (size_t i = 0; i < TN__EPOCHS; i++)
        atomic_init(&epochs->count[i], 0);
    atomic_init(&epochs->low, 1);
    atomic_init(&epochs->current, 1);
    epochs->pending = 0;
    tn__park_init(&epochs->park);
    atomic_init(&epochs->watched, false);
}

void tn__epochs_sub(struct tn__epochs *epochs, uint32_t index, uint64_t count)
{
    if (tn__fetch_sub(&epochs->count[index], count, seq_cst) != count) /* E5 */
        return;
    if ((uint32_t)tn__load(&epochs->park.word, seq_cst) != 0) /* E6: the low half counts waiters */
        tn__park_wake(&epochs->park, INT_MAX);
    if (tn__load(&epochs->watched, seq_cst) && tn__exchange(&epochs->watched, false, acq_rel))
        epochs->reached(epochs->context); /* E6 again: `watched` is its waiter */
}

/* Moves `low` on as far as it goes, but not beyond the ticket; whether it has passed that. */
static bool pass(struct tn__epochs *epochs, uint64_t ticket)
{
    uint64_t low = tn__load(&epochs->low, acquire);

    while (low <= ticket) {
        if (low >= tn__load(&epochs->current, acquire))
            return false;
        if (tn__load(&epochs->count[low % TN__EPOCHS], seq_cst) == 0) { /* E8 */
            uint64_t next = low + 1;
            if (tn__cas(&epochs->low, &low, next, acq_rel, acquire))
                low = next;
            continue;
        }
        uint64_t again = tn__load(&epochs->low, acquire);
        if (again == low)
            return false;
        low = again;
    }
    return true;
}

uint64_t tn__epochs_close(struct tn__epochs *epochs)
{
    uint64_t current = tn__load(&epochs->current, relaxed);

    if (epochs->pending == 0 && current > 1)
        return current - 1; /* the epoch has no records */
    if (current + 1 > TN__EPOCHS && !pass(epochs, current + 1 - TN__EPOCHS))
        return 0; /* the slot of the next epoch is not free */
    tn__fetch_add(&epochs->count[current % TN__EPOCHS], epochs->pending, seq_cst); /* E2 */
    tn__store(&epochs->current, current + 1, seq_cst);                             /* E3 */
    epochs->pending = 0;
    return current;
}

bool tn__epochs_reached(struct tn__epochs *epochs, uint64_t ticket)
{
    return pass(epochs, ticket);
}
