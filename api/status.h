// SPDX-License-Identifier: Apache-2.0
// api/status.h — the border of the C API: what was thrown becomes a status, and the caller's floating-point modes stay.
#pragma once
#include <cfenv>

#include "api/fovea.h"
#include "engine/core/error.h"

namespace fovea::capi {

/// Results are no numbers.
class NotFinite final : public Error {
 public:
  explicit NotFinite(std::string what)
      : Error(Kind::weights, std::move(what), "fovea_session_options.allow_nan takes such results") {}
};

/// Of the exception that is being handled. Never throws: without memory for it there is one that needs none.
fovea_status* status_of_exception() noexcept;

/// While alive, floating-point modes are those that kernels are written for, with no exception trapped; then those of
/// before, flags included.
class FloatingModes {
 public:
  FloatingModes() {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~FloatingModes() { std::fesetenv(&before_); }
  FloatingModes(const FloatingModes&) = delete;
  FloatingModes& operator=(const FloatingModes&) = delete;

 private:
  std::fenv_t before_;
};

/// Nothing that f throws gets out.
template <class F>
fovea_status* guarded(const F& f) noexcept {
  const FloatingModes modes;
  try {
    f();
    return nullptr;
  } catch (...) { return status_of_exception(); }
}

/// For arguments that must not be null.
template <class T>
T& given(T* pointer, const char* what) {
  if (!pointer) throw Error(Error::Kind::argument, cat(what, " is NULL"));
  return *pointer;
}

}  // namespace fovea::capi
