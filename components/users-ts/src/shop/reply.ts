// A success, in the shop's envelope.
import { json } from 'archipel';
import type { List } from './page.ts';

function reply(request: Request, status: number, data: unknown, headers: Record<string, string> = {}): Response {
  const traceId = request.headers.get('traceparent')?.split('-')[1];
  return json({ success: true, data, timestamp: new Date().toISOString(), traceId }, { status, headers });
}

export const ok = (request: Request, data: unknown) => reply(request, 200, data);

/** With the path of what was made. */
export const created = (request: Request, location: string, data: unknown) => reply(request, 201, data, { location });

export const noContent = () => new Response(null, { status: 204 });

/** With how many there are, and where to go on if there are more. */
export function listed<T>(request: Request, { items, total, next }: List<T>): Response {
  return reply(request, 200, items, { 'x-total-count': String(total), ...(next === undefined ? {} : { 'x-next-cursor': next }) });
}
