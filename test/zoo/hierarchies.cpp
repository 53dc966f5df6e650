// SPDX-License-Identifier: Apache-2.0
// test/zoo/hierarchies.cpp — Swin V2, Hiera and MViT V2 beyond their figures: weights as others wrote them, other sizes
// of images, and what is dropped in training.
#include <cmath>
#include <map>

#include "engine/autograd/autograd.h"
#include "engine/core/text.h"
#include "engine/ops/ops.h"
#include "nn/layers/log_offsets.h"
#include "nn/layers/pos_embed.h"
#include "test/zoo/foreign_weights.h"
#include "weights_tools/edit.h"

namespace fovea::zoo {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

std::unique_ptr<ImageModel> small(const char* name, const Settings& set, std::array<int, 2> image = {64, 64}) {
  return create(name, {.num_classes = 5, .img_size = image, .set = set});
}

const Settings kSwin{{"embed_dim", "16"}, {"num_heads", "1,2,4,8"}, {"depths", "2,2,2,1"}, {"window_size", "4"}};
const Settings kHiera{{"embed_dim", "16"}, {"stages", "1,2,2,1"}};
const Settings kMvit{{"embed_dim", "16,32,48,64"}, {"num_heads", "1,2,3,4"}, {"depths", "1,2,2,1"}};

double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  return reduce(abs(a - b), Reduce::max).item();
}

Tensor image_for(const ImageModel& m, int64_t batch = 1) {
  return golden_input({batch, 3, m.input_size()[1], m.input_size()[2]});
}

}  // namespace

TEST_CASE("offsets on a logarithmic scale", "[zoo]") {
  const Tensor plain = log_offsets({2, 3}), scaled = scaled_log_offsets({2, 3}, {3, 5});
  REQUIRE(plain.shape() == Shape{15, 2});
  const auto at = [](const Tensor& t, size_t i) { return static_cast<double>(t.data<float>()[i]); };
  CHECK(at(plain, 0) == Approx(-std::log(2.0)));
  CHECK(at(plain, 1) == Approx(-std::log(3.0)));
  CHECK(at(plain, 14) == 0);
  CHECK(at(plain, 29) == Approx(std::log(3.0)));
  CHECK(at(scaled, 28) == Approx(std::log2(1 + 8 * 1 / 2.0) / 3));
  CHECK(at(scaled, 29) == Approx(std::log2(1 + 8 * 2 / 4.0) / 3));
  const Tensor one = scaled_log_offsets(1, 1);
  CHECK(at(one, 0) == 0);
  CHECK(at(one, 1) == 0);
}

TEST_CASE("Swin V2 of its authors merges at the end of a stage and saves buffers", "[zoo]") {
  const auto m = small("swinv2_tiny_window8_256", kSwin), other = small("swinv2_tiny_window8_256", kSwin);
  const StateDict own = filled_weights(*m);
  constexpr Rename rows[] = {{"^layers.1.downsample", "layers.0.downsample"},
                             {"^layers.2.downsample", "layers.1.downsample"},
                             {"^layers.3.downsample", "layers.2.downsample"},
                             {"^head.fc", "head"}};
  StateDict theirs = rename(own, rows);
  theirs.set("layers.0.blocks.1.attn_mask", zeros({16, 16, 16}));
  theirs.set("layers.0.blocks.0.attn.relative_position_index", zeros({16, 16}, DType::i64));
  theirs.set("layers.0.blocks.0.attn.relative_coords_table", zeros({1, 7, 7, 2}));
  check_loads(*other, theirs, own);

  const auto fine = small("swinv2_tiny_window8_256", {{"patch_size", "2"},
                                                      {"embed_dim", "16"},
                                                      {"num_heads", "1,2,4,8"},
                                                      {"depths", "2,2,2,1"},
                                                      {"window_size", "4"}});
  REQUIRE(load_weights(*fine, own, "other patches").clean());
  const char* kernel = "patch_embed.proj.weight";
  CHECK(distance(fine->state_dict().at(kernel), resample_patch_kernel(own.at(kernel), 2)) == 0);
}

