// SPDX-License-Identifier: Apache-2.0
// test/zoo/naflex.cpp — models over sequences of patches of photos of any aspect ratio answer as timm's, alone and in
// mixed batches, eagerly and compiled.
#include <algorithm>

#include "data/decode.h"
#include "data/sequence.h"
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers/patch_embed.h"
#include "test/data/pattern.h"
#include "test/golden/runner/figures.h"
#include "test/support/fill.h"
#include "test/support/recorded.h"
#include "zoo/sequence_sessions.h"
#include "zoo/zoo.h"

using namespace fovea;
using nlohmann::json;

namespace {

constexpr double kTolerance = 5e-5;

std::vector<data::Patches> patches_of(const json& entry, const std::vector<uint64_t>& photos, int length, Size2 patch) {
  const data::EvalConfig config{.mean = {0.5f}, .std = {0.5f}};
  std::vector<data::Patches> out;
  for (const uint64_t i : photos) {
    const json& p = entry.at("photos").at(i);
    const data::Image photo = data::read_image(FOVEA_SOURCE_DIR "/docs/images/" + p.at(0).get<std::string>());
    out.push_back(data::sequence_transform(data::crop(photo, p.at(1), p.at(2), p.at(3), p.at(4)), config,
                                           {.patch = {patch.h, patch.w}, .max_seq_len = length}));
  }
  return out;
}
std::vector<data::Patches> patches_of(const json& entry, const json& batch, Size2 patch) {
  return patches_of(entry, batch.at("photos"), batch.at("length"), patch);
}

zoo::PatchSequence sequence(std::span<const data::Patches> all, int64_t length) {
  const data::SequenceBatch b = data::collate(all, length);
  return {.patches = b.patches, .coords = b.coords, .valid = b.valid};
}

std::unique_ptr<zoo::ImageModel> filled(const json& entry) {
  auto model = zoo::create(entry.at("name").get<std::string>(), recorded_options(entry));
  fill_weights(*model);
  return model;
}

json naflex_cases() { return read_json(FOVEA_SOURCE_DIR "/test/golden/naflex.json"); }
json more_cases(const char* kind) {
  json out = json::array();
  for (const json& entry : read_json(FOVEA_SOURCE_DIR "/test/golden/naflex_more.json"))
    if (entry.contains(kind)) out.push_back(entry);
  REQUIRE(out.size() == 3);
  return out;
}

// Rows of the tokens [N, L, C] whose patches are valid.
Tensor valid_rows(const Tensor& tokens, const Tensor& valid) {
  const Tensor flags = contiguous(valid);
  std::vector<int64_t> at;
  for (size_t i = 0; i < flags.data<bool>().size(); ++i)
    if (flags.data<bool>()[i]) at.push_back(static_cast<int64_t>(i));
  return index_select(flatten(tokens, 0, 1), 0, from<int64_t>(at, {static_cast<int64_t>(at.size())}));
}

}  // namespace

TEST_CASE("sequences of patches answer as timm's", "[zoo]") {
  const NoGrad no_grad;
  for (const json& entry : naflex_cases()) {
    const auto model = filled(entry);
    const Size2 patch = zoo::sequences_of(*model).sequence_patch();
    for (const json& batch : entry.at("batches")) {
      INFO(entry.at("name") << " " << entry.at("kwargs") << " " << batch.at("length") << " " << batch.at("photos"));
      const std::vector<data::Patches> all = patches_of(entry, batch, patch);
      const Tensor together = zoo::run_sequence(*model, sequence(all, batch.at("length")));
      for (size_t i = 0; i < all.size(); ++i) {
        const auto row = static_cast<int64_t>(i);
        const json& figure = batch.at("logits").at(i);
        CHECK(all[i].patches.dim(0) == batch.at("patches").at(i).get<int64_t>());
        CHECK(golden::compare("in its batch", figure, select(together, 0, row), kTolerance).empty());
        const std::span<const data::Patches> one(&all[i], 1);
        const Tensor alone = zoo::run_sequence(*model, sequence(one, all[i].patches.dim(0)));
        CHECK(golden::compare("alone", figure, select(alone, 0, 0), kTolerance).empty());
      }
    }
  }
}

TEST_CASE("compiled sessions of a few lengths answer as timm's", "[zoo]") {
  const std::vector<json> cases = naflex_cases();
  for (size_t at = 0; at < cases.size(); at += 3) {
    const json& entry = cases[at];
    const auto model = filled(entry);
    zoo::SequenceSessions sessions(*model, {.most = 3});
    for (const json& batch : entry.at("batches")) {
      INFO(entry.at("name") << " " << batch.at("length") << " " << batch.at("photos"));
      const std::vector<data::Patches> all = patches_of(entry, batch, zoo::sequences_of(*model).sequence_patch());
      const Tensor rows = sessions.run(sequence(all, batch.at("length")));
      for (size_t i = 0; i < all.size(); ++i)
        CHECK(
            golden::compare("compiled", batch.at("logits").at(i), select(rows, 0, static_cast<int64_t>(i)), kTolerance)
                .empty());
      CHECK(sessions.lengths().size() <= 3);
    }
    for (const StepInfo& step : sessions.session(sessions.lengths()[0]).steps()) {
      INFO(step.scope << " " << step.op << " " << step.plan);
      CHECK(step.plan != "ref");
    }
  }
}

