// SPDX-License-Identifier: Apache-2.0
// test/data/labels.cpp — the embedded names of ImageNet's classes.
#include "data/labels.h"

#include "engine/core/error.h"
#include "test/support/catch.h"
#include "weights_tools/sha256.h"

using fovea::data::label;

TEST_CASE("labels are timm's", "[data]") {
  CHECK(fovea::data::label_count() == 1000);
  CHECK(label(0) == "tench, Tinca tinca");
  CHECK(label(281) == "tabby, tabby cat");
  CHECK(label(282) == "tiger cat");
  CHECK(label(967) == "espresso");
  CHECK(label(999) == "toilet tissue, toilet paper, bathroom tissue");
  CHECK_THROWS_AS(label(-1), fovea::Error);
  CHECK_THROWS_AS(label(1000), fovea::Error);
}

// Of "synset<TAB>lemmas: definition" lines, as timm.data.ImageNetInfo(subset) gives them.
TEST_CASE("the classes of every subset of ImageNet are timm's", "[data]") {
  struct Subset {
    int classes;
    const char* sum;
  };
  for (const Subset& s : {Subset{1000, "8a31db75ded32f435fe7a2f7f74c19eb9c013f8ae6c3d7032520bd20d367fc2c"},
                          {11221, "61755a842e3a98fbba3786115153573f234e50ef64949936b1858a63f5201994"},
                          {11821, "a9d73331a511f1183d0f89899e7f4dc7b58ab2659eff83c089a687bf026390b5"},
                          {21841, "dc94c353c490ef4b4323bfdd8103a8b28c5193d0ee7ba25a09a94b2055fddd7d"},
                          {21842, "76e1ccb31645361ffda2336677e9a706a1a8cade2c884a04affce1141ded5143"},
                          {21843, "b9f93087a7537b2df83d402a01ac02c56711397b82c217051ceb2cfd47f31eef"}}) {
    std::string text;
    for (const fovea::data::Synset& c : fovea::data::imagenet_synsets(s.classes))
      text += fovea::cat(c.id, "\t", c.lemmas, ": ", c.definition, "\n");
    CHECK(fovea::sha256(text) == s.sum);
  }
  for (int i = 0; i < 1000; ++i) CHECK(fovea::data::imagenet_synsets(1000)[static_cast<size_t>(i)].lemmas == label(i));
  CHECK(fovea::data::imagenet_synsets(10).empty());
}
