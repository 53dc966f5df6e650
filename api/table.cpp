// SPDX-License-Identifier: Apache-2.0
// api/table.cpp — fovea_get_api(): all functions of the C API, in the order in which they came to be.
#include "api/fovea.h"

static const fovea_api kTable = {
    sizeof(fovea_api),
    fovea_status_code,
    fovea_status_message,
    fovea_status_free,
    fovea_version,
    fovea_env_create,
    fovea_env_free,
    fovea_env_trim,
    fovea_env_models,
    fovea_cancel_create,
    fovea_cancel_free,
    fovea_cancel_request,
    fovea_cancel_reset,
    fovea_model_load,
    fovea_model_free,
    fovea_model_get_info,
    fovea_model_get_level,
    fovea_session_create,
    fovea_session_free,
    fovea_session_fork,
    fovea_session_run,
    fovea_session_run_images,
    fovea_session_top,
    fovea_session_classify,
    fovea_session_label,
    fovea_session_get_timings,
    fovea_session_profile,
    fovea_session_step_count,
    fovea_session_get_step,
    fovea_session_get_info,
};

extern "C" const fovea_api* fovea_get_api(uint32_t version) {
  return version >= 1 && version <= FOVEA_API_VERSION ? &kTable : nullptr;
}
