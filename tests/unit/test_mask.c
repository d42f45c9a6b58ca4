#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <tnotify/event.h>

static uint32_t parse(const char *text)
{
    uint32_t mask = 0xdeadbeef;

    cr_assert_eq(tn_mask_parse(text, &mask), 0, "%s", text);
    return mask;
}

static const char *format(uint32_t mask)
{
    static char buffer[512];

    cr_assert_lt(tn_mask_format(mask, buffer, sizeof(buffer)), sizeof(buffer));
    return buffer;
}

Test(mask, name_is_of_the_event)
{
    cr_assert_str_eq(tn_mask_name(IN_CREATE), "IN_CREATE");
    cr_assert_str_eq(tn_mask_name(IN_CREATE | IN_ISDIR), "IN_CREATE");
    cr_assert_str_eq(tn_mask_name(IN_Q_OVERFLOW), "IN_Q_OVERFLOW");
    cr_assert_str_eq(tn_mask_name(IN_IGNORED), "IN_IGNORED");
    cr_assert_str_eq(tn_mask_name(IN_UNMOUNT), "IN_UNMOUNT");
    cr_assert_str_eq(tn_mask_name(IN_MOVE_SELF), "IN_MOVE_SELF");
}

Test(mask, name_of_two_is_the_lowest)
{
    cr_assert_str_eq(tn_mask_name(IN_DELETE | IN_CREATE), "IN_CREATE");
    cr_assert_str_eq(tn_mask_name(IN_IGNORED | IN_ACCESS), "IN_ACCESS");
}

Test(mask, name_of_no_event)
{
    cr_assert_str_eq(tn_mask_name(0), "IN_UNKNOWN");
    cr_assert_str_eq(tn_mask_name(IN_ISDIR), "IN_UNKNOWN");
    cr_assert_str_eq(tn_mask_name(0x1000), "IN_UNKNOWN");
}

Test(mask, formats_names_and_unknown_bits)
{
    cr_assert_str_eq(format(IN_CREATE | IN_ISDIR), "IN_CREATE|IN_ISDIR");
    cr_assert_str_eq(format(0), "0");
    cr_assert_str_eq(format(0x00801000), "0x801000");
    cr_assert_str_eq(format(IN_ACCESS | 0x1000), "IN_ACCESS|0x1000");
    cr_assert_str_eq(format(IN_ONESHOT | IN_MASK_CREATE), "IN_MASK_CREATE|IN_ONESHOT");
}

Test(mask, format_is_snprintf_like)
{
    char buffer[16];

    memset(buffer, 'x', sizeof(buffer));
    cr_assert_eq(tn_mask_format(IN_CREATE | IN_ISDIR, buffer, 6), strlen("IN_CREATE|IN_ISDIR"));
    cr_assert_str_eq(buffer, "IN_CR");
    cr_assert_eq(buffer[6], 'x');
    cr_assert_eq(tn_mask_format(IN_CREATE, buffer, 10), 9);
    cr_assert_str_eq(buffer, "IN_CREATE");
    cr_assert_eq(tn_mask_format(IN_CREATE, buffer, 9), 9);
    cr_assert_str_eq(buffer, "IN_CREAT");
    cr_assert_eq(tn_mask_format(0x1000, buffer, 3), 6);
    cr_assert_str_eq(buffer, "0x");
    cr_assert_eq(tn_mask_format(IN_CREATE, buffer, 0), 9);
    cr_assert_eq(tn_mask_format(IN_CREATE, NULL, 100), 9);
}

Test(mask, every_mask_survives_format_and_parse)
{
    for (unsigned i = 0; i < 32; i++)
        cr_assert_eq(parse(format(UINT32_C(1) << i)), UINT32_C(1) << i);
    cr_assert_eq(parse(format(0)), 0);
    cr_assert_eq(parse(format(UINT32_MAX)), UINT32_MAX);
    for (uint32_t mask = 1, i = 0; i < 20000; i++, mask = mask * 1664525u + 1013904223u)
        cr_assert_eq(parse(format(mask)), mask);
}

Test(mask, parses_as_people_write)
{
    cr_assert_eq(parse("create"), IN_CREATE);
    cr_assert_eq(parse("IN_CREATE,IN_DELETE"), IN_CREATE | IN_DELETE);
    cr_assert_eq(parse(" in_create |\tdelete_self\n"), IN_CREATE | IN_DELETE_SELF);
    cr_assert_eq(parse("ALL_EVENTS"), IN_ALL_EVENTS);
    cr_assert_eq(parse("IN_ALL_EVENTS,ONLYDIR"), IN_ALL_EVENTS | IN_ONLYDIR);
    cr_assert_eq(parse("close"), IN_CLOSE_WRITE | IN_CLOSE_NOWRITE);
    cr_assert_eq(parse("IN_MOVE"), IN_MOVED_FROM | IN_MOVED_TO);
    cr_assert_eq(parse("0X100|0xff"), 0x1ff);
}

Test(mask, refuses_what_is_none)
{
    static const char *const bad[] = {
        "",           " ",        ",",       "create,",    ",create",     "create,,delete",
        "create del", "creat",    "creates", "IN_",        "0x",          "0x123456789",
        "0xg",        "0xffzz",   "12",      "IN_IN_OPEN", "create;open", "-1",
        "\xc3\xa9",   "in__open", "00",      "x100",       "0y12",        "{",
    };
    uint32_t mask = 77;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(tn_mask_parse(bad[i], &mask), -EINVAL, "\"%s\"", bad[i]);
        cr_assert_eq(mask, 77, "\"%s\"", bad[i]);
    }
    cr_assert_eq(tn_mask_parse(NULL, &mask), -EINVAL);
    cr_assert_eq(tn_mask_parse("create", NULL), -EINVAL);
}
