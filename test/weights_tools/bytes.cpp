// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/bytes.cpp — texts of files as a terminal may show them.
#include "weights_tools/bytes.h"

#include "test/support/catch.h"

using namespace fovea;

TEST_CASE("texts of files cannot steer a terminal", "[weights]") {
  CHECK(printable("layer.0.weight") == "layer.0.weight");
  CHECK(printable("") == "");
  CHECK(printable("gr\xc3\xb6\xc3\x9f"
                  "e \xe2\x82\xac \xf0\x9f\x98\x80") ==
        "gr\xc3\xb6\xc3\x9f"
        "e \xe2\x82\xac \xf0\x9f\x98\x80");
  CHECK(printable("a\x1b[2Jb\rc\nd\te\x7f") == "a\\x1b[2Jb\\x0dc\\nd\\x09e\\x7f");
  CHECK(printable(std::string_view("a\0b", 3)) == "a\\x00b");
  CHECK(printable("back\\slash") == "back\\\\slash");
  CHECK(printable("one\n\x1btwo\\", "\n\\") == "one\n\\x1btwo\\");
  CHECK(printable("\xc2\x9b"
                  "2J") == "\\u009b2J");  // the control of one code point
  CHECK(printable("\xe2\x80\xae"
                  "fdp.exe") == "\\u202efdp.exe");  // turns around what follows
  CHECK(printable("a\xe2\x80\x8b"
                  "b\xef\xbb\xbf") == "a\\u200bb\\ufeff");  // of no width
  CHECK(printable("\xf3\xa0\x81\x81") == "\\U000e0041");    // tags, which nobody sees
  CHECK(printable("\xff"
                  "a\xc3") == "\\xffa\\xc3");             // no UTF-8
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // half of a pair
}
