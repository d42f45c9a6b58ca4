/* Events to text, and copies of them. */
#include <tnotify/event.h>

#include "event.h"
#include "input.h"

static size_t format(const void *what, char *buffer, size_t size)
{
    return tn_event_format(what, buffer, size);
}

static char *take_field(struct input *input, bool present)
{
    return present ? take_string(input) : NULL;
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? a != b && strcmp(a, b) == 0 : a == b;
}

static void check_copy(const struct tn_event *event)
{
    struct tn_event *copy = NULL;

    CHECK(tn_event_dup(event, &copy) == 0);
    CHECK(is_same(copy->path, event->path) && is_same(copy->name, event->name));
    CHECK(is_same(copy->pathname, event->pathname));
    CHECK(is_same(copy->src_pathname, event->src_pathname));
    CHECK(copy->wd == event->wd && copy->root == event->root && copy->data == event->data);
    CHECK(copy->mask == event->mask && copy->cookie == event->cookie);
    CHECK(copy->flags == event->flags && copy->error == event->error);
    CHECK(copy->sequence == event->sequence && copy->read_ns == event->read_ns);
    CHECK(tn_event_is_dir(copy) == tn_event_is_dir(event));
    CHECK(!tn_event_free(copy));
}

/* One line, nothing that a terminal would act on, and each of the event's texts told. */
static void check_line(const struct tn_event *event)
{
    size_t length = tn_event_format(event, NULL, 0);
    char *line = malloc(length + 1);

    CHECK(line);
    tn_event_format(event, line, length + 1);
    for (const char *at = line; *at; at++)
        CHECK((unsigned char)*at >= 0x20 && *at != 0x7f);
    CHECK(strncmp(line, "<Event", 6) == 0 && length > 8 && strcmp(line + length - 2, " >") == 0);
    CHECK(strstr(line, " maskname="));
    CHECK(!event->path || strstr(line, " path="));
    CHECK(!event->src_pathname || strstr(line, " src_pathname="));
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    uint8_t fields = take8(&input);
    size_t room = take8(&input);
    struct tn_event event = {
        .wd = (int32_t)take32(&input),
        .root = (int32_t)take32(&input),
        .data = &input,
        .mask = take32(&input),
        .cookie = take32(&input),
        .flags = take32(&input),
        .error = (int)take32(&input),
    };
    char *path = take_field(&input, fields & 1);
    char *name = take_field(&input, fields & 2);
    char *pathname = take_field(&input, fields & 4);
    char *source = take_field(&input, fields & 8);

    event.sequence = take32(&input);
    event.read_ns = UINT64_MAX - event.sequence;
    event.path = path;
    event.name = name;
    event.pathname = pathname;
    event.src_pathname = source;
    if (fields & 16)
        event.wd = fields & 32 ? INT64_MIN : event.wd * INT64_C(0x7fffffff);
    check_text(format, &event, room);
    check_line(&event);
    check_copy(&event);
    free(path);
    free(name);
    free(pathname);
    free(source);
    return 0;
}
