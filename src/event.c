#include "event.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "mask.h"
#include "text.h"

const char *tn_version(void)
{
    return TN_VERSION;
}

bool tn_event_is_dir(const struct tn_event *event)
{
    return event != NULL && ((event->mask & IN_ISDIR) != 0 ||
                             (event->flags & (TN__EVENT_DIR | TN_EVENT_UNWATCHED)) != 0);
}

static void put_string(struct tn__text *text, const char *field, const char *value)
{
    if (value == NULL)
        return;
    tn__text_puts(text, field);
    tn__text_escape(text, value);
}

static void put_error(struct tn__text *text, int error)
{
    const char *name = error > INT32_MIN ? strerrorname_np(abs(error)) : NULL;

    if (name != NULL)
        tn__text_printf(text, " error=%s", name);
    else
        tn__text_printf(text, " error=%d", error);
}

static void put_flags(struct tn__text *text, uint32_t flags)
{
    static const char *const names[] = {"SYNTHETIC", "GAP_BEGIN", "GAP_END", "PATH_UNKNOWN",
                                        "UNWATCHED"};
    const char *separator = " flags=";
    uint32_t rest = flags & ~TN__EVENT_DIR;

    for (size_t i = 0; i < TN__COUNT(names); i++) {
        if ((rest & (1u << i)) == 0)
            continue;
        tn__text_puts(text, separator);
        tn__text_puts(text, names[i]);
        separator = "|";
        rest &= ~(1u << i);
    }
    if (rest != 0)
        tn__text_printf(text, "%s0x%x", separator, rest);
}

/* Fields sorted by name, as pyinotify's repr; those that the event has not are left out. */
size_t tn_event_format(const struct tn_event *event, char *buffer, size_t size)
{
    struct tn__text text;

    tn__text_init(&text, buffer, size);
    if (event == NULL)
        return 0;
    tn__text_puts(&text, "<Event");
    if (event->cookie != 0)
        tn__text_printf(&text, " cookie=%" PRIu32, event->cookie);
    tn__text_puts(&text, tn_event_is_dir(event) ? " dir=True" : " dir=False");
    if (event->error != 0)
        put_error(&text, event->error);
    put_flags(&text, event->flags);
    tn__text_printf(&text, " mask=0x%" PRIx32 " maskname=", event->mask);
    tn__mask_put(&text, event->mask);
    put_string(&text, " name=", event->name != NULL || event->path == NULL ? event->name : "''");
    put_string(&text, " path=", event->path);
    put_string(&text, " pathname=", event->pathname);
    put_string(&text, " src_pathname=", event->src_pathname);
    tn__text_printf(&text, " wd=%" PRId64 " >", event->wd);
    return text.length;
}

/* NULL stays NULL; *at moves on past the copy. */
static const char *copy_string(char **at, const char *string)
{
    if (string == NULL)
        return NULL;
    size_t size = strlen(string) + 1;
    char *copy = memcpy(*at, string, size);
    *at += size;
    return copy;
}

static size_t string_size(const char *string)
{
    return string != NULL ? strlen(string) + 1 : 0;
}

int tn_event_dup(const struct tn_event *event, struct tn_event **ret_event)
{
    if (event == NULL || ret_event == NULL)
        return -EINVAL;
    size_t size = sizeof(*event) + string_size(event->path) + string_size(event->name) +
                  string_size(event->pathname) + string_size(event->src_pathname);
    struct tn_event *copy = malloc(size);
    if (copy == NULL)
        return -ENOMEM;

    char *at = (char *)(copy + 1);
    *copy = *event;
    copy->path = copy_string(&at, event->path);
    copy->name = copy_string(&at, event->name);
    copy->pathname = copy_string(&at, event->pathname);
    copy->src_pathname = copy_string(&at, event->src_pathname);
    *ret_event = copy;
    return 0;
}

struct tn_event *tn_event_free(struct tn_event *event)
{
    free(event);
    return NULL;
}