TEST_CASE("older files of Reich's Swin V2 have the inverse of the scale", "[zoo]") {
  const auto m = small("swinv2_cr_tiny_ns_224", kSwin), other = small("swinv2_cr_tiny_ns_224", kSwin);
  const StateDict own = filled_weights(*m);
  constexpr Rename rows[] = {{"logit_scale", "tau"}, {"^head.fc", "head"}};
  StateDict theirs = rename(own, rows);
  for (const std::string& name : theirs.names())
    if (name.ends_with(".tau")) theirs.set(name, exp(-theirs.at(name)));
  REQUIRE(load_weights(*other, theirs, "an older file").clean());
  const StateDict have = other->state_dict();
  for (const auto& [name, t] : own) {
    INFO(name);
    CHECK(distance(have.at(name), t) <= (name.ends_with("logit_scale") ? 1e-6 : 0));
  }
}

namespace {

using Logits = std::array<double, 5>;

// Numbers are timm's, in f64.
void check_moved(const char* name, std::array<int, 2> image, std::optional<int> patch, const WindowOptions& windows,
                 const Logits& expected) {
  const auto m = small(name, kSwin);
  fill_weights(*m);
  m->set_input_size(image, patch, windows);
  const NoGrad no_grad;
  const Tensor y = (*m)(image_for(*m));
  REQUIRE(y.shape() == Shape{1, 5});
  for (size_t i = 0; i < 5; ++i) CHECK(static_cast<double>(y.data<float>()[i]) == Approx(expected[i]).margin(5e-5));
}

const WindowOptions kWide{.sizes = {{3, 5}}}, kEach{.sizes = {{8, 8}, {2, 2}, {4, 4}, {3, 3}}}, kThird{.ratios = {3}},
    kAlways{.always_partition = true};

}  // namespace

TEST_CASE("a Swin V2 for images of another size", "[zoo]") {
  const char* name = "swinv2_tiny_window8_256";
  check_moved(name, {48, 80}, {}, {}, {0.75391, 0.06802, 0.10978, -0.1499, 0.43112});
  check_moved(name, {48, 80}, 2, {}, {0.40188, 0.72261, 0.30364, 0.04186, 0.26503});
  check_moved(name, {96, 64}, {}, kWide, {-0.33718, -0.04116, 0.38104, 0.27128, 0.26585});
  check_moved(name, {96, 64}, {}, kEach, {-0.28295, 0.37295, -0.39096, -0.01227, -0.63203});
  check_moved(name, {80, 64}, {}, kThird, {-0.34107, 0.44002, 0.12198, 0.42651, 0.70118});
  check_moved(name, {32, 64}, {}, kAlways, {0.11266, 0.91418, -1.06494, 0.59842, 0.60116});
}

TEST_CASE("Reich's Swin V2 for images of another size", "[zoo]") {
  const char* name = "swinv2_cr_tiny_ns_224";
  check_moved(name, {48, 80}, {}, {}, {0.88595, 0.43115, -1.47968, -1.72757, -0.36843});
  check_moved(name, {96, 64}, {}, kWide, {1.20942, -0.20806, -1.93647, -1.67264, -0.02451});
  check_moved(name, {96, 64}, {}, kEach, {0.53376, -1.50829, -1.70876, -1.69201, 0.22865});
  check_moved(name, {80, 64}, {}, kThird, {0.44583, 0.09289, -1.90409, -2.21041, 0.05121});
  check_moved(name, {32, 64}, {}, kAlways, {0.98399, -0.30782, -0.84095, -1.19939, -0.48067});
}

