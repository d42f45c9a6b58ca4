/*
 * Prints each event as one line. A line is written whole under the stream's
 * lock, so lines of concurrent calls do not mix.
 */
#include <errno.h>
#include <stdlib.h>

#include "processor/processor.h"

static int write_line(FILE *out, const char *line, size_t length)
{
    int r = 0;

    flockfile(out);
    errno = 0;
    if (fwrite_unlocked(line, 1, length, out) != length || fflush_unlocked(out) == EOF)
        r = errno != 0 ? -errno : -EIO;
    funlockfile(out);
    return r;
}

static int print_process(const struct tn_event *event, void *userdata)
{
    char buffer[1024];
    char *line = buffer;
    int saved_errno = errno;
    size_t length = tn_event_format(event, buffer, sizeof(buffer));

    if (length >= sizeof(buffer)) {
        line = malloc(length + 1);
        if (line == NULL)
            return -ENOMEM;
        tn_event_format(event, line, length + 1);
    }
    line[length] = '\n';
    int r = write_line(userdata, line, length + 1);
    if (line != buffer)
        free(line);
    errno = saved_errno;
    return r;
}

int tn_processor_new_print(FILE *out, struct tn_processor **ret_processor)
{
    static const struct tn_processor_ops ops = {
        .size = sizeof(ops),
        .process_default = print_process,
    };

    if (out == NULL)
        return -EINVAL;
    return tn_processor_new(&ops, out, ret_processor);
}
