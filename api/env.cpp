// SPDX-License-Identifier: Apache-2.0
#include "api/env.h"

#include "api/options.h"
#include "api/status.h"
#include "engine/core/isa.h"
#include "engine/core/trim.h"
#include "zoo/zoo.h"

namespace fovea::capi {

Env::Env(const fovea_env_options& o)
    : threads(o.threads ? o.threads : fovea::threads()),
      memory{o.allocate, o.release, o.allocator_context},
      log_level(o.log_level),
      log_to(o.log),
      log_context(o.log_context) {
  constexpr int kMostThreads = 4096;
  if (threads < 1 || threads > kMostThreads)
    throw Error(Error::Kind::argument, cat("threads is ", threads), cat("1 to ", kMostThreads, ", or 0"));
  if (!o.allocate != !o.release)
    throw Error(Error::Kind::argument, "an allocator is `allocate` and `release`, or neither");
  isa_limit();                                     // reads FOVEA_ISA, or says what is wrong with it
}

void Env::log(int32_t level, const std::string& message) const {
  if (log_to && level >= log_level) log_to(log_context, level, message.c_str());
}

Flag flag_of(const fovea_cancel* cancel) { return cancel ? cancel->flag : nullptr; }

}  // namespace fovea::capi

using namespace fovea;
using namespace fovea::capi;

extern "C" {

const char* fovea_version(void) { return FOVEA_VERSION; }

fovea_status* fovea_env_create(const fovea_env_options* options, fovea_env** env) {
  return guarded([&] {
    fovea_env*& out = given(env, "env");
    out = new fovea_env{std::make_shared<const Env>(read_options(options))};
  });
}

void fovea_env_free(fovea_env* env) { delete env; }

fovea_status* fovea_env_trim(fovea_env* env, size_t* bytes) {
  return guarded([&] {
    given(env, "env");
    const size_t given_back = trim();
    if (bytes) *bytes = given_back;
  });
}

fovea_status* fovea_env_models(fovea_env* env, const char* pattern, int32_t tags, void (*each)(void*, const char*),
                               void* context) {
  return guarded([&] {
    given(env, "env");
    if (!each) throw Error(Error::Kind::argument, "each is NULL");
    zoo::ListOptions o{.tags = tags != 0};
    if (pattern) o.patterns = {pattern};
    for (const std::string& name : zoo::list(o)) each(context, name.c_str());
  });
}

fovea_status* fovea_cancel_create(fovea_cancel** cancel) {
  return guarded([&] {
    fovea_cancel*& out = given(cancel, "cancel");
    out = new fovea_cancel{std::make_shared<std::atomic<bool>>(false)};
  });
}

void fovea_cancel_free(fovea_cancel* cancel) { delete cancel; }

void fovea_cancel_request(fovea_cancel* cancel) {
  if (cancel) cancel->flag->store(true, std::memory_order_relaxed);
}

void fovea_cancel_reset(fovea_cancel* cancel) {
  if (cancel) cancel->flag->store(false, std::memory_order_relaxed);
}

}