TEST_CASE("parameters of Swin V2, Hiera and MViT V2 by layer", "[zoo]") {
  struct Numbers {
    const char* parameter;
    int fine, coarse;
  };
  const auto check = [](const char* model, const Settings& set, const std::vector<Numbers>& expected) {
    const auto m = create(model, {.num_classes = 5, .set = set});
    std::map<std::string, int> fine, coarse;
    for (const auto& [name, number] : layer_numbers(*m)) fine[name] = number;
    for (const auto& [name, number] : layer_numbers(*m, true)) coarse[name] = number;
    for (const Numbers& n : expected) {
      INFO(model << " " << n.parameter);
      CHECK(fine.at(n.parameter) == n.fine);
      CHECK(coarse.at(n.parameter) == n.coarse);
    }
  };
  check("swinv2_tiny_window8_256", kSwin,
        {{"patch_embed.norm.weight", 0, 0},
         {"layers.0.blocks.1.norm2.weight", 2, 1},
         {"layers.1.downsample.reduction.weight", 3, 2},
         {"layers.1.blocks.0.norm1.weight", 3, 2},
         {"norm.weight", 7, 5},
         {"head.fc.weight", 8, 5}});
  check("swinv2_cr_tiny_ns_224", kSwin,
        {{"patch_embed.proj.weight", 0, 0},
         {"stages.1.downsample.norm.weight", 3, 2},
         {"stages.2.blocks.1.norm3.weight", 6, 3},
         {"head.fc.weight", 8, 5}});
  check("hiera_tiny_224", kHiera,
        {{"pos_embed", 0, 0}, {"blocks.3.norm1.weight", 4, 4}, {"head.norm.weight", 7, 7}, {"head.fc.weight", 7, 7}});
  check("sam2_hiera_tiny", kHiera,
        {{"pos_embed_window", 0, 0}, {"blocks.1.norm2.weight", 2, 2}, {"head.fc.weight", 7, 7}});
  check(
      "mvitv2_small_cls", kMvit,
      {{"cls_token", 0, 0}, {"stages.1.blocks.1.norm2.weight", 2, 2}, {"norm.weight", 4, 4}, {"head.fc.weight", 5, 5}});
}

TEST_CASE("weight decay spares scales, networks and tables of positions", "[zoo]") {
  const auto spares = [](const ImageModel& m, std::string_view name) {
    for (const std::string& pattern : m.no_weight_decay())
      if (glob_match(pattern, name)) return true;
    return false;
  };
  const auto swin = small("swinv2_tiny_window8_256", kSwin), mvit = small("mvitv2_small_cls", kMvit);
  CHECK(spares(*swin, "layers.0.blocks.1.attn.cpb_mlp.2.weight"));
  CHECK(spares(*swin, "layers.0.blocks.1.attn.logit_scale"));
  CHECK_FALSE(spares(*swin, "layers.0.blocks.1.attn.qkv.weight"));
  CHECK(spares(*mvit, "stages.1.blocks.0.attn.rel_pos_w"));
  CHECK(spares(*mvit, "cls_token"));
  CHECK_FALSE(spares(*mvit, "stages.1.blocks.0.attn.pool_q.weight"));
}

TEST_CASE("Hiera of its authors", "[zoo]") {
  const auto m = small("hiera_tiny_224", kHiera), other = small("hiera_tiny_224", kHiera);
  const StateDict own = filled_weights(*m);
  constexpr Rename rows[] = {
      {"^head.fc", "head.projection"}, {"^head.norm", "encoder_norm"}, {"^pos_embed", "pos_embed_abs"}};
  check_loads(*other, rename(own, rows), own);
}

TEST_CASE("SAM 2's file holds the encoder of images, without a classifier's norm", "[zoo]") {
  const Settings set{{"embed_dim", "16"}, {"stages", "1,2,2,1"}, {"global_att_blocks", "3"}};
  const auto m = create("sam2_hiera_tiny", {.num_classes = 0, .set = set}),
             other = create("sam2_hiera_tiny", {.num_classes = 0, .set = set});
  StateDict own = filled_weights(*m), theirs;
  constexpr Rename rows[] = {{"mlp.fc1", "mlp.layers.0"}, {"mlp.fc2", "mlp.layers.1"}, {"^head.**", nullptr}};
  for (const auto& [name, t] : rename(own, rows)) theirs.set("image_encoder.trunk." + name, t);
  theirs.set("memory_encoder.fuser.weight", zeros({3}));
  own.set("head.norm.weight", ones({128}));
  own.set("head.norm.bias", zeros({128}));
  REQUIRE(theirs.contains("image_encoder.trunk.blocks.5.mlp.layers.1.bias"));
  check_loads(*other, theirs, own);
}

