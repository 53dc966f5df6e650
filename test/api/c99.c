/* SPDX-License-Identifier: Apache-2.0 */
/* test/api/c99.c — the C API used from C99, compiled with every warning as an error; called by c_api.cpp. */
#include <stddef.h>
#include <stdio.h>

#include "api/fovea.h"

const char* fovea_test_c99(const char* name, const char* weights, const char* photo, fovea_class* best, size_t* count);

static char why[512];

static int failed(fovea_status* status) {
  if (status == NULL) return 0;
  snprintf(why, sizeof why, "%d: %s", (int)fovea_status_code(status), fovea_status_message(status));
  fovea_status_free(status);
  return 1;
}

const char* fovea_test_c99(const char* name, const char* weights, const char* photo, fovea_class* best, size_t* count) {
  fovea_env* env = NULL;
  fovea_model* model = NULL;
  fovea_session* session = NULL;
  fovea_model_options options;
  fovea_image image;
  FOVEA_INIT(options);
  options.name = name;
  options.weights = weights;
  memset(&image, 0, sizeof image);
  image.kind = FOVEA_FILE;
  image.data = photo;
  why[0] = '\0';
  if (!failed(fovea_env_create(NULL, &env)) && !failed(fovea_model_load(env, &options, &model)) &&
      !failed(fovea_session_create(model, NULL, &session)))
    failed(fovea_session_classify(session, &image, best, count));
  fovea_model_free(model);
  fovea_env_free(env);
  fovea_session_free(session);
  return why;
}
