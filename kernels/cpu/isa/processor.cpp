// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/isa/processor.h"

#include <vector>

namespace fovea::kernels::cpu {

std::span<const Processor> supported_processors() {
  static const std::vector<Processor> found = [] {
    std::vector<Processor> all;
    for (const Kind& kind : known_kinds())
      if (kind.supported()) all.push_back(kind.record());
    for (Processor& p : all) p.caches = caches();
    return all;
  }();
  return found;
}

const Processor& processor() {
  return UseProcessor::chosen() ? *UseProcessor::chosen() : supported_processors().front();
}

}  // namespace fovea::kernels::cpu
