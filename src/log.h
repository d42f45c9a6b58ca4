/*
 * Where the library's messages go: to the application's function, or nowhere.
 */
#ifndef TN_SRC_LOG_H
#define TN_SRC_LOG_H

/* Constant after its owner was made. */
struct tn__log {
    int level; /* the least important one that is written: TN_LOG_* */
    void (*write)(int level, const char *message, void *userdata);
    void *userdata;
};

/* One message, without a newline, cut at 1 KiB. Keeps errno; allocates nothing. */
void tn__log(const struct tn__log *log, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
