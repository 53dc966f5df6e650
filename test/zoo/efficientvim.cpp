// SPDX-License-Identifier: Apache-2.0
// test/zoo/efficientvim.cpp — EfficientViM beyond its figures: fused branches, two sets of classifiers, what pruning
// leaves, weights of its authors.
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/fuse.h"
#include "test/golden/runner/figures.h"
#include "test/zoo/foreign_weights.h"
#include "weights_tools/edit.h"
#include "zoo/model_kinds.h"

namespace fovea::zoo {
namespace {

std::unique_ptr<ImageModel> small(const char* name = "efficientvim_m1") {
  return create(name,
                {.num_classes = 5, .set = {{"embed_dim", "16,24,32"}, {"depths", "1,1,2"}, {"state_dim", "5,4,3"}}});
}

}  // namespace

TEST_CASE("a fused EfficientViM answers as before, and loads what it saved", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({2, 3, 128, 96});
  const auto m = small(), other = small();
  fill_weights(*m);
  const Tensor want = (*m)(image);
  CHECK(fuse(*m) > 0);
  CHECK(golden::largest_difference((*m)(image), want) < 1e-4);
  const StateDict saved = m->state_dict();
  CHECK(saved.contains("stages.0.blocks.0.dwconv1.conv.bias"));
  CHECK(saved.contains("stages.0.blocks.0.alpha"));
  for (const std::string& name : saved.names()) CHECK(name.find("running_mean") == std::string::npos);
  CHECK(load_weights(*other, saved, "the fused model").clean());
  CHECK(golden::largest_difference((*other)(image), (*m)(image)) == 0);
}

TEST_CASE("a fused EfficientViM has timm's names, shapes and order", "[zoo]") {
  // FNV-1a of state_lines() after timm.models.reparameterize_model()
  for (const auto& [name, hash] : {std::pair<const char*, uint64_t>{"efficientvim_m1", 0x5e94aa046e34ee67},
                                   {"efficientvim_m4_dist", 0x5331bc9eef6eca67}}) {
    INFO(name);
    const auto m = create(name);
    fuse(*m);
    CHECK(state_hash(*m) == hash);
  }
}

TEST_CASE("of EfficientViM's two sets of classifiers the mean counts", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({2, 3, 128, 96});
  const auto m = small("efficientvim_m1_dist");
  fill_weights(*m);
  const Tensor features = m->forward_features(image);
  const auto [a, b] = dynamic_cast<TwoHeadedModel&>(*m).heads(features);
  CHECK(golden::largest_difference(a, b) > 1e-3);
  CHECK(golden::largest_difference((a + b) * 0.5, (*m)(image)) < 1e-6);
  m->reset_classifier(0);
  CHECK(golden::largest_difference((*m)(image), m->forward_head(features, true)) == 0);
  CHECK_THROWS_AS(m->reset_classifier(3, ""), Error);
  CHECK_THROWS_AS(m->reset_classifier(3, "max"), Error);
}

TEST_CASE("a pruned EfficientViM keeps the states of its stages", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({2, 3, 128, 96});
  const auto m = small(), whole = small();
  fill_weights(*m);
  fill_weights(*whole);
  CHECK_THROWS_AS(m->prune({.indices = {1}, .head = false}), Error);
  CHECK(m->prune({.indices = {1}}) == std::vector<int>{1});
  CHECK(m->num_features() == 16 + 24 + 24);
  const StateDict left = m->state_dict();
  CHECK(left.at("weights").shape() == Shape{3});
  for (const char* gone : {"stages.2.blocks.0.alpha", "stages.1.downsample.dwconv1.conv.weight", "norm.0.weight",
                           "norm.3.weight", "heads.0.weight"})
    CHECK_FALSE(left.contains(gone));
  CHECK(left.contains("norm.1.weight"));
  const auto level = [&](ImageModel& of) { return of.forward_intermediates(image, {.indices = {1}}).features[0]; };
  CHECK(golden::largest_difference(level(*m), level(*whole)) == 0);
  const Tensor pooled = (*m)(image), map = level(*whole);
  CHECK(pooled.shape() == Shape{2, 64});
  CHECK(golden::largest_difference(slice(pooled, 1, 40, 64), mean(map, {2, 3})) < 1e-5);
  m->reset_classifier(7);
  m->materialise();
  CHECK((*m)(image).shape() == Shape{2, 7});
}

TEST_CASE("EfficientViM of its authors has norms of maps and both sets of classifiers", "[zoo]") {
  const auto dist = small("efficientvim_m1_dist"), plain = small(), other = small();
  StateDict theirs = filled_weights(*dist), own;
  for (const auto& [name, t] : theirs)
    if (plain->state_dict().contains(name)) own.set(name, t);
  change(theirs, "norm.3.weight", [](const Tensor& t) { return reshape(t, {1, -1, 1, 1}); });
  change(theirs, "stages.0.blocks.0.norm.bias", [](const Tensor& t) { return reshape(t, {1, -1, 1, 1}); });
  check_loads(*other, theirs, own);
}

}  // namespace fovea::zoo
