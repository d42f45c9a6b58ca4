#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 3 * 4096 };

static int trace_fd = -1;

int trace_open(const char *file)
{
    trace_fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    return trace_fd < 0 ? -errno : 0;
}

bool trace_is_on(void)
{
    return trace_fd >= 0;
}

int trace_descriptor(void)
{
    return trace_fd;
}

static unsigned long long now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned long long)now.tv_sec * 1000000000ull + (unsigned long long)now.tv_nsec;
}

/* One write a line: lines of several processes do not mix. */
static void put(const char *line, int length)
{
    size_t size = length < LINE ? (size_t)length : LINE - 1;
    ssize_t written = write(trace_fd, line, size);

    (void)written;
}

void trace_operation(unsigned writer, const char *what, const char *from, const char *to)
{
    char line[LINE];

    if (trace_fd < 0)
        return;
    put(line, snprintf(line, sizeof(line), "%llu w%u %s %s%s%s\n", now_ns(), writer, what, from,
                       to ? " -> " : "", to ? to : ""));
}

void trace_event(const struct tn_event *event)
{
    char line[LINE], mask[128];

    if (trace_fd < 0)
        return;
    tn_mask_format(event->mask, mask, sizeof(mask));
    put(line,
        snprintf(line, sizeof(line),
                 "%llu event %llu read %llu wd %lld of %lld %s%s%s cookie %u %s%s%s\n", now_ns(),
                 (unsigned long long)event->sequence, (unsigned long long)event->read_ns,
                 (long long)event->wd, (long long)event->root, mask,
                 event->flags & TN_EVENT_SYNTHETIC ? "|SYNTHETIC" : "",
                 event->flags & TN_EVENT_PATH_UNKNOWN ? "|PATH_UNKNOWN" : "", event->cookie,
                 event->pathname ? event->pathname : "-", event->src_pathname ? " <- " : "",
                 event->src_pathname ? event->src_pathname : ""));
}

void trace_note(const char *text)
{
    char line[LINE];

    if (trace_fd >= 0)
        put(line, snprintf(line, sizeof(line), "%llu %s\n", now_ns(), text));
}
