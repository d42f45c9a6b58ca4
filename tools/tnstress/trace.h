/* One line for each operation and each event, with the time, of all processes in one file. */
#ifndef TN_TOOLS_TNSTRESS_TRACE_H
#define TN_TOOLS_TNSTRESS_TRACE_H

#include <stdbool.h>
#include <tnotify/event.h>

int trace_open(const char *file);
bool trace_is_on(void);
/* -1: no trace. */
int trace_descriptor(void);
void trace_operation(unsigned writer, const char *what, const char *from, const char *to);
void trace_event(const struct tn_event *event);
void trace_note(const char *text);

#endif
