/*
 * What follow.c and look.c share.
 */
#ifndef TN_SRC_READER_FOLLOW_H
#define TN_SRC_READER_FOLLOW_H

#include "reader/reader.h"

/* To the watch of a name, of the name itself. */
void tn__name_tell(struct tn__reader *reader, uint32_t watch, uint32_t mask, uint32_t flags);
void tn__name_tell_unwatched(struct tn__reader *reader, uint32_t watch, int error);
/* What has the name is a directory, or is none. */
void tn__name_set_kind(struct tn__reader *reader, uint32_t watch, bool is_dir);

#endif
