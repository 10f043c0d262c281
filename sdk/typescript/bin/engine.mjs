// componentize-js with one thing mended: what an argument takes of the engine's memory is given back after the call.
// Without that an instance that is asked again loses all that it has sent.

/** `componentize`, mended. */
export async function engine() {
  const { componentize } = await import('@bytecodealliance/componentize-js');
  const at = import.meta.resolve('@bytecodealliance/componentize-js');
  const { splicer } = await import(new URL('../lib/spidermonkey-embedding-splicer.js', at).href);
  const splice = splicer.spliceBindings;
  splicer.spliceBindings = (...given) => {
    const spliced = splice(...given);
    return { ...spliced, jsBindings: mended(spliced.jsBindings) };
  };
  return componentize;
}

/** The bindings, whose imports give back what their arguments were written to. What exports give is the engine's to
 * give back. */
function mended(bindings) {
  const list = /^let \[\$memory, \$realloc, \$dealloc, ([^\]]*)\] = \$bindings;$/m.exec(bindings);
  const exported = bindings.search(/^(async )?function export_/m);
  if (!list || exported < list.index) {
    throw new Error('componentize-js makes other bindings than we know: take the version that archipel pins');
  }
  const imports = list[1].split(', ').filter((name) => name.startsWith('$import_'));
  const head = `${bindings.slice(0, list.index)}let [$memory, $allocate, $dealloc, ${list[1]}] = $bindings;
const $held = [];
const $realloc = (from, before, align, size) => {
  const at = $allocate(from, before, align, size);
  if (size > 0) $held.push(at);
  return at;
};
const $free = () => {
  while ($held.length > 0) $dealloc($held.pop());
};
const $giving = (call) => (...given) => {
  const result = call(...given);
  if ($held.length > 0) $free();
  return result;
};
${imports.map((name) => `${name} = $giving(${name});`).join('\n')}`;
  const rest = bindings.slice(list.index + list[0].length, exported);
  return head + rest + bindings.slice(exported).replaceAll('$realloc', '$allocate');
}
