/*
 * An event as one JSON object on one line.
 *
 * Always there, in this order: events (array of names), mask, path, name,
 * pathname, src_pathname (each a string or null), cookie, wd, root, dir,
 * synthetic, path_unknown, unwatched, gap (null, "begin" or "end"), error (null
 * or a name such as "EACCES"), sequence.
 *
 * JSON text is UTF-8 and file names need not be. In a string each byte that is
 * not UTF-8 becomes U+FFFD, and the object gets a further member with the exact
 * bytes in hexadecimal, named after the string's: "pathname_bytes".
 */
#ifndef TNWATCH_JSON_H
#define TNWATCH_JSON_H

#include <tnotify/event.h>

#include "text.h"

/* Without a newline at its end. */
void json_put_event(struct text *text, const struct tn_event *event);

#endif
