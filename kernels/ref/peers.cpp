// SPDX-License-Identifier: Apache-2.0
// kernels/ref/peers.cpp — hands numbers to whoever sums them over processes, and takes the sums.
#include <cstring>

#include "engine/core/peers.h"
#include "engine/core/strided_copy.h"
#include "engine/ops/peers.h"
#include "kernels/ref/run.h"

namespace fovea::ref {
namespace {

Peers& others() {
  if (Peers* const p = peers()) return *p;
  throw Error(Error::Kind::argument, "a sum over processes where there is one process",
              "UsePeers says who the others are");
}

void begin(const Run& r) {
  Peers& all = others();
  std::byte* at = r.out().data;
  for (int i = 0; i < r.inputs(); ++i) {
    const Source x = r.in(i);
    copy_strided(x.meta, x.data, make_meta(x.meta.dtype, x.meta.shape), at);
    at += x.meta.bytes();
  }
  all.begin_sum(r.out().meta.dtype, r.out().data, r.out().meta.numel());
}

void end(const Run& r) {
  others().end_sum(r.in(0).data);
  std::memcpy(r.out().data, r.in(0).data, static_cast<size_t>(r.out().meta.bytes()));
}

}  // namespace

std::span<const Kernel> peers_kernels() {
  static constexpr Kernel table[] = {{&ops::peers_begin, no_half<begin>}, {&ops::peers_end, no_half<end>}};
  return table;
}

}  // namespace fovea::ref
