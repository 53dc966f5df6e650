// SPDX-License-Identifier: Apache-2.0
// engine/graph/program.h — Program: what compile() makes and all forks of a Session share. Private to this folder.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/backend.h"
#include "engine/graph/plan_file.h"
#include "engine/graph/session.h"

namespace fovea {

/// A constant as Plan::pack left it. Sessions of the same weights may share the bytes.
struct PackedConstant {
  std::string name;                                // of the value
  int64_t bytes = 0;
  std::shared_ptr<Storage> memory{};               // of it alone, of all that one compile() packed, or one file holds
  int64_t at = 0;                                  // there
  Tensor tensor() const;                           // of its bytes
  int64_t room() const { return (bytes + 63) & ~int64_t{63}; }         // that it takes there
};

struct Operand {
  Place place;
  int packed = -1;                                 // which of Program::packs; -1: the constant is read as it is
};

struct PlannedStep {
  PlanPtr plan;
  std::vector<Operand> in;
  std::vector<Place> out;
};

struct Session::Program {
  Graph graph;                                     // constants that are only used packed have no bytes any more
  Target target;                                   // threads filled in
  std::vector<Meta> inputs;                        // as traced
  std::vector<PlannedStep> steps;                  // all but views
  std::vector<StepInfo> info;
  std::vector<PackedConstant> packs;
  std::vector<std::shared_ptr<const PlanFile>> files;                  // that constants are mapped from
  size_t scratch = 0;                              // bytes, the most that a step wants
  int64_t constant_bytes = 0, shared_bytes = 0;

  /// Appends a planned step, with what it is for benches and the scratch that it wants.
  void add(const Step& s, const Site& site, PlannedStep planned);
  /// The constant that is the same to the byte: packed alike, or one that steps read as it is. Null: there is none.
  const PackedConstant* find(const PackedConstant& want) const;
  const Tensor* find(const Value& want) const;
};

}  // namespace fovea