TEST_CASE("a full grid of patches answers as the image does", "[zoo]") {
  const NoGrad no_grad;
  for (const json& entry : naflex_cases()) {
    const auto model = filled(entry);
    const Size2 patch = zoo::sequences_of(*model).sequence_patch();
    const Tensor image = golden_input({1, 3, 6 * patch.h, 4 * patch.w});
    const data::Patches p = data::patchify(image, {patch.h, patch.w});
    const Tensor flat = (*model)(image), sequenced = zoo::run_sequence(*model, sequence(std::span(&p, 1), 30));
    INFO(entry.at("name") << " " << entry.at("kwargs"));
    if (!entry.at("kwargs").contains("pos_embed_use_grid_sample"))  // images are not sampled there
      CHECK(golden::largest_difference(sequenced, flat) < 1e-5);
  }
}

TEST_CASE("lengths of sessions", "[zoo]") {
  CHECK(zoo::SequenceSessions::length_for(1) == 64);
  CHECK(zoo::SequenceSessions::length_for(196) == 256);
  CHECK(zoo::SequenceSessions::length_for(257) == 384);
  CHECK(zoo::SequenceSessions::length_for(1024) == 1024);
  CHECK(zoo::SequenceSessions::length_for(1025) == 1280);
}

TEST_CASE("who takes sequences", "[zoo]") {
  const auto vit = zoo::create("vit_tiny_patch16_224"),
             flex = zoo::create("vit_tiny_patch16_224", {.set = {{"use_naflex", "true"}}});
  CHECK_THROWS_AS(zoo::sequences_of(*vit), Error);
  CHECK(zoo::sequences_of(*flex).sequence_patch() == Size2(16));
  CHECK_THROWS_AS(flex->set_input_size({256, 256}), Error);
  CHECK_THROWS_AS(zoo::create("vit_tiny_patch16_224", {.set = {{"use_naflex", "maybe"}}}), Error);
}

TEST_CASE("weights of plain ViTs fit those over sequences", "[zoo]") {
  const NoGrad no_grad;
  zoo::ModelOptions small{.num_classes = 7, .set = {{"depth", "2"}, {"embed_dim", "32"}, {"num_heads", "2"}}};
  for (const char* name : {"vit_tiny_patch16_224", "vit_small_patch16_dinov3", "vit_base_patch32_siglip_256"}) {
    INFO(name);
    const auto plain = zoo::create(name, small);
    fill_weights(*plain);
    zoo::ModelOptions o = small;
    o.set.emplace_back("use_naflex", "true");
    const auto flex = zoo::create(name, o);
    zoo::load_weights(*flex, plain->state_dict(), "test");
    const auto [c, h, w] = plain->input_size();
    const Tensor image = golden_input({1, c, h, w});
    CHECK(golden::largest_difference((*flex)(image), (*plain)(image)) < 1e-5);
  }
}

TEST_CASE("ViTs and EVAs with use_naflex have timm's state", "[zoo]") {
  int made = 0;
  for (const std::string& row : test::golden_rows("../naflex_names.tsv")) {
    std::istringstream in(row);
    std::string name, parameters, hash;
    in >> name >> parameters >> hash;
    INFO(name);
    if (hash == "-") continue;  // timm refuses it
    const auto model = zoo::create(name, {.set = {{"use_naflex", "true"}}});
    CHECK(std::to_string(model->parameter_count()) == parameters);
    CHECK(test::hex(zoo::state_hash(*model)) == hash);
    ++made;
  }
  CHECK(made > 100);
}

TEST_CASE("patches of another size than the model's answer as timm's", "[zoo]") {
  const NoGrad no_grad;
  for (const json& entry : more_cases("batches")) {
    const auto model = filled(entry);
    for (const json& batch : entry.at("batches")) {
      const Size2 patch(batch.at("patch").at(0), batch.at("patch").at(1));
      INFO(entry.at("name") << " " << patch.h << " x " << patch.w);
      const zoo::PatchSequence s = sequence(patches_of(entry, batch, patch), batch.at("length"));
      const Tensor eager = zoo::run_sequence(*model, s, zoo::SequenceWants{.patch = patch})[0];
      zoo::SequenceSessions sessions(*model, {.wants = {.patch = patch}});
      const Tensor compiled = sessions.run(s);
      for (int64_t i = 0; i < eager.dim(0); ++i) {
        const json& figure = batch.at("logits").at(static_cast<size_t>(i));
        CHECK(golden::compare("eager", figure, select(eager, 0, i), kTolerance).empty());
        CHECK(golden::compare("compiled", figure, select(compiled, 0, i), kTolerance).empty());
      }
    }
  }
  const auto plain = zoo::create("naflexvit_base_patch16_gap", {.set = {{"embed_dim", "48"}, {"depth", "1"}}});
  CHECK_THROWS_WITH(zoo::trace_sequence(*plain, {.wants = {.patch = Size2(8)}}),
                    contains_text("enable_patch_interpolator"));
}

