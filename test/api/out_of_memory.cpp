// SPDX-License-Identifier: Apache-2.0
// test/api/out_of_memory.cpp — each request for memory is refused once, and from there on for good: a status, nothing
// leaked, and the same handles work afterwards.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "api/fovea.h"
#include "data/decode.h"
#include "test/api/client.h"
#include "test/api/weights.h"
#include "test/support/catch.h"
#include "test/support/failing_memory.h"
#include "zoo/pretrained.h"
#include "zoo/zoo.h"

using namespace fovea_test;
using fovea::test::FailingMemory;

namespace {

constexpr int64_t kSmall = 64;

// Nothing that is kept for reuse counts.
int64_t live_after_trim(fovea_env* env) {
  fovea_status_free(fovea_env_trim(env, nullptr));
  return fovea::test::live_allocations();
}

void nothing() {}

// `stage` makes something, or uses it, and frees what it made; returns what the library said of it. `first` comes
// before it, with memory.
template <class F, class G = void()>
void refuse_each(const char* name, fovea_env* env, const F& stage, const G& first = nothing) {
  INFO(name);
  for (int i = 0; i < 3; ++i) {                    // what is made once for the process is there now
    first();
    const Said said = stage();
    INFO(said.message);
    REQUIRE(said);
  }
  first();
  int64_t before = live_after_trim(env);
  REQUIRE(Said(stage()));
  REQUIRE(live_after_trim(env) == before);
  int64_t refused = 0, unharmed = 0, last = 0, once = 0;
  for (const bool forever : {false, true})
    for (int64_t n = 1;; ++n) {
      bool reached;
      fovea_status* status;
      first();
      {
        const FailingMemory memory(n, forever);
        status = stage();
        reached = FailingMemory::failed();
      }
      char message[256];                           // a string might count as a leak
      std::snprintf(message, sizeof message, "%s", fovea_status_message(status));
      const int32_t code = fovea_status_code(status);
      const bool said = code == FOVEA_OK;
      fovea_status_free(status);
      const int64_t live = live_after_trim(env);
      if (said ? reached && forever : code != FOVEA_OUT_OF_MEMORY) {
        INFO("request " << n << (forever ? " and all later ones" : "") << ": " << code << " " << message);
        REQUIRE(reached);
        if (!said) REQUIRE(code == FOVEA_OUT_OF_MEMORY);
      }
      if (live != before) {                        // a leak, or something that is made once? The same again tells
        for (int i = 0; i < 3; ++i) {
          first();
          const FailingMemory memory(n, forever);
          fovea_status_free(stage());
        }
        const int64_t later = live_after_trim(env);
        INFO("request " << n << (forever ? " and all later ones" : "") << ": " << message << "; " << before
                        << " pieces before, " << live << " after it, " << later << " after three more");
        REQUIRE(later <= live);
        REQUIRE(++once <= 4);
        before = later;
      }
      (said ? unharmed : refused) += 1;
      last = n;
      if (!reached) break;
    }
  first();
  REQUIRE(Said(stage()));
  WARN(name << ": " << last << " requests; " << refused << " refusals ended a call, " << unharmed << " did not; "
            << once << " times something was made that stays");
  CHECK(refused > 0);
}

// Of a model whose weights come from a file or from the plan cache.
void refuse_loading(fovea_env* env, const fovea_model_options& mo) {
  refuse_each("load", env, [&] {
    fovea_model* model = nullptr;
    fovea_status* const s = fovea_model_load(env, &mo, &model);
    fovea_model_free(model);
    return s;
  });
}

void refuse_compiling(const char* name, fovea_env* env, fovea_model* model, const fovea_session_options& so) {
  refuse_each(name, env, [&] {
    fovea_session* session = nullptr;
    fovea_status* const s = fovea_session_create(model, &so, &session);
    fovea_session_free(session);
    return s;
  });
}

void refuse_running(fovea_env* env, fovea_session* session, int64_t edge) {
  const std::vector<float> x = pixels(static_cast<size_t>(3 * 3 * edge * edge), 1);
  for (const int64_t n : {1, 3}) {
    const fovea_tensor in = images_of(x.data(), n, 3, edge, edge);
    fovea_tensor out{};
    refuse_each(n == 1 ? "run" : "run of three", env, [&] {
      out = {};
      return fovea_session_run(session, &in, &out, 1);
    });
  }
}

}  // namespace

