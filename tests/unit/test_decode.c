/* Bytes to records: reader/decode.c. */
#include "reader/decode.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

#define HEAD sizeof(struct inotify_event)

static char buffer[1024];
static size_t used;

static void add(int wd, uint32_t mask, uint32_t cookie, const char *name, uint32_t space)
{
    struct inotify_event head = {.wd = wd, .mask = mask, .cookie = cookie, .len = space};

    memcpy(buffer + used, &head, HEAD);
    memset(buffer + used + HEAD, 0, space);
    if (name)
        memcpy(buffer + used + HEAD, name, strlen(name));
    used += HEAD + space;
}

Test(decode, nothing_in_an_empty_buffer)
{
    struct tn__raw raw;
    size_t offset = 0;

    cr_assert_eq(tn__decode(buffer, 0, &offset, &raw), 0);
    cr_assert_eq(offset, 0);
}

Test(decode, records_one_after_the_other)
{
    struct tn__raw raw;
    size_t offset = 0;

    add(7, IN_CREATE | IN_ISDIR, 0, "name", 16);
    add(INT32_MAX, IN_DELETE_SELF, 0, NULL, 0);
    add(1, IN_MOVED_TO, 99, "sixteen bytes 16", 32);

    cr_assert_eq(tn__decode(buffer, used, &offset, &raw), 1);
    cr_assert_eq(raw.key, 7);
    cr_assert_eq(raw.mask, IN_CREATE | IN_ISDIR);
    cr_assert_eq(raw.cookie, 0);
    cr_assert_str_eq(raw.name, "name");
    cr_assert_eq(raw.name_length, 4);
    cr_assert_eq((const void *)raw.name, (const void *)(buffer + HEAD), "not copied");

    cr_assert_eq(tn__decode(buffer, used, &offset, &raw), 1);
    cr_assert_eq(raw.key, INT32_MAX);
    cr_assert_null(raw.name);
    cr_assert_eq(raw.name_length, 0);

    cr_assert_eq(tn__decode(buffer, used, &offset, &raw), 1);
    cr_assert_eq(raw.cookie, 99);
    cr_assert_str_eq(raw.name, "sixteen bytes 16");
    cr_assert_eq(raw.name_length, 16);

    cr_assert_eq(offset, used);
    cr_assert_eq(tn__decode(buffer, used, &offset, &raw), 0);
}

Test(decode, overflow_has_the_last_key)
{
    struct tn__raw raw;
    size_t offset = 0;

    add(-1, IN_Q_OVERFLOW, 0, NULL, 0);
    cr_assert_eq(tn__decode(buffer, used, &offset, &raw), 1);
    cr_assert_eq(raw.key, UINT64_MAX);
}

Test(decode, a_name_of_padding_alone_is_none)
{
    struct tn__raw raw;
    size_t offset = 0;

    add(1, IN_MODIFY, 0, NULL, 16);
    cr_assert_eq(tn__decode(buffer, used, &offset, &raw), 1);
    cr_assert_null(raw.name);
    cr_assert_eq(raw.name_length, 0);
    cr_assert_eq(offset, used);
}

Test(decode, any_alignment)
{
    struct tn__raw raw;
    _Alignas(8) static char shifted[256];

    add(3, IN_OPEN, 0, "x", 16);
    for (size_t shift = 0; shift < 8; shift++) {
        size_t offset = shift;
        memcpy(shifted + shift, buffer, used);
        cr_assert_eq(tn__decode(shifted, shift + used, &offset, &raw), 1);
        cr_assert_eq(raw.key, 3);
        cr_assert_str_eq(raw.name, "x");
    }
}

/* Every length that cuts a record short is refused, and the offset stays. */
Test(decode, cut_short)
{
    struct tn__raw raw;

    add(1, IN_CREATE, 0, "whole", 16);
    size_t second = used;
    add(2, IN_CREATE, 0, "cut", 16);

    for (size_t size = second + 1; size < used; size++) {
        size_t offset = 0;
        cr_assert_eq(tn__decode(buffer, size, &offset, &raw), 1);
        cr_assert_eq(tn__decode(buffer, size, &offset, &raw), -EBADMSG, "size %zu", size);
        cr_assert_eq(offset, second);
    }
}

Test(decode, name_without_its_end)
{
    struct tn__raw raw;
    size_t offset = 0;

    add(1, IN_CREATE, 0, "0123456789abcdef", 16);
    add(2, IN_CREATE, 0, "the next", 16);
    cr_assert_eq(tn__decode(buffer, used, &offset, &raw), -EBADMSG);
    cr_assert_eq(offset, 0);
}

Test(decode, length_beyond_the_end)
{
    static const uint32_t lengths[] = {17, 4096, INT32_MAX, UINT32_MAX - HEAD, UINT32_MAX};
    struct inotify_event head = {.wd = 1, .mask = IN_CREATE};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct tn__raw raw;
        size_t offset = 0;
        head.len = lengths[i];
        memcpy(buffer, &head, HEAD);
        cr_assert_eq(tn__decode(buffer, HEAD + 16, &offset, &raw), -EBADMSG);
    }
}

Test(decode, an_offset_behind_the_end_is_the_end)
{
    struct tn__raw raw;
    size_t offset = 64;

    cr_assert_eq(tn__decode(buffer, 32, &offset, &raw), 0);
}
