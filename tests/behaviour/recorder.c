#include "recorder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"

int recorder_keep(const struct tn_event *event, void *userdata)
{
    struct recorder *recorder = userdata;
    struct tn_event *copy;

    if (tn_event_dup(event, &copy) < 0)
        return -ENOMEM;
    pthread_mutex_lock(&recorder->lock);
    if (recorder->count == recorder->capacity) {
        recorder->capacity = recorder->capacity ? recorder->capacity * 2 : 64;
        recorder->events = reallocarray(recorder->events, recorder->capacity, sizeof(copy));
        cr_assert_not_null(recorder->events);
    }
    recorder->events[recorder->count++] = copy;
    pthread_cond_broadcast(&recorder->change);
    pthread_mutex_unlock(&recorder->lock);
    return 0;
}

static void count_flush(void *userdata)
{
    struct recorder *recorder = userdata;

    pthread_mutex_lock(&recorder->lock);
    recorder->flushed++;
    pthread_mutex_unlock(&recorder->lock);
}

static void count_release(void *userdata)
{
    struct recorder *recorder = userdata;

    pthread_mutex_lock(&recorder->lock);
    recorder->released++;
    pthread_cond_broadcast(&recorder->change);
    pthread_mutex_unlock(&recorder->lock);
}

void recorder_init(struct recorder *recorder)
{
    struct tn_processor_ops ops = TN_PROCESSOR_OPS_INIT;

    *recorder =
        (struct recorder){.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};
    ops.process_default = recorder_keep;
    ops.flush = count_flush;
    ops.release = count_release;
    cr_assert_eq(tn_processor_new(&ops, recorder, &recorder->processor), 0);
}

void recorder_let_go(struct recorder *recorder)
{
    recorder->processor = tn_processor_unref(recorder->processor);
}

void recorder_done(struct recorder *recorder)
{
    recorder_clear(recorder);
    free(recorder->events);
    recorder->events = NULL;
    recorder->capacity = 0;
    recorder_let_go(recorder);
}

void recorder_clear(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->count; i++)
        tn_event_free(recorder->events[i]);
    recorder->count = 0;
    pthread_mutex_unlock(&recorder->lock);
}

size_t recorder_count(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    size_t count = recorder->count;
    pthread_mutex_unlock(&recorder->lock);
    return count;
}

size_t recorder_count_of(struct recorder *recorder, uint32_t mask)
{
    size_t count = 0;

    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->count; i++)
        count += (recorder->events[i]->mask & mask) != 0;
    pthread_mutex_unlock(&recorder->lock);
    return count;
}

void recorder_wait(struct recorder *recorder, size_t count)
{
    pthread_mutex_lock(&recorder->lock);
    while (recorder->count < count)
        pthread_cond_wait(&recorder->change, &recorder->lock);
    pthread_mutex_unlock(&recorder->lock);
}

void recorder_wait_released(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->lock);
    while (recorder->released == 0)
        pthread_cond_wait(&recorder->change, &recorder->lock);
    pthread_mutex_unlock(&recorder->lock);
}

const struct tn_event *recorder_event(struct recorder *recorder, size_t i)
{
    pthread_mutex_lock(&recorder->lock);
    const struct tn_event *event = i < recorder->count ? recorder->events[i] : NULL;
    pthread_mutex_unlock(&recorder->lock);
    cr_assert_not_null(event, "no event %zu", i);
    return event;
}

const struct tn_event *recorder_find(struct recorder *recorder, uint32_t mask)
{
    const struct tn_event *event = NULL;

    pthread_mutex_lock(&recorder->lock);
    for (size_t i = 0; i < recorder->count && !event; i++)
        if ((recorder->events[i]->mask & mask) == mask)
            event = recorder->events[i];
    pthread_mutex_unlock(&recorder->lock);
    return event;
}

