// What speedscope's own importer makes of files: node speedscope.cjs BUNDLE FILE...
//
// The package holds the web application alone, as one script. It is run here without a page up to the point where it
// would draw one, with its importer handed out.
"use strict";
const fs = require("fs");
const vm = require("vm");

const script = fs.readFileSync(process.argv[2], "utf8");
const importer = /async function ([\w$]+)\((\w+),(\w+)\)\{return [\w$]+\([\w$]+\.fromArrayBuffer\(\2,\3\)\)\}/.exec(script);
const module_ = /var ([\w$]+)=[\w$]+\(\(\)=>\{"use strict"/.exec(script.slice(importer ? importer.index : 0));
const begin = script.indexOf("console.log(`speedscope v");
if (!importer || !module_ || begin < 0) throw new Error("this release of speedscope is built in another way");
const ours = `;${module_[1]}();globalThis.importer=${importer[1]};return;`;
const cut = script.slice(0, begin) + ours + script.slice(begin);

const nothing = new Proxy(function () {}, {
  get: (_target, name) => (name === Symbol.toPrimitive ? () => "" : nothing),
  apply: () => nothing,
  construct: () => nothing,
});
const page = {
  console: { log() {}, warn() {}, error() {} }, window: { addEventListener() {}, location: nothing }, document: nothing, navigator: nothing,
  location: nothing, TextDecoder, TextEncoder, Uint8Array, ArrayBuffer, URL, setTimeout, atob, btoa, performance,
};
page.self = page.window;
vm.runInNewContext(cut, page);

async function read(file) {
  const raw = fs.readFileSync(file);
  const copy = raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length);
  const group = await page.importer(file.split("/").pop(), copy);
  if (!group) return null;
  return group.profiles.map((one) => ({
    name: one.getName(),
    unit: one.getWeightUnit(),
    total: one.getTotalWeight(),
    stacks: one.samples.map((node, place) => {
      const path = [];
      for (; node && !node.isRoot(); node = node.parent) path.unshift([node.frame.name, node.frame.file ?? null]);
      return [path, one.weights[place]];
    }),
  }));
}

(async () => {
  for (const file of process.argv.slice(3)) console.log(JSON.stringify(await read(file)));
})();
