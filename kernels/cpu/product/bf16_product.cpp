// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/product/bf16_product.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "kernels/cpu/product/copied_rows.h"
#include "kernels/cpu/threads/parallel.h"

namespace fovea::kernels::cpu {

namespace {

constexpr int64_t kPanelsBytes = 192 << 10;        // of B that one thread keeps in its L2 cache while rows pass by
constexpr int64_t kMostPanels = 96;                // of one pass over the rows

// What one call of the tile covers: one or several panels of B.
struct Job {
  const Pair* b;
  const float* bias;
  int64_t column, columns, a_offset;
  int panels;
};

class Worker {
 public:
  Worker(const Bf16Product& p, Bf16RowPointers rows, const void* context)
      : p_(p), set_(*p.set), loops_(*p.loops), rows_(rows), context_(context) {
    tiles_ = (p.rows + set_.rows - 1) / set_.rows;
    most_rows_ = static_cast<int>((p.rows + tiles_ - 1) / tiles_);
    copy_step_ = odd_lines(p.packing.lines() * static_cast<int64_t>(sizeof(Pair)));
  }
  int64_t tiles() const { return tiles_; }

  // Row tiles [first_tile, last_tile) by panels [first, last), counted through all groups.
  void run(int64_t first_tile, int64_t last_tile, int64_t first, int64_t last) const {
    const ThreadArray<const bfloat16*> lent(static_cast<size_t>(p_.packing.taps * most_rows_));
    const bfloat16** const pointers = lent.data();
    const int64_t panel_bytes = p_.packing.panel_floats() * static_cast<int64_t>(sizeof(Pair));
    if (set_.copy)
      return run_copied({first_tile, last_tile, first, last, p_.packing.panels(), most_rows_ * copy_step_, panel_bytes},
                        pointers);
    const int64_t together = std::clamp<int64_t>(kPanelsBytes / panel_bytes, 1, kMostPanels);
    std::array<Job, kMostPanels> jobs;
    for (int64_t from = first; from < last; from += together) {
      const size_t count = jobs_for(from, std::min(from + together, last), jobs);
      for (int64_t tile = first_tile; tile < last_tile; ++tile)
        run_jobs(with_rows(tile, pointers), tile, std::span<const Job>(jobs).first(count));
    }
  }

 private:
  size_t jobs_for(int64_t first, int64_t last, std::array<Job, kMostPanels>& jobs) const {
    const Packing& k = p_.packing;
    const int64_t panels = k.panels(), full = k.last_width() == k.panel ? panels : panels - 1;
    size_t count = 0;
    for (int64_t at = first; at < last;) {
      const int64_t group = at / panels, panel = at % panels;
      int64_t take = std::min({static_cast<int64_t>(set_.panels_at_once(most_rows_)), last - at, full - panel});
      take = take >= 4 ? 4 : take >= 2 ? 2 : 1;
      const int64_t column = group * k.columns + panel * k.panel;
      const int64_t columns = panel + take == panels ? k.columns - panel * k.panel : take * k.panel;
      jobs[count++] = {p_.b + group * k.group_floats() + panel * k.panel_floats(), p_.bias ? p_.bias + column : nullptr,
                       column, columns, group * p_.depth, static_cast<int>(take)};
      at += take;
    }
    return count;
  }

  void run_copied(const CopiedWork& work, const bfloat16** pointers) const {
    set_.begin(most_rows_);
    walk_copied(work,
                [&](int64_t tile, int64_t group, std::byte* to) {
                  Bf16Tile t = with_rows(tile, pointers);
                  t.a_offset = group * p_.depth;
                  set_.copy(t, to);
                },
                [&](int64_t first, int64_t last, int64_t first_tile, int64_t last_tile, const std::byte* copies) {
                  std::array<Job, kMostPanels> jobs;
                  for (int64_t from = first; from < last; from += kMostPanels) {
                    const size_t count = jobs_for(from, std::min(from + kMostPanels, last), jobs);
                    for (int64_t tile = first_tile; tile < last_tile; ++tile) {
                      Bf16Tile t = frame(tile);
                      t.copy = copies + (tile - first_tile) * work.tile_bytes;
                      run_jobs(t, tile, std::span<const Job>(jobs).first(count));
                    }
                  }
                });
    set_.end();
  }

