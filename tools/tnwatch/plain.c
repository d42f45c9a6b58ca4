#include "plain.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_WIDTH 19
#define RED         "\033[31m"
#define GREEN       "\033[32m"
#define YELLOW      "\033[33m"
#define CYAN        "\033[36m"
#define ALARM       "\033[1;41;37m"
#define RESET       "\033[m"

static const char *color_of(const struct tn_event *event)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0 || (event->flags & TN_EVENT_UNWATCHED) != 0)
        return ALARM;
    if ((event->mask & IN_CREATE) != 0)
        return GREEN;
    if ((event->mask & (IN_DELETE | IN_DELETE_SELF | IN_UNMOUNT)) != 0)
        return RED;
    if ((event->mask & (IN_MOVE | IN_MOVE_SELF)) != 0)
        return CYAN;
    if ((event->mask & (IN_MODIFY | IN_CLOSE_WRITE)) != 0)
        return YELLOW;
    return "";
}

static void put_names(struct text *text, const struct tn_event *event)
{
    static const struct {
        uint32_t flag;
        const char *name;
    } flags[] = {
        {TN_EVENT_UNWATCHED, "UNWATCHED"},       {TN_EVENT_GAP_BEGIN, "GAP_BEGIN"},
        {TN_EVENT_GAP_END, "GAP_END"},           {TN_EVENT_SYNTHETIC, "SYNTHETIC"},
        {TN_EVENT_PATH_UNKNOWN, "PATH_UNKNOWN"},
    };
    const char *separator = "";

    if (event->mask != 0) {
        char mask[512];

        tn_mask_format(event->mask, mask, sizeof(mask));
        text_puts(text, mask);
        separator = "|";
    }
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if ((event->flags & flags[i].flag) == 0)
            continue;
        text_puts(text, separator);
        text_puts(text, flags[i].name);
        separator = "|";
    }
}

static void put_error(struct text *text, int error)
{
    const char *reason = strerrordesc_np(abs(error));

    text_puts(text, ": ");
    text_puts(text, reason != NULL ? reason : "unknown error");
}

void plain_put_event(struct text *text, const struct tn_event *event, bool colored)
{
    const char *color = colored ? color_of(event) : "";

    text_puts(text, color);
    size_t start = text->length;
    put_names(text, event);
    size_t width = text->length - start;
    text_puts(text, *color != '\0' ? RESET : "");
    text_printf(text, "%*s", width < NAMES_WIDTH ? (int)(NAMES_WIDTH - width) : 1, "");

    if (event->src_pathname != NULL) {
        text_escape(text, event->src_pathname);
        text_puts(text, " -> ");
    }
    if (event->pathname != NULL)
        text_escape(text, event->pathname);
    else if ((event->mask & IN_Q_OVERFLOW) != 0)
        text_puts(text, "events were lost: the queue was full");
    if ((event->flags & TN_EVENT_UNWATCHED) != 0)
        put_error(text, event->error);
}
