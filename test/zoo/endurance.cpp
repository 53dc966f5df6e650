// SPDX-License-Identifier: Apache-2.0
// test/zoo/endurance.cpp — a thousand runs with sizes and batches at random, compiled when they come up: memory stays
// flat, every run repeats its bits, and eager agrees.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <list>
#include <random>

#include "engine/autograd/autograd.h"
#include "engine/core/threads.h"
#include "test/golden/runner/figures.h"
#include "test/support/allocations.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

int64_t resident_bytes() {
  int64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// One model with one size of images.
struct Kind {
  ImageModel* model = nullptr;
  Tensor images;
  std::vector<double> answer;                      // of the first session

  Session compiled() const {
    const Shape& s = images.shape();
    return compile(*model, {.batch = static_cast<int>(s[0]),
                            .height = static_cast<int>(s[2]),
                            .width = static_cast<int>(s[3])});
  }
};

std::vector<Kind> kinds_of(ImageModel& model) {
  std::vector<Kind> kinds;
  model.eval();
  fill_weights(model);
  const NoGrad no_grad;
  for (const int64_t batch : {1, 2, 3})
    for (const int64_t height : {64, 96, 128})
      for (const int64_t width : {64, 80, 128}) {
        Kind kind{&model, golden_input({batch, 3, height, width}), {}};
        const Tensor have = kind.compiled().run(kind.images);
        INFO(str_cat(kind.images.shape()));
        CHECK(golden::largest_difference(have, model(kind.images)) < 1e-4);
        kind.answer = test::values_of(have);
        kinds.push_back(std::move(kind));
      }
  return kinds;
}

// The sessions that were used last.
class Kept {
 public:
  explicit Kept(size_t most) : most_(most) {}

  Session& of(const Kind& kind) {
    const auto at = std::find_if(sessions_.begin(), sessions_.end(), [&](auto& s) { return s.first == &kind; });
    if (at != sessions_.end()) {
      sessions_.splice(sessions_.begin(), sessions_, at);
    } else {
      ++compiled;
      sessions_.emplace_front(&kind, kind.compiled());
      if (sessions_.size() > most_) sessions_.pop_back();
    }
    return sessions_.front().second;
  }

  int compiled = 0;

 private:
  size_t most_;
  std::list<std::pair<const Kind*, Session>> sessions_;
};

}  // namespace

TEST_CASE("a thousand runs of random sizes leave memory flat and repeat their bits", "[zoo][slow]") {
  if (!test::allocations_are_counted()) return;    // sanitizers keep what is freed
  const UseThreads two(2);
  const auto convnet = create("test_efficientnet"), vit = create("test_vit", {.set = {{"dynamic_img_size", "true"}}});
  std::vector<Kind> kinds = kinds_of(*convnet);
  std::ranges::move(kinds_of(*vit), std::back_inserter(kinds));

  std::mt19937 random(7);
  Kept kept(16);
  std::array<int64_t, 2> most{};                   // in either half of the runs
  int different = 0;
  for (size_t run = 0; run < 1000; ++run) {
    const Kind& kind = kinds[random() % kinds.size()];
    different += test::values_of(kept.of(kind).run(kind.images)) != kind.answer;
    most[run / 500] = std::max(most[run / 500], resident_bytes());
  }
  INFO("at most " << most[0] / 1024 << " KiB, in later runs " << most[1] / 1024 << " KiB; compiled " << kept.compiled);
  CHECK(different == 0);
  CHECK(kept.compiled > 500);                      // else sessions were hardly made anew
  // Threads of the pool take their buffers when they first help, on a busy machine in later runs; 500 leaks of 16 KiB
  // would show.
  CHECK(most[1] <= most[0] + (8 << 20));
}

}  // namespace fovea::zoo
