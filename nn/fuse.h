// SPDX-License-Identifier: Apache-2.0
// nn/fuse.h — branches that are apart for training become the one convolution or linear layer that they are otherwise:
// what timm calls fuse() and reparameterize(). compile() does the same to graphs; this changes what a model saves.
#pragma once
#include <initializer_list>
#include <memory>
#include <span>
#include <utility>

#include "engine/graph/trace.h"
#include "nn/layers/conv.h"
#include "nn/layers/linear.h"

namespace fovea {

/// A module with children that one layer can stand for while it does not train.
class Fusible {
 public:
  /// Puts that layer in their place, the first time. Without bytes: a layer without bytes, so that weights of a fused
  /// model can be loaded.
  virtual void fuse() = 0;

 protected:
  ~Fusible() = default;
};
/// Of the module and all below. Returns how many of them are fusible. What is left cannot train as before.
int fuse(Module& m);

/// The convolution that the branches of `m` amount to in eval mode, with a bias. `largest` is the branch whose kernel
/// takes in the others'. Throws Error(unsupported) where their weights are neither f32 nor f64.
std::unique_ptr<Conv2d> fused_conv(Module& m, const Conv2d& largest, const Traceable& branches);
std::unique_ptr<Linear> fused_linear(Module& m, int in, int out, const Traceable& branches);

/// A function of a tensor as what fused_conv() and fused_linear() take: Branches([&](const Tensor& x) { ... }).
template <class F>
struct Branches final : Traceable {
  explicit Branches(F g) : f(std::move(g)) {}
  Tensors operator()(std::span<const Tensor> x) const override { return {f(x[0])}; }
  F f;
};

/// Frees what these children hold and makes each of them the identity; null ones are passed over.
void give_up(std::initializer_list<Module*> children);

/// A module that as a whole becomes one layer, whose parameters then are its own: instead of "c.weight", "bn.weight"
/// and so on it has "weight" and "bias".
class FusibleLayer : public Module, public Fusible {
 public:
  Tensor forward(const Tensor& x) final { return layer_ ? layer_->forward(x) : branches(x); }
  void fuse() final;
  bool fused() const { return layer_ != nullptr; }

 protected:
  virtual Tensor branches(const Tensor& x) = 0;
  /// fused_conv() or fused_linear() of branches(); null where there is nothing to fuse.
  virtual std::unique_ptr<Module> layer() = 0;

 private:
  std::unique_ptr<Module> layer_;
};

}  // namespace fovea
