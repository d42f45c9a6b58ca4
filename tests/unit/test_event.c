#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"

static const char *format(const struct tn_event *event)
{
    static char buffer[4096];
    size_t length = tn_event_format(event, buffer, sizeof(buffer));

    cr_assert_lt(length, sizeof(buffer));
    cr_assert_eq(strlen(buffer), length);
    return buffer;
}

/* The name as it stands in the line. */
static const char *escaped(const char *name)
{
    static char result[512];
    struct tn_event event = {.wd = 1, .mask = IN_OPEN, .path = "/", .name = name};
    const char *from = strstr(format(&event), " name=") + strlen(" name=");
    const char *to = strstr(from, " path=/ wd=1 >");

    cr_assert_not_null(to);
    snprintf(result, sizeof(result), "%.*s", (int)(to - from), from);
    return result;
}

Test(event, version_is_the_headers)
{
    cr_assert_str_eq(tn_version(), TN_VERSION);
}

Test(event, formats_as_pyinotify)
{
    struct tn_event event = {
        .wd = 3,
        .root = 1,
        .mask = IN_CREATE | IN_ISDIR,
        .path = "/a",
        .name = "b",
        .pathname = "/a/b",
    };

    cr_assert_str_eq(format(&event), "<Event dir=True mask=0x40000100 maskname=IN_CREATE|IN_ISDIR "
                                     "name=b path=/a pathname=/a/b wd=3 >");
}

Test(event, formats_every_field)
{
    struct tn_event event = {
        .wd = INT64_MAX,
        .mask = IN_MOVED_TO,
        .cookie = 42,
        .flags = TN_EVENT_SYNTHETIC | TN_EVENT_PATH_UNKNOWN | 0x100u | TN__EVENT_DIR,
        .error = -ENOSPC,
        .path = "/a",
        .name = "b",
        .pathname = "/a/b",
        .src_pathname = "/c/d",
    };

    cr_assert_str_eq(format(&event),
                     "<Event cookie=42 dir=True error=ENOSPC flags=SYNTHETIC|PATH_UNKNOWN|0x100 "
                     "mask=0x80 maskname=IN_MOVED_TO name=b path=/a pathname=/a/b "
                     "src_pathname=/c/d wd=9223372036854775807 >");
}

Test(event, formats_what_has_no_path)
{
    struct tn_event event = {.wd = -1, .mask = IN_Q_OVERFLOW, .flags = TN_EVENT_GAP_BEGIN};

    cr_assert_str_eq(format(&event), "<Event dir=False flags=GAP_BEGIN mask=0x4000 "
                                     "maskname=IN_Q_OVERFLOW wd=-1 >");
}

Test(event, formats_self_event_with_empty_name)
{
    struct tn_event event = {.wd = 2, .mask = IN_DELETE_SELF, .path = "/a", .pathname = "/a"};

    cr_assert_str_eq(format(&event), "<Event dir=False mask=0x400 maskname=IN_DELETE_SELF name='' "
                                     "path=/a pathname=/a wd=2 >");
}

Test(event, formats_odd_errors)
{
    struct tn_event event = {.wd = 1, .error = INT32_MIN};

    cr_assert_not_null(strstr(format(&event), " error=-2147483648 "));
    event.error = 100000;
    cr_assert_not_null(strstr(format(&event), " error=100000 "));
    event.error = EACCES;
    cr_assert_not_null(strstr(format(&event), " error=EACCES "));
}

Test(event, format_is_snprintf_like)
{
    struct tn_event event = {.wd = 1, .mask = IN_OPEN, .path = "/a\n", .name = "b"};
    char whole[256];
    size_t length = tn_event_format(&event, whole, sizeof(whole));

    for (size_t size = 0; size <= length + 1; size++) {
        char *buffer = malloc(size + 1);

        memset(buffer, 'x', size + 1);
        cr_assert_eq(tn_event_format(&event, buffer, size), length);
        cr_assert_eq(buffer[size], 'x', "wrote beyond %zu", size);
        if (size > 0) {
            cr_assert_eq(strlen(buffer), size - 1);
            cr_assert_eq(strncmp(buffer, whole, size - 1), 0);
        }
        free(buffer);
    }
    cr_assert_eq(tn_event_format(&event, NULL, 10), length);
    cr_assert_eq(tn_event_format(NULL, whole, sizeof(whole)), 0);
    cr_assert_str_eq(whole, "");
}

