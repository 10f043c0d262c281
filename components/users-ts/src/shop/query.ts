// A query string: each parameter known, once and not empty, or the request is a 400.
import { badRequest } from './error.ts';
import { quoted } from './body.ts';

export function queryOf(request: Request, known: string[]): Map<string, string> {
  const parameters = new Map<string, string>();
  const query = new URL(request.url).search.slice(1);
  // An `&` too many separates nothing, as the URL standard has it.
  for (const part of query.split('&').filter((part) => part !== '')) {
    const at = part.indexOf('=');
    const [name, value] = [at < 0 ? part : part.slice(0, at), at < 0 ? '' : part.slice(at + 1)].map(decoded) as [string, string];
    if (!known.includes(name)) badRequest(`Query parameter \`${quoted(name)}\` is unknown; there are \`${known.join('`, `')}\``);
    if (value === '') badRequest(`Query parameter \`${name}\` is empty`);
    if (parameters.has(name)) badRequest(`Query parameter \`${name}\` is given twice`);
    parameters.set(name, value);
  }
  return parameters;
}

/** Undoes percent-encoding and `+`, once. */
function decoded(text: string): string {
  try {
    const plain = decodeURIComponent(text.replaceAll('+', ' '));
    if (!plain.includes('\0')) return plain;
  } catch {
    // Told below.
  }
  return badRequest('The query is not percent-encoded UTF-8');
}
