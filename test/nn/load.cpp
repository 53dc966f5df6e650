// SPDX-License-Identifier: Apache-2.0
// test/nn/load.cpp — what load() takes over, what it reports, and what its errors say.
#include "engine/ops/ops.h"
#include "nn/adapted.h"
#include "nn/layers.h"
#include "test/support/catch.h"

namespace fovea {
namespace {

struct Net final : Module {
  Net() {
    add("conv", Conv2d(3, 8, 3));
    add("bn", BatchNorm2d(8));
    add("head", Linear(8, 4));
  }
};

StateDict weights_of(Module& m) {
  m.materialise(3);
  return m.state_dict();
}

std::string message(Net& net, const StateDict& d) {
  try {
    net.load(d, Strict::yes, "net.pth", "a net");
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

bool says(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return true;
  WARN(text);
  return false;
}

}  // namespace

TEST_CASE("load takes over what fits", "[nn]") {
  Net from, to;
  const StateDict d = weights_of(from);
  const LoadReport r = to.load(d);
  CHECK(r.clean());
  CHECK(r.loaded == 8);
  CHECK(r.summary() == "all 8 fit");
  CHECK(to.state_dict().at("head.bias").data<float>()[1] == d.at("head.bias").data<float>()[1]);
}

TEST_CASE("load converts to the model's dtype and keeps the wish for gradients", "[nn]") {
  Net from, to;
  const StateDict d = weights_of(from);
  to.set_requires_grad();
  to.to(DType::bf16);
  to.load(d);
  CHECK(to.state_dict().at("conv.weight").dtype() == DType::bf16);
  CHECK(to.parameters()[0]->requires_grad());
  CHECK(to.state_dict().at("bn.num_batches_tracked").dtype() == DType::i64);
}

TEST_CASE("checkpoints from before counters of batches still fit", "[nn]") {
  Net from, to;
  StateDict d = weights_of(from);
  d.erase("bn.num_batches_tracked");
  CHECK(to.load(d).clean());
  CHECK(to.state_dict().at("bn.num_batches_tracked").item() == 0);
}

TEST_CASE("strict loading changes nothing and says what does not fit", "[nn]") {
  Net from, to;
  StateDict d = weights_of(from);
  const Tensor head = d.at("head.weight");
  d.erase("head.weight");
  d.set("fc.weight", head);
  d.set("conv.weight", zeros({8, 1, 3, 3}));
  const std::string text = message(to, d);
  CHECK(says(text, "net.pth does not fit a net: 1 missing, 1 unexpected, 1 of another shape"));
  CHECK(says(text, "\n  missing     head.weight  f32[4, 8]  (same shape as fc.weight: rename?)"));
  CHECK(says(text, "\n  unexpected  fc.weight  f32[4, 8]  (same shape as head.weight: rename?)"));
  CHECK(says(text, "\n  shape       conv.weight  file [8, 1, 3, 3], model [8, 3, 3, 3]"));
  CHECK_FALSE(to.state_dict().at("head.bias").has_bytes());
}

TEST_CASE("loading that is not strict reports the same and takes the rest", "[nn]") {
  Net from, to;
  StateDict d = weights_of(from);
  d.erase("head.weight");
  const LoadReport r = to.load(d, Strict::no);
  CHECK(r.missing.size() == 1);
  CHECK(r.loaded == 7);
  CHECK(to.state_dict().at("head.bias").has_bytes());
}

TEST_CASE("a prefix that hides everything is named", "[nn]") {
  Net from, to;
  StateDict named;
  for (const auto& [name, t] : weights_of(from)) named.set("timm_model." + name, t);
  const std::string text = message(to, named);
  CHECK(says(text, "net.pth does not fit a net: all 8 fit without 'timm_model.'"));
  CHECK(says(text, "--prefix timm_model."));
  CHECK(text.find("rename?") == std::string::npos);
  // beside what is not the model's
  named.set("decoder.weight", zeros({3}));
  CHECK(says(message(to, named), "all 8 fit without 'timm_model.', 1 unexpected"));
  named.set("timm_model.head.bias", zeros({9}));
  const std::string most = message(to, named);
  CHECK(says(most, "a net: 7 fit without 'timm_model.', 1 missing, 2 unexpected"));
  CHECK(says(most, "missing     head.bias"));
  // one name of many is no prefix
  StateDict few = weights_of(from);
  for (const char* name : {"head.weight", "head.bias", "conv.weight"}) few.erase(name);
  few.set("x.head.bias", zeros({4}));
  CHECK(says(message(to, few), "3 missing, 1 unexpected"));
}

TEST_CASE("what was adapted is part of the summary", "[nn]") {
  LoadReport r;
  r.loaded = 8;
  r.adapted = {"conv.weight adapted from 1 to 3 input channels"};
  CHECK(r.summary() == "all 8 fit; conv.weight adapted from 1 to 3 input channels");
}

TEST_CASE("lines about adapted weights are heard where somebody listens", "[nn]") {
  say_adapted("nobody hears this");
  const AdaptedLines outer;
  say_adapted("a");
  {
    const AdaptedLines inner;
    say_adapted("b");
    CHECK(inner.take() == std::vector<std::string>{"b"});
  }
  say_adapted("c");
  say_adapted("a");
  CHECK(outer.take() == std::vector<std::string>{"a (2 times)", "c"});
}

TEST_CASE("long reports are cut", "[nn]") {
  Net to;
  StateDict d;
  for (int i = 0; i < 40; ++i) d.set(str_cat("layer", i, ".weight"), zeros({1}));
  CHECK(says(message(to, d), "unexpected  and 28 more"));
}

}  // namespace fovea
