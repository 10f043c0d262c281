// What a service makes of a request, whichever engine and door it came by.
import { failed, type Failure } from './failure.ts';
import { handlerOf } from './serve.ts';

/** What the module makes of a request, or what is said in its place. */
export async function served(exported: unknown, request: () => Request): Promise<{ response: Response; failure?: Failure }> {
  let trace = '';
  try {
    const made = request();
    trace = made.headers.get('traceparent')?.split('-')[1] ?? '';
    const response = await handlerOf(exported)(made);
    if (!(response instanceof Response)) throw new TypeError(`the handler gave ${kind(response)} and no Response`);
    return { response };
  } catch (error) {
    const failure = failed(error, trace);
    return { response: failure.response, failure };
  }
}

function kind(value: unknown): string {
  return value === null ? 'null' : typeof value;
}

/** The web's request has no body with these. */
export function isBodiless(method: string): boolean {
  return method === 'GET' || method === 'HEAD';
}
