// What a handler of the shop fails with: a status and a sentence, the same in every service.
import { HttpError } from 'archipel';

export function badRequest(sentence: string): never {
  throw new HttpError(400, sentence);
}

export function unauthorized(sentence = 'Send a valid token: `Authorization: Bearer …`'): never {
  throw new HttpError(401, sentence, { 'www-authenticate': 'Bearer' });
}

export function forbidden(): never {
  throw new HttpError(403, 'Your token does not allow this');
}

export function notFound(sentence: string): never {
  throw new HttpError(404, sentence);
}

export function conflict(sentence: string): never {
  throw new HttpError(409, sentence);
}

export function notJson(): never {
  throw new HttpError(415, 'Send the body as JSON, with `Content-Type: application/json`');
}

export function tooManyRequests(sentence: string, seconds: bigint): never {
  throw new HttpError(429, sentence, { 'retry-after': String(seconds) });
}
