// SPDX-License-Identifier: Apache-2.0
// test/api/cpp_api.cpp — the C++ API as programs in C++17 use it: handles, exceptions, callbacks.
#include <algorithm>
#include <atomic>

#include "api/fovea.hpp"
#include "test/api/weights.h"
#include "test/support/catch.h"

using namespace fovea_test;

namespace {

constexpr const char* kNet = "test_resnet.r160_in1k";
constexpr std::size_t kImage = 3 * 160 * 160;

std::vector<float> noise(std::size_t n) {
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(i * 7919 % 2001) / 1000.f - 1;
  return out;
}

class Counting final : public std::pmr::memory_resource {
 public:
  std::atomic<std::int64_t> bytes = 0, calls = 0;

 private:
  void* do_allocate(std::size_t n, std::size_t alignment) override {
    bytes += static_cast<std::int64_t>(n);
    ++calls;
    return std::pmr::new_delete_resource()->allocate(n, alignment);
  }
  void do_deallocate(void* p, std::size_t n, std::size_t alignment) override {
    bytes -= static_cast<std::int64_t>(n);
    std::pmr::new_delete_resource()->deallocate(p, n, alignment);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

static_assert(sizeof(fovea::Image) == sizeof(fovea_image));
static_assert(!std::is_copy_constructible_v<fovea::Session> && std::is_move_constructible_v<fovea::Session>);

}  // namespace

TEST_CASE("C++: from a name to an answer", "[api]") {
  const fovea::Environment env;
  const fovea::Model model(env, {kNet, weights_of(kNet)});
  CHECK(model.info().classes == 1000);
  CHECK(model.level(0).reduction >= 1);
  fovea::Session session(model);
  const std::vector<float> x = noise(2 * kImage);
  const std::vector<fovea::Result> results = session.run(x, 2);
  REQUIRE(results.size() == 1);
  CHECK(results[0].rank() == 2);
  CHECK(results[0].size(0) == 2);
  CHECK(results[0].row(1).size() == 1000);
  const std::vector<float> logits(results[0].row(0).begin(), results[0].row(0).end());
  const std::vector<fovea::Prediction> best = session.top(0, 5);
  REQUIRE(best.size() == 5);
  CHECK(best[0].probability >= best[4].probability);
  CHECK(logits[static_cast<std::size_t>(best[0].index)] >= logits[static_cast<std::size_t>(best[1].index)]);
  fovea::Session other = session.fork();
  const fovea::Session moved = std::move(session);
  const std::vector<fovea::Result> again = other.run(x, 2);
  CHECK(std::vector<float>(again[0].row(0).begin(), again[0].row(0).end()) == logits);
  CHECK(moved.timings().run > 0);
  CHECK(other.profile().size() > 10);
  CHECK_THROWS_AS(other.run(x, 3), std::length_error);
}

TEST_CASE("C++: photos, one of them broken", "[api]") {
  const fovea::Environment env;
  const fovea::Model model(env, {kNet, weights_of(kNet)});
  fovea::Session session(model);
  const std::string coffee = photo("coffee.png"), none = scratch_folder() + "/none.jpg";
  const std::vector<std::byte> bytes = bytes_of_file(photo("rocket.jpg"));
  const std::vector<fovea::Image> images = {fovea::Image::file(coffee), fovea::Image::file(none),
                                            fovea::Image::encoded(bytes)};
  std::vector<fovea::Prediction> best;
  try {
    best = session.classify(images[0], 3);
  } catch (const fovea::Error& e) {
    CHECK(e.code() == FOVEA_UNSUPPORTED);          // a build without decoders
    return;
  }
  CHECK(best.size() == 3);
  CHECK_THROWS_AS(session.run(images), fovea::Error);
  std::vector<std::optional<fovea::Error>> each;
  const std::vector<fovea::Result> results = session.run(images, each);
  REQUIRE(each.size() == 3);
  CHECK_FALSE(each[0].has_value());
  REQUIRE(each[1].has_value());
  CHECK(each[1]->code() == FOVEA_IO_ERROR);
  CHECK_FALSE(each[2].has_value());
  CHECK(session.top(0, 3)[0].label == best[0].label);
  CHECK(results[0].size(0) == 3);
}

TEST_CASE("C++: errors are exceptions with a code", "[api]") {
  const fovea::Environment env;
  try {
    const fovea::Model model(env, {"resnet5O", "none"});
    FAIL("it was loaded");
  } catch (const fovea::Error& e) {
    CHECK(e.code() == FOVEA_NOT_FOUND);
    CHECK_THAT(std::string(e.what()), contains_text("resnet50"));
    const fovea::Error copy = e;
    CHECK(copy.what() == std::string(e.what()));
  }
  fovea::Cancel cancel;
  cancel.request();
  fovea::ModelOptions o{kNet, weights_of(kNet)};
  o.cancel = &cancel;
  try {
    const fovea::Model model(env, o);
    FAIL("it was loaded");
  } catch (const fovea::Error& e) { CHECK(e.code() == FOVEA_CANCELLED); }
  cancel.reset();
  const fovea::Model model(env, o);
}

TEST_CASE("C++: a log and an allocator of the program", "[api]") {
  Counting memory;
  std::vector<std::string> heard;
  {
    std::optional<fovea::Session> session;
    {
      fovea::EnvironmentOptions o;
      o.memory = &memory;
      o.log = [&](std::int32_t, std::string_view text) { heard.emplace_back(text); };
      const fovea::Environment env(std::move(o));
      const fovea::Model model(env, {"test_resnet", weights_of(kNet)});
      session.emplace(model);
    }                                              // what was made of it goes on
    CHECK(memory.bytes > session->info().constant_bytes);
    const std::vector<float> x = noise(kImage);
    session->run(x, 1);
    const std::int64_t calls = memory.calls;
    for (int i = 0; i < 10; ++i) session->run(x, 1);
    CHECK(memory.calls == calls);                  // a run allocates no tensor
    CHECK_THAT(heard.empty() ? "" : heard.back(), contains_text("ImageNet-1k"));
  }
  CHECK(memory.bytes == 0);
}

TEST_CASE("C++: names of models, and memory given back", "[api]") {
  fovea::Environment env;
  const std::vector<std::string> names = env.models("test_resnet*");
  CHECK(std::count(names.begin(), names.end(), "test_resnet") == 1);
  CHECK(env.models("no such*").empty());
  { std::vector<float> x = noise(kImage); fovea::Session(fovea::Model(env, {kNet, weights_of(kNet)})).run(x, 1); }
  CHECK(env.trim() > 0);
  CHECK(env.trim() == 0);
}
