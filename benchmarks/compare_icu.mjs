// The words of files by Node's own ICU, for compare_icu.py: paths on stdin, one object per line on stdout.
import { readFileSync } from "node:fs";

const segmenter = new Intl.Segmenter("und", { granularity: "word" });
const isWord = /[[\p{L}\p{N}]--[\uff9e\uff9f]]/v;
const ends = /^[\p{White_Space}\p{Cc}]+|[\p{White_Space}\p{Cc}]+$/gu;
// ICU loads a script's dictionary when it meets the script: all of them first, as tables/icu.py does.
[...segmenter.segment("\u6f22\u30fc\u3031\u1112\ud55c\u0e01\u0e81\u179b\u1781\u1000\n")];

const { icu, unicode } = process.versions;
console.log(JSON.stringify({ icu, unicode, node: process.version }));
for (const path of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const counts = new Map();
  for (const line of new TextDecoder().decode(readFileSync(path)).split("\n")) {
    for (const { segment } of segmenter.segment(line)) {
      if (!isWord.test(segment)) continue;
      const word = segment.replace(ends, "").normalize("NFC").toLowerCase().normalize("NFC");
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  console.log(JSON.stringify([path, [...counts]]));
}
