// SPDX-License-Identifier: Apache-2.0
// test/api/soak.cpp — what the C API costs, by the clock: figures for who asks (./dev soak), no test of every build.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "api/classifier.h"
#include "data/decode.h"
#include "engine/core/threads.h"
#include "test/api/client.h"
#include "test/api/weights.h"
#include "test/support/catch.h"
#include "zoo/zoo.h"

using namespace fovea_test;

namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

template <class F>
double time_of(const F& f) {
  const Clock::time_point began = Clock::now();
  f();
  return seconds(began);
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<int64_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

// The medians of two things that are done by turns.
template <class A, class B>
std::pair<double, double> by_turns(int rounds, const A& a, const B& b) {
  std::vector<double> of_a, of_b;
  for (int i = 0; i < rounds; ++i) {
    of_a.push_back(time_of(a));
    of_b.push_back(time_of(b));
  }
  return {median(of_a), median(of_b)};
}

}  // namespace

TEST_CASE("the C API costs at most 10 us a call", "[.soak]") {
  constexpr int64_t kEdge = 32;
  const fovea::UseThreads one(1);
  const auto engine = fovea::zoo::create("test_resnet");
  fovea::zoo::load_weights(*engine, weights_of("test_resnet"));
  fovea::Session direct = fovea::zoo::compile(*engine, {.height = kEdge, .width = kEdge});
  const auto env = new_env();
  const auto model = load(env.get(), "test_resnet");
  auto o = init<fovea_session_options>();
  o.height = o.width = kEdge;
  o.threads = 1;
  const auto session = compile(model.get(), o);
  const std::vector<float> x = pixels(3 * kEdge * kEdge, 1);
  const fovea::Tensor image = fovea::from(std::span<const float>(x), {1, 3, kEdge, kEdge});
  const fovea_tensor in = images_of(x.data(), 1, 3, kEdge, kEdge);
  fovea_tensor out{};
  const auto [engines, apis] = by_turns(
      5000, [&] { direct.run_borrowed(image); },
      [&] { out = {}, fovea_status_free(fovea_session_run(session.get(), &in, &out, 1)); });
  WARN("run_borrowed() " << engines * 1e6 << " us, fovea_session_run() " << apis * 1e6 << " us: "
                         << (apis - engines) * 1e6 << " us a call");
  CHECK(apis - engines <= 10e-6);
}

TEST_CASE("from the bytes of a JPEG to five classes costs what its parts do", "[.soak]") {
  const auto engine = fovea::zoo::create("resnet18");
  fovea::zoo::load_weights(*engine, weights_of("resnet18"));
  fovea::Session direct = fovea::zoo::compile(*engine);
  fovea::Classifier classifier(*engine, {.given = "none"});
  classifier.name_classes(1000);
  const auto env = new_env();
  const auto model = load(env.get(), "resnet18");
  const auto session = compile(model.get());
  const std::vector<std::byte> bytes = bytes_of_file(photo("rocket.jpg"));
  const fovea_image image = encoded(bytes);
  const auto [parts, whole] = by_turns(
      60,
      [&] {
        const fovea::Tensor x = classifier.prepare(fovea::data::decode(bytes));
        classifier.best(direct.run_borrowed(x)[0], 5);
      },
      [&] {
        fovea_class best[5];
        size_t count = 5;
        fovea_status_free(fovea_session_classify(session.get(), &image, best, &count));
      });
  WARN("the parts " << parts * 1e3 << " ms, fovea_session_classify() " << whole * 1e3 << " ms: " << parts / whole);
  CHECK(parts / whole >= 0.95);
}

TEST_CASE("four sessions of two threads do as much as one", "[.soak]") {
  const auto env = new_env();
  const auto model = load(env.get(), "resnet18");
  auto o = init<fovea_session_options>();
  o.threads = 2;
  std::vector<Owned<fovea_session>> sessions;
  for (int i = 0; i < 4; ++i) sessions.push_back(compile(model.get(), o));
  const std::vector<float> x = pixels(3 * 224 * 224, 1);
  const fovea_tensor in = images_of(x.data(), 1, 3, 224, 224);
  // Runs a second by so many sessions side by side.
  const auto throughput = [&](size_t n) {
    std::atomic<int> runs = 0;
    const Clock::time_point began = Clock::now();
    std::vector<std::thread> all;
    for (size_t i = 0; i < n; ++i)
      all.emplace_back([&, i] {
        while (seconds(began) < 1.0)
          if (Said(fovea_session_run(sessions[i].get(), &in, nullptr, 0))) ++runs;
      });
    for (std::thread& t : all) t.join();
    return runs / seconds(began);
  };
  throughput(4);
  std::vector<double> ratios;
  for (int i = 0; i < 8; ++i) {
    const double one = throughput(1);
    ratios.push_back(throughput(4) / one);
  }
  WARN("four sessions do " << median(ratios) << " of what one does");
  CHECK(median(ratios) >= 0.9);
}
