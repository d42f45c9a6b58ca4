#include <criterion/criterion.h>

#include "queue/inbox.h"

Test(inbox, take_of_an_empty_one_is_null)
{
    struct tn__inbox inbox;

    tn__inbox_init(&inbox);
    cr_assert(tn__inbox_empty(&inbox));
    cr_assert_null(tn__inbox_take(&inbox));
}

Test(inbox, take_gives_all_oldest_first)
{
    struct tn__inbox inbox;
    struct tn_task tasks[10];

    tn__inbox_init(&inbox);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 10; i++)
            tn__inbox_push(&inbox, &tasks[i]);
        cr_assert_not(tn__inbox_empty(&inbox));
        struct tn_task *task = tn__inbox_take(&inbox);
        for (int i = 0; i < 10; i++, task = task->next)
            cr_assert_eq(task, &tasks[i]);
        cr_assert_null(task);
        cr_assert(tn__inbox_empty(&inbox));
    }
}
