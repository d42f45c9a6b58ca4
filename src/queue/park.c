/*
 * No lost wake-up. Epoch and waiters share one 64-bit word, and both sides
 * change it by a seq_cst read-modify-write, so the two are ordered.
 *
 *   producer                            waiter
 *   P1  publish                         W1  waiters += 1, keep the epoch seen
 *   P2  epoch += 1; a waiter in the     W2  look again at what is published
 *       value that it replaced? wake    W3  sleep while the epoch is that one
 *
 * P2 before W1: W1 reads what P2 wrote, or a later value of the same chain of
 * read-modify-writes, so W2 sees what P1 published.
 * W1 before P2: P2 sees the waiter and wakes it. If that comes before W3, the
 * kernel compares the epoch under the lock that the wake takes, and W3 does not
 * sleep on an epoch that has moved on.
 *
 * The epoch would deceive W3 only if it came round by exactly 2^32 wakes
 * between W1 and W3.
 *
 * Checked by tests/model/park.pml and tests/stress/stress_executor.c.
 */
#include "queue/park.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ONE_EPOCH ((uint64_t)1 << 32)
#define NS_PER_S  1000000000

/* The half of the word that the kernel compares. */
static uint32_t *epoch_address(struct tn__park *park)
{
    uint32_t *halves = (uint32_t *)(void *)&park->word;

    return halves + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

void tn__park_init(struct tn__park *park)
{
    tn__store(&park->word, 0, relaxed);
}

uint32_t tn__park_prepare(struct tn__park *park)
{
    return (uint32_t)(tn__fetch_add(&park->word, 1, seq_cst) >> 32); /* W1 */
}

void tn__park_cancel(struct tn__park *park)
{
    tn__fetch_sub(&park->word, 1, seq_cst);
}

int tn__park_wait(struct tn__park *park, uint32_t epoch, int64_t timeout_ns)
{
    struct timespec timeout = {.tv_sec = 0};
    int saved = errno;
    int result = 0;

    if (timeout_ns >= 0) {
        timeout.tv_sec = (time_t)(timeout_ns / NS_PER_S);
        timeout.tv_nsec = (long)(timeout_ns % NS_PER_S);
    }
    if (syscall(SYS_futex, epoch_address(park), FUTEX_WAIT_PRIVATE, epoch,
                timeout_ns < 0 ? NULL : &timeout, NULL, 0) < 0 && /* W3 */
        errno == ETIMEDOUT)
        result = -ETIMEDOUT;
    tn__fetch_sub(&park->word, 1, seq_cst);
    errno = saved;
    return result;
}

void tn__park_wake(struct tn__park *park, int count)
{
    uint32_t *address = epoch_address(park);

    if ((uint32_t)tn__fetch_add(&park->word, ONE_EPOCH, seq_cst) == 0) /* P2 */
        return;
    int saved = errno;
    syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    errno = saved;
}
