/*
 * Both pairs of a RENAME_EXCHANGE, as exchange.c has found them and
 * exchange_tell.c tells them.
 */
#ifndef TN_SRC_READER_EXCHANGE_H
#define TN_SRC_READER_EXCHANGE_H

#include <string.h>

#include "reader/moves.h"

/* UNSEEN: b's directory can't be opened. The last two: no record tells more, and b was not, or was,
 * arrived at again. */
enum tn__answer {
    TN__ANSWER_NO,
    TN__ANSWER_YES,
    TN__ANSWER_EITHER,
    TN__ANSWER_UNSEEN,
    TN__ANSWER_NONE,
    TN__ANSWER_LAST,
};

struct tn__exchange {
    const struct tn__raw *first;        /* arrival, at b */
    const struct tn__half *told;        /* and from where; NULL: not known */
    struct tn__change left;             /* from b */
    struct tn__change back;             /* arrived at a; mask 0: not known where */
    const struct tn__half *second_half; /* of left */
    struct tn__half waiting;            /* the first departure, of a directory */
    bool waits;                         /* it has still to be told */
    bool hides;     /* rule 5: another arrival may stand between the first and the departure */
    bool is_late;   /* the arrival at b was told, in its place */
    bool is_untold; /* what stood at b: as far as was told, nothing did (rule 4) */
};

/* The object of a key; NULL: none. */
struct tn__object *tn__exchange_object(struct tn__reader *reader, uint64_t key);

/* All that was not told yet, and what changes in the trees; the records ahead are taken. */
void tn__exchange_tell(struct tn__reader *reader, struct tn__object *object,
                       struct tn__exchange *x);
/* What stood at b has left the tree of the watch's add, or is no directory that it knows. */
void tn__exchange_tell_left(struct tn__reader *reader, uint32_t watch, const struct tn__exchange *x,
                            uint32_t node);
/* exchange_cut.c: whether the arrival at a was lost; the node that stands at b, or 0. */
bool tn__exchange_is_cut(const struct tn__reader *reader, uint32_t stands,
                         const struct tn__exchange *x);
/* And whether an IN_MOVE_SELF may have been. */
bool tn__exchange_is_self_lost(const struct tn__reader *reader, const struct tn__object *object,
                               const struct tn__exchange *x);
/* Of one that is cut: the departure of b; the arrival is that of a move. */
void tn__exchange_tell_cut(struct tn__reader *reader, const struct tn__object *object,
                           struct tn__exchange *x);
/* The departure of what stands at b, if its own record may have been lost. */
void tn__exchange_tell_lost(struct tn__reader *reader, const struct tn__object *object,
                            const struct tn__raw *raw);

/* exchange_ask.c: whether it is one. */
enum tn__answer tn__exchange_ask(struct tn__reader *reader, const struct tn__object *object,
                                 uint32_t stands, const struct tn__exchange *x);
/* Rule 5: whether another arrival may stand between that one, up to there, and the departure. */
bool tn__exchange_may_hide(struct tn__reader *reader, const struct tn__raw *arrival,
                           uint64_t behind, const struct tn__change *departure);
/* Reads all that happened in the directory; where no watch leads to it, all that was queued. */
void tn__exchange_read_barrier(struct tn__reader *reader, const struct tn__object *object);
/* Whether what departs is not seen to arrive. */
bool tn__exchange_leaves(struct tn__reader *reader, uint32_t cookie);

static inline bool tn__exchange_has_name(const struct tn__raw *raw, const char *name, size_t length)
{
    return raw->name_length == length && memcmp(raw->name, name, length) == 0;
}

#endif
