/* SPDX-License-Identifier: Apache-2.0 */
/* examples/embedded.c — a program that carries its weights: one file to ship.
 * cc -DWEIGHTS='"weights.safetensors"' -DNAME='"resnet18"' embedded.c $(pkg-config --cflags --libs fovea) */
#include <fovea.h>
#include <stdio.h>

__asm__(
    ".section .rodata\n"
    ".balign 64\n"
    "weights_begin:\n"
    ".incbin \"" WEIGHTS "\"\n"
    "weights_end:\n"
    ".previous\n");
extern const unsigned char weights_begin[], weights_end[];

int main(void) {
  fovea_env* env = NULL;
  fovea_model* model = NULL;
  fovea_status* status = fovea_env_create(NULL, &env);
  fovea_model_options options;
  fovea_model_info info;
  FOVEA_INIT(options);
  FOVEA_INIT(info);
  options.name = NAME;
  options.data = weights_begin;
  options.data_size = (size_t)(weights_end - weights_begin);
  options.borrow_data = 1; /* they are part of the program: nothing is copied */
  if (!status) status = fovea_model_load(env, &options, &model);
  if (!status) status = fovea_model_get_info(model, &info);
  if (!status) printf("%s: %lld parameters, %d classes\n", info.name, (long long)info.parameters, (int)info.classes);
  if (status) fprintf(stderr, "%s\n", fovea_status_message(status));
  fovea_model_free(model);
  fovea_env_free(env);
  if (!status) return 0;
  fovea_status_free(status);
  return 1;
}
