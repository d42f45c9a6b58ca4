/* The lines that tnwatch prints for events. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "../../tools/tnwatch/json.h"
#include "../../tools/tnwatch/plain.h"
#include "../../tools/tnwatch/text.h"

static struct text text;

static void clean_up(void)
{
    text_done(&text);
}

TestSuite(plain_put_event, .fini = clean_up);
TestSuite(json_put_event, .fini = clean_up);
TestSuite(text, .fini = clean_up);

#define cr_expect_plain(event, colored, expected)                                                  \
    do {                                                                                           \
        text_clear(&text);                                                                         \
        plain_put_event(&text, &(event), colored);                                                 \
        cr_expect_str_eq(text.bytes, expected);                                                    \
    } while (0)

#define cr_expect_json(event, expected)                                                            \
    do {                                                                                           \
        text_clear(&text);                                                                         \
        json_put_event(&text, &(event));                                                           \
        cr_expect_str_eq(text.bytes, expected);                                                    \
    } while (0)

static const struct tn_event overflow = {.wd = -1,
                                         .root = -1,
                                         .mask = IN_Q_OVERFLOW,
                                         .sequence = 7};

static const struct tn_event moved = {
    .wd = 3,
    .root = 2,
    .mask = IN_MOVED_TO | IN_ISDIR,
    .cookie = 9,
    .path = "a",
    .name = "to",
    .pathname = "a/to",
    .src_pathname = "b/from",
    .sequence = 12,
};

static const struct tn_event unwatched = {
    .wd = 3,
    .root = 3,
    .mask = IN_ISDIR,
    .flags = TN_EVENT_UNWATCHED | TN_EVENT_SYNTHETIC,
    .error = -EACCES,
    .path = "a",
    .name = "b",
    .pathname = "a/b",
    .sequence = 1,
};

Test(plain_put_event, names_end_before_the_path)
{
    struct tn_event event = {.mask = IN_CREATE, .path = "a", .name = "b c", .pathname = "a/b c"};

    cr_expect_plain(event, false, "IN_CREATE          a/b c");
    event.mask = IN_CLOSE_NOWRITE | IN_ISDIR;
    cr_expect_plain(event, false, "IN_CLOSE_NOWRITE|IN_ISDIR a/b c");
    event.mask = IN_CREATE;
    event.flags = TN_EVENT_SYNTHETIC | TN_EVENT_PATH_UNKNOWN;
    cr_expect_plain(event, false, "IN_CREATE|SYNTHETIC|PATH_UNKNOWN a/b c");
}

Test(plain_put_event, move_shows_both_paths)
{
    cr_expect_plain(moved, false, "IN_MOVED_TO|IN_ISDIR b/from -> a/to");
}

Test(plain_put_event, trouble_is_told)
{
    struct tn_event gap = {.wd = 1,
                           .root = 1,
                           .mask = IN_Q_OVERFLOW,
                           .flags = TN_EVENT_GAP_BEGIN,
                           .path = "a",
                           .pathname = "a"};

    cr_expect_plain(overflow, false, "IN_Q_OVERFLOW      events were lost: the queue was full");
    cr_expect_plain(gap, false, "IN_Q_OVERFLOW|GAP_BEGIN a");
    cr_expect_plain(unwatched, false, "IN_ISDIR|UNWATCHED|SYNTHETIC a/b: Permission denied");
}

Test(plain_put_event, color_is_around_the_names)
{
    struct tn_event event = {.mask = IN_DELETE, .path = "a", .name = "b", .pathname = "a/b"};

    cr_expect_plain(event, true, "\033[31mIN_DELETE\033[m          a/b");
    event.mask = IN_OPEN;
    cr_expect_plain(event, true, "IN_OPEN            a/b");
}

Test(plain_put_event, a_line_stays_a_line)
{
    struct tn_event event = {.mask = IN_CREATE,
                             .path = "",
                             .pathname =
                                 "\n\r\t\x1b\x7f\\\xc2\x85\xe2\x80\xa8\xff\xc3\xa9\xed\xa0\x80"};

    cr_expect_plain(
        event, false,
        "IN_CREATE          \\n\\r\\t\\x1b\\x7f\\\\\\xc2\\x85\\xe2\\x80\\xa8\\xff\xc3\xa9"
        "\\xed\\xa0\\x80");
}

Test(plain_put_event, what_is_no_character_is_told_in_bytes)
{
    struct tn_event event = {.mask = IN_CREATE,
                             .path = "",
                             .pathname = "\xc1\x81|\xf4\x90\x80\x80|\xf0\x9f\x98\x80"};

    cr_expect_plain(event, false,
                    "IN_CREATE          \\xc1\\x81|\\xf4\\x90\\x80\\x80|\xf0\x9f\x98\x80");
}

Test(json_put_event, every_member_is_there)
{
    cr_expect_json(moved, "{\"events\":[\"IN_MOVED_TO\",\"IN_ISDIR\"],\"mask\":1073741952,"
                          "\"path\":\"a\",\"name\":\"to\",\"pathname\":\"a/to\","
                          "\"src_pathname\":\"b/from\",\"cookie\":9,\"wd\":3,\"root\":2,"
                          "\"dir\":true,\"synthetic\":false,\"path_unknown\":false,"
                          "\"unwatched\":false,\"gap\":null,\"error\":null,\"sequence\":12}");
    cr_expect_json(overflow, "{\"events\":[\"IN_Q_OVERFLOW\"],\"mask\":16384,\"path\":null,"
                             "\"name\":null,\"pathname\":null,\"src_pathname\":null,\"cookie\":0,"
                             "\"wd\":-1,\"root\":-1,\"dir\":false,\"synthetic\":false,"
                             "\"path_unknown\":false,\"unwatched\":false,\"gap\":null,"
                             "\"error\":null,\"sequence\":7}");
}

Test(json_put_event, flags_are_members)
{
    struct tn_event gap = {.mask = IN_Q_OVERFLOW, .flags = TN_EVENT_GAP_END};

    text_clear(&text);
    json_put_event(&text, &unwatched);
    cr_expect(strstr(text.bytes, "\"synthetic\":true,\"path_unknown\":false,\"unwatched\":true,"
                                 "\"gap\":null,\"error\":\"EACCES\",") != NULL);
    text_clear(&text);
    json_put_event(&text, &gap);
    cr_expect(strstr(text.bytes, "\"gap\":\"end\",") != NULL);
    gap.flags = TN_EVENT_GAP_BEGIN;
    text_clear(&text);
    json_put_event(&text, &gap);
    cr_expect(strstr(text.bytes, "\"gap\":\"begin\",") != NULL);
}

Test(json_put_event, strings_are_json)
{
    struct tn_event event = {.mask = IN_CREATE, .path = "\"\\\n\x01\x7f\xc3\xa9", .pathname = "x"};

    text_clear(&text);
    json_put_event(&text, &event);
    cr_expect(strstr(text.bytes,
                     "\"path\":\"\\\"\\\\\\u000a\\u0001\\u007f\xc3\xa9\",\"name\":null,") != NULL);
}

Test(json_put_event, bytes_that_are_not_utf8_are_told_exactly)
{
    struct tn_event event = {.mask = IN_CREATE, .path = "a", .name = "\xff\xc3", .pathname = "x"};

    text_clear(&text);
    json_put_event(&text, &event);
    cr_expect(strstr(text.bytes,
                     "\"path\":\"a\",\"name\":\"\\ufffd\\ufffd\",\"name_bytes\":\"ffc3\","
                     "\"pathname\":\"x\",") != NULL);
}

Test(text, grows)
{
    for (int i = 0; i < 10000; i++)
        text_printf(&text, "%d,", i % 10);
    cr_expect_eq(text.length, 20000);
    cr_expect_eq(strlen(text.bytes), 20000);
    cr_expect_not(text.failed);
    text_clear(&text);
    text_puts(&text, "new");
    cr_expect_str_eq(text.bytes, "new");
}
