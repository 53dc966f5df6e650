// SPDX-License-Identifier: Apache-2.0
// test/zoo/naflex.cpp — models over sequences of patches of photos of any aspect ratio answer as timm's, alone and in
// mixed batches, eagerly and compiled.
#include <algorithm>

#include "data/decode.h"
#include "data/sequence.h"
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
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

std::vector<data::Patches> patches_of(const json& entry, const json& batch, Size2 patch) {
  const data::EvalConfig config{.mean = {0.5f}, .std = {0.5f}};
  std::vector<data::Patches> out;
  for (const auto i : batch.at("photos").get<std::vector<uint64_t>>()) {
    const json& p = entry.at("photos").at(i);
    const data::Image photo = data::read_image(FOVEA_SOURCE_DIR "/docs/images/" + p.at(0).get<std::string>());
    out.push_back(data::sequence_transform(data::crop(photo, p.at(1), p.at(2), p.at(3), p.at(4)), config,
                                           {.patch = {patch.h, patch.w}, .max_seq_len = batch.at("length")}));
  }
  return out;
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
