#include "scenarios.h"

const struct scenario scenarios[] = {
    {"life", scenario_life, false},         {"crawl", scenario_crawl, false},
    {"deep", scenario_deep, true},          {"lists", scenario_lists, false},
    {"events", scenario_events, false},     {"twice", scenario_twice, false},
    {"names", scenario_names, false},       {"trickle", scenario_trickle, false},
    {"orders", scenario_orders, false},     {"changes", scenario_changes, false},
    {"caller", scenario_caller, false},     {"drain", scenario_drain, false},
    {"plugs", scenario_plugs, false},       {"executors", scenario_executors, false},
    {"ignoring", scenario_ignoring, false}, {"overflow", scenario_overflow, true},
    {"full", scenario_full, true},          {"gap", scenario_gap, false},
    {"numbers", scenario_numbers, false},   {"inside", scenario_inside, false},
};
const size_t scenario_count = sizeof(scenarios) / sizeof(*scenarios);
