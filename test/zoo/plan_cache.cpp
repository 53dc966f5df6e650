// SPDX-License-Identifier: Apache-2.0
// test/zoo/plan_cache.cpp — one small model of each family from the plan cache, and when the cache must not answer.
#include "zoo/plan_cache.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "engine/core/threads.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/members.h"
#include "test/weights_tools/files.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

namespace fs = std::filesystem;
using test::Scratch;

class CacheIn {
 public:
  explicit CacheIn(const std::string& folder) {
    const char* before = std::getenv("FOVEA_CACHE");
    before_ = before ? before : "";
    ::setenv("FOVEA_CACHE", folder.c_str(), 1);
  }
  ~CacheIn() { before_.empty() ? ::unsetenv("FOVEA_CACHE") : ::setenv("FOVEA_CACHE", before_.c_str(), 1); }
  CacheIn(const CacheIn&) = delete;
  CacheIn& operator=(const CacheIn&) = delete;

 private:
  std::string before_;
};

void write_weights(const std::string& name, const std::string& path, uint64_t seed, const ModelOptions& options = {}) {
  auto model = create(name, options);
  model->materialise(seed);
  write_safetensors(path, model->state_dict());
}

PlanCache cache_of(const std::string& name, const std::string& weights, const CompileOptions& o = {},
                   const ModelOptions& options = {}) {
  return {trace(*create(name, options), o), weights, o.target};
}

Session compiled(const std::string& name, const std::string& weights, const CompileOptions& o = {},
                 const ModelOptions& options = {}) {
  auto model = create(name, options);
  load_weights(*model, weights);
  return compile(*model, o);
}

std::vector<double> logits(Session& s) { return test::values_of(s.run(test::filled("image", s.inputs()[0].shape))); }

size_t plans_in(const std::string& folder) {
  size_t n = 0;
  for (const fs::directory_entry& e : fs::directory_iterator(folder)) n += e.path().extension() == ".plan";
  return n;
}

}  // namespace

TEST_CASE("models from the plan cache give the bits of compiled ones", "[zoo][plan_cache]") {
  const Scratch folder;
  const CacheIn cache_in(folder / "plans");
  for (const Member& m : members()) {
    INFO(m.name);
    CompileOptions o{.height = static_cast<int>(m.images[2]), .width = static_cast<int>(m.images[3]), .consume = true};
    const std::string weights = folder / "w.safetensors";
    write_weights(m.name, weights, 3, m.options);
    const PlanCache cache = cache_of(m.name, weights, o, m.options);
    CHECK_FALSE(cache.load());
    Session fresh = compiled(m.name, weights, o, m.options);
    REQUIRE(cache.store(fresh));
    std::optional<Session> found = cache_of(m.name, weights, o, m.options).load();
    REQUIRE(found);
    CHECK(logits(*found) == logits(fresh));
    CHECK(found->constant_bytes() == fresh.constant_bytes());
  }
}

TEST_CASE("the plan cache answers only for the same weights, options and machine", "[zoo][plan_cache]") {
  const Scratch folder;
  const CacheIn cache_in(folder / "plans");
  const std::string name = "test_resnet", weights = folder / "w.safetensors";
  write_weights(name, weights, 1);
  Session fresh = compiled(name, weights);
  const std::vector<double> before = logits(fresh);
  REQUIRE(cache_of(name, weights).store(fresh));
  CHECK(cache_of(name, weights).load());
  CHECK_FALSE(cache_of(name, weights, {.batch = 2}).load());
  CHECK_FALSE(cache_of(name, weights, {.height = 96, .width = 96}).load());
  CHECK_FALSE(cache_of(name, weights, {.features_only = true}).load());
  CHECK_FALSE(cache_of(name, weights, {.target = {.dtype = DType::bf16}}).load());
  CHECK_FALSE(cache_of(name, weights, {.target = {.without = {"layouts"}}}).load());
  CHECK_FALSE(cache_of(name, weights, {.target = {.threads = threads() + 1}}).load());
  CHECK_FALSE(cache_of("resnet18", weights).load());
  CHECK_FALSE(cache_of(name, folder / "absent").load());
  fs::copy_file(weights, folder / "copy.safetensors");
  CHECK(cache_of(name, folder / "copy.safetensors").load());           // the contents count, not the path
  write_weights(name, weights, 2);
  CHECK_FALSE(cache_of(name, weights).load());
  Session other = compiled(name, weights);
  REQUIRE(cache_of(name, weights).store(other));
  std::optional<Session> found = cache_of(name, weights).load();
  REQUIRE(found);
  CHECK(logits(*found) == logits(other));
  CHECK(logits(*found) != before);
  for (const fs::directory_entry& e : fs::directory_iterator(folder / "plans")) fs::resize_file(e.path(), 100);
  CHECK_FALSE(cache_of(name, weights).load());     // damaged, all of them
}

TEST_CASE("the plan cache deletes what was not used for longest", "[zoo][plan_cache]") {
  const Scratch folder;
  const CacheIn cache_in(folder / "plans");
  const std::string name = "test_resnet", weights = folder / "w.safetensors";
  write_weights(name, weights, 1);
  const auto session = [&](int batch) { return compiled(name, weights, {.batch = batch}); };
  const auto cache = [&](int batch) { return cache_of(name, weights, {.batch = batch}); };
  // What lies in the folder was used an hour earlier than it says.
  const auto age = [&] {
    for (const fs::directory_entry& e : fs::directory_iterator(folder / "plans"))
      fs::last_write_time(e.path(), e.last_write_time() - std::chrono::hours(1));
  };
  REQUIRE(cache(1).store(session(1)));
  age();
  REQUIRE(cache(2).store(session(2)));
  age();
  REQUIRE(cache(1).load());                        // now it was used later than the other
  age();
  const int64_t room = 2 * session(3).constant_bytes() + (1 << 20);
  REQUIRE(cache(3).store(session(3), room));
  CHECK(plans_in(folder / "plans") == 2);
  CHECK(cache(1).load());
  CHECK_FALSE(cache(2).load());
  CHECK(cache(3).load());
  CHECK_FALSE(cache(4).store(session(4), 1000));   // larger than all that there may be
}

TEST_CASE("a plan cache that cannot be written is as if it were not there", "[zoo][plan_cache]") {
  const Scratch folder;
  const CacheIn cache_in(folder.file("no folder", "") + "/plans");
  const std::string weights = folder / "w.safetensors";
  write_weights("test_resnet", weights, 1);
  CHECK_FALSE(cache_of("test_resnet", weights).store(compiled("test_resnet", weights)));
  CHECK_FALSE(cache_of("test_resnet", weights).load());
}

TEST_CASE("a model that is compiled from consumed tensors can be loaded again", "[zoo][plan_cache]") {
  const Scratch folder;
  const std::string weights = folder / "w.safetensors";
  write_weights("test_vit", weights, 1);
  auto model = create("test_vit");
  load_weights(*model, weights);
  Session kept = compile(*model), consumed = compile(*model, {.consume = true});
  CHECK_FALSE(model->has_bytes());
  CHECK(logits(kept) == logits(consumed));
  load_weights(*model, weights);
  Session again = compile(*model);
  CHECK(logits(kept) == logits(again));
}

}  // namespace fovea::zoo
