// Every macro of the headers in C++, where a header alone would leave it unused.
#include <tnotify/tnotify.h>

static struct tn_notifier_options notifier_options = TN_NOTIFIER_OPTIONS_INIT;
static struct tn_watch_options watch_options = TN_WATCH_OPTIONS_INIT;
static struct tn_watch_info watch_info = TN_WATCH_INFO_INIT;
static struct tn_processor_ops processor_ops = TN_PROCESSOR_OPS_INIT;
static struct tn_executor_ops executor_ops = TN_EXECUTOR_OPS_INIT;
static struct tn_pool_options pool_options = TN_POOL_OPTIONS_INIT;
static struct tn_limits limits = TN_LIMITS_INIT;
static struct tn_stats stats = TN_STATS_INIT;

static_assert(tn_sized_init<tn_watch_options>().size == sizeof(tn_watch_options), "");
static_assert(TN_NEVER == UINT32_MAX && TN_STOP == 1, "");
static_assert((TN_EVENT_SYNTHETIC | TN_EVENT_GAP_BEGIN | TN_EVENT_GAP_END | TN_EVENT_PATH_UNKNOWN |
               TN_EVENT_UNWATCHED) == 0x1f, "");
static_assert((TN_WATCH_TREE | TN_WATCH_SNAPSHOT | TN_WATCH_FOLLOW_NAME | TN_WATCH_EXISTING) == 0x1f,
              "");
static_assert((TN_UPDATE_MASK | TN_UPDATE_PROCESSOR | TN_UPDATE_FILTER | TN_UPDATE_AUTO_ADD |
               TN_UPDATE_RECURSIVE) == 0x10f, "");
static_assert((TN_REMOVE_RECURSIVE | TN_REMOVE_SYNC) == 0x3, "");
static_assert((TN_FILTER_INCLUDE | TN_FILTER_ICASE) == 0x3 && TN_NOTIFIER_COALESCE == 1, "");
static_assert(TN_LOG_ERROR < TN_LOG_WARNING && TN_LOG_INFO < TN_LOG_DEBUG, "");

int use(tn_notifier **notifier);
int use(tn_notifier **notifier)
{
    watch_options = TN_WATCH_OPTIONS_INIT;
    return tn_notifier_new(&notifier_options, notifier) + static_cast<int>(watch_info.size) +
           static_cast<int>(processor_ops.size + executor_ops.size + pool_options.size) +
           static_cast<int>(limits.size + stats.size + watch_options.size);
}
