/*
 * The bounded queue with a sequence number in each cell (Dmitry Vyukov's).
 * Positions only grow; position p lives in cell p & mask, on lap p / capacity.
 *
 *   sequence == p              the cell is free for the push at p
 *   sequence == p + 1          the cell holds the item of p
 *   sequence == p + capacity   it was popped: free for the push one lap on
 *
 *   push                                 pop
 *   A1  read position p, then the        B1  read position p, then the
 *       sequence of its cell                 sequence of its cell
 *   A2  it is p: move the position       B2  it is p + 1: move the position
 *       on by compare and swap               on by compare and swap
 *   A3  write the item                   B3  read the item
 *   A4  sequence = p + 1                 B4  sequence = p + capacity
 *
 * One thread owns a cell between A2 and A4, or B2 and B4: the swap succeeds
 * once for each position, and the sequence, read before it, admits nobody else
 * until the owner has written the next one. It cannot have changed since it was
 * read: only the owner of p changes it, and a swap that succeeds on p proves
 * that p had no owner. A4 is read by B1 and B4 by A1 of the next lap (release
 * and acquire), so the item is never read and written at once.
 *
 * A sequence behind the wanted one: full, or nothing ready. One ahead of it:
 * the position read is stale, look again.
 *
 * Checked by tests/model/ring.pml and tests/stress/stress_executor.c.
 */
#include "queue/ring.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

int tn__ring_init(struct tn__ring *ring, size_t capacity)
{
    size_t size = 2;

    if (capacity == 0 || capacity > SIZE_MAX / 4)
        return -EINVAL;
    while (size < capacity)
        size *= 2;
    struct tn__ring_cell *cells = calloc(size, sizeof(*cells));
    if (!cells)
        return -ENOMEM;
    for (size_t i = 0; i < size; i++)
        tn__store(&cells[i].sequence, i, relaxed);
    ring->cells = cells;
    ring->mask = size - 1;
    tn__store(&ring->push_position, 0, relaxed);
    tn__store(&ring->pop_position, 0, relaxed);
    return 0;
}

void tn__ring_done(struct tn__ring *ring)
{
    free(ring->cells);
    ring->cells = NULL;
}

bool tn__ring_push(struct tn__ring *ring, void *item)
{
    size_t position = tn__load(&ring->push_position, relaxed);

    for (;;) {
        struct tn__ring_cell *cell = &ring->cells[position & ring->mask];
        size_t sequence = tn__load(&cell->sequence, acquire); /* A1 */
        intptr_t ahead = (intptr_t)(sequence - position);

        if (ahead < 0)
            return false;
        if (ahead > 0) {
            position = tn__load(&ring->push_position, relaxed);
        } else if (tn__cas(&ring->push_position, &position, position + 1, relaxed,
                           relaxed)) {                         /* A2 */
            cell->item = item;                                 /* A3 */
            tn__store(&cell->sequence, position + 1, release); /* A4 */
            return true;
        }
    }
}

void *tn__ring_pop(struct tn__ring *ring)
{
    size_t position = tn__load(&ring->pop_position, relaxed);

    for (;;) {
        struct tn__ring_cell *cell = &ring->cells[position & ring->mask];
        size_t sequence = tn__load(&cell->sequence, acquire); /* B1 */
        intptr_t ahead = (intptr_t)(sequence - (position + 1));

        if (ahead < 0)
            return NULL;
        if (ahead > 0) {
            position = tn__load(&ring->pop_position, relaxed);
        } else if (tn__cas(&ring->pop_position, &position, position + 1, relaxed,
                           relaxed)) {                                      /* B2 */
            void *item = cell->item;                                        /* B3 */
            tn__store(&cell->sequence, position + ring->mask + 1, release); /* B4 */
            return item;
        }
    }
}

bool tn__ring_empty(const struct tn__ring *ring)
{
    size_t position = tn__load(&ring->pop_position, relaxed);
    size_t sequence = tn__load(&ring->cells[position & ring->mask].sequence, acquire);

    return (intptr_t)(sequence - (position + 1)) < 0;
}
