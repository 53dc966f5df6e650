// SPDX-License-Identifier: Apache-2.0
// nn/layers/position_bias.cpp — a table, and a network over offsets.
#include "nn/layers/position_bias.h"

#include "engine/ops/ops.h"
#include "nn/layers/log_offsets.h"

namespace fovea {
namespace {

class RelPosBias final : public PositionBias, public RelativeTableOwner {
 public:
  RelPosBias(const PositionBiasOptions& o, int heads) {
    const Param table = param("relative_position_bias_table", RelativeTable::shape(o.window, heads, o.class_token),
                              o.type == RelPosType::own_bias ? init::zeros() : init::trunc_normal(0.02));
    table_ = {table, constant("relative_position_index", relative_positions(o.window, o.class_token)), o.window,
              o.class_token};
  }
  void set_window(Size2 window) override { table_.set_window(window); }
  const RelativeTable& relative_table() const override { return table_; }

 private:
  Tensor compute() override { return table_.bias(); }
  RelativeTable table_;
};

class RelPosMlp final : public PositionBias {
 public:
  RelPosMlp(const PositionBiasOptions& o, int heads) : options_(o) {
    rel_coords_log_ = constant("rel_coords_log", offsets(o.window));
    positions_ = constant("relative_position_index", relative_positions(o.window));
    mlp_ = add("mlp", Mlp(2, {.hidden = o.hidden,
                              .out = heads,
                              .act = act::relu,
                              .out_bias = o.type != RelPosType::mlp_swin,
                              .drop = 0.125,
                              .out_drop = 0}));
  }
  void set_window(Size2 window) override {
    rel_coords_log_.set(cast(offsets(window), rel_coords_log_->dtype()).to(rel_coords_log_->device()));
    positions_.set(relative_positions(window).to(positions_->device()));
  }

 private:
  Tensor compute() override {
    Tensor bias = relative_bias(mlp_(rel_coords_log_), positions_);
    if (options_.type == RelPosType::mlp_swin) bias = sigmoid(bias) * 16;
    return options_.class_token ? pad_last(bias, {1, 0, 1, 0}) : bias;
  }
  Tensor offsets(Size2 window) const {
    return options_.type == RelPosType::mlp ? log_offsets(window) : scaled_log_offsets(window, window);
  }
  PositionBiasOptions options_;
  Param rel_coords_log_, positions_;
  Ref<Mlp> mlp_;
};

}  // namespace

std::string_view name_of(RelPosType t) {
  constexpr std::string_view names[] = {"none", "mlp", "mlp_swin", "bias", "own_bias"};
  return static_cast<size_t>(t) < std::size(names) ? names[static_cast<size_t>(t)] : std::string_view();
}

std::unique_ptr<PositionBias> position_bias(const PositionBiasOptions& o, int heads) {
  switch (o.type) {
    case RelPosType::none: return nullptr;
    case RelPosType::mlp:
    case RelPosType::mlp_swin: return std::make_unique<RelPosMlp>(o, heads);
    case RelPosType::bias:
    case RelPosType::own_bias: break;
  }
  return std::make_unique<RelPosBias>(o, heads);
}

}  // namespace fovea
