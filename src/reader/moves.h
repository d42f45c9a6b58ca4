/*
 * What moves.c, halves.c and exchange.c share.
 */
#ifndef TN_SRC_READER_MOVES_H
#define TN_SRC_READER_MOVES_H

#include "reader/reader.h"

struct tn__news tn__move_news(const struct tn__raw *raw);
void tn__move_fill_half(struct tn__half *half, const struct tn__raw *raw);

/* The first watch on the object of a key, and of a list the one that is of the add; 0: none. */
uint32_t tn__move_watches(struct tn__reader *reader, uint64_t key);
uint32_t tn__move_watch_of(struct tn__reader *reader, uint32_t first, const struct tn__add *add);

/* Keeps a departure for its arrival. */
void tn__move_remember(struct tn__reader *reader, const struct tn__raw *raw);
/* The departure with that cookie, which was committed; NULL: it is not known. */
const struct tn__half *tn__move_departure(const struct tn__reader *reader, uint32_t cookie);
/* The same of a directory's that waits for the arrival, and no longer waits. */
bool tn__move_take_directory(struct tn__reader *reader, uint32_t cookie, struct tn__half *ret_half);
/* Whether it was committed while the add was not told. */
bool tn__move_is_unheard(const struct tn__reader *reader, const struct tn__add *add,
                         uint32_t cookie);
/* Whether a scan has told it to the watch's add already. */
bool tn__move_is_swallowed(struct tn__reader *reader, uint32_t watch, uint32_t cookie);

/* The same, to any. */
bool tn__move_is_swallowing(const struct tn__reader *reader, uint32_t cookie);
/* Whether the directory of that name has left, and that has still to be told. */
bool tn__move_is_leaving(const struct tn__reader *reader, uint64_t key, const char *name,
                         size_t length);
/* Whether such a departure is still to come. */
bool tn__move_swallows_any(const struct tn__reader *reader);

/* exchange.c: the departure right behind an arrival ahead, of the same name. */
bool tn__exchange_ahead(const struct tn__reader *reader, const struct tn__raw *arrival,
                        struct tn__raw *ret_left);

/* The directory of a watch's child leaves the add's tree. */
void tn__move_leave(struct tn__reader *reader, uint32_t watch, uint32_t child,
                    const struct tn__news *from);
/* Puts a node where the record tells. 0; -ELOOP, -ENOMEM: it has to leave. */
int tn__move_place_locked(struct tn__reader *reader, uint32_t node, uint32_t watch,
                          const struct tn__raw *raw);
/* An arrival; half: where it came from, or NULL. */
void tn__move_arrive(struct tn__reader *reader, uint32_t watch, const struct tn__raw *raw,
                     const struct tn__half *half);
/* The same of a directory that is new to the tree. */
void tn__move_take_in(struct tn__reader *reader, uint32_t watch, const struct tn__raw *raw,
                      const struct tn__half *told);

#endif