static void put_mask(FILE *out, uint32_t mask)
{
    char text[512];
    const char *rest = text;

    tn_mask_format(mask, text, sizeof(text));
    while (*rest) {
        if (strncmp(rest, "IN_", 3) == 0)
            rest += 3;
        size_t length = strcspn(rest, "|") + 1;
        length -= !rest[length - 1];
        fwrite(rest, 1, length, out);
        rest += length;
    }
}

static void put_event(FILE *out, const struct tn_event *event)
{
    static const char *const names[] = {"synthetic", "gap-begin", "gap-end", "unknown",
                                        "unwatched"};

    put_mask(out, event->mask);
    fprintf(out, " %s", event->path ? scratch_below(event->path) : "-");
    if (event->name)
        fprintf(out, ":%s", event->name);
    if (event->src_pathname)
        fprintf(out, " <- %s", scratch_below(event->src_pathname));
    uint32_t flags = event->flags;
    if (event->mask & IN_IGNORED)
        flags &= ~TN_EVENT_SYNTHETIC;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (flags & (1u << i))
            fprintf(out, " %s", names[i]);
    if (event->error)
        fprintf(out, " %s", strerror(-event->error));
}

/* malloc'ed; what holds for every event is checked here. */
static char *event_line(const struct tn_event *event)
{
    char *line = NULL;
    size_t size;
    FILE *out = open_memstream(&line, &size);

    cr_assert_not_null(out);
    put_event(out, event);
    if (event->path) {
        size_t length = strlen(event->path);
        bool begins = strncmp(event->pathname, event->path, length) == 0;
        const char *rest = event->pathname + length;
        rest += event->name && length && event->path[length - 1] != '/' && *rest == '/';
        if (!begins || strcmp(rest, event->name ? event->name : "") != 0)
            fprintf(out, " (but pathname is %s)", event->pathname);
    }
    if (!event->sequence || !event->read_ns)
        fprintf(out, " (but no sequence or time)");
    fclose(out);
    return line;
}

static char **all_lines(struct recorder *recorder, size_t *ret_count)
{
    pthread_mutex_lock(&recorder->lock);
    char **lines = calloc(recorder->count + 1, sizeof(*lines));
    *ret_count = recorder->count;
    for (size_t i = 0; lines && i < recorder->count; i++)
        lines[i] = event_line(recorder->events[i]);
    pthread_mutex_unlock(&recorder->lock);
    cr_assert_not_null(lines);
    return lines;
}

static void free_lines(char **lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
}

size_t recorder_lines(struct recorder *recorder, const char *line)
{
    size_t count, equal = 0;
    char **lines = all_lines(recorder, &count);

    for (size_t i = 0; i < count; i++)
        equal += strcmp(lines[i], line) == 0;
    free_lines(lines, count);
    return equal;
}

static int compare_lines(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static char *list_text(const char *const *lines, size_t count)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    cr_assert_not_null(out);
    for (size_t i = 0; i < count && i < 60; i++)
        fprintf(out, "\n    %s", lines[i]);
    if (count > 60)
        fprintf(out, "\n    (%zu in all)", count);
    fclose(out);
    return text;
}

void recorder_expect(struct recorder *recorder, const char *file, int line, bool any_order,
                     const char *const *lines)
{
    size_t count, wanted = 0;
    char **got = all_lines(recorder, &count);
    const char **want;

    while (lines[wanted])
        wanted++;
    want = calloc(wanted + 1, sizeof(*want));
    cr_assert_not_null(want);
    memcpy(want, lines, wanted * sizeof(*want));
    if (any_order) {
        qsort(got, count, sizeof(*got), compare_lines);
        qsort(want, wanted, sizeof(*want), compare_lines);
    }
    bool equal = count == wanted;
    for (size_t i = 0; equal && i < count; i++)
        equal = strcmp(got[i], want[i]) == 0;
    char *got_text = equal ? NULL : list_text((const char *const *)got, count);
    char *want_text = equal ? NULL : list_text(want, wanted);
    cr_assert(equal, "%s:%d: expected:%s\ngot:%s", file, line, want_text, got_text);
    free_lines(got, count);
    free(want);
    recorder_clear(recorder);
}
