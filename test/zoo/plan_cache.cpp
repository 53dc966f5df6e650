// SPDX-License-Identifier: Apache-2.0
// test/zoo/plan_cache.cpp — one small model of each family from the plan cache, and when the cache must not answer.
#include "zoo/plan_cache.h"

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/core/checksum.h"
#include "engine/core/threads.h"
#include "engine/graph/calibration.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
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

// A variable of the environment for a while; null: it is not set.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) { value ? ::setenv(name_, value, 1) : ::unsetenv(name_); }
  const char* name_;
  std::optional<std::string> before_;
};
struct CacheIn : Variable {
  explicit CacheIn(const std::string& folder) : Variable("FOVEA_CACHE", folder.c_str()) {}
};

void write_weights(const std::string& name, const std::string& path, uint64_t seed, const ModelOptions& options = {}) {
  auto model = create(name, options);
  model->materialise(seed);
  write_safetensors(path, model->state_dict());
}

PlanCache cache_of(const std::string& name, const std::string& weights, const CompileOptions& o = {},
                   const ModelOptions& options = {}) {
  const auto model = create(name, options);
  return {*model, options, trace(*model, o), weights, o.target};
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

int64_t bytes_in(const std::string& folder) {
  int64_t n = 0;
  for (const fs::directory_entry& e : fs::directory_iterator(folder)) n += static_cast<int64_t>(e.file_size());
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

TEST_CASE("several batches of a model share packed weights, in memory and in the plan cache", "[zoo][plan_cache]") {
  for (const std::string name :
       {"test_resnet", "test_vit", "test_efficientnet", "test_convnext", "mobilenetv3_small_050"})
    for (const std::string kind : {"f32", "bf16", "int8"}) {
      if (!is_model(name)) continue;
      INFO(name << " " << kind);
      const Scratch folder;
      const CacheIn cache_in(folder / "plans");
      const std::string weights = folder / "w.safetensors";
      write_weights(name, weights, 3);
      CompileOptions o{.height = 96, .width = 96};
      if (name == "test_vit") o.height = o.width = 0;
      if (kind == "bf16") o.target.dtype = DType::bf16;
      auto model = create(name);
      load_weights(*model, weights);
      if (kind == "int8") {
        const Graph graph = trace(*model, o);
        Calibrator seen(graph);
        for (uint64_t i = 0; i < 4; ++i) seen.observe(rand(graph.meta(graph.inputs[0]).shape, 5 + i));
        o.target.calibration = std::make_shared<Calibration>(seen.result());
      }
      std::vector<Session> sessions, found;
      std::vector<std::vector<double>> want;
      int64_t first_bytes = 0, own = 0, first_file = 0;
      for (const int batch : {1, 2, 4, 8}) {
        o.batch = batch;
        o.sharing.clear();
        Session alone = compile(*model, o);
        want.push_back(logits(alone));
        for (const Session& s : sessions) o.sharing.push_back(&s);
        sessions.push_back(compile(*model, o));
        const Session& s = sessions.back();
        CHECK(s.constant_bytes() == alone.constant_bytes());
        own += s.constant_bytes() - s.shared_bytes();
        if (batch == 1) first_bytes = own;
        REQUIRE(cache_of(name, weights, o).store(s));
        if (batch == 1) first_file = bytes_in(folder / "plans");
      }
      const int64_t files = bytes_in(folder / "plans");
      INFO(first_bytes << " bytes of constants for one batch, " << own << " for four; " << first_file
                       << " bytes of plans for one, " << files << " for four");
      CHECK(own <= first_bytes + first_bytes / 50);
      CHECK(files <= first_file + 3 * (int64_t{128} << 10));           // the graphs
      CHECK(plans_in(folder / "plans") == 4);
      for (const int batch : {1, 2, 4, 8}) {
        o.batch = batch;
        std::optional<Session> s = cache_of(name, weights, o).load();
        REQUIRE(s);
        found.push_back(std::move(*s));
      }
      for (size_t i = 0; i < want.size(); ++i) {
        CHECK(logits(sessions[i]) == want[i]);
        CHECK(logits(found[i]) == want[i]);
        Session fork = found[i].fork();
        CHECK(logits(fork) == want[i]);
      }
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
  const std::string name = "test_resnet";
  const auto weights = [&](int n) { return folder / std::to_string(n); };
  for (const int n : {1, 2, 3, 4}) write_weights(name, weights(n), static_cast<uint64_t>(n));
  const auto session = [&](int n) { return compiled(name, weights(n)); };
  const auto cache = [&](int n) { return cache_of(name, weights(n)); };
  // What lies in the folder was used an hour earlier than it says.
  const auto age = [&] {
    for (const fs::directory_entry& e : fs::directory_iterator(folder / "plans")) {
      struct stat s {};
      REQUIRE(::stat(e.path().c_str(), &s) == 0);
      const timespec times[2] = {{s.st_atim.tv_sec - 3600, s.st_atim.tv_nsec}, {0, UTIME_OMIT}};
      REQUIRE(::utimensat(AT_FDCWD, e.path().c_str(), times, 0) == 0);
    }
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

  // Another batch reads the weights in the file of the first one, which was used as late, then.
  const auto pair = [&] { return cache_of(name, weights(1), {.batch = 2}); };
  age();
  REQUIRE(cache(3).load());
  const int64_t small = session(1).constant_bytes() + (1 << 20);
  REQUIRE(pair().store(compiled(name, weights(1), {.batch = 2}), small));
  CHECK(pair().load());
  CHECK(cache(1).load());
  CHECK_FALSE(cache(3).load());
}

TEST_CASE("weights that change between loading and keeping are not kept", "[zoo][plan_cache]") {
  const Scratch folder;
  const CacheIn cache_in(folder / "plans");
  const std::string name = "test_resnet", weights = folder / "w.safetensors", other = folder / "other.safetensors";
  write_weights(name, weights, 1);
  write_weights(name, other, 2);
  const std::string later = test::read_file(other);
  const auto settled = [](const std::string& path) {                   // as files are that nobody touched for an hour
    const timespec times[2] = {{::time(nullptr) - 3600, 0}, {::time(nullptr) - 3600, 0}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
  };
  const auto replaced = [&] { fs::copy_file(other, weights, fs::copy_options::overwrite_existing); };
  const auto renamed = [&] {
    fs::copy_file(other, folder / "new", fs::copy_options::overwrite_existing);
    fs::rename(folder / "new", weights);
  };
  const auto in_place = [&] {                      // with the times that it had
    struct stat s {};
    REQUIRE(::stat(weights.c_str(), &s) == 0);
    std::fstream file(weights, std::ios::in | std::ios::out | std::ios::binary);
    file.write(later.data(), static_cast<std::streamsize>(later.size()));
    file.close();
    const timespec times[2] = {s.st_atim, s.st_mtim};
    REQUIRE(::utimensat(AT_FDCWD, weights.c_str(), times, 0) == 0);
  };
  for (const std::function<void()>& change : std::vector<std::function<void()>>{replaced, renamed, in_place}) {
    write_weights(name, weights, 1);
    settled(weights);
    const PlanCache before = cache_of(name, weights);
    CHECK_FALSE(before.load());
    const Session first = compiled(name, weights);
    change();                                      // a download ends, or a training run saves
    CHECK_FALSE(before.store(first));
    CHECK_FALSE(cache_of(name, weights).load());
    const PlanCache after = cache_of(name, weights);
    Session second = compiled(name, weights);
    CHECK(after.store(second));
    std::optional<Session> found = cache_of(name, weights).load();
    REQUIRE(found);
    CHECK(logits(*found) == logits(second));
    fs::remove_all(folder / "plans");
  }
  const PlanCache gone = cache_of(name, weights);
  const Session last = compiled(name, weights);
  fs::remove(weights);
  CHECK_FALSE(gone.store(last));
}

TEST_CASE("files that only a weak sum takes for the same are told apart", "[zoo][plan_cache]") {
  const Scratch folder;
  const CacheIn cache_in(folder / "plans");
  const std::string name = "test_resnet", weights = folder / "w.safetensors", forged = folder / "f.safetensors";
  write_weights(name, weights, 1);
  // Two words of one lane changed so that the fast checksum is what it was: the second takes the first's change back.
  std::string bytes = test::read_file(weights);
  constexpr uint64_t kFactor = 0x9E3779B97F4A7C15u;
  const auto word = [&](size_t at) { uint64_t v; std::memcpy(&v, bytes.data() + at, 8); return v; };
  const auto step = [&](uint64_t sum, uint64_t w) { sum = (sum ^ w) * kFactor; return sum ^ sum >> 29; };
  const size_t first = 128 << 10, second = first + 64;
  REQUIRE(second + 64 < std::min<size_t>(bytes.size(), 1 << 20));
  const uint64_t seed = bytes.size();
  uint64_t lane = seed;                            // of the words at multiples of 64
  for (size_t at = 0; at < first; at += 64) lane = step(lane, word(at));
  const uint64_t changed = word(first) ^ 0x0000'0001'0000'0001u;
  const uint64_t next = word(second) ^ step(lane, word(first)) ^ step(lane, changed);
  std::memcpy(bytes.data() + first, &changed, 8);
  std::memcpy(bytes.data() + second, &next, 8);
  test::write_file(forged, bytes);
  const std::string whole = test::read_file(weights);
  REQUIRE(checksum(std::as_bytes(std::span(bytes)), seed) == checksum(std::as_bytes(std::span(whole)), seed));
  REQUIRE(cache_of(name, weights).store(compiled(name, weights)));
  CHECK(cache_of(name, weights).load());
  CHECK_FALSE(cache_of(name, forged).load());
}

TEST_CASE("without a home there is no plan cache", "[zoo][plan_cache]") {
  const Scratch folder;
  const std::string name = "test_resnet", weights = folder / "w.safetensors";
  write_weights(name, weights, 1);
  const Variable own("FOVEA_CACHE", nullptr), xdg("XDG_CACHE_HOME", nullptr);
  const auto stores = [&] { return cache_of(name, weights).store(compiled(name, weights)); };
  for (const char* home : {static_cast<const char*>(nullptr), "", ".", "relative/home"}) {
    const Variable set("HOME", home);
    CHECK(PlanCache::folder().empty());
    CHECK_FALSE(stores());
    CHECK_FALSE(cache_of(name, weights).load());
  }
  const Variable set("HOME", (folder / "home").c_str());
  CHECK(PlanCache::folder() == folder / "home/.cache/fovea/plans");
  CHECK(stores());
  CHECK(cache_of(name, weights).load());
  const Variable relative("XDG_CACHE_HOME", "caches");
  CHECK(PlanCache::folder() == folder / "home/.cache/fovea/plans");
}

TEST_CASE("a plan cache that others can write does not answer", "[zoo][plan_cache]") {
  const Scratch folder;
  const CacheIn cache_in(folder / "plans");
  const std::string name = "test_resnet", weights = folder / "w.safetensors", plans = folder / "plans";
  write_weights(name, weights, 1);
  const Session session = compiled(name, weights);
  const mode_t before = ::umask(0002);             // who shares a group with all may have this
  CHECK(cache_of(name, weights).store(session));
  ::umask(before);
  const auto loads = [&] { return cache_of(name, weights).load().has_value(); };
  REQUIRE(loads());
  std::string plan;
  for (const fs::directory_entry& e : fs::directory_iterator(plans))
    if (e.path().extension() == ".plan") plan = e.path().string();
  for (const mode_t others : {0020, 0002}) {
    INFO(others);
    REQUIRE(::chmod(plan.c_str(), 0644 | others) == 0);
    CHECK_FALSE(loads());
    REQUIRE(::chmod(plan.c_str(), 0644) == 0);
    CHECK(loads());
    REQUIRE(::chmod(plans.c_str(), 0755 | others) == 0);
    CHECK_FALSE(loads());
    CHECK_FALSE(cache_of(name, weights).store(session));
    REQUIRE(::chmod(plans.c_str(), 0755) == 0);
    CHECK(loads());
  }
  if (::geteuid() != 0) return;                    // only root gives files away
  constexpr uid_t kSomebody = 12345;
  REQUIRE(::chown(plan.c_str(), kSomebody, kSomebody) == 0);
  CHECK_FALSE(loads());
  REQUIRE(::chown(plan.c_str(), 0, 0) == 0);
  REQUIRE(::chown(plans.c_str(), kSomebody, kSomebody) == 0);
  CHECK_FALSE(loads());
  REQUIRE(::chown(plans.c_str(), 0, 0) == 0);
  CHECK(loads());
}

TEST_CASE("settings that change weights but no graph belong to the plan's key", "[zoo][plan_cache]") {
  const Scratch folder;
  const CacheIn cache_in(folder / "plans");
  const std::string name = "test_vit", weights = folder / "w.safetensors";
  write_weights(name, weights, 1, {.img_size = {{96, 96}}});           // positions are resampled for 160 x 160
  const ModelOptions cubic, linear{.set = {{"resample", "linear"}}};
  CHECK(trace(*create(name, cubic)).print() == trace(*create(name, linear)).print());
  Session one = compiled(name, weights, {}, cubic), other = compiled(name, weights, {}, linear);
  CHECK(logits(one) != logits(other));
  REQUIRE(cache_of(name, weights, {}, cubic).store(one));
  CHECK(cache_of(name, weights, {}, cubic).load());
  CHECK_FALSE(cache_of(name, weights, {}, linear).load());
}

TEST_CASE("constants that a model makes by itself belong to the plan's key", "[zoo][plan_cache]") {
  const Scratch folder;
  const CacheIn cache_in(folder / "plans");
  const std::string weights = folder / "w.safetensors";
  write_weights("test_resnet", weights, 1);
  const auto model = create("test_resnet");
  const auto graph = [&](float by) {
    const Tensor made = from({by});
    return fovea::trace([&](const Tensor& x) { return x * made; }, {make_meta(DType::f32, {1})});
  };
  const auto cache = [&](float by) { return PlanCache(*model, {}, graph(by), weights, {}); };
  REQUIRE(cache(2).store(fovea::compile(graph(2))));
  std::optional<Session> found = cache(2).load();
  REQUIRE(found);
  CHECK(found->run(from({3})).data<float>()[0] == 6);
  CHECK_FALSE(cache(3).load());
  CHECK(graph(2).print() == graph(3).print());
}

TEST_CASE("a graph that was traced without weights takes them, unless they change the model", "[zoo][plan_cache]") {
  const Scratch folder;
  const std::string weights = folder / "w.safetensors";
  for (const Member& m : members()) {
    INFO(m.name);
    write_weights(m.name, weights, 3, m.options);
    auto model = create(m.name, m.options);
    Graph before = trace(*model);
    CHECK_FALSE(fill_traced(before, *model));      // there are none yet
    load_weights(*model, weights);
    REQUIRE(fill_traced(before, *model));
    const Graph after = trace(*model);
    CHECK(before.print() == after.print());
    const StateDict state = model->state_dict();
    for (size_t v = 0; v < after.values.size(); ++v)
      if (state.contains(after.values[v].name))
        CHECK(before.values[v].constant.bytes() == after.values[v].constant.bytes());
  }
  write_weights("test_resnet", weights, 3, {.num_classes = 7});
  auto model = create("test_resnet");
  Graph before = trace(*model);
  load_weights(*model, weights);
  CHECK_FALSE(fill_traced(before, *model));
  CHECK(trace(*model).print() != before.print());
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