TEST_CASE("MViT V2 of its authors counts blocks through all stages", "[zoo]") {
  for (const char* expands : {"true", "false"}) {
    Settings set = kMvit;
    set.emplace_back("expand_attn", expands);
    const auto m = small("mvitv2_tiny", set), other = small("mvitv2_tiny", set);
    const StateDict own = filled_weights(*m);
    constexpr Rename rows[] = {
        {"^stages.0.blocks.#", "blocks.$1"}, {"^stages.1.blocks.0", "blocks.1"}, {"^stages.1.blocks.1", "blocks.2"},
        {"^stages.2.blocks.0", "blocks.3"},  {"^stages.2.blocks.1", "blocks.4"}, {"^stages.3.blocks.0", "blocks.5"},
        {"shortcut_proj_attn", "proj"},      {"shortcut_proj_mlp", "proj"},      {"^head.fc", "head.projection"}};
    const StateDict theirs = rename(own, rows);
    REQUIRE(theirs.contains(expands == std::string_view("true") ? "blocks.1.proj.weight" : "blocks.0.proj.weight"));
    check_loads(*other, theirs, own);
  }
}

TEST_CASE("Hiera drops windows in training, and maps are zero there", "[zoo]") {
  Settings set = kHiera;
  set.emplace_back("patch_drop_rate", "0.5");
  const auto m = small("hiera_tiny_224", set, {128, 64});
  fill_weights(*m);
  const NoGrad no_grad;
  const Tensor image = image_for(*m, 2);
  CHECK(m->forward_features(image).shape() == Shape{2, 8, 128});
  m->train();
  CHECK(m->forward_features(image).shape() == Shape{2, 4, 128});  // of 4 x 2 windows
  const Intermediates maps = m->forward_intermediates(image, {.indices = {0, 3}});
  REQUIRE(maps.features.at(0).shape() == Shape{2, 16, 32, 16});
  const Tensor most = amax(abs(maps.features.at(0)), {1});
  for (int64_t i = 0; i < 2; ++i) {
    int black = 0;
    for (int64_t y = 0; y < 4; ++y)
      for (int64_t x = 0; x < 2; ++x) {
        const Tensor window = slice(slice(select(most, 0, i), 0, 8 * y, 8 * y + 8), 1, 8 * x, 8 * x + 8);
        const bool there = reduce(window, Reduce::min).item() > 0;
        CHECK((there || reduce(window, Reduce::max).item() == 0));
        black += there ? 0 : 1;
      }
    CHECK(black == 4);
  }
}

TEST_CASE("tables of MViT V2 are stretched for another size of images", "[zoo]") {
  const auto m = small("mvitv2_tiny", kMvit), wide = small("mvitv2_tiny", kMvit, {96, 96});
  const StateDict own = filled_weights(*m);
  REQUIRE(load_weights(*wide, own, "another size").clean());
  const char* name = "stages.1.blocks.0.attn.rel_pos_h";  // 15 offsets between 8 rows
  const Tensor before = own.at(name), after = wide->state_dict().at(name);
  REQUIRE(before.shape() == Shape{15, 16});
  REQUIRE(after.shape() == Shape{23, 16});
  const std::span<const float> x = before.data<float>(), y = after.data<float>();
  for (size_t i = 0; i < 23; ++i) {
    const double at = std::max((static_cast<double>(i) + 0.5) * 15 / 23 - 0.5, 0.0);
    const auto low = static_cast<size_t>(at), high = std::min<size_t>(low + 1, 14);
    for (size_t c = 0; c < 16; ++c) {
      const double line =
          std::lerp(static_cast<double>(x[low * 16 + c]), static_cast<double>(x[high * 16 + c]), at - std::floor(at));
      CHECK(static_cast<double>(y[i * 16 + c]) == Approx(line).margin(1e-6));
    }
  }
  REQUIRE_THROWS_AS(small("mvitv2_tiny", kMvit, {96, 64}), Error);  // its offsets are of a square
  REQUIRE_THROWS_AS(create("mvitv2_tiny", {.global_pool = "token"}), Error);
}

}  // namespace fovea::zoo
