// SPDX-License-Identifier: Apache-2.0
#include "api/status.h"

#include <new>

#include "engine/core/cancel.h"
#include "engine/core/out_of_memory.h"

struct fovea_status {
  int32_t code;
  std::string message;
};

namespace fovea::capi {
namespace {

fovea_status* out_of_memory() {
  static fovea_status one{FOVEA_OUT_OF_MEMORY, "out of memory"};       // short enough to need none itself
  return &one;
}

fovea_status* make(int32_t code, const char* message) noexcept {
  try {
    return new fovea_status{code, message};
  } catch (...) { return out_of_memory(); }
}

int32_t code_of(const Error& e) {
  if (dynamic_cast<const OutOfMemory*>(&e)) return FOVEA_OUT_OF_MEMORY;
  if (dynamic_cast<const Cancelled*>(&e)) return FOVEA_CANCELLED;
  if (dynamic_cast<const NotFinite*>(&e)) return FOVEA_NOT_FINITE;
  switch (e.kind()) {
    case Error::Kind::argument: return FOVEA_INVALID_ARGUMENT;
    case Error::Kind::shape: return FOVEA_SHAPE_MISMATCH;
    case Error::Kind::not_found: return FOVEA_NOT_FOUND;
    case Error::Kind::format: return FOVEA_BAD_FORMAT;
    case Error::Kind::weights: return FOVEA_BAD_WEIGHTS;
    case Error::Kind::unsupported: return FOVEA_UNSUPPORTED;
    case Error::Kind::io: return FOVEA_IO_ERROR;
    case Error::Kind::internal: break;
  }
  return FOVEA_INTERNAL;
}

}  // namespace

fovea_status* status_of_exception() noexcept {
  try {
    throw;
  } catch (const Error& e) {
    return make(code_of(e), e.what());
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::exception& e) {
    return make(FOVEA_INTERNAL, e.what());
  } catch (...) { return make(FOVEA_INTERNAL, "something unknown was thrown"); }
}

}  // namespace fovea::capi

extern "C" {

int32_t fovea_status_code(const fovea_status* status) { return status ? status->code : FOVEA_OK; }

const char* fovea_status_message(const fovea_status* status) { return status ? status->message.c_str() : ""; }

void fovea_status_free(fovea_status* status) {
  if (status != fovea::capi::out_of_memory()) delete status;
}

}
