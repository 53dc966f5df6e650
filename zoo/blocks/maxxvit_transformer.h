// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/maxxvit_transformer.h — MaxxViT's blocks that attend: over the map, within windows, between windows.
#pragma once
#include <memory>

#include "nn/layers/norm.h"
#include "nn/module.h"
#include "zoo/blocks/maxxvit_cfg.h"

namespace fovea::zoo::maxxvit {

NormSpec norm_spec(MapNorm n, double eps);
std::unique_ptr<Module> pooling(Pool kind, const Padding& padding = {});

/// Half the height and width, and other channels where they change.
class Downsample final : public Module {
 public:
  Downsample(int in, int out, std::unique_ptr<Module> by, bool bias = true);
  Tensor forward(const Tensor& x) override { return expand_(pool_(x)); }

 private:
  Ref<Module> pool_;
  Maybe<Module> expand_;
};

/// Where a block stands.
struct BlockOptions {
  int in = 0, out = 0, stride = 1;
  double drop_path = 0;
};

/// Sizes that attention is made for: of the stage's map, of windows, of the grid of tokens between windows.
struct Sizes {
  Size2 map{}, window{}, grid{};
};

/// What attention sees: tokens N,H,W,C by linear layers, or maps N,C,H,W by 1x1 convolutions.
enum class Layout : bool { tokens, map };

/// Attention of some kind and an MLP, both beside a shortcut.
class TransformerBlock : public Module {
 public:
  Tensor forward(const Tensor& x) override;
  virtual void resize(const Sizes& s) = 0;

 protected:
  TransformerBlock(const TransformerCfg& c, Layout layout) : c_(c), map_(layout == Layout::map) {}
  std::unique_ptr<Module> norm(int channels) const;
  void close(int channels, double drop_path);  // all that comes behind the attention
  Maybe<Module> shortcut_;
  Ref<Module> norm1_;

 private:
  virtual Tensor mixed(const Tensor& x) = 0;
  TransformerCfg c_;
  bool map_;
  Maybe<Module> ls1_, ls2_;
  Ref<Module> drop_path1_, norm2_, mlp_, drop_path2_;
};

/// Every pixel attends to all; the map may be halved before.
std::unique_ptr<TransformerBlock> map_transformer(const TransformerCfg& c, const BlockOptions& p, Size2 map);
/// Tokens attend to those of their window, or to those of their place in all windows (`grid`).
std::unique_ptr<TransformerBlock> partition_transformer(const TransformerCfg& c, int dim, double drop_path,
                                                        const Sizes& s, bool grid, Layout layout);
/// Half of the channels from attention in windows, half from attention between them.
std::unique_ptr<TransformerBlock> parallel_transformer(const TransformerCfg& c, int dim, double drop_path,
                                                       const Sizes& s);

/// Where a tensor is the table of a bias as TensorFlow's code lays it out: it for the windows that the bias has.
Tensor resampled_tf_table(Module* bias, const Tensor& table);

}  // namespace fovea::zoo::maxxvit
