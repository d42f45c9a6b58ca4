/*
 * One run: a notifier, the watches on the given paths, and what becomes of their
 * events.
 */
#ifndef TNWATCH_SESSION_H
#define TNWATCH_SESSION_H

#include <stdatomic.h>

#include "options.h"
#include "output.h"

struct tn_notifier;
struct tn_processor;

struct session {
    const struct options *options; /* constant, as the next four */
    struct output *output;
    struct tn_processor *processor;
    struct tn_notifier *notifier;
    int stopped_fd; /* an eventfd(2): readable once the run is to end */

    atomic_bool stopping; /* asked to end, by a signal or for want of output */
    atomic_size_t roots;  /* that are watched or still to be: at 0 the run ends */
    size_t placed;        /* the main thread's, as the next two: watches that stand */
    long long begun_ns;
    long long shown_ns; /* the last progress line */
};

/* Returns 0 or a negative errno, which has been told. */
int session_init(struct session *session, const struct options *options, struct output *output);
void session_done(struct session *session);

/*
 * Starts, watches the paths, and returns when the notifier has been stopped and
 * everything is printed. Returns the program's exit status.
 */
int session_run(struct session *session);

/* Ends the run: what happened so far is still printed. From any thread or signal handler. */
void session_stop(struct session *session);

#endif
