// SPDX-License-Identifier: Apache-2.0
#include "cli/answers.h"

#include <cstdio>

#include "cli/common.h"
#include "cli/signals.h"
#include "cli/text.h"

namespace fovea::cli {
namespace {

class People final : public Answers {
 public:
  void add(const Sample& image, const Answer& answer) override {
    std::printf("%s  (%d x %d; decode %s, transform %s, infer %s)\n", image.path.c_str(), image.width, image.height,
                duration(image.decode).c_str(), duration(image.transform).c_str(), duration(answer.infer).c_str());
    for (const Guess& g : answer.best)
      std::printf("  %6.4f  %4lld  %s\n", static_cast<double>(g.prob), static_cast<long long>(g.index),
                  g.label.c_str());
    flush_output();
  }
};

class Json final : public Answers {
 public:
  Json() { std::printf("["); }
  ~Json() override { std::printf("\n]\n"); }
  void add(const Sample& image, const Answer& answer) override {
    std::string s = "\"top\": [";
    for (const Guess& g : answer.best)
      s += str_cat(s.ends_with('[') ? "" : ", ", "{\"index\": ", g.index, ", \"label\": ", json_text(g.label),
                   ", \"prob\": ", json_number(g.prob), "}");
    put(image, s + (answer.finite ? "]" : "], \"finite\": false"));
  }
  void add_unread(const Sample& image) override {
    put(image, str_cat("\"error\": ", json_text(image.error->summary())));
  }

 private:
  void put(const Sample& image, const std::string& rest) {
    std::printf("%s\n  {\"image\": %s, %s}", first_ ? "" : ",", json_text(image.path).c_str(), rest.c_str());
    first_ = false;
    flush_output();
  }
  bool first_ = true;
};

class Csv final : public Answers {
 public:
  Csv() { std::printf("image,rank,index,label,prob\n"); }
  void add(const Sample& image, const Answer& answer) override {
    int rank = 0;
    for (const Guess& g : answer.best)
      std::printf("%s,%d,%lld,%s,%s\n", csv_text(image.path).c_str(), ++rank, static_cast<long long>(g.index),
                  csv_text(g.label).c_str(), str_cat(g.prob).c_str());
    flush_output();
  }
};

}  // namespace

std::unique_ptr<Answers> answers_for_people() { return std::make_unique<People>(); }
std::unique_ptr<Answers> answers_as_json() { return std::make_unique<Json>(); }
std::unique_ptr<Answers> answers_as_csv() { return std::make_unique<Csv>(); }

}  // namespace fovea::cli
