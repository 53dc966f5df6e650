// SPDX-License-Identifier: Apache-2.0
// engine/graph/program.h — Program: what compile() makes and all forks of a Session share. Private to this folder.
#pragma once
#include "engine/core/backend.h"
#include "engine/graph/plan_file.h"
#include "engine/graph/session.h"

namespace fovea {

struct Operand {
  Place place;
  int64_t packed = -1;                             // a constant as Plan::pack left it: where in Program::packed
  bool lent = false;                               // ... of the lender
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
  std::shared_ptr<Storage> packed;                 // all packed constants; null: none
  std::shared_ptr<const Program> lender;           // whose packed constants serve here, too; null: nobody's
  std::shared_ptr<const PlanFile> file;            // that the constants are mapped from; null: they are not
  size_t scratch = 0;                              // bytes, the most that a step wants
  int64_t constant_bytes = 0;

  /// Appends a planned step, with what it is for benches and the scratch that it wants.
  void add(const Step& s, const Site& site, PlannedStep planned);
};

}  // namespace fovea
