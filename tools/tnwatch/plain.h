/*
 * An event as a line for people:
 *
 *   IN_CREATE|IN_ISDIR dir/new
 *   IN_MOVED_TO        dir/old -> dir/new
 *
 * What comes before the first space is what happened: names of mask bits, and of
 * the library's flags without TN_EVENT_. The rest is the full path, escaped by
 * text_escape.
 */
#ifndef TNWATCH_PLAIN_H
#define TNWATCH_PLAIN_H

#include <stdbool.h>

#include <tnotify/event.h>

#include "text.h"

/* Without a newline at its end. */
void plain_put_event(struct text *text, const struct tn_event *event, bool colored);

#endif
