// What a failure becomes: one line in the host's log with the place in the source, and an answer that tells nothing
// of it. A failure that says what the client should know (`HttpError`), and a body that is no JSON, are none of the
// service's.
import { isBrokenJson } from './body.ts';
import { HttpError, problem } from './json.ts';
import { described } from './place.ts';

export interface Failure {
  response: Response;
  /** Nobody said what it means: the state of the module may be anything. */
  isUnforeseen: boolean;
}

export function failed(error: unknown, trace: string): Failure {
  if (error instanceof HttpError) {
    if (error.status >= 500) console.error(`${error.status}: ${described(error)}`);
    return { response: problem(error.status, error.message, { trace, headers: error.headers }), isUnforeseen: false };
  }
  if (isBrokenJson(error)) return { response: problem(400, 'The body is not JSON', { trace }), isUnforeseen: false };
  const status = statusOf(error);
  console.error(described(error));
  const sentence = status === 500 ? 'The service failed; quote the trace id when you report it'
    : status === 504 ? 'The service did not finish in time; try again later'
    : 'The service is not available now; try again later';
  const response = problem(status, sentence, { trace, headers: status === 503 ? { 'retry-after': '1' } : {} });
  return { response, isUnforeseen: status === 500 };
}

/** What a capability's error means to a client: `PostgresError` and its like say so themselves. */
function statusOf(error: unknown): number {
  const status = (error as { httpStatus?: unknown } | null)?.httpStatus;
  return typeof status === 'number' ? status : 500;
}
