// SPDX-License-Identifier: Apache-2.0
// train/exchange.h — Exchange: gradients summed over processes in buckets, while those of other leaves are computed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/autograd/gradient_listener.h"

namespace fovea::train {

class Exchange final : public GradientListener {
 public:
  /// Puts the sums into `sums`, a tensor a leaf, which may hold gradients of earlier parts of the batch already. A
  /// bucket sets out when it has so many bytes.
  Exchange(Gradients& sums, int64_t bucket_bytes) : sums_(sums), most_(bucket_bytes) {}
  void complete(size_t leaf, const Tensor& gradient) override;
  /// Becomes its sum once finish() has ended.
  void add(Tensor& of_all);
  /// Waits for all that is under way.
  void finish();

 private:
  struct Bucket {
    std::vector<Tensor*> places;
    Tensor numbers;
  };
  void send();

  Gradients& sums_;
  int64_t most_, bytes_ = 0;
  std::vector<Tensor*> waiting_;
  std::vector<Bucket> under_way_;
};

}  // namespace fovea::train
