/*
 * What the library itself says in an event, beside the public fields.
 */
#ifndef TN_SRC_EVENT_H
#define TN_SRC_EVENT_H

#include <tnotify/event.h>

/*
 * In tn_event.flags: the event is about a directory itself. The kernel sets no
 * IN_ISDIR in IN_DELETE_SELF, IN_MOVE_SELF, IN_IGNORED and IN_UNMOUNT, so the
 * reader sets this for tn_event_is_dir. Not public, and not formatted.
 */
#define TN__EVENT_DIR 0x80000000u

#endif
