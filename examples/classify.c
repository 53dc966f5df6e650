/* SPDX-License-Identifier: Apache-2.0 */
/* examples/classify.c — what is on a photo, in C99.
 * cc classify.c $(pkg-config --cflags --libs fovea) -o classify && ./classify resnet18 weights.safetensors photo.jpg */
#include <fovea.h>
#include <stdio.h>

static int failed(fovea_status* status) {
  if (!status) return 0;
  fprintf(stderr, "%s\n", fovea_status_message(status));
  fovea_status_free(status);
  return 1;
}

int main(int argc, char** argv) {
  fovea_env* env = NULL;
  fovea_model* model = NULL;
  fovea_session* session = NULL;
  fovea_model_options options;
  fovea_image image = {FOVEA_FILE, 0, argc > 3 ? argv[3] : NULL, 0, 0, 0, 0, NULL, 0, {0}};
  fovea_class best[5];
  size_t count = 5, i;
  int bad = 0;
  FOVEA_INIT(options);
  options.name = argc > 1 ? argv[1] : NULL;
  options.weights = argc > 2 ? argv[2] : NULL;
  bad = failed(fovea_env_create(NULL, &env)) || failed(fovea_model_load(env, &options, &model)) ||
        failed(fovea_session_create(model, NULL, &session)) ||
        failed(fovea_session_classify(session, &image, best, &count));
  for (i = 0; !bad && i < count; ++i) printf("%.3f  %s\n", best[i].probability, best[i].label);
  fovea_session_free(session);
  fovea_model_free(model);
  fovea_env_free(env);
  return bad;
}
