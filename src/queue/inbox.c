#include "queue/inbox.h"

#include <stddef.h>

void tn__inbox_init(struct tn__inbox *inbox)
{
    tn__store(&inbox->head, NULL, relaxed);
}

void tn__inbox_push(struct tn__inbox *inbox, struct tn_task *task)
{
    struct tn_task *head = tn__load(&inbox->head, relaxed);

    do
        task->next = head;
    while (!tn__cas(&inbox->head, &head, task, release, relaxed)); /* pairs with take */
}

struct tn_task *tn__inbox_take(struct tn__inbox *inbox)
{
    struct tn_task *newest = tn__exchange(&inbox->head, NULL, acquire); /* pairs with push */
    struct tn_task *oldest = NULL;

    while (newest) {
        struct tn_task *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

bool tn__inbox_empty(const struct tn__inbox *inbox)
{
    return tn__load(&inbox->head, acquire) == NULL;
}
