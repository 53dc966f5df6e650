// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pointwise/chain.cpp — pointwise ops one after the other on pieces that stay in the nearest cache.
#include "engine/ops/lowered/chain.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/isa/processor.h"
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kPiece = 1024;                   // elements

struct ChainPlan final : Plan {
  explicit ChainPlan(const Site& s) : attrs(s.attrs<ChainAttrs>()), n(s.result().numel()), set(&loops()) {
    for (const Meta& m : s.in) steps.push_back(m.numel() == 1 && n != 1 ? 0 : 1);
    choose_rows();
    name = str_cat("cpu:", set->name);
  }

  // Links share rows of memory: one is free again behind the last link that reads it, those of results never.
  void choose_rows() {
    std::vector<int> last(static_cast<size_t>(attrs.size), -1);
    const auto each_read = [&](int i, auto f) {
      const Link& l = attrs.links[static_cast<size_t>(i)];
      const int16_t named[] = {l.x, l.y, l.z};
      for (int k = 0; k < operands_of(l); ++k)
        if (named[k] < 0) f(static_cast<size_t>(-named[k] - 1));
    };
    for (int i = 0; i < attrs.size; ++i) each_read(i, [&](size_t link) { last[link] = i; });
    for (int i = 0; i < attrs.given; ++i) last[static_cast<size_t>(attrs.results[static_cast<size_t>(i)])] = attrs.size;
    std::vector<int> free;
    for (int i = 0; i < attrs.size; ++i) {
      if (free.empty()) free.push_back(rows++);
      row.push_back(free.back());
      free.pop_back();
      // what this link alone reads may not be overwritten by it: some loops read behind what they write
      for (size_t k = 0; k < static_cast<size_t>(i); ++k)
        if (last[k] == i) free.push_back(row[k]);
      if (last[static_cast<size_t>(i)] < 0) free.push_back(row.back());
    }
  }

  void run(const Args& a, Stream&) const override {
    parallel_for(n, 16 * kPiece, [&](int64_t first, int64_t end) {
      const ThreadArray<float> memory(static_cast<size_t>(rows * kPiece));
      for (int64_t at = first; at < end; at += kPiece) piece(a, memory.data(), at, std::min(kPiece, end - at));
    });
  }

  void piece(const Args& a, float* memory, int64_t at, int64_t count) const {
    const auto read = [&](int v) -> std::pair<const float*, int> {
      if (v < 0) return {memory + row[static_cast<size_t>(-v - 1)] * kPiece, 1};
      const int step = steps[static_cast<size_t>(v)];
      return {floats(a.in[v]) + at * step, step};
    };
    for (int i = 0; i < attrs.size; ++i) {
      const Link& l = attrs.links[static_cast<size_t>(i)];
      float* y = memory + row[static_cast<size_t>(i)] * kPiece;
      switch (l.kind) {
        case Link::Kind::unary: set->unary(l.fn, l.a, l.b, read(l.x).first, y, count); break;
        case Link::Kind::unary_dx: set->unary_dx(l.fn, l.a, read(l.x).first, read(l.y).first, y, count); break;
        case Link::Kind::binary: {
          const auto [left, left_step] = read(l.x);
          const auto [right, right_step] = read(l.y);
          set->binary(l.op, left, left_step, right, right_step, y, count);
          break;
        }
        case Link::Kind::where: {
          const bool yes = reinterpret_cast<const uint8_t*>(a.in[l.x])[0] != 0;
          const auto [from, step] = read(yes ? l.y : l.z);
          if (step == 1) std::memcpy(y, from, static_cast<size_t>(count) * sizeof(float));
          else std::fill_n(y, count, *from);
          break;
        }
        case Link::Kind::none: break;
      }
    }
    // last of all: results may lie where operands do
    for (int i = 0; i < attrs.given; ++i)
      std::memcpy(floats(a.out[i]) + at,
                  memory + row[static_cast<size_t>(attrs.results[static_cast<size_t>(i)])] * kPiece,
                  static_cast<size_t>(count) * sizeof(float));
  }

  ChainAttrs attrs;
  int64_t n;
  const Loops* set;
  std::vector<int> steps, row;
  int rows = 0;
};

PlanPtr plan_chain(const Site& s) {
  const auto& a = s.attrs<ChainAttrs>();
  for (int i = 0; i < a.size; ++i) {
    const Link& l = a.links[static_cast<size_t>(i)];
    // a function of one element for all of them would have to be spread out first
    const auto whole = [&](int v) { return v < 0 || s.operand(v).numel() == s.result().numel(); };
    if (l.kind == Link::Kind::unary && !(loops().has_unary(l.fn) && whole(l.x))) return nullptr;
    if (l.kind == Link::Kind::unary_dx && !(loops().has_unary_dx(l.fn) && whole(l.x) && whole(l.y))) return nullptr;
    if (l.kind == Link::Kind::binary && !loops().has_binary(l.op)) return nullptr;
  }
  return std::make_shared<ChainPlan>(s);
}

constexpr Kernel table[] = {{&ops::chain, plan_chain}};

}  // namespace

std::span<const Kernel> chain_kernels() { return table; }

}  // namespace fovea::kernels::cpu
