// A JSON body as fields to be asked for by name; every refusal is a 400 that names the field.
import { badRequest, notJson } from './error.ts';
import { kind, parse, Refused, type Json } from './strict.ts';

/** As much of a client's own text as a sentence repeats, in characters. */
const QUOTED_MAX = 40;

/** The members of a JSON object, all of them known. */
export interface Fields {
  /** A string, trimmed; nothing if the field is absent, which `null` is not. */
  text(name: string): string | undefined;
  /** A string with the spaces around it, as a password may have them. */
  verbatim(name: string): string | undefined;
}

/** The JSON body, whose fields are among `known`; 415 or 400 if it is none. */
export async function body(request: Request, known: string[]): Promise<Fields> {
  if (!isJson(request.headers.get('content-type') ?? '')) notJson();
  const members = object(new Uint8Array(await request.arrayBuffer()));
  const stranger = [...members.keys()].sort().find((name) => !known.includes(name));
  if (stranger !== undefined) {
    badRequest(`Field \`${quoted(stranger)}\` is unknown; there are ${known.map((name) => `\`${name}\``).join(', ')}`);
  }
  const verbatim = (name: string) => {
    const found = members.get(name);
    if (found === undefined || typeof found === 'string') return found;
    return badRequest(`Field \`${name}\` must be a string, not ${kind(found)}`);
  };
  return { verbatim, text: (name) => verbatim(name)?.trim() };
}

function object(bytes: Uint8Array): Map<string, Json> {
  let value: Json;
  try {
    value = parse(bytes);
  } catch (error) {
    if (error instanceof Refused) badRequest(error.message);
    throw error;
  }
  if (!(value instanceof Map)) badRequest(`The body must be a JSON object, not ${kind(value)}`);
  return value;
}

/** `application/json`, with no parameter but `charset=utf-8`. */
function isJson(type: string): boolean {
  const [media, ...parameters] = type.toLowerCase().split(';').map((part) => part.trim());
  return media === 'application/json' && parameters.every((one) => one === 'charset=utf-8' || one === 'charset="utf-8"');
}

/** A client's own word, cut short. */
export function quoted(text: string): string {
  return [...text].slice(0, QUOTED_MAX).join('');
}