  int64_t row_of(int64_t tile) const { return p_.rows * tile / tiles_; }

  // What all panels share.
  Bf16Tile frame(int64_t tile) const {
    const Packing& k = p_.packing;
    const int64_t count = row_of(tile + 1) - row_of(tile);
    return {.a = nullptr,
            .a_step = count,
            .a_offset = 0,
            .taps = k.taps,
            .depth = p_.depth,
            .b = nullptr,
            .b_step = k.panel_floats(),
            .bias = nullptr,
            .residual = nullptr,
            .residual_step = p_.residual_step,
            .y = nullptr,
            .wide = nullptr,
            .y_step = p_.y_step,
            .rows = static_cast<int>(count),
            .most_rows = most_rows_,
            .columns = 0,
            .lo = p_.finish.lo,
            .hi = p_.finish.hi,
            .hard_swish = p_.finish.act.act == Unary::hard_swish,
            .copy = nullptr,
            .copy_step = copy_step_};
  }

  Bf16Tile with_rows(int64_t tile, const bfloat16** pointers) const {
    Bf16Tile t = frame(tile);
    rows_(context_, row_of(tile), t.rows, pointers, t.rows);
    t.a = pointers;
    return t;
  }

  void run_jobs(Bf16Tile t, int64_t tile, std::span<const Job> jobs) const {
    const int64_t row = row_of(tile);
    for (const Job& j : jobs) {
      t.a_offset = j.a_offset;
      t.b = j.b;
      t.columns = j.columns;
      t.bias = j.bias;
      t.residual = p_.residual ? p_.residual + row * p_.residual_step + j.column : nullptr;
      if (p_.wide) t.wide = p_.wide + row * p_.y_step + j.column;
      else t.y = p_.y + row * p_.y_step + j.column;
      const auto tile = [&](const Bf16Tile& one) { set_.tile(one, j.panels); };
      if (p_.finish.map && !t.hard_swish) map_tile(loops_, p_.finish.act, t, tile);
      else tile(t);
    }
  }

