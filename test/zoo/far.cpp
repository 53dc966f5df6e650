// SPDX-License-Identifier: Apache-2.0
// test/zoo/far.cpp — what models make by themselves in a forward is made where their images are.
#include <optional>

#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/far_device.h"
#include "test/support/fill.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;
using test::values_of;

struct Kind {
  const char* name;
  Settings set;
};

// Two steps' gradients and an answer, by ref's kernels on either side.
std::vector<std::vector<double>> numbers_on(Device d, const Kind& k) {
  std::optional<UseBackend> ref;
  if (d == cpu()) ref.emplace("ref");
  const auto m =
      create(k.name, {.num_classes = 5, .img_size = std::array{32, 32}, .drop_path_rate = 0.2f, .set = k.set});
  fill_weights(*m);
  m->to(d);
  const Tensor image = golden_input({2, 3, 32, 32}).to(d);
  std::vector<std::vector<double>> all;
  m->train().set_requires_grad();
  for (int step = 0; step < 2; ++step) {
    backward(sum(square((*m)(image))));
    for (const NamedParameter& p : m->named_parameters())
      if (const Tensor g = p.tensor().grad()) {
        all.push_back(values_of(g));
        p.tensor().set_grad({});
      }
  }
  m->eval();
  const NoGrad no_grad;
  all.push_back(values_of((*m)(image)));
  all.push_back(values_of(compile(*m, {.batch = 2, .target = {.device = d}}).run(image)));
  return all;
}

}  // namespace

TEST_CASE("far: positions, masks and random numbers are made where the images are", "[far][zoo]") {
  test::add_far_devices();
  const Settings small{{"depth", "2"}, {"embed_dim", "32"}, {"num_heads", "2"}};
  const auto with = [&](Settings more) {
    more.insert(more.begin(), small.begin(), small.end());
    return more;
  };
  const Kind kinds[] = {
      {"eva02_tiny_patch14_224", with({{"patch_size", "8"}, {"patch_drop_rate", "0.25"}})},
      {"vit_small_patch16_rope_mixed_224", with({{"patch_size", "8"}, {"patch_drop_rate", "0.25"}})},
      {"vit_small_patch16_dinov3", with({{"patch_size", "8"},
                                         {"rope_shift_coords", "0.1"},
                                         {"rope_jitter_coords", "1.2"},
                                         {"rope_rescale_coords", "2"}})},
      {"vit_relpos_small_patch16_224", with({{"patch_size", "8"}})},
      {"beit_base_patch16_224", with({{"patch_size", "8"}})},
      {"convit_tiny", with({{"patch_size", "8"}, {"local_up_to_layer", "1"}})},
      {"xcit_nano_12_p16_224", {{"depth", "1"}, {"embed_dim", "32"}}},
      {"swin_s3_tiny_224",
       {{"depths", "2,1,1,1"},
        {"embed_dim", "16"},
        {"num_heads", "1,2,4,8"},
        {"window_size", "4"},
        {"strict_img_size", "false"}}},
  };
  for (const Kind& k : kinds) {
    INFO(k.name);
    const auto here = numbers_on(cpu(), k), there = numbers_on(test::far_device(1), k);
    REQUIRE(there.size() == here.size());
    REQUIRE(here.size() > 10);
    for (size_t i = 0; i < here.size(); ++i) CHECK(test::relative_error(there[i], here[i]) < 1e-4);
  }
}

}  // namespace fovea::zoo