TEST_CASE("tokens of levels of sequences are timm's", "[zoo]") {
  const NoGrad no_grad;
  for (const json& entry : more_cases("features")) {
    INFO(entry.at("name"));
    const auto model = filled(entry);
    const zoo::FeatureOptions levels{.indices = entry.at("indices"),
                                     .norm = entry.at("norm"),
                                     .prefix_tokens = true};
    const zoo::PatchSequence s =
        sequence(patches_of(entry, entry.at("photo"), entry.at("length"), zoo::sequences_of(*model).sequence_patch()),
                 entry.at("length"));
    const zoo::Intermediates found = model->sequence_intermediates(s, levels);
    Tensors valid;
    for (const Tensor& t : found.features) valid.push_back(valid_rows(t, s.valid));
    CHECK(golden::compare_all("features", entry.at("features"), valid, kTolerance).empty());
    CHECK(golden::compare_all("prefix", entry.at("prefix"), found.prefix, kTolerance).empty());
    zoo::SequenceSessions sessions(*model, {.wants = {.levels = levels}});
    const Tensors compiled = sessions.run_all(s);
    REQUIRE(compiled.size() == found.features.size() + found.prefix.size());
    for (size_t i = 0; i < valid.size(); ++i) {
      CHECK(golden::compare("compiled", entry.at("features").at(i), valid_rows(compiled[i], s.valid), kTolerance)
                .empty());
      const Tensor hidden = compiled[i] * unsqueeze(cast(logical_not(s.valid), DType::f32), -1);
      CHECK(amax(abs(hidden)).item() == 0);
    }
    CHECK_THROWS_AS(model->sequence_intermediates(s, {.nchw = true}), Error);
  }
}

// What is left of a sequence answers as the whole one in which the others are not valid: positions do not change.
TEST_CASE("patches of sequences are dropped while training", "[zoo]") {
  const NoGrad no_grad;
  for (const char* rope : {"none", "cat", "mixed"}) {
    INFO(rope);
    const auto model = zoo::create("naflexvit_base_patch16_gap", {.num_classes = 5,
                                                                  .set = {{"embed_dim", "32"},
                                                                          {"depth", "2"},
                                                                          {"num_heads", "2"},
                                                                          {"rope_type", rope},
                                                                          {"patch_drop_rate", "0.5"}}});
    fill_weights(*model);
    const Tensor patches = reshape(golden_input({2, 12, 16, 48}), {2, 12, 768});
    std::vector<int64_t> places;
    for (int i = 0; i < 24; ++i) places.insert(places.end(), {i % 12 / 4, i % 4});
    const zoo::PatchSequence s{.patches = patches,
                               .coords = from<int64_t>(places, {2, 12, 2}),
                               .valid = full({2, 12}, 1, DType::boolean)};
    model->train();
    model->seed(7);
    zoo::SequenceModel& takes = zoo::sequences_of(*model);
    const zoo::SequenceFeatures some = takes.sequence_features(s);
    CHECK(some.valid.shape() == Shape{2, 6});
    CHECK(some.tokens.shape() == Shape{2, 10, 32});
    const Tensor trained = takes.sequence_head(some);
    model->seed(7);  // the same are kept
    auto& drop = dynamic_cast<PatchDropout&>(*model->find("patch_drop"));
    const Tensor index = [&] {
      const Scope scope("patch_drop");
      return drop.keep(zeros({2, 16, 32})).index;
    }();
    std::vector<float> kept(24, 0.0f);
    for (size_t i = 0; i < 12; ++i) kept[i / 6 * 12 + static_cast<size_t>(contiguous(index).data<int64_t>()[i])] = 1;
    model->eval();
    zoo::PatchSequence masked = s;
    masked.valid = greater(from(std::span<const float>(kept), Shape{2, 12}), 0.5);
    CHECK(golden::largest_difference(trained, zoo::run_sequence(*model, masked)) < 1e-5);
  }
}

TEST_CASE("position embeddings are named as timm's configurations do", "[zoo]") {
  const auto made = [](const char* name, const char* value) {
    return zoo::create(name, {.set = {{"pos_embed", value}, {"embed_dim", "48"}, {"depth", "1"}}})->state_dict();
  };
  const char* flex = "naflexvit_base_patch16_gap";
  CHECK(made(flex, "learned").contains("embeds.pos_embed"));
  CHECK(made(flex, "factorized").contains("embeds.pos_embed_x"));
  CHECK_FALSE(made(flex, "none").contains("embeds.pos_embed"));
  CHECK(made("vit_tiny_patch16_224", "learn").contains("pos_embed"));
  CHECK_FALSE(made("vit_tiny_patch16_224", "none").contains("pos_embed"));
  CHECK_FALSE(made("vit_tiny_patch16_224", "false").contains("pos_embed"));
  CHECK_THROWS_WITH(made("vit_tiny_patch16_224", "factorized"), contains_text("use_naflex"));
  CHECK_THROWS_AS(made(flex, "learnt"), Error);
}