  const Bf16Product& p_;
  const Bf16Set& set_;
  const Loops& loops_;
  Bf16RowPointers rows_;
  const void* context_;
  int64_t tiles_, copy_step_;
  int most_rows_;
};

Pair pair_of(bfloat16 low, bfloat16 high) { return static_cast<Pair>(high.bits) << 16 | low.bits; }

// Columns whose elements lie side by side, two and two as they are to lie: [given][elements] turned.
void pack_adjacent(const UnpackedBf16& from, const bfloat16* tap, int64_t given, int64_t width, Pair* to) {
  const int64_t pairs = from.elements / 2;
  loops().turn(reinterpret_cast<const float*>(tap), from.column / 2, given, pairs, reinterpret_cast<float*>(to), width);
  if (from.elements % 2)
    for (int64_t c = 0; c < given; ++c)
      to[pairs * width + c] = pair_of(tap[c * from.column + from.elements - 1], bfloat16{});
}

// [elements][given] of whatever strides; a few lines at a time, so that what is written fits a near cache.
void pack_scattered(const UnpackedBf16& from, const bfloat16* tap, int64_t given, int64_t width, Pair* to) {
  constexpr int64_t kElements = 32;
  int64_t place[kElements];
  for (int64_t d = 0; d < from.elements; d += kElements) {
    const int64_t few = std::min(kElements, from.elements - d);
    for (int64_t i = 0; i < few; ++i)
      place[i] = (d + i) / from.inner * from.taps[2] + (d + i) % from.inner * from.depth;
    for (int64_t c = 0; c < given; ++c) {
      const bfloat16* const w = tap + c * from.column;
      Pair* const y = to + d / 2 * width + c;
      for (int64_t i = 0; i < few; i += 2)
        y[i / 2 * width] = pair_of(w[place[i]], i + 1 < few ? w[place[i + 1]] : bfloat16{});
    }
  }
}

void pack_panel(const Packing& p, const UnpackedBf16& from, int64_t group, int64_t panel, Pair* to) {
  const int64_t width = panel + 1 == p.panels() ? p.last_width() : p.panel;
  const int64_t given = std::min<int64_t>(width, p.columns - panel * p.panel), lines = (from.elements + 1) / 2;
  const bfloat16* column = from.w + (group * p.columns + panel * p.panel) * from.column;
  const bool adjacent = from.depth == 1 && from.inner >= from.elements && from.column % 2 == 0;
  for (int64_t z = 0; z < from.sizes[0]; ++z)
    for (int64_t y = 0; y < from.sizes[1]; ++y)
      for (int64_t x = 0; x < from.sizes[2]; ++x, to += lines * width) {
        const bfloat16* const tap = column + z * from.taps[0] + y * from.taps[1] + x * from.taps[2];
        const bool as_floats = adjacent && reinterpret_cast<uintptr_t>(tap) % sizeof(float) == 0;
        (as_floats ? pack_adjacent : pack_scattered)(from, tap, given, width, to);
        for (int64_t d = 0; d < lines && given < width; ++d)
          std::fill(to + d * width + given, to + (d + 1) * width, Pair{0});
      }
  std::fill_n(to, (p.lines() - p.taps * p.depth) * width, Pair{0});
}

}  // namespace

const Bf16Set* bf16_set() {
  if (UseBf16Set::chosen()) return UseBf16Set::chosen();
  static const Bf16Set* const best =
      bf16_amx.supported() ? &bf16_amx : bf16_avx512.supported() ? &bf16_avx512 : nullptr;
  return loops().lanes == 16 ? best : nullptr;
}

Packing pair_packing(int64_t groups, int64_t columns, int64_t taps, int64_t depth) {
  Packing p{loops(), groups, columns, taps, (depth + 1) / 2};
  p.fill = bf16_set()->fill;
  return p;
}

void pack_pairs(const Packing& p, const UnpackedBf16& from, Pair* to) {
  parallel_for(p.groups * p.panels(), std::max<int64_t>(1, 4096 / (p.panel_floats() + 1)),
               [&](int64_t first, int64_t last) {
                 for (int64_t i = first; i < last; ++i) {
                   const int64_t group = i / p.panels(), panel = i % p.panels();
                   pack_panel(p, from, group, panel, to + group * p.group_floats() + panel * p.panel_floats());
                 }
               });
}

void multiply(const Bf16Product& p, Bf16RowPointers rows, const void* context) {
  if (p.rows == 0 || p.packing.columns == 0) return;
  const Worker worker(p, rows, context);
  GridWork work = grid_work(p.packing, p.rows, worker.tiles());
  work.multiplications /= p.set->speed;
  over_grid(work,
            [&](int64_t first_tile, int64_t last_tile, int64_t first, int64_t last) {
              worker.run(first_tile, last_tile, first, last);
            });
}

bool all_bf16(const Site& s) {
  for (const std::span<const Meta>& metas : {s.in, s.out})
    for (const Meta& m : metas)
      if (m.present() && m.dtype != DType::bf16) return false;
  return true;
}

bool accepts_bf16(const Site& s, const Epilogue& e) { return bf16_set() && all_bf16(s) && loops().has_unary(e.act); }

void Bf16Operands::reserve(const Site& s, size_t weight_bytes, size_t& scratch) {
  weight_bytes_ = weight_bytes;
  bias_ = s.has(2) ? s.operand(2).numel() : 0;
  weights_packed_ = s.is_constant(1);
  bias_packed_ = s.is_constant(2);
  const auto lend = [&](size_t bytes) {
    const size_t at = scratch;
    scratch += aligned(bytes);
    return at;
  };
  if (!weights_packed_) weights_at_ = lend(weight_bytes);
  if (bias_ && !bias_packed_) bias_at_ = lend(static_cast<size_t>(bias_) * sizeof(float));
}

size_t Bf16Operands::packed_bytes(int operand) const {
  return operand == 1 ? weight_bytes_ : operand == 2 ? static_cast<size_t>(bias_) * sizeof(float) : 0;
}

void Bf16Operands::pack_bias(const std::byte* in, std::byte* out) const { loops().from_bf16(in, out, bias_); }

const float* Bf16Operands::bias(const Args& a) const {
  if (!bias_) return nullptr;
  if (bias_packed_) return floats(a.in[2]);
  pack_bias(a.in[2], a.scratch + bias_at_);
  return floats(a.scratch + bias_at_);
}

}  // namespace fovea::kernels::cpu
