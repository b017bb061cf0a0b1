/* Interventions: one row each that says how the new value is made. */
#include "engine/sweeps.h"

const struct pb_intervention_row pb_intervention_rows[PB_N_INTERVENTIONS] = {
    [PB_PATCH] = {.source = 1, .kind = PB_SOURCE_DONOR},
    [PB_ZERO] = {.kind = PB_SOURCE_NONE},
    [PB_MEAN] = {.source = 1, .kind = PB_SOURCE_MEAN},
    [PB_RESAMPLE] = {.source = 1, .kind = PB_SOURCE_OTHER},
    [PB_SCALE] = {.own = 1, .alpha_own = true, .kind = PB_SOURCE_NONE},
    [PB_ADD] = {.own = 1, .source = 1, .alpha_source = true, .kind = PB_SOURCE_VECTOR},
    [PB_PROJECT] = {.own = -1, .source = 1, .projected = true, .kind = PB_SOURCE_DONOR},
    [PB_CONTROL] = {.base = 1, .source = 1, .kind = PB_SOURCE_NOISE},
    [PB_PATH] = {.base = 1, .source = 1, .kind = PB_SOURCE_SENDER},
};
