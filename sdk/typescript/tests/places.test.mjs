// A bundle is broken into the lines of its source only where the language lets a line end.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { broken } from '../bin/places.mjs';

const { build } = createRequire(`${process.cwd()}/`)('esbuild');

const SOURCE = `const made = [];
const chain = { add: (...all) => (made.push(...all), chain) };
const list = [
  1.5, ...[2,
    3]];
chain.add(1)
  .add(2, () => list
    .length, \`a, (\${list
    .map((one) => one)} .b, [\`)
  ?.add(
    function three() { return .5 }, /a.,(/.source.length > (
      1), 1
      .toFixed(2))
  .add(...list);
export const all = made.map((one) => (typeof one === 'function' ? one() : one));
`;

test('a bundle in lines of its source is the same program, and each line knows its own', async () => {
  const stdin = { contents: SOURCE.replace('/a.,(/', '/a.,[(]/'), sourcefile: 'source.js', loader: 'js' };
  const { outputFiles: [map, code] } = await build({ stdin, bundle: true, write: false, format: 'esm', sourcemap: 'external', outfile: 'bundle.js' });
  const made = broken(code.text, JSON.parse(map.text), (name) => name);
  const evaluated = async (text) => (await import(`data:text/javascript,${encodeURIComponent(text)}`)).all;
  assert.deepEqual(await evaluated(made.code), await evaluated(code.text));
  const lines = made.code.split('\n');
  const of = (text) => made.places.lines[1 + lines.findIndex((line) => line.startsWith(text))]?.[1];
  assert.deepEqual([of('add(2'), of('add(...list)')], [7, 14], made.code);
  assert.ok(lines.length > code.text.split('\n').length);
});
