// SPDX-License-Identifier: Apache-2.0
#include "test/api/client.h"

#include "test/api/weights.h"
#include "test/support/catch.h"

namespace fovea_test {

Owned<fovea_env> new_env(const fovea_env_options* o) {
  fovea_env* env = nullptr;
  const Said said = fovea_env_create(o, &env);
  INFO(said.message);
  REQUIRE(said);
  return Owned<fovea_env>(env);
}

fovea_model_options model_options(const char* name, const char* weights) {
  auto o = init<fovea_model_options>();
  o.name = name;
  o.weights = weights;
  return o;
}

Owned<fovea_model> load(fovea_env* env, const fovea_model_options& o) {
  fovea_model* model = nullptr;
  const Said said = fovea_model_load(env, &o, &model);
  INFO(said.message);
  REQUIRE(said);
  return Owned<fovea_model>(model);
}

Owned<fovea_model> load(fovea_env* env, const char* name) {
  const std::string weights = weights_of(name);
  return load(env, model_options(name, weights));
}

Owned<fovea_session> compile(fovea_model* model, const fovea_session_options& o) {
  fovea_session* session = nullptr;
  const Said said = fovea_session_create(model, &o, &session);
  INFO(said.message);
  REQUIRE(said);
  return Owned<fovea_session>(session);
}

fovea_tensor images_of(const float* data, int64_t n, int64_t c, int64_t h, int64_t w) {
  fovea_tensor t{};
  t.data = const_cast<float*>(data);
  t.dtype = FOVEA_F32;
  t.rank = 4;
  const int64_t shape[] = {n, c, h, w};
  std::copy(shape, shape + 4, t.shape);
  return t;
}

std::vector<float> pixels(size_t count, unsigned seed) {
  std::vector<float> out(count);
  uint32_t state = seed * 2654435761u + 1;
  for (float& v : out) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 8) / static_cast<float>(1 << 23) - 1;
  }
  return out;
}

std::vector<float> values_of(const fovea_tensor& t) {
  size_t n = 1;
  for (int i = 0; i < t.rank; ++i) n *= static_cast<size_t>(t.shape[i]);
  const auto* first = static_cast<const float*>(t.data);
  return {first, first + n};
}

fovea_image encoded(const std::vector<std::byte>& bytes) {
  fovea_image i{};
  i.kind = FOVEA_ENCODED;
  i.data = bytes.data();
  i.size = bytes.size();
  return i;
}

fovea_image file(const std::string& path) {
  fovea_image i{};
  i.kind = FOVEA_FILE;
  i.data = path.c_str();
  return i;
}

}  // namespace fovea_test
