// SPDX-License-Identifier: Apache-2.0
// test/api/threads.cpp — one model, many threads, each with a session of its own, while others load and free: the bits
// of a single thread. ./dev tsan runs it under ThreadSanitizer.
#include <atomic>
#include <mutex>
#include <thread>

#include "test/api/client.h"
#include "test/api/weights.h"
#include "test/support/catch.h"

using namespace fovea_test;

TEST_CASE("C: sixteen threads run one model while others load and free it", "[api][threads][slow]") {
  constexpr int kThreads = 16, kRuns = 1000;
  constexpr int64_t kEdges[] = {32, 40};
  const auto env = new_env();
  const auto model = load(env.get(), "test_resnet");
  auto o = init<fovea_session_options>();
  o.height = o.width = kEdges[0];
  o.more_sizes = 1;
  o.threads = 2;
  const auto first = compile(model.get(), o);
  const std::vector<float> x = pixels(3 * 3 * 40 * 40, 1);
  std::vector<fovea_tensor> inputs;
  for (const int64_t edge : kEdges)
    for (const int64_t n : {1, 3}) inputs.push_back(images_of(x.data(), n, 3, edge, edge));
  std::vector<std::vector<float>> want;
  for (const fovea_tensor& in : inputs) {
    fovea_tensor out{};
    REQUIRE(Said(fovea_session_run(first.get(), &in, &out, 1)));
    want.push_back(values_of(out));
  }
  std::atomic<int> wrong = 0, done = 0;
  const auto run = [&](int me) {
    fovea_session* made = nullptr;
    {
      static std::mutex forking;                   // a session is for one thread at a time
      const std::lock_guard lock(forking);
      if (!Said(fovea_session_fork(first.get(), &made))) ++wrong;
    }
    const Owned<fovea_session> session(made);
    for (int i = 0; i < kRuns; ++i) {
      const size_t which = static_cast<size_t>(me + i) % inputs.size();
      fovea_tensor out{};
      if (!Said(fovea_session_run(session.get(), &inputs[which], &out, 1)) || values_of(out) != want[which]) ++wrong;
    }
    ++done;
  };
  const auto come_and_go = [&] {
    while (done < kThreads) {
      fovea_model* m = nullptr;
      fovea_session *s = nullptr, *shared = nullptr;
      const std::string weights = weights_of("test_resnet");
      const auto mo = model_options("test_resnet", weights);
      if (!Said(fovea_model_load(env.get(), &mo, &m)) || !Said(fovea_session_create(m, &o, &s)) ||
          !Said(fovea_session_create(model.get(), &o, &shared)))
        ++wrong;
      fovea_model_free(m);
      fovea_tensor out{};
      if (!Said(fovea_session_run(s, &inputs[0], &out, 1)) || values_of(out) != want[0]) ++wrong;
      fovea_session_free(s);
      fovea_session_free(shared);
      Said(fovea_env_trim(env.get(), nullptr));
    }
  };
  std::vector<std::thread> all;
  for (int i = 0; i < kThreads; ++i) all.emplace_back(run, i);
  all.emplace_back(come_and_go);
  all.emplace_back(come_and_go);
  for (std::thread& t : all) t.join();
  CHECK(wrong == 0);
}
