// SPDX-License-Identifier: Apache-2.0
// test/api/client.h — what tests of the C API do again and again: handles that are freed, and statuses that are read.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "api/fovea.h"

namespace fovea_test {

struct Free {
  void operator()(fovea_status* h) const { fovea_status_free(h); }
  void operator()(fovea_env* h) const { fovea_env_free(h); }
  void operator()(fovea_model* h) const { fovea_model_free(h); }
  void operator()(fovea_session* h) const { fovea_session_free(h); }
  void operator()(fovea_cancel* h) const { fovea_cancel_free(h); }
};
template <class H>
using Owned = std::unique_ptr<H, Free>;

/// What a call said; its status is freed.
struct Said {
  Said(fovea_status* s) : code(fovea_status_code(s)), message(fovea_status_message(s)) { fovea_status_free(s); }  // NOLINT
  explicit operator bool() const { return code == FOVEA_OK; }
  int32_t code;
  std::string message;
};

template <class T>
T init() {
  T out;
  FOVEA_INIT(out);
  return out;
}

/// Each ends the test where it fails.
Owned<fovea_env> new_env(const fovea_env_options* o = nullptr);
/// `weights` must be there as long as the options.
fovea_model_options model_options(const char* name, const char* weights);
inline fovea_model_options model_options(const char* name, const std::string& weights) {
  return model_options(name, weights.c_str());
}
fovea_model_options model_options(const char* name, std::string&& weights) = delete;
Owned<fovea_model> load(fovea_env* env, const fovea_model_options& o);
Owned<fovea_model> load(fovea_env* env, const char* name);             // with weights_of() it
Owned<fovea_session> compile(fovea_model* model, const fovea_session_options& o = init<fovea_session_options>());

/// f32 [n, c, h, w], dense.
fovea_tensor images_of(const float* data, int64_t n, int64_t c, int64_t h, int64_t w);
/// Values that depend on the seed alone, about as large as those of normalised images.
std::vector<float> pixels(size_t count, unsigned seed);
/// All of a dense result.
std::vector<float> values_of(const fovea_tensor& t);
fovea_image encoded(const std::vector<std::byte>& bytes);
fovea_image file(const std::string& path);                             // which must be there as long

}  // namespace fovea_test
