#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "callback.h"

void tn__log(const struct tn__log *log, int level, const char *format, ...)
{
    static const char cut[] = "...";
    int saved_errno = errno;
    struct tn__callback callback;
    char message[1024];
    va_list arguments;

    if (log == NULL || log->write == NULL || level > log->level)
        return;
    va_start(arguments, format);
    int length = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof(message))
        memcpy(message + sizeof(message) - sizeof(cut), cut, sizeof(cut));
    tn__callback_enter(&callback, NULL);
    log->write(level, message, log->userdata);
    tn__callback_leave(&callback);
    errno = saved_errno;
}