TEST_CASE("C: memory that runs out at any request is a status, and no more", "[api][oom][slow]") {
  if (!fovea::test::memory_can_fail()) return;
  const auto env = new_env();
  const std::string weights = weights_of(kNet);
  const auto mo = model_options(kNet, weights);
  fovea::zoo::catalogue();                         // is read by the first who asks, and stays
  refuse_loading(env.get(), mo);
  const auto model = load(env.get(), mo);
  auto so = init<fovea_session_options>();
  so.height = so.width = kSmall;
  so.threads = 1;
  for (const int32_t outputs : {FOVEA_LOGITS, FOVEA_LEVELS}) {
    so.outputs = outputs;
    refuse_compiling(outputs == FOVEA_LOGITS ? "prepare" : "prepare for features", env.get(), model.get(), so);
    const auto session = compile(model.get(), so);
    refuse_running(env.get(), session.get(), kSmall);
    if (outputs != FOVEA_LOGITS || !fovea::data::can_decode()) continue;
    for (const char* name : {"rocket.jpg", "coffee.png"}) {
      const std::string path = photo(name);
      const fovea_image image = file(path);
      refuse_each(name, env.get(), [&] {
        fovea_class best[5];
        size_t count = 5;
        return fovea_session_classify(session.get(), &image, best, &count);
      });
    }
    refuse_each("fork", env.get(), [&] {
      fovea_session* fork = nullptr;
      fovea_status* const s = fovea_session_fork(session.get(), &fork);
      fovea_session_free(fork);
      return s;
    });
  }
}

TEST_CASE("C: memory that runs out while other models are loaded, compiled and run", "[api][oom][slow]") {
  if (!fovea::test::memory_can_fail()) return;
  const auto env = new_env();
  for (const char* name : {"test_vit", "test_efficientnet"}) {
    if (!fovea::zoo::is_model(name)) continue;
    INFO(name);
    const std::string weights = weights_of(name);
    const auto mo = model_options(name, weights);
    refuse_loading(env.get(), mo);
    const auto model = load(env.get(), mo);
    auto so = init<fovea_session_options>();
    so.threads = 1;
    refuse_compiling("prepare", env.get(), model.get(), so);
    const auto session = compile(model.get(), so);
    refuse_running(env.get(), session.get(), kEdge);
  }
}

TEST_CASE("C: memory that runs out while sessions are kept in a plan cache, and found there", "[api][oom][slow]") {
  if (!fovea::test::memory_can_fail()) return;
  const auto env = new_env();
  const std::string weights = weights_of(kNet), folder = scratch_folder() + "/plans";
  auto mo = model_options(kNet, weights);
  mo.plan_cache = folder.c_str();
  refuse_loading(env.get(), mo);
  const auto model = load(env.get(), mo);
  auto so = init<fovea_session_options>();
  so.height = so.width = kSmall;
  so.threads = 1;
  const auto prepare = [&] {
    fovea_session* session = nullptr;
    fovea_status* const s = fovea_session_create(model.get(), &so, &session);
    fovea_session_free(session);
    return s;
  };
  refuse_each("prepare and keep", env.get(), prepare, [&] { std::filesystem::remove_all(folder); });
  refuse_compiling("prepare from the cache", env.get(), model.get(), so);
  auto info = init<fovea_session_info>();
  const auto session = compile(model.get(), so);
  REQUIRE(Said(fovea_session_get_info(session.get(), &info)));
  CHECK(info.from_cache == 1);
}

TEST_CASE("C: an allocator of the program that has no more is a status, and gets everything back", "[api][oom]") {
  struct Memory {
    int64_t left = INT64_MAX, live = 0;
  } memory;
  auto o = init<fovea_env_options>();
  o.threads = 1;
  o.allocator_context = &memory;
  o.allocate = [](void* m, size_t bytes, size_t alignment) -> void* {
    auto& mine = *static_cast<Memory*>(m);
    if (--mine.left < 0) return nullptr;
    ++mine.live;
    return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  };
  o.release = [](void* m, void* p, size_t, size_t) {
    --static_cast<Memory*>(m)->live;
    std::free(p);
  };
  const std::string weights = weights_of(kNet);
  const auto mo = model_options(kNet, weights);
  const std::vector<float> x = pixels(2 * 3 * 160 * 160, 1);
  const fovea_tensor in = images_of(x.data(), 2, 3, 160, 160);
  int64_t n = 0;
  for (bool done = false; !done; ++n) {
    {
      const auto env = new_env(&o);
      memory.left = n;
      fovea_model* m = nullptr;
      fovea_session* s = nullptr;
      Said said = fovea_model_load(env.get(), &mo, &m);
      if (said) said = fovea_session_create(m, nullptr, &s);
      if (said) said = fovea_session_run(s, &in, nullptr, 0);
      done = static_cast<bool>(said);
      if (!done) CHECK(said.code == FOVEA_OUT_OF_MEMORY);
      memory.left = INT64_MAX;
      if (s) CHECK(Said(fovea_session_run(s, &in, nullptr, 0)));
      fovea_session_free(s);
      fovea_model_free(m);
    }
    CHECK(memory.live == 0);
  }
  CHECK(n > 3);                                    // the file, packed weights, working memory
  o.release = nullptr;
  fovea_env* none = nullptr;
  CHECK(Said(fovea_env_create(&o, &none)).code == FOVEA_INVALID_ARGUMENT);
}
