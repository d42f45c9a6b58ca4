#include "json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Returns whether the string was UTF-8. */
static bool put_string(struct text *text, const char *string)
{
    bool exact = true;

    text_puts(text, "\"");
    while (*string != '\0') {
        unsigned long point = 0;
        size_t length = text_utf8_length(string, &point);

        if (length == 0) {
            text_puts(text, "\\ufffd");
            exact = false;
            string++;
            continue;
        }
        if (point == '"' || point == '\\') {
            text_puts(text, "\\");
            text_put(text, string, length);
        } else if (point < 0x20 || (point >= 0x7f && point <= 0x9f) || point == 0x2028 ||
                   point == 0x2029) {
            text_printf(text, "\\u%04lx", point);
        } else {
            text_put(text, string, length);
        }
        string += length;
    }
    text_puts(text, "\"");
    return exact;
}

static void put_string_member(struct text *text, const char *key, const char *string)
{
    text_printf(text, ",\"%s\":", key);
    if (string == NULL) {
        text_puts(text, "null");
        return;
    }
    if (put_string(text, string))
        return;
    text_printf(text, ",\"%s_bytes\":\"", key);
    for (; *string != '\0'; string++)
        text_printf(text, "%02x", (unsigned char)*string);
    text_puts(text, "\"");
}

static void put_bool(struct text *text, const char *key, bool value)
{
    text_printf(text, ",\"%s\":%s", key, value ? "true" : "false");
}

static void put_events(struct text *text, uint32_t mask)
{
    const char *separator = "";

    text_puts(text, "\"events\":[");
    for (unsigned i = 0; i < 32; i++) {
        char name[32];

        if ((mask >> i & 1) == 0)
            continue;
        tn_mask_format((uint32_t)1 << i, name, sizeof(name));
        text_printf(text, "%s\"%s\"", separator, name);
        separator = ",";
    }
    text_puts(text, "]");
}

static void put_gap(struct text *text, uint32_t flags)
{
    text_printf(text, ",\"gap\":%s",
                (flags & TN_EVENT_GAP_BEGIN) != 0 ? "\"begin\""
                : (flags & TN_EVENT_GAP_END) != 0 ? "\"end\""
                                                  : "null");
}

static void put_error(struct text *text, int error)
{
    const char *name = strerrorname_np(abs(error));

    if (error == 0)
        text_puts(text, ",\"error\":null");
    else if (name != NULL)
        text_printf(text, ",\"error\":\"%s\"", name);
    else
        text_printf(text, ",\"error\":\"%d\"", error);
}

void json_put_event(struct text *text, const struct tn_event *event)
{
    text_puts(text, "{");
    put_events(text, event->mask);
    text_printf(text, ",\"mask\":%" PRIu32, event->mask);
    put_string_member(text, "path", event->path);
    put_string_member(text, "name", event->name);
    put_string_member(text, "pathname", event->pathname);
    put_string_member(text, "src_pathname", event->src_pathname);
    text_printf(text, ",\"cookie\":%" PRIu32 ",\"wd\":%" PRId64 ",\"root\":%" PRId64, event->cookie,
                event->wd, event->root);
    put_bool(text, "dir", tn_event_is_dir(event));
    put_bool(text, "synthetic", (event->flags & TN_EVENT_SYNTHETIC) != 0);
    put_bool(text, "path_unknown", (event->flags & TN_EVENT_PATH_UNKNOWN) != 0);
    put_bool(text, "unwatched", (event->flags & TN_EVENT_UNWATCHED) != 0);
    put_gap(text, event->flags);
    put_error(text, event->error);
    text_printf(text, ",\"sequence\":%" PRIu64 "}", event->sequence);
}