Test(event, a_line_stays_a_line)
{
    cr_assert_str_eq(escaped("a\nb\r\tc"), "a\\nb\\r\\tc");
    cr_assert_str_eq(escaped("\x1b[31m\x7f\x01"), "\\x1b[31m\\x7f\\x01");
    cr_assert_str_eq(escaped("a\\nb"), "a\\\\nb");
    cr_assert_str_eq(escaped("a b"), "a b");
    cr_assert_str_eq(escaped("\xc2\x85"), "\\xc2\\x85");
    cr_assert_str_eq(escaped("\xe2\x80\xa8\xe2\x80\xa9"), "\\xe2\\x80\\xa8\\xe2\\x80\\xa9");
}

Test(event, keeps_utf8_and_shows_what_is_none)
{
    cr_assert_str_eq(escaped("\xc3\xa9"), "\xc3\xa9");
    cr_assert_str_eq(escaped("\xe2\x82\xac\xf0\x9f\x98\x80"), "\xe2\x82\xac\xf0\x9f\x98\x80");
    cr_assert_str_eq(escaped("\xc2\xa0"), "\xc2\xa0");
    cr_assert_str_eq(escaped("\xff"
                             "a"),
                     "\\xffa");
    cr_assert_str_eq(escaped("a\xc3"), "a\\xc3");
    cr_assert_str_eq(escaped("\xe2\x82"), "\\xe2\\x82");
    cr_assert_str_eq(escaped("\xc3\xc3\xa9"), "\\xc3\xc3\xa9");
    cr_assert_str_eq(escaped("\xc0\xaf"), "\\xc0\\xaf");
    cr_assert_str_eq(escaped("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
    cr_assert_str_eq(escaped("\xed\xa0\x80"), "\\xed\\xa0\\x80");
    cr_assert_str_eq(escaped("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
    cr_assert_str_eq(escaped("\x80"), "\\x80");
}

Test(event, is_dir)
{
    struct tn_event event = {.mask = IN_CREATE};

    cr_assert_not(tn_event_is_dir(NULL));
    cr_assert_not(tn_event_is_dir(&event));
    event.mask = IN_CREATE | IN_ISDIR;
    cr_assert(tn_event_is_dir(&event));
    event.mask = IN_DELETE_SELF;
    event.flags = TN_EVENT_SYNTHETIC;
    cr_assert_not(tn_event_is_dir(&event));
    event.flags = TN__EVENT_DIR;
    cr_assert(tn_event_is_dir(&event));
    event.flags = TN_EVENT_UNWATCHED;
    cr_assert(tn_event_is_dir(&event));
}

Test(event, dup_outlives_the_original)
{
    char path[] = "/some/where", name[] = "x", pathname[] = "/some/where/x", from[] = "/y";
    struct tn_event event = {
        .wd = 5,
        .root = 4,
        .data = &event,
        .mask = IN_MOVED_TO,
        .cookie = 6,
        .flags = 7,
        .error = 8,
        .path = path,
        .name = name,
        .pathname = pathname,
        .src_pathname = from,
        .sequence = 9,
        .read_ns = 10,
    };
    struct tn_event *copy = NULL;

    cr_assert_eq(tn_event_dup(&event, &copy), 0);
    path[0] = name[0] = pathname[0] = from[0] = '#';
    cr_assert_str_eq(copy->path, "/some/where");
    cr_assert_str_eq(copy->name, "x");
    cr_assert_str_eq(copy->pathname, "/some/where/x");
    cr_assert_str_eq(copy->src_pathname, "/y");
    copy->path = event.path;
    copy->name = event.name;
    copy->pathname = event.pathname;
    copy->src_pathname = event.src_pathname;
    cr_assert_eq(memcmp(copy, &event, sizeof(event)), 0);
    cr_assert_null(tn_event_free(copy));
    cr_assert_null(tn_event_free(NULL));
}

Test(event, dup_keeps_null)
{
    struct tn_event event = {.wd = -1, .mask = IN_Q_OVERFLOW};
    struct tn_event *copy = NULL;

    cr_assert_eq(tn_event_dup(&event, &copy), 0);
    cr_assert_null(copy->path);
    cr_assert_null(copy->name);
    cr_assert_null(copy->pathname);
    cr_assert_null(copy->src_pathname);
    tn_event_free(copy);
    copy = NULL;
    cr_assert_eq(tn_event_dup(NULL, &copy), -EINVAL);
    cr_assert_eq(tn_event_dup(&event, NULL), -EINVAL);
    cr_assert_null(copy);
}
