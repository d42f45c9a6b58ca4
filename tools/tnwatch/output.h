/*
 * Where everything is printed: events on standard output, the rest on standard
 * error. All functions may be called from any thread; lines do not mix.
 */
#ifndef TNWATCH_OUTPUT_H
#define TNWATCH_OUTPUT_H

#include <pthread.h>
#include <stdbool.h>

#include <tnotify/event.h>

#include "text.h"

struct output {
    bool json;    /* constant, as the next three */
    bool colored; /* standard output is a terminal that wants it */
    bool show_progress;
    bool same_screen; /* both go to a terminal: a message would tell an event twice */

    pthread_mutex_t lock; /* guards what follows and the order of writes */
    struct text line;
    bool progress_shown;
    int error; /* the first failure to print an event; events are no longer printed then */
};

void output_init(struct output *output, bool json);
void output_done(struct output *output);

/*
 * Prints an event, as one write of a whole line unless the system takes it in
 * parts. Returns 0, or the negative errno of the first event that failed.
 */
int output_event(struct output *output, const struct tn_event *event);
int output_error(struct output *output);

/* "tnwatch: ", the text, a newline. */
void output_message(struct output *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "tnwatch: before 'path': after" with the path escaped. */
void output_path_message(struct output *output, const char *before, const char *path,
                         const char *after);
/* The string as it is. */
void output_text(struct output *output, const char *string);

/* A line that the next line of any kind replaces; only on a terminal. */
void output_progress(struct output *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
